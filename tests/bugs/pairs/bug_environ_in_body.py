"""Region switch: book a machine in the region that the worker runs in.

The body asks the environment whether a region is set. The next invocation may run on a worker elsewhere,
where the answer is another. The battery's `impure_body` names the line. The twin asks in a step.
"""

import os

from pytest_durable import Context, checks, durable_function

DEVIATIONS = None


def region():
    return os.environ.get("REGION", "home")


@durable_function("book-machine", trigger="machine/wanted")
async def machine_bug(ctx: Context):
    where = "abroad" if "REGION" in os.environ else "home"
    await ctx.step.run("book", lambda: where)
    return await ctx.step.run("start", lambda: where)


@durable_function("book-machine-step", trigger="machine/wanted")
async def machine_ok(ctx: Context):
    where = await ctx.step.run("region", region)
    await ctx.step.run("book", lambda: where)
    return await ctx.step.run("start", lambda: where)


def test_bug():
    """The check reports the defect."""
    checks.check_durable(machine_bug)


def test_ok():
    """The check has nothing against the twin."""
    checks.check_durable(machine_ok)
