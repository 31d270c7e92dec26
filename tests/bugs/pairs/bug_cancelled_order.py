"""Kitchen: take the ingredients from the shelf, then note the dish; the guest may cancel at any moment.

A cancelled run ends where it stands. The shelf is restocked from the notes of the kitchen, so a cancellation
between `take` and `note` loses the ingredients. The twin notes first what it is going to take, and restocking
looks at what was really taken.
"""

import pytest

from pytest_durable import ANYTIME, Context, durable_function

DEVIATIONS = 1


class Kitchen:
    """A shelf and notes."""

    def reset(self):
        self.shelf = 10
        self.notes = []
        self.taken = {}

    def take(self, dish):
        self.shelf -= 2
        self.taken[dish] = 2

    def note(self, dish):
        self.notes.append(dish)

    def restock(self):
        for dish in self.notes:
            self.shelf += self.taken.pop(dish, 0)


kitchen = Kitchen()


@pytest.fixture(autouse=True)
def fresh(durable):
    kitchen.reset()


@durable_function("cook", trigger="dish/ordered")
async def cook_bug(ctx: Context):
    dish = ctx.event.data["dish"]
    await ctx.step.run("take", kitchen.take, dish)
    await ctx.step.run("note", kitchen.note, dish)
    await ctx.step.sleep("oven", "20m")


@durable_function("cook-noted", trigger="dish/ordered")
async def cook_ok(ctx: Context):
    dish = ctx.event.data["dish"]
    await ctx.step.run("note", kitchen.note, dish)
    await ctx.step.run("take", kitchen.take, dish)
    await ctx.step.sleep("oven", "20m")


def restocks_what_was_cancelled(durable, cook):
    run = durable.start(cook, {"dish": "soup"})
    durable.cancel(run, at=ANYTIME)
    durable.advance("1h")
    if run.status == "cancelled":
        kitchen.restock()
        assert kitchen.shelf == 10


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    restocks_what_was_cancelled(durable, cook_bug)


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    restocks_what_was_cancelled(durable, cook_ok)
