"""Laundry: wash, then wait until it is done. Yesterday's code slept; today's waits for the machine's event.

The step keeps its id and changes its kind: a sleeping run wakes up with a memo that is no event. The twin
gives the new wait an id of its own behind the sleep.
"""

from pytest_durable import Context, checks, durable_function

DEVIATIONS = None


@durable_function("laundry", trigger="laundry/brought")
async def yesterday(ctx: Context):
    await ctx.step.run("wash", lambda: "60 degrees")
    await ctx.step.sleep("done", "2h")
    return await ctx.step.run("iron", lambda: "ironed")


@durable_function("laundry", trigger="laundry/brought")
async def today_bug(ctx: Context):
    await ctx.step.run("wash", lambda: "60 degrees")
    await ctx.step.wait_for_event("done", event="machine/done", timeout="2h")
    return await ctx.step.run("iron", lambda: "ironed")


@durable_function("laundry", trigger="laundry/brought")
async def today_ok(ctx: Context):
    await ctx.step.run("wash", lambda: "60 degrees")
    await ctx.step.sleep("done", "2h")
    await ctx.step.wait_for_event("dry", event="dryer/done", timeout="2h")
    return await ctx.step.run("iron", lambda: "ironed")


def survives_the_deploy(durable, today):
    run = durable.start(yesterday)
    durable.advance("1h")
    checks.replay(today, run.history)


def test_bug(durable):
    """The check reports the defect."""
    survives_the_deploy(durable, today_bug)


def test_ok(durable):
    """The check has nothing against the twin."""
    survives_the_deploy(durable, today_ok)
