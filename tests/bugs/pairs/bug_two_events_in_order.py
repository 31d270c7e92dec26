"""Background check: the bank and the landlord answer, each in their own time.

The function waits for the bank first and for the landlord after that. A landlord who answers before the bank
is not heard, and the tenant is refused. The twin waits for both at once.
"""

import asyncio

import pytest

from pytest_durable import Context, between, durable_function

DEVIATIONS = 2


@durable_function("tenant", trigger="tenant/applied")
async def tenant_bug(ctx: Context):
    bank = await ctx.step.wait_for_event("bank", event="bank/answered", timeout="10d")
    landlord = await ctx.step.wait_for_event("landlord", event="landlord/answered", timeout="10d")
    return bank is not None and landlord is not None


@durable_function("tenant-at-once", trigger="tenant/applied")
async def tenant_ok(ctx: Context):
    bank, landlord = await asyncio.gather(
        ctx.step.wait_for_event("bank", event="bank/answered", timeout="10d"),
        ctx.step.wait_for_event("landlord", event="landlord/answered", timeout="10d"),
    )
    return bank is not None and landlord is not None


def hears_both(durable, tenant):
    run = durable.start(tenant)
    durable.send("bank/answered", at=between("1d", "5d"))
    durable.send("landlord/answered", at="3d")
    durable.advance("30d")
    assert run.result is True


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    hears_both(durable, tenant_bug)


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    hears_both(durable, tenant_ok)
