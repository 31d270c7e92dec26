"""`from time import sleep`: a name that was bound when the module was imported takes virtual time in steps as well."""

import time
from time import sleep
from time import sleep as nap

import pytest

from pytest_durable import RunFailed, Simulation, durable_function


class Robot:
    """Work behind a method."""

    def rest(self):
        """Sleep for ten minutes."""
        nap(600)


async def rests():
    """An async handler that blocks."""
    sleep(600)


def deep():
    """Sleep in a function of a function."""

    def inner():
        nap(600)

    inner()


WORK = {"lambda": lambda: sleep(600), "function": deep, "method": Robot().rest, "async": rests, "handler": sleep}


@pytest.mark.parametrize("kind", WORK)
def test_an_imported_sleep_takes_virtual_time_in_a_step(kind):
    """Wherever the author has bound the name, ten minutes pass for the run and none for the test."""
    arguments = (600,) if kind == "handler" else ()

    @durable_function("f")
    async def f(ctx):
        await ctx.step.run("work", WORK[kind], *arguments)

    real = time.perf_counter()
    with Simulation() as sim:
        run = sim.start(f)
        run.wait()
        assert (run.ended_at - run.started_at).total_seconds() == 600
    assert time.perf_counter() - real < 60


@pytest.mark.parametrize("is_async", [False, True])
def test_an_imported_sleep_is_refused_in_a_body(is_async):
    """As `time.sleep` is."""

    @durable_function("f")
    def f(ctx):
        nap(3600)

    @durable_function("f")
    async def f_async(ctx):
        nap(3600)

    with Simulation() as sim, pytest.raises(RunFailed, match=r"time\.sleep\(3600\) in the body"):
        sim.run(f_async if is_async else f)


def test_outside_a_drive_it_is_the_real_one():
    """In test code the name does what it always did."""
    with Simulation() as sim:
        began = sim.now
        sleep(0)
        nap(0.001)
        assert sim.now == began
    with pytest.raises(ValueError, match="non-negative"):
        sleep(-1)
