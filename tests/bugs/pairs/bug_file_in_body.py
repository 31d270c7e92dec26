"""Price list: read the price of an article and invoice it.

The body opens the price list, so a list that changes between two invocations changes an invoice that is under
way. The battery's `impure_body` names the line. The twin reads it in a step.
"""

from pathlib import Path

from pytest_durable import ContextSync, checks, durable_function

DEVIATIONS = None


def price():
    return len(Path(__file__).read_text())


@durable_function("invoice", trigger="article/sold")
def invoice_bug(ctx: ContextSync):
    with open(__file__) as prices:  # noqa: PTH123 - as people write it
        cents = len(prices.read())
    ctx.step.run("draw-up", lambda: cents)
    return ctx.step.run("send", lambda: "sent")


@durable_function("invoice-step", trigger="article/sold")
def invoice_ok(ctx: ContextSync):
    cents = ctx.step.run("price", price)
    ctx.step.run("draw-up", lambda: cents)
    return ctx.step.run("send", lambda: "sent")


def test_bug():
    """The check reports the defect."""
    checks.check_durable(invoice_bug)


def test_ok():
    """The check has nothing against the twin."""
    checks.check_durable(invoice_ok)
