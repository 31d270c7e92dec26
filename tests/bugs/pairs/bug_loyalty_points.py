"""Loyalty programme: add the points of a stay, then tell the guest.

The points are added with `+=`. When the answer of the step is lost, the step is tried again although the
worker lives and the points are there: they are added twice. One lost answer of `add-points` shows it. The
twin keeps one entry per stay and sums them up.
"""

import pytest

from pytest_durable import Context, durable_function

DEVIATIONS = 1


class Programme:
    """Points by guest, and entries by stay."""

    def reset(self):
        self.points = {}
        self.entries = {}

    async def add(self, guest, points):
        self.points[guest] = self.points.get(guest, 0) + points

    async def enter(self, stay, guest, points):
        self.entries[stay] = (guest, points)
        self.points[guest] = sum(value for who, value in self.entries.values() if who == guest)

    async def tell(self, guest):
        return f"told {guest}"


programme = Programme()


@pytest.fixture(autouse=True)
def fresh(durable):
    programme.reset()


@durable_function("points", trigger="stay/ended")
async def points_bug(ctx: Context):
    stay = ctx.event.data
    points = 10 * stay["nights"]
    await ctx.step.run("add-points", programme.add, stay["guest"], points)
    await ctx.step.run("tell", programme.tell, stay["guest"])
    return {"guest": stay["guest"], "points": points}


@durable_function("points-by-stay", trigger="stay/ended")
async def points_ok(ctx: Context):
    stay = ctx.event.data
    points = 10 * stay["nights"]
    await ctx.step.run("add-points", programme.enter, stay["id"], stay["guest"], points)
    await ctx.step.run("tell", programme.tell, stay["guest"])
    return {"guest": stay["guest"], "points": points}


def adds_points_once(durable, points):
    durable.register(points)
    durable.send("stay/ended", {"id": "stay-9", "guest": "ann", "nights": 3})
    durable.advance("1d")
    assert programme.points == {"ann": 30}


@pytest.mark.durable(explore="every", faults=["lost_ack"], max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    adds_points_once(durable, points_bug)


@pytest.mark.durable(explore="every", faults=["lost_ack"], max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    adds_points_once(durable, points_ok)
