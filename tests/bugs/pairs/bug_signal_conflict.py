"""Printer: one run at a time waits for the paper tray; a second one has to queue.

`on_conflict="fail"` raises in the second run, and nobody catches it: the run fails and its document is lost.
It shows when the second document comes while the first one waits. The twin catches the conflict and comes
back later.
"""

import pytest

from pytest_durable import Context, SignalConflictError, between, durable_function

DEVIATIONS = 1


class Printer:
    """What was printed."""

    def reset(self):
        self.printed = []

    def print(self, document):
        self.printed.append(document)


printer = Printer()


@pytest.fixture(autouse=True)
def fresh(durable):
    printer.reset()


@durable_function("print", trigger="document/sent", retries=0)
async def print_bug(ctx: Context):
    document = ctx.event.data["document"]
    await ctx.step.wait_for_signal("tray", signal="tray", timeout="5m", on_conflict="fail")
    await ctx.step.run("print", printer.print, document)


@durable_function("print-queued", trigger="document/sent", retries=0)
async def print_ok(ctx: Context):
    document = ctx.event.data["document"]
    while True:
        try:
            await ctx.step.wait_for_signal("tray", signal="tray", timeout="5m", on_conflict="fail")
            break
        except SignalConflictError:
            await ctx.step.sleep("queue", "7m")
    await ctx.step.run("print", printer.print, document)


def prints_both(durable, print_document):
    durable.register(print_document)
    durable.send("document/sent", {"document": "one"})
    durable.send("document/sent", {"document": "two"}, at=between("1m", "10m"))
    durable.advance("2h")
    assert sorted(printer.printed) == ["one", "two"]


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_bug(durable):
    """Some schedule shows the defect."""
    prints_both(durable, print_bug)


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_ok(durable):
    """No schedule breaks the twin."""
    prints_both(durable, print_ok)
