"""Concert: take two tickets out of the pool, ask the band; when the band says no, put them back.

Putting back adds to the pool. The compensation is a step like any other: a worker that dies behind it puts
the tickets back once more, and the pool holds tickets that do not exist. One crash after `put-back` shows it.
The twin keeps the tickets of an order together and moves them back by its id.
"""

import pytest

from pytest_durable import Context, NonRetriableError, StepError, durable_function, faults

DEVIATIONS = 1
FAULTS = [faults.crash("after", step="put-back")]


class Pool:
    """Free tickets, and those that an order holds."""

    def reset(self):
        self.free = 10
        self.held = {}

    def take(self, order):
        if order not in self.held:
            self.free -= 2
            self.held[order] = 2

    def put_back(self, order):
        self.held.pop(order, None)
        self.free += 2

    def release(self, order):
        self.free += self.held.pop(order, 0)

    def ask(self, order):
        raise NonRetriableError("no")


pool = Pool()


@pytest.fixture(autouse=True)
def fresh(durable):
    pool.reset()


@durable_function("concert", trigger="tickets/ordered")
async def concert_bug(ctx: Context):
    order = ctx.event.data["order"]
    await ctx.step.run("take", pool.take, order)
    try:
        await ctx.step.run("ask-band", pool.ask, order)
    except StepError:
        await ctx.step.run("put-back", pool.put_back, order)


@durable_function("concert-by-order", trigger="tickets/ordered")
async def concert_ok(ctx: Context):
    order = ctx.event.data["order"]
    await ctx.step.run("take", pool.take, order)
    try:
        await ctx.step.run("ask-band", pool.ask, order)
    except StepError:
        await ctx.step.run("put-back", pool.release, order)


def invents_no_tickets(durable, concert):
    durable.start(concert, {"order": "o-1"})
    durable.advance("1d")
    assert pool.free == 10


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    invents_no_tickets(durable, concert_bug)


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    invents_no_tickets(durable, concert_ok)
