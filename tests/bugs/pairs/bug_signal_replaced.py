"""Door: a run opens the door when the guard signals; every visitor has a run.

All runs wait for one signal with `replace`, so the second visitor takes the wait from the first, who waits in
vain. It shows with two visitors in any order. The twin has a signal for each visitor.
"""

import pytest

from pytest_durable import Context, durable_function

DEVIATIONS = 0


class Door:
    """Who got in."""

    def reset(self):
        self.inside = set()

    def open(self, visitor):
        self.inside.add(visitor)


door = Door()


@pytest.fixture(autouse=True)
def fresh(durable):
    door.reset()


@durable_function("visit", trigger="visitor/rang")
async def visit_bug(ctx: Context):
    visitor = ctx.event.data["visitor"]
    ok = await ctx.step.wait_for_signal("guard", signal="door", timeout="10m", on_conflict="replace")
    if ok is not None:
        await ctx.step.run("open", door.open, visitor)


@durable_function("visit-by-name", trigger="visitor/rang")
async def visit_ok(ctx: Context):
    visitor = ctx.event.data["visitor"]
    ok = await ctx.step.wait_for_signal("guard", signal=f"door/{visitor}", timeout="10m", on_conflict="replace")
    if ok is not None:
        await ctx.step.run("open", door.open, visitor)


def lets_both_in(durable, visit):
    durable.register(visit)
    for visitor in ("ann", "bob"):
        durable.send("visitor/rang", {"visitor": visitor})
    for at in ("2m", "3m"):
        durable.signal("door", at=at)
    for visitor in ("ann", "bob"):
        durable.signal(f"door/{visitor}", at="4m")
    durable.advance("1h")
    assert door.inside == {"ann", "bob"}


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_bug(durable):
    """Some schedule shows the defect."""
    lets_both_in(durable, visit_bug)


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_ok(durable):
    """No schedule breaks the twin."""
    lets_both_in(durable, visit_ok)
