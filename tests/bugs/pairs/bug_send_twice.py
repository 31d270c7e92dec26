"""Warehouse: the order function sends an event, and a picker run takes the goods.

Every attempt at `send_event` makes new event ids. When the answer of the sending step is lost, a second event
starts a second picker. The twin gives the event an id, and an id starts a function once.
"""

import pytest

from pytest_durable import Context, Event, durable_function

DEVIATIONS = 1


class Stock:
    """Goods in the warehouse; the picking itself is safe to repeat within one run."""

    def reset(self):
        self.picked = {}

    def pick(self, run_id, order):
        self.picked[run_id] = order


stock = Stock()


@pytest.fixture(autouse=True)
def fresh(durable):
    stock.reset()


@durable_function("pick", trigger="order/to.pick")
async def pick(ctx: Context):
    await ctx.step.run("pick", stock.pick, ctx.run_id, ctx.event.data["order"])


@durable_function("order", trigger="order/paid")
async def order_bug(ctx: Context):
    data = {"order": ctx.event.data["order"]}
    await ctx.step.send_event("to-warehouse", Event(name="order/to.pick", data=data))


@durable_function("order-with-id", trigger="order/paid")
async def order_ok(ctx: Context):
    data = {"order": ctx.event.data["order"]}
    event = Event(name="order/to.pick", data=data, id=f"pick-{data['order']}")
    await ctx.step.send_event("to-warehouse", event)


def picks_once(durable, order):
    durable.register(pick)
    durable.start(order, {"order": "o-1"})
    durable.advance("1d")
    assert list(stock.picked.values()) == ["o-1"]


@pytest.mark.durable(explore="every", faults=["lost_ack"], max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    picks_once(durable, order_bug)


@pytest.mark.durable(explore="every", faults=["lost_ack"], max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    picks_once(durable, order_ok)
