"""Hotel: check the guest in. Today's code writes the bill before it hands over the key, yesterday's did it
behind.

Runs that sleep behind the key have no bill and no way back. Replaying the history of a sleeping run shows its
steps in another order. The twin keeps the order and adds its new step at the end.
"""

from pytest_durable import Context, checks, durable_function

DEVIATIONS = None


@durable_function("check-in", trigger="guest/arrived")
async def yesterday(ctx: Context):
    await ctx.step.run("hand-over-key", lambda: 101)
    await ctx.step.run("write-bill", lambda: "bill")
    await ctx.step.sleep("night", "10h")
    await ctx.step.run("breakfast", lambda: "egg")


@durable_function("check-in", trigger="guest/arrived")
async def today_bug(ctx: Context):
    await ctx.step.run("write-bill", lambda: "bill")
    await ctx.step.run("hand-over-key", lambda: 101)
    await ctx.step.sleep("night", "10h")
    await ctx.step.run("breakfast", lambda: "egg")


@durable_function("check-in", trigger="guest/arrived")
async def today_ok(ctx: Context):
    await ctx.step.run("hand-over-key", lambda: 101)
    await ctx.step.run("write-bill", lambda: "bill")
    await ctx.step.sleep("night", "10h")
    await ctx.step.run("breakfast", lambda: "egg")
    await ctx.step.run("rate", lambda: 5)


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
