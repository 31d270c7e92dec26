"""Mailing: write to every distinct recipient of an order.

The recipients are put into a set to drop doubles, and a set of text has another order in another process: the
implicit numbers of the steps then belong to other recipients, and after a restart somebody is written to
twice. The twin drops doubles and keeps the order.
"""

from pytest_durable import Context, checks, durable_function

DEVIATIONS = None
WHO = ["ann", "bob", "cid", "dan", "eve", "ann"]


async def write(who):
    return f"wrote to {who}"


@durable_function("mailing", trigger="mailing/ready")
async def mailing_bug(ctx: Context):
    for who in set(ctx.event.data["who"]):
        await ctx.step.run("write", write, who)


@durable_function("mailing-in-order", trigger="mailing/ready")
async def mailing_ok(ctx: Context):
    for who in dict.fromkeys(ctx.event.data["who"]):
        await ctx.step.run("write", write, who)


def test_bug():
    """The check reports the defect."""
    checks.check_durable(mailing_bug, {"who": WHO})


def test_ok():
    """The check has nothing against the twin."""
    checks.check_durable(mailing_ok, {"who": WHO})
