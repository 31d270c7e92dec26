"""Courier: the delivery is a function of its own, which the customer may call off.

The parent knows two ends of the child: delivered, or failed and to be tried again. A child that was called
off looks like a failure, so the parent orders a second courier for a parcel that nobody wants. It shows when
the cancellation comes while the child is under way. The twin asks the book of orders whether the parcel is
still wanted.
"""

import pytest

from pytest_durable import ANYTIME, Cancel, Context, StepError, durable_function

DEVIATIONS = 1
CALLED_OFF = Cancel(event="parcel/called.off", if_exp="event.data.parcel == async.data.parcel")


class Orders:
    """Couriers under way, and parcels that were called off."""

    def reset(self):
        self.off = set()
        self.delivered = []

    def call_off(self, parcel):
        self.off.add(parcel)

    def is_wanted(self, parcel):
        return parcel not in self.off

    def deliver(self, parcel, courier):
        self.delivered.append((parcel, courier))

    def deliver_if_wanted(self, parcel, courier):
        if parcel not in self.off:
            self.delivered.append((parcel, courier))


orders = Orders()


@pytest.fixture(autouse=True)
def fresh(durable):
    orders.reset()


@durable_function("ride", cancel=CALLED_OFF)
async def ride(ctx: Context):
    await ctx.step.sleep("ride", "20m")
    await ctx.step.run("deliver", orders.deliver, ctx.event.data["parcel"], "first")


@durable_function("call-off", trigger="parcel/called.off")
async def call_off(ctx: Context):
    await ctx.step.run("call-off", orders.call_off, ctx.event.data["parcel"])


@durable_function("courier", trigger="parcel/ready")
async def courier_bug(ctx: Context):
    parcel = ctx.event.data["parcel"]
    try:
        await ctx.step.invoke("first", function=ride, data={"parcel": parcel})
    except StepError:
        await ctx.step.sleep("find-another", "5m")
        await ctx.step.run("second", orders.deliver, parcel, "second")


@durable_function("courier-asking", trigger="parcel/ready")
async def courier_ok(ctx: Context):
    parcel = ctx.event.data["parcel"]
    try:
        await ctx.step.invoke("first", function=ride, data={"parcel": parcel})
    except StepError:
        await ctx.step.sleep("find-another", "5m")
        await ctx.step.run("second", orders.deliver_if_wanted, parcel, "second")


def delivers_nothing_that_was_called_off(durable, courier):
    durable.register(call_off)
    durable.start(courier, {"parcel": "p-1"})
    durable.send("parcel/called.off", {"parcel": "p-1"}, at=ANYTIME)
    durable.advance("2h")
    assert ("p-1", "second") not in orders.delivered


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_bug(durable):
    """Some schedule shows the defect."""
    delivers_nothing_that_was_called_off(durable, courier_bug)


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_ok(durable):
    """No schedule breaks the twin."""
    delivers_nothing_that_was_called_off(durable, courier_ok)
