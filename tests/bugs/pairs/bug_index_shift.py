"""Newsletter series: three letters a week apart, all under the id `letter`.

Today's code puts a welcome letter in front, under the same id: the memo of the first letter answers for the
welcome, and every later number moves by one. A run that is asleep loses its place. The twin has an id for the
new letter, at the end.
"""

from pytest_durable import ContextSync, checks, durable_function

DEVIATIONS = None


@durable_function("series", trigger="reader/joined")
def yesterday(ctx: ContextSync):
    for number in range(3):
        ctx.step.run("letter", lambda n=number: n)
        ctx.step.sleep("a-week", "7d")


@durable_function("series", trigger="reader/joined")
def today_bug(ctx: ContextSync):
    ctx.step.run("letter", lambda: "welcome")
    for number in range(3):
        ctx.step.run("letter", lambda n=number: n)
        ctx.step.sleep("a-week", "7d")


@durable_function("series", trigger="reader/joined")
def today_ok(ctx: ContextSync):
    for number in range(3):
        ctx.step.run("letter", lambda n=number: n)
        ctx.step.sleep("a-week", "7d")
    ctx.step.run("goodbye", lambda: "goodbye")


def survives_the_deploy(durable, today):
    run = durable.start(yesterday)
    durable.advance("8d")
    checks.replay(today, run.history)


def test_bug(durable):
    """The check reports the defect."""
    survives_the_deploy(durable, today_bug)


def test_ok(durable):
    """The check has nothing against the twin."""
    survives_the_deploy(durable, today_ok)
