"""Async handlers that sleep: others go on meanwhile, as in a worker with one event loop."""

import asyncio
import contextlib
import time

import pytest

from pytest_durable import (
    Concurrency,
    Context,
    ContextSync,
    RunStuck,
    Simulation,
    durable_function,
    explore,
    faults,
)


@pytest.fixture
def log():
    """What handlers have noted, in the order in which they did."""
    return []


def sleeper(log, durable, name, *seconds):
    """A handler that notes its name and the second, sleeps, and notes again."""

    async def handler():
        log.append((durable.now.second, name))
        for length in seconds:
            await asyncio.sleep(length)
            log.append((durable.now.second, name))
        return name

    return handler


def one_step(fn_id, handler, **options):
    """A function of one step."""

    @durable_function(fn_id, **options)
    async def function(ctx: Context):
        return await ctx.step.run("a", handler)

    return function


@pytest.mark.parametrize("replay", ["always", "checkpoint"])
def test_the_pieces_of_handlers_happen_in_the_order_of_time(log, replay):
    """A log that handlers share never goes back in time."""
    with Simulation(replay=replay) as durable:
        runs = [
            durable.start(one_step("long", sleeper(log, durable, "long", 4, 4))),
            durable.start(one_step("short", sleeper(log, durable, "short", 3))),
        ]
        durable.run_until_idle()
        assert log == [(0, "long"), (0, "short"), (3, "short"), (4, "long"), (8, "long")]
        assert [(run.result, run.ended_at.second) for run in runs] == [("long", 8), ("short", 3)]
        assert [run.step("a").attempts for run in runs] == [1, 1]


def test_steps_of_one_run_overlap(durable, log):
    """Side by side in a gather, each in its own time."""

    @durable_function("f")
    async def f(ctx: Context):
        return await asyncio.gather(
            ctx.step.run("a", sleeper(log, durable, "a", 1, 2)), ctx.step.run("b", sleeper(log, durable, "b", 2))
        )

    run = durable.start(f)
    assert run.wait() == ["a", "b"]
    assert log == [(0, "a"), (0, "b"), (1, "a"), (2, "b"), (3, "a")]
    assert run.steps == ["b", "a"]


def test_a_test_sees_how_far_a_handler_is(durable, log):
    """Time that is driven to the middle of a handler has done the first half of it."""
    run = durable.start(one_step("f", sleeper(log, durable, "a", 10)))
    durable.advance("5s")
    assert (log, run.status, run.steps) == ([(0, "a")], "running", [])
    durable.advance("5s")
    assert (log, run.result) == ([(0, "a"), (10, "a")], "a")


def test_the_body_stands_in_its_blocks_until_the_handler_ends(durable):
    """What an async with around the step has opened is open for all of the handler."""

    class Client:
        opened = 0

        async def __aenter__(self):
            self.opened += 1
            return self

        async def __aexit__(self, *_):
            self.opened -= 1

        async def call(self):
            await asyncio.sleep(5)
            return self.opened

    client = Client()

    @durable_function("f")
    async def f(ctx: Context):
        async with client as opened:
            return await ctx.step.run("call", opened.call)

    assert durable.run(f) == 1
    assert client.opened == 0


def test_a_lock_of_asyncio_holds_between_handlers_and_from_one_simulation_to_the_next():
    """Handlers share one event loop, so what asyncio binds to a loop works between them."""
    lock, inside = asyncio.Lock(), []

    async def alone():
        async with lock:
            inside.append("in")
            await asyncio.sleep(1)
            inside.append("out")

    for _ in range(2):
        with Simulation() as durable:
            runs = [durable.start(one_step(f"f{number}", alone)) for number in range(3)]
            durable.run_until_idle()
            assert [run.ended_at.second for run in runs] == [1, 2, 3]
    assert inside == ["in", "out"] * 6


def test_a_handler_that_waits_for_another_is_woken_by_it(durable):
    """As soon as the other sets the event, at that very time."""
    ready = asyncio.Event()

    async def waits():
        await ready.wait()
        return durable.now.second

    async def brings():
        await asyncio.sleep(7)
        ready.set()

    run = durable.start(one_step("brings", brings))
    waiting = durable.start(one_step("waits", waits))
    assert waiting.wait() == 7
    assert run.wait() is None


def test_a_handler_that_nothing_can_wake_is_stuck_at_once(durable):
    """Whoever waits for its run hears of it; a test that goes on may still bring what it waits for."""
    event = asyncio.Event()
    run = durable.start(one_step("f", event.wait))
    with pytest.raises(RunStuck, match=r"'a' \(run\) has been under way since 0s, and waits for something of asyncio"):
        run.wait()
    durable.advance("1h")
    event.set()
    assert run.wait() is True


def test_a_handler_that_the_others_leave_waiting_is_stuck(durable, log):
    """Nobody could know at its start; when nothing is due any more it is said."""

    async def waits():
        await asyncio.Event().wait()

    durable.start(one_step("other", sleeper(log, durable, "other", 5)))
    run = durable.start(one_step("f", waits))
    with pytest.raises(RunStuck, match=r"'a' \(run\) has been under way since 5s"):
        run.wait()


