"""Airlock: one run opens the inner door for a minute, another one the outer door; never both.

Each run looks whether the other door is open and then opens its own, in two steps. The monitor `never` sees
both open when they come at once. The twin takes the lock of the chamber in one step.
"""

import pytest

from pytest_durable import Context, between, durable_function

DEVIATIONS = 3


class Airlock:
    """Doors that are open."""

    def reset(self):
        self.open = set()

    def is_free(self):
        return not self.open

    def open_door(self, door):
        self.open.add(door)

    def open_if_free(self, door):
        if not self.open - {door}:
            self.open.add(door)
        return door in self.open

    def close(self, door):
        self.open.discard(door)


airlock = Airlock()


@pytest.fixture(autouse=True)
def fresh(durable):
    airlock.reset()


@durable_function("pass", trigger="door/wanted")
async def pass_bug(ctx: Context):
    door = ctx.event.data["door"]
    if await ctx.step.run("look", airlock.is_free):
        await ctx.step.run("open", airlock.open_door, door)
        await ctx.step.sleep("a-minute", "1m")
        await ctx.step.run("close", airlock.close, door)


@durable_function("pass-locked", trigger="door/wanted")
async def pass_ok(ctx: Context):
    door = ctx.event.data["door"]
    if await ctx.step.run("open", airlock.open_if_free, door):
        await ctx.step.sleep("a-minute", "1m")
        await ctx.step.run("close", airlock.close, door)


def opens_one_door_at_a_time(durable, pass_):
    durable.register(pass_)
    durable.never(lambda: len(airlock.open) == 2)
    durable.send("door/wanted", {"door": "inner"}, at="1m")
    durable.send("door/wanted", {"door": "outer"}, at=between(0, "3m"))
    durable.advance("10m")


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    opens_one_door_at_a_time(durable, pass_bug)


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    opens_one_door_at_a_time(durable, pass_ok)
