"""Lottery: draw the winners by the number of their ticket, and pay them a week later.

The step returns a dict with numbers as its keys. Behind JSON they are text, so the number of the ticket finds
nobody and nobody is paid. The default order shows it, as does `json_fidelity`. The twin uses text from the
start.
"""

from pytest_durable import Context, checks, durable_function

DEVIATIONS = None


@durable_function("lottery", trigger="lottery/drawn")
async def lottery_bug(ctx: Context):
    winners = await ctx.step.run("draw", lambda: {17: "ann", 23: "bob"})
    await ctx.step.sleep("a-week", "7d")
    return await ctx.step.run("pay", lambda: winners.get(ctx.event.data["ticket"], "nobody"))


@durable_function("lottery-text", trigger="lottery/drawn")
async def lottery_ok(ctx: Context):
    winners = await ctx.step.run("draw", lambda: {"17": "ann", "23": "bob"})
    await ctx.step.sleep("a-week", "7d")
    return await ctx.step.run("pay", lambda: winners.get(str(ctx.event.data["ticket"]), "nobody"))


def pays_the_winner(durable, lottery):
    checks.check_durable(lottery, {"ticket": 17})
    assert durable.run(lottery, {"ticket": 17}) == "ann"


def test_bug(durable):
    """The check reports the defect."""
    pays_the_winner(durable, lottery_bug)


def test_ok(durable):
    """The check has nothing against the twin."""
    pays_the_winner(durable, lottery_ok)
