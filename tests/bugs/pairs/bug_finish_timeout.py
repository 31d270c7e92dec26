"""Rental car: unlock the car, drive, lock it; a run may last two hours at the most.

The limit cancels the run wherever it stands. A key handover that is slow pushes the end of the ride behind
the limit: the car stays unlocked. One slow step shows it. The twin keeps the limit above what its steps can
take, and ends the ride itself.
"""

import pytest

from pytest_durable import Context, Timeouts, durable_function, faults

DEVIATIONS = 1
FAULTS = [faults.slow_step("30m", step="unlock")]


class Car:
    """Locked or not."""

    def reset(self):
        self.open = False

    def unlock(self):
        self.open = True

    def lock(self):
        self.open = False


car = Car()


@pytest.fixture(autouse=True)
def fresh(durable):
    car.reset()


@durable_function("rental", trigger="rental/begun", timeouts=Timeouts(finish="2h"))
async def rental_bug(ctx: Context):
    await ctx.step.run("unlock", car.unlock)
    await ctx.step.sleep("drive", "1h45m")
    await ctx.step.run("lock", car.lock)


@durable_function("rental-ended", trigger="rental/begun", timeouts=Timeouts(finish="1d"))
async def rental_ok(ctx: Context):
    await ctx.step.run("unlock", car.unlock)
    await ctx.step.sleep("drive", "1h45m")
    await ctx.step.run("lock", car.lock)


def locks_the_car(durable, rental):
    durable.start(rental)
    durable.advance("1d")
    assert not car.open


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=500)
def test_bug(durable):
    """Some schedule shows the defect."""
    locks_the_car(durable, rental_bug)


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=500)
def test_ok(durable):
    """No schedule breaks the twin."""
    locks_the_car(durable, rental_ok)
