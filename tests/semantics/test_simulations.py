"""Several simulations in one process, and simulations in other people's event loops: they never touch each other."""

import asyncio
import gc
import threading
import time
import warnings
from datetime import UTC, datetime, timedelta

import pytest

from pytest_durable import Event, NonDeterminismError, RunFailed, Simulation, UsageError, durable_function

START = datetime(2025, 1, 1, tzinfo=UTC)


@durable_function("naps", trigger="nap")
async def naps(ctx):
    await ctx.step.sleep("nap", "1h")
    return await ctx.step.run("look", lambda: datetime.now(UTC).isoformat())


@durable_function("side-by-side")
async def side_by_side(ctx):
    return await asyncio.gather(ctx.step.run("a", lambda: "a"), ctx.step.sleep("b", "1m"))


# -- two simulations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clock", ["time-machine", "freezegun"])
def test_two_simulations_interleave(clock):
    """Two simulations driven in turns have their own time, runs and events; a driven one shows its own clock."""
    with Simulation(clock=clock) as first, Simulation(start="2040-06-01T00:00:00Z", clock=clock) as second:
        one, two = first.start(naps), second.start(naps)
        first.advance("30m")
        second.advance("10m")
        assert (first.now, second.now) == (START + timedelta(minutes=30), datetime(2040, 6, 1, 0, 10, tzinfo=UTC))
        assert two.wait() == "2040-06-01T01:00:00+00:00"
        assert one.status == "running"
        assert one.wait() == "2025-01-01T01:00:00+00:00"
        assert first.runs == [one]
        assert second.runs == [two]
    assert time.time() > START.timestamp() + 1e6


def test_the_simulation_that_was_entered_last_shows_its_clock_to_the_test():
    """Leaving the inner simulation shows the outer one's time again."""
    with Simulation() as outer:
        outer.advance("1d")
        with Simulation() as inner:
            inner.advance("5d")
            assert datetime.now(UTC) == inner.now
            outer.advance("1d")
            assert datetime.now(UTC) == inner.now
        assert datetime.now(UTC) == outer.now == START + timedelta(days=2)


def test_simulations_may_be_left_in_any_order():
    """Closing the outer simulation first leaves the inner one's time in place, and real time comes back at the end."""
    real = time.time()
    outer, inner = Simulation(), Simulation()
    outer.__enter__()
    inner.__enter__()
    inner.advance("5d")
    outer.close()
    assert datetime.now(UTC) == inner.now
    inner.close()
    assert abs(time.time() - real) < 600


@pytest.mark.parametrize("clocks", [("off", "time-machine"), ("time-machine", "off"), ("freezegun", "time-machine")])
def test_simulations_with_different_clocks_keep_their_own(clocks):
    """Each simulation shows time with the backend it was given, whichever was entered first."""
    real = datetime.now(UTC)

    @durable_function("looks")
    async def looks(ctx):
        await ctx.step.sleep("nap", "1h")
        return datetime.now(UTC).isoformat()

    with Simulation(clock=clocks[0]) as first, Simulation(clock=clocks[1]) as second:
        for sim, clock in ((first, clocks[0]), (second, clocks[1])):
            seen = datetime.fromisoformat(sim.run(looks))
            if clock == "off":
                assert abs(seen - real) < timedelta(hours=1)
            else:
                assert seen == sim.now == START + timedelta(hours=1)
    assert abs(datetime.now(UTC) - real) < timedelta(minutes=10)


def test_one_function_in_two_simulations_keeps_its_runs_apart():
    """Registrations, scripts, ledgers and events belong to one simulation."""
    with Simulation() as first, Simulation() as second:
        first.register(naps)
        first.step("look").returns("scripted")
        second.register(naps)
        first.send(Event("nap"))
        second.send(Event("nap"))
        first.run_until_idle()
        second.run_until_idle()
        assert [run.result for run in first.runs] == ["scripted"]
        assert [run.result for run in second.runs] == ["2025-01-01T01:00:00+00:00"]
        assert first.ledger is not second.ledger


def test_a_run_of_another_simulation_is_refused():
    """cancel() with the run of another simulation is refused, instead of ending that run."""
    with Simulation() as first, Simulation() as second:
        run = first.start(naps)
        first.settle()
        try:
            second.cancel(run)
            second.settle()
        except UsageError:
            pass
        assert run.status == "running"


def test_equal_simulations_write_equal_histories():
    """Two simulations with one seed give the same ids and bytes; another seed gives another history of retries."""

    def history(seed):
        tries = []

        @durable_function("shaky")
        async def shaky(ctx):
            def work():
                tries.append(1)
                if len(tries) < 3:
                    raise ValueError("again")

            await ctx.step.run("it", work)

        with Simulation(seed=seed) as sim:
            run = sim.start(shaky)
            run.wait()
            return run.history.to_json()

    assert history(0) == history(0)
    assert history(0) != history(1)


# -- simulations in a running loop -----------------------------------------------------------------------------------


