"""Conference: register the guest and print the badge in parallel; without a registration the badge is shredded.

Registering may fail for good. `gather` raises then, and the handler shreds the badge if it is printed by now:
when the printer is slower than the registration, nobody shreds what it prints later. The twin waits for both
before it looks.
"""

import asyncio

import pytest

from pytest_durable import Context, NonRetriableError, StepError, durable_function, faults

DEVIATIONS = 1
FAULTS = [faults.slow_step("5m", step="print-badge")]


class Venue:
    """Badges that exist; the list of guests is full."""

    def reset(self):
        self.badges = set()

    def register(self, guest):
        raise NonRetriableError(f"no place for {guest}")

    def print_badge(self, guest):
        self.badges.add(guest)

    def shred(self, guest):
        self.badges.discard(guest)


venue = Venue()


@pytest.fixture(autouse=True)
def fresh(durable):
    venue.reset()


@durable_function("admit", trigger="guest/announced", optimize_parallelism=False)
async def admit_bug(ctx: Context):
    guest = ctx.event.data["guest"]
    printed = asyncio.ensure_future(ctx.step.run("print-badge", venue.print_badge, guest))
    try:
        await asyncio.gather(printed, ctx.step.run("register", venue.register, guest))
    except StepError:
        if printed.done():
            await ctx.step.run("shred", venue.shred, guest)
        return {"admitted": False}
    return {"admitted": True}


@durable_function("admit-both", trigger="guest/announced", optimize_parallelism=False)
async def admit_ok(ctx: Context):
    guest = ctx.event.data["guest"]
    _, registered = await asyncio.gather(
        ctx.step.run("print-badge", venue.print_badge, guest),
        ctx.step.run("register", venue.register, guest),
        return_exceptions=True,
    )
    if isinstance(registered, StepError):
        await ctx.step.run("shred", venue.shred, guest)
        return {"admitted": False}
    return {"admitted": True}


def leaves_no_badge(durable, admit):
    run = durable.start(admit, {"guest": "gil"})
    durable.advance("1h")
    assert run.result == {"admitted": False}
    assert venue.badges == set()


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    leaves_no_badge(durable, admit_bug)


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    leaves_no_badge(durable, admit_ok)
