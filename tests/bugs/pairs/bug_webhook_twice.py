"""Prepaid phone: the payment provider's webhook says that a top-up was paid, and the credit is added.

The provider sends a webhook again under another delivery id when our answer was slow; the function runs twice
and credits twice. A duplicate under a second id shows it, one under the same id does not. The twin files
every top-up under the payment's own id in the same step that adds the credit.
"""

import pytest

from pytest_durable import ContextSync, durable_function, faults

DEVIATIONS = 1
FAULTS = [faults.duplicate_event(new_id=True, event="provider/paid")]


class Phones:
    """Credit by number, and the payments that were filed."""

    def reset(self):
        self.credit = {}
        self.filed = {}

    def top_up(self, number, cents):
        self.credit[number] = self.credit.get(number, 0) + cents

    def file(self, payment, number, cents):
        if self.filed.setdefault(payment, (number, cents)) and payment in self.filed:
            self.credit[number] = sum(c for n, c in self.filed.values() if n == number)


phones = Phones()


@pytest.fixture(autouse=True)
def fresh(durable):
    phones.reset()


@durable_function("top-up", trigger="provider/paid")
def top_up_bug(ctx: ContextSync):
    paid = ctx.event.data
    ctx.step.run("add-credit", phones.top_up, paid["number"], paid["cents"])
    return ctx.step.run("receipt", lambda: f"receipt of {paid['payment']}")


@durable_function("top-up-filed", trigger="provider/paid")
def top_up_ok(ctx: ContextSync):
    paid = ctx.event.data
    ctx.step.run("add-credit", phones.file, paid["payment"], paid["number"], paid["cents"])
    return ctx.step.run("receipt", lambda: f"receipt of {paid['payment']}")


def credits_once(durable, top_up):
    durable.register(top_up)
    durable.send("provider/paid", {"payment": "pay-1", "number": "0170", "cents": 1500}, id="hook-1")
    durable.advance("1h")
    assert phones.credit == {"0170": 1500}


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    credits_once(durable, top_up_bug)


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    credits_once(durable, top_up_ok)
