"""Flower shop: charge the customer and order the flowers; if the run fails for good, `on_failure` apologises.

A step is tried twice. When the worker dies after the charge, twice in a row, the run is over: the customer
has been charged (once, the charge has a key), gets no flowers and an apology. It takes two crashes at
`charge`. The twin's handler asks the gateway for the order's charge and gives it back.
"""

import pytest

from pytest_durable import Context, durable_function, faults

DEVIATIONS = 2
FAULTS = [faults.crash(step="charge")]


class Shop:
    """Charges and orders by key."""

    def reset(self):
        self.charged = set()
        self.ordered = set()
        self.apologies = []

    def charge(self, order):
        self.charged.add(order)

    def refund(self, order):
        self.charged.discard(order)

    def order(self, order):
        self.ordered.add(order)

    def apologise(self, order):
        self.apologies.append(order)


shop = Shop()


@pytest.fixture(autouse=True)
def fresh(durable):
    shop.reset()


async def apologise_bug(ctx: Context):
    order = ctx.event.data["event"]["data"]["order"]
    await ctx.step.run("apologise", shop.apologise, order)


async def apologise_ok(ctx: Context):
    order = ctx.event.data["event"]["data"]["order"]
    await ctx.step.run("refund", shop.refund, order)
    await ctx.step.run("apologise", shop.apologise, order)


@durable_function("flowers", trigger="flowers/ordered", retries=1, on_failure=apologise_bug)
async def flowers_bug(ctx: Context):
    order = ctx.event.data["order"]
    await ctx.step.run("charge", shop.charge, order)
    await ctx.step.run("order", shop.order, order)


@durable_function("flowers-refunded", trigger="flowers/ordered", retries=1, on_failure=apologise_ok)
async def flowers_ok(ctx: Context):
    order = ctx.event.data["order"]
    await ctx.step.run("charge", shop.charge, order)
    await ctx.step.run("order", shop.order, order)


def charges_for_flowers_only(durable, flowers):
    durable.start(flowers, {"order": "f-1"})
    durable.advance("1d")
    assert shop.charged == shop.ordered


@pytest.mark.durable(explore="every", faults=FAULTS, max_faults=2, max_schedules=2000)
def test_bug(durable):
    """Some schedule shows the defect."""
    charges_for_flowers_only(durable, flowers_bug)


@pytest.mark.durable(explore="every", faults=FAULTS, max_faults=2, max_schedules=2000)
def test_ok(durable):
    """No schedule breaks the twin."""
    charges_for_flowers_only(durable, flowers_ok)
