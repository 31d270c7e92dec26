"""Happy hour: rebate on Sundays.

The body asks for today's date, and a run that begins on Sunday ends on Monday: the second half is invoiced
without the rebate. The battery's `impure_body` names the line. The twin takes the day from a step.
"""

from datetime import date, datetime

from pytest_durable import ContextSync, checks, durable_function

DEVIATIONS = None


@durable_function("party", trigger="party/begun")
def party_bug(ctx: ContextSync):
    rebate = datetime.today().weekday() == 6  # noqa: DTZ002 - as people write it
    ctx.step.run("first-half", lambda: rebate)
    ctx.step.sleep("dance", "4h")
    return ctx.step.run("second-half", lambda: rebate)


@durable_function("party-step", trigger="party/begun")
def party_ok(ctx: ContextSync):
    rebate = ctx.step.run("is-sunday", lambda: date.today().weekday() == 6)  # noqa: DTZ011 - as people write it
    ctx.step.run("first-half", lambda: rebate)
    ctx.step.sleep("dance", "4h")
    return ctx.step.run("second-half", lambda: rebate)


def test_bug():
    """The check reports the defect."""
    checks.check_durable(party_bug)


def test_ok():
    """The check has nothing against the twin."""
    checks.check_durable(party_ok)
