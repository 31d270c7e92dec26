"""Donation: charge the donor under an idempotency key.

The key holds the number of the attempt, so the gateway takes the second attempt for another donation. One
crash after `donate` shows it; an error before the effect does not. The twin's key is the donation's own.
"""

import pytest

from pytest_durable import Context, durable_function

DEVIATIONS = 1


class Gateway:
    """Answers a known key with the first charge."""

    def reset(self, ledger):
        self.ledger = ledger
        self.known = {}

    def charge(self, key, donor):
        if key not in self.known:
            self.ledger.record("donation", key=donor)
            self.known[key] = f"charge {len(self.known) + 1}"
        return self.known[key]


gateway = Gateway()


@pytest.fixture(autouse=True)
def fresh(durable):
    gateway.reset(durable.ledger)


@durable_function("donate", trigger="donation/made")
async def donate_bug(ctx: Context):
    donation, donor = ctx.event.data["id"], ctx.event.data["donor"]
    return await ctx.step.run("donate", gateway.charge, f"{donation}/{ctx.attempt}", donor)


@durable_function("donate-by-id", trigger="donation/made")
async def donate_ok(ctx: Context):
    donation, donor = ctx.event.data["id"], ctx.event.data["donor"]
    return await ctx.step.run("donate", gateway.charge, donation, donor)


def takes_one_donation(durable, donate):
    run = durable.start(donate, {"id": "d-1", "donor": "dan"})
    durable.run_until_idle()
    assert run.status == "completed"
    assert durable.ledger.count("donation", key="dan") == 1


@pytest.mark.durable(explore=True, faults=["crash", "step_error"], max_schedules=500)
def test_bug(durable):
    """Some schedule shows the defect."""
    takes_one_donation(durable, donate_bug)


@pytest.mark.durable(explore=True, faults=["crash", "step_error"], max_schedules=500)
def test_ok(durable):
    """No schedule breaks the twin."""
    takes_one_donation(durable, donate_ok)