def test_a_handler_of_a_cancelled_run_goes_on_unheard(durable, log):
    """What is in flight happens, and the body is left behind it."""
    run = durable.start(one_step("f", sleeper(log, durable, "a", 10)))
    durable.cancel(run, at="5s")
    durable.run_until_idle()
    assert log == [(0, "a"), (10, "a")]
    assert (run.status, run.ended_at.second, run.steps) == ("cancelled", 5, [])


def test_a_handler_is_closed_with_its_simulation():
    """Its finally blocks run, and then those of the body around it."""
    closed = []

    async def handler():
        try:
            await asyncio.sleep(10)
        finally:
            closed.append("handler")

    @durable_function("f")
    async def f(ctx: Context):
        try:
            await ctx.step.run("a", handler)
        finally:
            closed.append("body")

    with Simulation() as durable:
        durable.start(f)
        durable.advance("5s")
        assert closed == []
    assert closed == ["handler", "body"]


def test_a_handler_that_fails_behind_its_sleep_is_tried_again(durable):
    """Each attempt begins anew, after the pause of the table."""
    began = []

    async def fails():
        began.append(durable.now)
        await asyncio.sleep(3)
        if len(began) < 2:
            message = "not yet"
            raise ConnectionError(message)
        return "done"

    assert durable.run(one_step("f", fails)) == "done"
    assert 15 + 3 <= (began[1] - began[0]).total_seconds() < 30 + 3 + 15


def test_faults_and_scripts_reach_the_end_of_a_handler(log):
    """A crash behind it finds its effects done, and what is slow is slow behind its own time."""
    with Simulation(faults=[faults.crash("after", step="a"), faults.slow_step("1m", step="b")]) as durable:
        durable.step("b").calls(sleeper(log, durable, "fake", 2))

        @durable_function("f")
        async def f(ctx: Context):
            await ctx.step.run("a", sleeper(log, durable, "a", 1))
            return await ctx.step.run("b", pytest.fail)

        run = durable.start(f)
        assert run.wait() == "fake"
    assert [name for _, name in log] == ["a", "a", "a", "a", "fake", "fake"]
    assert run.step("a").attempts == 2
    assert (run.step("b").ended_at - run.step("b").started_at).total_seconds() == 62


def test_a_slot_of_concurrency_is_held_for_all_of_a_handler(durable, log):
    """The next one begins when the handler before has ended."""
    f = one_step("f", sleeper(log, durable, "a", 2, 2), concurrency=Concurrency(limit=1))
    for _ in range(2):
        durable.start(f)
    durable.run_until_idle()
    assert [second for second, _ in log] == [0, 2, 4, 4, 6, 8]


def test_the_search_finds_a_race_between_the_halves_of_two_handlers():
    """Check, await, act: the bug that one handler alone does not have."""

    def scenario(sim):
        stock = {"left": 1}

        async def buy():
            left = stock["left"]
            await asyncio.sleep(1)
            if left:
                stock["left"] -= 1

        for number in range(2):
            sim.start(one_step(f"buyer-{number}", buy))
        sim.run_until_idle()
        assert stock["left"] >= 0, "sold twice"

    assert "sold twice" in str(explore(scenario).failures[0].error)


def test_a_sync_function_waits_for_its_handler_in_one_piece(durable, log):
    """Its body stands on no event loop that could let others go on."""

    @durable_function("f")
    def f(ctx: ContextSync):
        return ctx.step.run("a", sleeper(log, durable, "a", 3))

    durable.start(f)
    durable.start(one_step("g", sleeper(log, durable, "b", 1)))
    durable.run_until_idle()
    assert log == [(0, "a"), (3, "a"), (0, "b"), (1, "b")]


def test_a_blocking_sleep_holds_up_its_own_handler_alone(durable, log):
    """It takes virtual time of that step, and nobody wakes the handler before it is over."""
    ready = asyncio.Event()

    async def blocks():
        time.sleep(5)
        log.append(("blocked", durable.now.second))
        await ready.wait()
        log.append(("woken", durable.now.second))

    async def brings():
        await asyncio.sleep(2)
        ready.set()

    durable.start(one_step("brings", brings))
    durable.start(one_step("blocks", blocks))
    durable.run_until_idle()
    assert log == [("blocked", 5), ("woken", 5)]


@pytest.mark.parametrize("first", ["waits", "sets"])
def test_a_handler_that_waits_for_one_that_has_not_begun_is_woken(durable, first):
    """What is due may wake it, whoever is started first."""
    event = asyncio.Event()

    @durable_function("waits")
    async def waits(ctx):
        await ctx.step.run("wait", event.wait)

    @durable_function("sets")
    async def sets(ctx):
        async def work():
            await asyncio.sleep(90)
            event.set()

        await ctx.step.run("set", work)

    functions = [waits, sets] if first == "waits" else [sets, waits]
    runs = [durable.start(function) for function in functions]
    durable.run_until_idle()
    assert [run.status for run in runs] == ["completed", "completed"]


def test_a_forgotten_task_that_catches_everything_ends_with_its_handler(durable):
    """It is left by force, as nothing that it sleeps on is there any more."""

    async def beats():
        while True:
            with contextlib.suppress(BaseException):
                await asyncio.sleep(60)

    @durable_function("forgets")
    async def forgets(ctx):
        async def work():
            asyncio.get_running_loop().create_task(beats())
            await asyncio.sleep(1)
            return "done"

        return await ctx.step.run("a", work)

    assert durable.run(forgets) == "done"
