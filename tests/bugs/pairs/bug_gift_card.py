"""Gift card: take the amount from the card, then confirm the order.

The step subtracts from the balance, and subtracting is not idempotent: a worker that dies after it and before
the record is written subtracts again. One crash after `redeem` shows it. The twin books each redemption under
the order's id, so a second call finds it booked.
"""

import pytest

from pytest_durable import ContextSync, durable_function

DEVIATIONS = 1


class Cards:
    """Balances, and the redemptions that were booked."""

    def reset(self):
        self.balance = {"card-1": 10_000}
        self.booked = {}

    def redeem(self, card, cents):
        self.balance[card] -= cents
        return self.balance[card]

    def redeem_for(self, order, card, cents):
        if order not in self.booked:
            self.booked[order] = cents
            self.balance[card] -= cents
        return self.balance[card]


cards = Cards()


@pytest.fixture(autouse=True)
def fresh(durable):
    cards.reset()


@durable_function("redeem-card", trigger="order/paid_by_card")
def redeem_bug(ctx: ContextSync):
    order = ctx.event.data
    left = ctx.step.run("redeem", cards.redeem, order["card"], order["cents"])
    ctx.step.sleep("let-it-settle", "1h")
    return ctx.step.run("confirm", lambda: {"order": order["id"], "left": left})


@durable_function("redeem-card-booked", trigger="order/paid_by_card")
def redeem_ok(ctx: ContextSync):
    order = ctx.event.data
    left = ctx.step.run("redeem", cards.redeem_for, order["id"], order["card"], order["cents"])
    ctx.step.sleep("let-it-settle", "1h")
    return ctx.step.run("confirm", lambda: {"order": order["id"], "left": left})


def takes_the_amount_once(durable, redeem):
    durable.start(redeem, {"id": "o-1", "card": "card-1", "cents": 2_500})
    durable.advance("1d")
    assert cards.balance["card-1"] in {10_000, 7_500}


@pytest.mark.durable(explore="every", faults=["crash"], max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    takes_the_amount_once(durable, redeem_bug)


@pytest.mark.durable(explore="every", faults=["crash"], max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    takes_the_amount_once(durable, redeem_ok)
