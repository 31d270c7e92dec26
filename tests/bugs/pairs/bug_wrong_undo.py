"""Parcel: book a slot at the depot, charge the sender, hand the parcel over.

Whatever fails, the compensation gives the slot back, and forgets the money: when `hand-over` fails the sender
has been charged. One error of that step shows it. The twin collects what has to be undone as it goes, and
undoes all of it.
"""

import pytest

from pytest_durable import Context, StepError, durable_function, faults

DEVIATIONS = 1
FAULTS = [faults.step_error(step="charge"), faults.step_error(step="hand-over")]


class Depot:
    """Slots that are taken and parcels that are paid."""

    def reset(self):
        self.slots = set()
        self.paid = set()
        self.gone = set()

    def book(self, parcel):
        self.slots.add(parcel)

    def free(self, parcel):
        self.slots.discard(parcel)

    def charge(self, parcel):
        self.paid.add(parcel)

    def refund(self, parcel):
        self.paid.discard(parcel)

    def hand_over(self, parcel):
        self.gone.add(parcel)


depot = Depot()


@pytest.fixture(autouse=True)
def fresh(durable):
    depot.reset()


@durable_function("send-parcel", trigger="parcel/announced", retries=0)
async def parcel_bug(ctx: Context):
    parcel = ctx.event.data["parcel"]
    try:
        await ctx.step.run("book-slot", depot.book, parcel)
        await ctx.step.run("charge", depot.charge, parcel)
        await ctx.step.run("hand-over", depot.hand_over, parcel)
    except StepError:
        await ctx.step.run("free-slot", depot.free, parcel)
        return {"sent": False}
    return {"sent": True}


@durable_function("send-parcel-undone", trigger="parcel/announced", retries=0)
async def parcel_ok(ctx: Context):
    parcel = ctx.event.data["parcel"]
    undo = []
    try:
        await ctx.step.run("book-slot", depot.book, parcel)
        undo.append(("free-slot", depot.free))
        await ctx.step.run("charge", depot.charge, parcel)
        undo.append(("refund", depot.refund))
        await ctx.step.run("hand-over", depot.hand_over, parcel)
    except StepError:
        for name, action in reversed(undo):
            await ctx.step.run(name, action, parcel)
        return {"sent": False}
    return {"sent": True}


def sends_or_undoes(durable, parcel):
    result = durable.run(parcel, {"parcel": "p-1"})
    assert (depot.gone == {"p-1"}) is result["sent"]
    assert depot.paid == depot.slots == depot.gone


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    sends_or_undoes(durable, parcel_bug)


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    sends_or_undoes(durable, parcel_ok)
