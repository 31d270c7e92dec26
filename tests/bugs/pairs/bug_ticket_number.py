"""Ticket machine: every visitor gets the next number.

The number is read in one step and written in another, so two visitors who come at once get the same number:
the second run reads between the two steps of the first. The twin counts in one step.
"""

import pytest

from pytest_durable import Context, durable_function

DEVIATIONS = 1


class Machine:
    """The last number, and who got which."""

    def reset(self):
        self.last = 0
        self.given = {}

    def read(self):
        return self.last

    def write(self, visitor, number):
        self.last = number
        self.given[visitor] = number

    def draw(self, visitor):
        if visitor not in self.given:
            self.last += 1
            self.given[visitor] = self.last
        return self.given[visitor]


machine = Machine()


@pytest.fixture(autouse=True)
def fresh(durable):
    machine.reset()


@durable_function("draw-number", trigger="visitor/came")
async def draw_bug(ctx: Context):
    last = await ctx.step.run("read", machine.read)
    await ctx.step.run("write", machine.write, ctx.event.data["visitor"], last + 1)
    return last + 1


@durable_function("draw-number-at-once", trigger="visitor/came")
async def draw_ok(ctx: Context):
    return await ctx.step.run("draw", machine.draw, ctx.event.data["visitor"])


def gives_every_number_once(durable, draw):
    for visitor in ("ann", "bob", "cid"):
        durable.start(draw, {"visitor": visitor})
    durable.run_until_idle()
    assert sorted(machine.given.values()) == [1, 2, 3]


@pytest.mark.durable(explore="every", max_schedules=3000)
def test_bug(durable):
    """Some schedule shows the defect."""
    gives_every_number_once(durable, draw_bug)


@pytest.mark.durable(explore="every", max_schedules=3000)
def test_ok(durable):
    """No schedule breaks the twin."""
    gives_every_number_once(durable, draw_ok)