def in_a_loop(main):
    """Run a coroutine function on a real loop, and insist on silence."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = asyncio.run(main())
        gc.collect()
    return result


@pytest.mark.parametrize("function", [naps, side_by_side])
def test_a_simulation_in_a_running_loop(function):
    """The plain calls work inside a running asyncio loop; the loop and the current task are the same afterwards."""

    async def main():
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        with Simulation() as sim:
            run = sim.start(function)
            result = run.wait()
            assert asyncio.get_running_loop() is loop
            assert asyncio.current_task() is task
        await asyncio.sleep(0)
        assert asyncio.current_task() is task
        return result

    assert in_a_loop(main)


def test_the_outer_loop_survives_a_failure():
    """Also when a run fails or differs, the outer loop and task are in place for the rest of the test."""
    entered = []

    @durable_function("differs")
    async def differs(ctx):
        entered.append(1)
        await asyncio.gather(ctx.step.run(f"a{len(entered)}", lambda: 1), ctx.step.run("b", lambda: 1))

    @durable_function("fails", retries=0)
    async def fails(ctx):
        raise ValueError("bad")

    async def main():
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        with Simulation() as sim:
            with pytest.raises(RunFailed):
                sim.run(fails)
            sim.start(differs)
            with pytest.raises(NonDeterminismError):
                sim.run_until_idle()
            assert asyncio.get_running_loop() is loop
            assert asyncio.current_task() is task
        async with asyncio.timeout(5):
            await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
        return "alive"

    assert in_a_loop(main) == "alive"


def test_other_tasks_of_the_outer_loop_go_on_between_two_drives():
    """Tasks of the outer loop neither run during a drive nor are lost by it."""
    log = []

    async def ticker():
        for number in range(3):
            log.append(number)
            await asyncio.sleep(0)

    async def main():
        task = asyncio.create_task(ticker())
        await asyncio.sleep(0)
        with Simulation() as sim:
            sim.run(side_by_side)
        assert log == [0]
        await task
        return log

    assert in_a_loop(main) == [0, 1, 2]


def test_two_tasks_of_one_loop_drive_two_simulations():
    """Two tasks of a loop each drive a simulation of their own, in turns."""

    async def drive(number):
        sim = Simulation(start=datetime(2025 + number, 1, 1, tzinfo=UTC))
        run = sim.start(naps)
        for _ in range(3):
            sim.advance("20m")
            await asyncio.sleep(0)
        return run.result

    async def main():
        return await asyncio.gather(drive(0), drive(1))

    assert in_a_loop(main) == ["2025-01-01T01:00:00+00:00", "2026-01-01T01:00:00+00:00"]


def test_a_simulation_driven_from_a_callback_of_a_loop():
    """A drive from call_soon, where the loop runs and no task is current, works as well."""

    async def main():
        loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

        def callback():
            try:
                done.set_result(Simulation().run(side_by_side))
            except BaseException as error:  # noqa: BLE001 - handed on to the test
                done.set_exception(error)

        loop.call_soon(callback)
        return await done

    assert in_a_loop(main) == ["a", None]


def test_a_simulation_inside_a_body_of_another():
    """A body may drive another simulation; its own loop, task and clock are in place afterwards."""

    @durable_function("outer")
    async def outer(ctx):
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        inner = Simulation(start="2040-01-01T00:00:00Z").run(side_by_side)
        assert asyncio.get_running_loop() is loop
        assert asyncio.current_task() is task
        assert datetime.now(UTC) == sim.now
        beside = await asyncio.gather(ctx.step.run("x", lambda: inner), ctx.step.sleep("y", "1s"))
        return beside[0]

    with Simulation() as sim:
        assert sim.run(outer) == ["a", None]


def test_a_simulation_inside_an_async_step_of_another():
    """An async step may drive another simulation between two awaits of its own."""

    @durable_function("outer")
    async def outer(ctx):
        async def work():
            await asyncio.sleep(1)
            inner = Simulation().run(side_by_side)
            await asyncio.sleep(1)
            return inner

        return await ctx.step.run("x", work)

    with Simulation() as sim:
        run = sim.start(outer)
        assert run.wait() == ["a", None]
        assert (run.ended_at - run.started_at).total_seconds() == 2


def test_simulations_in_threads_do_not_share_loops():
    """A simulation in another thread than the running loop's works; event loops belong to threads."""
    results = []

    async def main():
        thread = threading.Thread(target=lambda: results.append(Simulation(clock="off").run(side_by_side)))
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0)

    in_a_loop(main)
    assert results == [["a", None]]


# -- nothing is left behind ------------------------------------------------------------------------------------------


def test_nothing_is_left_of_runs_that_did_not_end():
    """Dropping a simulation in the middle of its runs leaves no running loop, no patched sleep, and no warning."""
    sleep = time.sleep

    @durable_function("middle")
    async def middle(ctx):
        async def branch(name):
            try:
                await ctx.step.sleep(name, "1d")
            finally:
                await ctx.step.run(f"{name}-cleanup", lambda: None)

        task = asyncio.create_task(branch("c"))
        async with asyncio.timeout(7200):
            await asyncio.gather(branch("a"), branch("b"), asyncio.Event().wait(), task)

    with Simulation() as sim:
        sim.start(middle)
        sim.advance("1h")
    del sim
    gc.collect()
    assert time.sleep is sleep
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_a_drive_that_is_interrupted_can_be_continued():
    """KeyboardInterrupt during a drive restores clocks, sleep and loops; the simulation goes on with the next drive."""
    hits = []

    def interrupted():
        hits.append(1)
        if len(hits) == 1:
            raise KeyboardInterrupt
        return True

    sleep = time.sleep
    with Simulation() as sim:
        run = sim.start(naps)
        with pytest.raises(KeyboardInterrupt):
            sim.run_until(interrupted)
        assert time.sleep is sleep
        assert run.wait() == "2025-01-01T01:00:00+00:00"


def test_an_interrupt_in_a_body_leaves_the_process_clean():
    """KeyboardInterrupt in a body, in the middle of a gather, reaches the test and leaves no loop running."""

    @durable_function("interrupts")
    async def interrupts(ctx):
        async def branch():
            raise KeyboardInterrupt

        await asyncio.gather(ctx.step.run("a", lambda: 1), branch())

    with Simulation() as sim:
        sim.start(interrupts)
        with pytest.raises(KeyboardInterrupt):
            sim.run_until_idle()
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        assert sim.run(side_by_side) == ["a", None]
