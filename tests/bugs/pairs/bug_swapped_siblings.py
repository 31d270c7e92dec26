"""Delivery: pack the goods and print the label in parallel. Today's code lists the two in another order.

Siblings are found by their ids, so their order in the group is free, and the twin only changes that. The
defect is that the same edit was made to two steps that follow each other: packing goods that were not picked
yet.
"""

import asyncio

from pytest_durable import Context, checks, durable_function

DEVIATIONS = None


@durable_function("delivery", trigger="order/placed")
async def yesterday(ctx: Context):
    await ctx.step.run("pick", lambda: "goods")
    await ctx.step.run("check", lambda: "goods")
    await asyncio.gather(ctx.step.run("pack", lambda: "box"), ctx.step.run("label", lambda: "label"))
    await ctx.step.sleep("pick-up", "1d")


@durable_function("delivery", trigger="order/placed")
async def today_bug(ctx: Context):
    await ctx.step.run("check", lambda: "goods")
    await ctx.step.run("pick", lambda: "goods")
    await asyncio.gather(ctx.step.run("pack", lambda: "box"), ctx.step.run("label", lambda: "label"))
    await ctx.step.sleep("pick-up", "1d")


@durable_function("delivery", trigger="order/placed")
async def today_ok(ctx: Context):
    await ctx.step.run("pick", lambda: "goods")
    await ctx.step.run("check", lambda: "goods")
    await asyncio.gather(ctx.step.run("label", lambda: "label"), ctx.step.run("pack", lambda: "box"))
    await ctx.step.sleep("pick-up", "1d")


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
