"""The edges of bodies: partial bodies, groups of anything, cancellations taken back, and loops."""

import asyncio
import functools
import gc

import pytest

from pytest_durable import (
    NonDeterminismError,
    ParallelMode,
    RunFailed,
    Simulation,
    UsageError,
    between,
    durable_function,
)
from pytest_durable.loop import VirtualLoop


def test_a_partial_body_is_what_it_wraps(durable):
    """A partial object of a coroutine function is an async body, with the arguments that it has already."""

    async def body(greeting, ctx):
        return await ctx.step.run("a", lambda: greeting)

    assert durable.run(durable_function("f")(functools.partial(body, "hello"))) == "hello"


def test_a_sync_body_that_returns_an_awaitable_is_refused(durable):
    """What would have to be awaited is not a result."""

    async def later():
        return 1

    @durable_function("f")
    def f(ctx):
        return later()

    with pytest.raises(RunFailed, match="returned an awaitable; make it an async function"):
        durable.run(f)


def test_a_group_takes_whatever_can_be_awaited(durable):
    """A branch may give a coroutine, or another awaitable of the same loop."""

    class Waits:
        """An awaitable that is no coroutine."""

        def __init__(self, step):
            self.step = step

        def __await__(self):
            return self.step.__await__()

    @durable_function("f")
    async def f(ctx):
        return await ctx.group.parallel(
            (lambda: Waits(ctx.step.run("a", lambda: 1)), lambda: ctx.step.run("b", lambda: 2)),
            parallel_mode=ParallelMode.RACE,
        )

    assert durable.run(f) == [1, 2]


def test_a_group_of_steps_in_place_of_branches_is_refused(durable):
    """The steps that were made already are closed, and none of them runs."""
    called = []

    async def step(ctx):
        await ctx.step.run("a", called.append, 1)

    @durable_function("f")
    async def f(ctx):
        await ctx.group.parallel((lambda: step(ctx), step(ctx)))

    with pytest.raises(RunFailed, match="is not callable; write lambda"):
        durable.run(f)
    assert called == []


def test_a_cancellation_that_is_taken_back_does_not_come(durable):
    """``cancel`` and ``uncancel`` of the current task count, as those of asyncio's tasks do."""

    @durable_function("f")
    async def f(ctx):
        task = asyncio.current_task()
        task.cancel()
        task.cancel()
        counted = [task.cancelling(), task.uncancel(), task.uncancel(), task.cancelling(), task.done()]
        return [counted, await ctx.step.run("a", lambda: 1), task.get_loop() is asyncio.get_running_loop()]

    assert durable.run(f) == [[2, 1, 0, 0, False], 1, True]


def test_a_targeted_step_must_still_be_asked_for():
    """A planned step that the body does not ask for in the request that executes it is another sequence of steps."""
    entered = []

    @durable_function("f", retries=0)
    async def f(ctx):
        entered.append(1)
        names = ("a", "b") if len(entered) == 1 else ("c", "d")
        await asyncio.gather(*(ctx.step.run(name, lambda: 1) for name in names))

    with Simulation() as sim, pytest.raises((NonDeterminismError, RunFailed), match="asks for other steps"):
        sim.run(f)


def test_a_targeted_request_whose_body_raises_fails_as_that():
    """What a body raises before it comes to its planned steps again is its error, not that of the step."""
    entered = []

    @durable_function("f", retries=0)
    async def f(ctx):
        entered.append(1)
        if len(entered) > 1:
            raise KeyError("gone")
        await asyncio.gather(ctx.step.run("a", lambda: 1), ctx.step.run("b", lambda: 1))

    with Simulation() as sim, pytest.raises(RunFailed, match="KeyError"):
        sim.run(f)


def test_a_loop_is_what_asyncio_asks_it_for():
    """A virtual loop runs, is never closed, and knows no debug mode; nothing is due on one that is not used."""
    loop = VirtualLoop("the test", 10)
    assert (loop.is_running(), loop.is_closed(), loop.get_debug(), loop.time(), loop.where) == (
        True, False, False, 0, "the test",
    )  # fmt: skip
    loop.fire_timer()
    assert loop.next_timer() is None
    future = loop.create_future()
    assert hash(future) == 1


def test_what_was_cancelled_on_a_loop_does_not_run():
    """A callback that was called off is passed over, and costs nothing of the bound."""
    loop, log = VirtualLoop("the test", 1), []
    loop.call_soon(log.append, "a").cancel()
    loop.call_later(1, log.append, "later").cancel()
    loop.call_soon(log.append, "b")
    loop.run_ready()
    assert (log, loop.next_timer()) == (["b"], None)


def test_a_simulation_may_be_closed_twice(durable):
    """The second time there is nothing to do; bodies that are kept in place are let go."""

    @durable_function("f", checkpointing=True)
    async def f(ctx):
        await ctx.step.sleep("nap", "1h")

    with Simulation(replay="checkpoint") as sim:
        run = sim.start(f)
        sim.settle()
        assert run.status == "running"
        sim.close()
        sim.close()
    gc.collect()
    assert durable.now


def test_a_moment_is_a_window():
    """A window says from when to when, and may not end before it begins."""
    assert repr(between("1h", "2h")) == "between('1h', '2h')"
    with Simulation() as sim, pytest.raises(UsageError, match="ends before it begins"):
        sim.signal("x", at=between("2h", "1h"))


def test_anyio_works_in_steps_and_in_bodies(durable):
    """Its task groups and deadlines ask asyncio for more than asyncio's own: the factory of tasks, weak references."""
    anyio = pytest.importorskip("anyio")

    async def handler():
        done = []
        async with anyio.create_task_group() as group:
            for number in range(2):
                group.start_soon(lambda n=number: _note(done, n))
        return done

    async def _note(done, number):
        await anyio.sleep(1)
        done.append(number)

    @durable_function("with-anyio")
    async def with_anyio(ctx):
        with anyio.move_on_after(60):
            await ctx.step.sleep("long", "1h")
        return await ctx.step.run("tasks", handler)

    assert durable.run(with_anyio) == [0, 1]
