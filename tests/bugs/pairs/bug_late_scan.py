"""Insured parcel: after half an hour without a scan at the hub the parcel counts as lost and the sender is compensated.

The scan is booked by a function of its own. A scan that is an hour late books the parcel as found after the
compensation was paid, and nobody claims the money back: a delayed event shows it. The twin compensates only
while the parcel is not found, and books a late scan of a compensated parcel as a case for the desk.
"""

import pytest

from pytest_durable import Context, durable_function

DEVIATIONS = 1


class Hub:
    """The state of each parcel; a change may be conditional."""

    def reset(self):
        self.state = {"p-1": "on its way"}
        self.desk = []

    def find(self, parcel):
        self.state[parcel] += ", found"

    def find_unless_compensated(self, parcel):
        if "compensated" in self.state[parcel]:
            self.desk.append(parcel)
        else:
            self.state[parcel] += ", found"

    def compensate(self, parcel):
        if "found" not in self.state[parcel]:
            self.state[parcel] += ", compensated"


hub = Hub()


@pytest.fixture(autouse=True)
def fresh(durable):
    hub.reset()


@durable_function("watch-parcel", trigger="parcel/sent")
async def watch(ctx: Context):
    parcel = ctx.event.data["parcel"]
    scan = await ctx.step.wait_for_event("scan", event="hub/scanned", timeout="30m", match="data.parcel")
    if scan is None:
        await ctx.step.run("compensate", hub.compensate, parcel)
    return {"seen": scan is not None}


@durable_function("book-scan", trigger="hub/scanned")
async def book_bug(ctx: Context):
    await ctx.step.run("find", hub.find, ctx.event.data["parcel"])


@durable_function("book-scan-carefully", trigger="hub/scanned")
async def book_ok(ctx: Context):
    await ctx.step.run("find", hub.find_unless_compensated, ctx.event.data["parcel"])


def never_pays_for_a_found_parcel(durable, book):
    durable.register(watch, book)
    durable.send("parcel/sent", {"parcel": "p-1"})
    durable.send("hub/scanned", {"parcel": "p-1"}, at="10m")
    durable.advance("1d")
    assert hub.state["p-1"] != "on its way, compensated, found"


@pytest.mark.durable(explore="every", faults=["delay_event"], max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    never_pays_for_a_found_parcel(durable, book_bug)


@pytest.mark.durable(explore="every", faults=["delay_event"], max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    never_pays_for_a_found_parcel(durable, book_ok)
