"""Auction: each bid opens another ten minutes; when nobody bids within them, the lot goes to the last bidder.

A bid exactly at the end of the ten minutes is booked by the desk and not heard by the function, if the
timeout comes first: the lot goes to the bidder before. The schedule is that tie, and the booking before the
sale. The twin asks the desk to close the lot and takes the winner from its books.
"""

import pytest

from pytest_durable import Context, durable_function

DEVIATIONS = 3


class Desk:
    """Books bids until the lot is closed."""

    def reset(self):
        self.bids = []
        self.sold_to = None
        self.closed = False

    def book(self, bidder):
        if not self.closed:
            self.bids.append(bidder)

    def sell(self, bidder):
        self.closed = True
        self.sold_to = bidder

    def close(self):
        self.closed = True
        self.sold_to = self.bids[-1] if self.bids else None


desk = Desk()


@pytest.fixture(autouse=True)
def fresh(durable):
    desk.reset()


@durable_function("book-bid", trigger="lot/bid")
async def book_bid(ctx: Context):
    await ctx.step.run("book", desk.book, ctx.event.data["bidder"])


@durable_function("auction", trigger="lot/opened")
async def auction_bug(ctx: Context):
    last = None
    while True:
        bid = await ctx.step.wait_for_event("bid", event="lot/bid", timeout="10m")
        if bid is None:
            break
        last = bid.data["bidder"]
    await ctx.step.run("sell", desk.sell, last)
    return last


@durable_function("auction-by-the-books", trigger="lot/opened")
async def auction_ok(ctx: Context):
    while await ctx.step.wait_for_event("bid", event="lot/bid", timeout="10m"):
        pass
    await ctx.step.run("sell", desk.close)


def sells_to_the_last_booked_bidder(durable, auction):
    durable.register(book_bid)
    durable.start(auction)
    durable.send("lot/bid", {"bidder": "ann"}, at="4m")
    durable.send("lot/bid", {"bidder": "bob"}, at="14m")
    durable.advance("1h")
    assert desk.sold_to == desk.bids[-1]


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_bug(durable):
    """Some schedule shows the defect."""
    sells_to_the_last_booked_bidder(durable, auction_bug)


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_ok(durable):
    """No schedule breaks the twin."""
    sells_to_the_last_booked_bidder(durable, auction_ok)
