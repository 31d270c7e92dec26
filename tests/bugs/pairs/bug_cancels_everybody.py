"""Gym: a trial month runs on unless the member cancels it.

The cancellation's expression compares the event with itself, so one member's cancellation ends everybody's
trial. It shows with a second member, in the default order. The twin compares `event` (the run's own) with
`async` (what came).
"""

import pytest

from pytest_durable import Cancel, Context, between, durable_function

DEVIATIONS = 0
SELF = Cancel(event="trial/cancelled", if_exp="async.data.member == async.data.member")
OTHER = Cancel(event="trial/cancelled", if_exp="event.data.member == async.data.member")


class Gym:
    """Members for good."""

    def reset(self):
        self.members = set()

    def join(self, member):
        self.members.add(member)


gym = Gym()


@pytest.fixture(autouse=True)
def fresh(durable):
    gym.reset()


@durable_function("trial", trigger="trial/begun", cancel=SELF)
async def trial_bug(ctx: Context):
    await ctx.step.sleep("month", "30d")
    await ctx.step.run("join", gym.join, ctx.event.data["member"])


@durable_function("trial-own", trigger="trial/begun", cancel=[OTHER])
async def trial_ok(ctx: Context):
    await ctx.step.sleep("month", "30d")
    await ctx.step.run("join", gym.join, ctx.event.data["member"])


def keeps_the_others(durable, trial):
    for member in ("ann", "bob"):
        durable.start(trial, {"member": member})
    durable.send("trial/cancelled", {"member": "bob"}, at=between("1d", "29d"))
    durable.advance("60d")
    assert gym.members == {"ann"}


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    keeps_the_others(durable, trial_bug)


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    keeps_the_others(durable, trial_ok)
