"""Library: a returned book is scanned at the desk; without a scan within a week the reader is reminded.

The function takes for granted that the scan comes. When the event is lost the wait ends with None, and
reading its data fails the run, retry after retry. A lost event shows it. The twin treats the end of the time
as an answer.
"""

import pytest

from pytest_durable import Context, durable_function

DEVIATIONS = 1


class Library:
    """Shelves and reminders."""

    def reset(self):
        self.shelved = []
        self.reminded = []

    def shelve(self, book, desk):
        self.shelved.append((book, desk))

    def remind(self, reader):
        self.reminded.append(reader)


library = Library()


@pytest.fixture(autouse=True)
def fresh(durable):
    library.reset()


@durable_function("return-book", trigger="loan/due")
async def return_bug(ctx: Context):
    loan = ctx.event.data
    scan = await ctx.step.wait_for_event("scan", event="desk/scanned", timeout="7d", match="data.book")
    await ctx.step.run("shelve", library.shelve, loan["book"], scan.data["desk"])
    return {"returned": True}


@durable_function("return-book-or-remind", trigger="loan/due")
async def return_ok(ctx: Context):
    loan = ctx.event.data
    scan = await ctx.step.wait_for_event("scan", event="desk/scanned", timeout="7d", match="data.book")
    if scan is None:
        await ctx.step.run("remind", library.remind, loan["reader"])
        return {"returned": False}
    await ctx.step.run("shelve", library.shelve, loan["book"], scan.data["desk"])
    return {"returned": True}


def shelves_or_reminds(durable, give_back):
    run = durable.start(give_back, {"book": "b-1", "reader": "ron"})
    durable.send("desk/scanned", {"book": "b-1", "desk": 2}, at="1d")
    durable.advance("30d")
    assert run.status == "completed"
    assert len(library.shelved) + len(library.reminded) == 1


@pytest.mark.durable(explore="every", faults=["drop_event"], max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    shelves_or_reminds(durable, return_bug)


@pytest.mark.durable(explore="every", faults=["drop_event"], max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    shelves_or_reminds(durable, return_ok)
