"""Savings plan: debit one account, credit the other; an operator may cancel any run in the console.

Two steps move the money, so a run that is cancelled between them destroys it. The fault `cancellation` shows
it. The twin moves it in one transaction.
"""

import pytest

from pytest_durable import ContextSync, durable_function

DEVIATIONS = 1


class Accounts:
    """Two accounts whose sum never changes."""

    def reset(self):
        self.cents = {"giro": 500, "savings": 0}

    def debit(self, account, cents):
        self.cents[account] -= cents

    def credit(self, account, cents):
        self.cents[account] += cents

    def move(self, one, other, cents):
        self.debit(one, cents)
        self.credit(other, cents)


accounts = Accounts()


@pytest.fixture(autouse=True)
def fresh(durable):
    accounts.reset()


@durable_function("save", trigger="savings/due")
def save_bug(ctx: ContextSync):
    ctx.step.run("debit", accounts.debit, "giro", 100)
    ctx.step.run("credit", accounts.credit, "savings", 100)


@durable_function("save-at-once", trigger="savings/due")
def save_ok(ctx: ContextSync):
    ctx.step.run("move", accounts.move, "giro", "savings", 100)


def destroys_no_money(durable, save):
    durable.start(save)
    durable.settle()
    assert sum(accounts.cents.values()) == 500


@pytest.mark.durable(explore="every", faults=["cancellation"], max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    destroys_no_money(durable, save_bug)


@pytest.mark.durable(explore="every", faults=["cancellation"], max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    destroys_no_money(durable, save_ok)
