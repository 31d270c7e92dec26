"""Restaurant: hold a table for twenty seconds, then confirm the reservation.

Confirming trusts that the hold is still there. A worker that dies before it confirms comes back after the
retry's pause, when the hold is over and the table may be somebody else's: one crash before `confirm` shows
it. The twin lets the restaurant refuse a hold that is over, and takes a new one.
"""

import time

import pytest

from pytest_durable import Context, durable_function, faults

DEVIATIONS = 1
SECONDS = 20


class Restaurant:
    """Holds with the moment at which they end, and reservations."""

    def reset(self):
        self.held_until = {}
        self.reserved = []
        self.refused = 0

    def hold(self, table):
        self.held_until[table] = time.time() + SECONDS

    def reserve(self, table):
        self.reserved.append((table, time.time() <= self.held_until[table]))

    def reserve_if_held(self, table):
        if time.time() > self.held_until[table]:
            self.refused += 1
            return False
        self.reserved.append((table, True))
        return True


restaurant = Restaurant()


@pytest.fixture(autouse=True)
def fresh(durable):
    restaurant.reset()


@durable_function("reserve-table", trigger="table/wanted")
async def reserve_bug(ctx: Context):
    table = ctx.event.data["table"]
    await ctx.step.run("hold", restaurant.hold, table)
    await ctx.step.sleep("guest-thinks", "10s")
    await ctx.step.run("confirm", restaurant.reserve, table)
    return {"table": table}


@durable_function("reserve-table-held", trigger="table/wanted")
async def reserve_ok(ctx: Context):
    table = ctx.event.data["table"]
    await ctx.step.run("hold", restaurant.hold, table)
    await ctx.step.sleep("guest-thinks", "10s")
    for _ in range(3):
        if await ctx.step.run("confirm", restaurant.reserve_if_held, table):
            return {"table": table}
        await ctx.step.run("hold", restaurant.hold, table)
    return {"table": None}


def reserves_only_what_is_held(durable, reserve):
    durable.start(reserve, {"table": 7})
    durable.run_until_idle()
    assert all(held for _, held in restaurant.reserved)


@pytest.mark.durable(explore="every", faults=[faults.crash("before")], max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    reserves_only_what_is_held(durable, reserve_bug)


@pytest.mark.durable(explore="every", faults=[faults.crash("before")], max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    reserves_only_what_is_held(durable, reserve_ok)
