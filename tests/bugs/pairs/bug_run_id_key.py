"""Visa application: charge the fee when an application comes in.

The fee's idempotency key is the run's id. That survives crashes, and not a second event for the same
application: a duplicate under a new id starts a second run with a key of its own. The twin's key is the
application's number.
"""

import pytest

from pytest_durable import Context, durable_function, faults

DEVIATIONS = 1
FAULTS = ["crash", faults.duplicate_event(new_id=True)]


class Office:
    """Fees by key."""

    def reset(self, ledger):
        self.ledger = ledger
        self.keys = set()

    def charge(self, key, application):
        if key not in self.keys:
            self.keys.add(key)
            self.ledger.record("fee", key=application)


office = Office()


@pytest.fixture(autouse=True)
def fresh(durable):
    office.reset(durable.ledger)


@durable_function("visa", trigger="visa/applied")
async def visa_bug(ctx: Context):
    application = ctx.event.data["application"]
    await ctx.step.run("charge", office.charge, ctx.run_id, application)
    await ctx.step.sleep("examine", "5d")


@durable_function("visa-by-number", trigger="visa/applied")
async def visa_ok(ctx: Context):
    application = ctx.event.data["application"]
    await ctx.step.run("charge", office.charge, application, application)
    await ctx.step.sleep("examine", "5d")


def charges_one_fee(durable, visa):
    durable.register(visa)
    durable.send("visa/applied", {"application": "v-1"})
    durable.advance("10d")
    assert durable.ledger.count("fee", key="v-1") == 1


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    charges_one_fee(durable, visa_bug)


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    charges_one_fee(durable, visa_ok)
