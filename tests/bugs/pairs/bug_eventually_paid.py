"""Payroll: everybody is paid within an hour.

A bank that answers slowly is asked again after a pause of the author's own, thirty minutes, one person after
the other: with one slow answer the last one is paid too late. The monitor `eventually` sees it. The twin pays
all in parallel.
"""

import asyncio

import pytest

from pytest_durable import Context, durable_function, faults

DEVIATIONS = 1
PEOPLE = ("ann", "bob", "cid")
FAULTS = [faults.slow_step("30m")]


class Bank:
    """Who was paid."""

    def reset(self):
        self.paid = set()

    def pay(self, person):
        self.paid.add(person)


bank = Bank()


@pytest.fixture(autouse=True)
def fresh(durable):
    bank.reset()


@durable_function("payroll", trigger="month/ended")
async def payroll_bug(ctx: Context):
    for person in PEOPLE:
        await ctx.step.run(f"pay-{person}", bank.pay, person)
        await ctx.step.sleep("pause", "20m")


@durable_function("payroll-parallel", trigger="month/ended")
async def payroll_ok(ctx: Context):
    await asyncio.gather(*(ctx.step.run(f"pay-{person}", bank.pay, person) for person in PEOPLE))


def pays_all_within_an_hour(durable, payroll):
    durable.start(payroll)
    durable.eventually(lambda: bank.paid == set(PEOPLE), within="1h")
    durable.advance("5h")


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    pays_all_within_an_hour(durable, payroll_bug)


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    pays_all_within_an_hour(durable, payroll_ok)
