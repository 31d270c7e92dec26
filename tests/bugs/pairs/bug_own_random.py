"""A/B test: put a visitor into one of two groups.

The group is drawn from a generator of the function's own, which nobody has seeded. It is drawn again on every
replay, and its steps have one id whatever it says. The battery's `impure_body` names the line. The twin draws
in a step.
"""

import random

from pytest_durable import Context, checks, durable_function

DEVIATIONS = None


@durable_function("visit", trigger="visitor/came")
async def visit_bug(ctx: Context):
    group = random.Random().choice("AB")
    await ctx.step.run("show", lambda: group)
    await ctx.step.sleep("a-day", "1d")
    await ctx.step.run("ask", lambda: group)


@durable_function("visit-step", trigger="visitor/came")
async def visit_ok(ctx: Context):
    group = await ctx.step.run("group", lambda: random.Random().choice("AB"))
    await ctx.step.run("show", lambda: group)
    await ctx.step.sleep("a-day", "1d")
    await ctx.step.run("ask", lambda: group)


def test_bug():
    """The check reports the defect."""
    checks.check_durable(visit_bug)


def test_ok():
    """The check has nothing against the twin."""
    checks.check_durable(visit_ok)
