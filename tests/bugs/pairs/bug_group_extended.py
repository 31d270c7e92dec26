"""Health check: weigh and measure in parallel, then wait for the laboratory.

Today's code calls one of the measurements by another name, so a run that waits would measure again. The twin
adds a third id, and finds the first two where they were.
"""

import asyncio

from pytest_durable import Context, checks, durable_function

DEVIATIONS = None


@durable_function("health-check", trigger="patient/came")
async def yesterday(ctx: Context):
    await asyncio.gather(ctx.step.run("weigh", lambda: 70), ctx.step.run("measure", lambda: 180))
    return await ctx.step.wait_for_event("laboratory", event="laboratory/answered", timeout="7d")


@durable_function("health-check", trigger="patient/came")
async def today_bug(ctx: Context):
    await asyncio.gather(ctx.step.run("weigh", lambda: 70), ctx.step.run("height", lambda: 180))
    return await ctx.step.wait_for_event("laboratory", event="laboratory/answered", timeout="7d")


@durable_function("health-check", trigger="patient/came")
async def today_ok(ctx: Context):
    await asyncio.gather(ctx.step.run("weigh", lambda: 70), ctx.step.run("measure", lambda: 180))
    return await asyncio.gather(
        ctx.step.wait_for_event("laboratory", event="laboratory/answered", timeout="7d"),
        ctx.step.run("blood", lambda: "A+"),
    )


def survives_the_deploy(durable, today):
    run = durable.start(yesterday)
    durable.advance("1d")
    checks.replay(today, run.history)


def test_bug(durable):
    """The check reports the defect."""
    survives_the_deploy(durable, today_bug)


def test_ok(durable):
    """The check has nothing against the twin."""
    survives_the_deploy(durable, today_ok)
