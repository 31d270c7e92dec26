"""Garden: sow, sleep, reap. Today's code waters before the sleep.

A run that sleeps has no memo of watering: on waking it would water after the rain, before it reaps. Replaying
a sleeping run shows the step in front of the one that it sleeps in. The twin waters behind the sleep.
"""

from pytest_durable import ContextSync, checks, durable_function

DEVIATIONS = None


@durable_function("garden", trigger="spring/begun")
def yesterday(ctx: ContextSync):
    ctx.step.run("sow", lambda: "beans")
    ctx.step.sleep("grow", "90d")
    return ctx.step.run("reap", lambda: "beans")


@durable_function("garden", trigger="spring/begun")
def today_bug(ctx: ContextSync):
    ctx.step.run("sow", lambda: "beans")
    ctx.step.run("water", lambda: "10 l")
    ctx.step.sleep("grow", "90d")
    return ctx.step.run("reap", lambda: "beans")


@durable_function("garden", trigger="spring/begun")
def today_ok(ctx: ContextSync):
    ctx.step.run("sow", lambda: "beans")
    ctx.step.sleep("grow", "90d")
    ctx.step.run("water", lambda: "10 l")
    return ctx.step.run("reap", lambda: "beans")


def survives_the_deploy(durable, today):
    run = durable.start(yesterday)
    durable.advance("10d")
    checks.replay(today, run.history)


def test_bug(durable):
    """The check reports the defect."""
    survives_the_deploy(durable, today_bug)


def test_ok(durable):
    """The check has nothing against the twin."""
    survives_the_deploy(durable, today_ok)
