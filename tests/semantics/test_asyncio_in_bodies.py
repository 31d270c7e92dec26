"""What bodies may do with asyncio: all that is built on tasks and futures, in virtual time and in a fixed order."""

import asyncio
import contextvars
import json
import os
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_durable import (
    BoundReachedError,
    Event,
    Limits,
    RunFailed,
    Simulation,
    StepError,
    UsageError,
    durable_function,
)

DAY = 86_400


@pytest.fixture
def sim():
    """A simulation in which a livelock ends soon."""
    with Simulation(limits=Limits(happenings_per_instant=300, callbacks_per_invocation=20_000)) as simulation:
        yield simulation


def took(run):
    return (run.ended_at - run.started_at).total_seconds()


def refused(run):
    """The error of a run that is refused: a UsageError, at once, without a retry."""
    with pytest.raises(RunFailed) as failure:
        run.wait()
    assert isinstance(failure.value.__cause__, UsageError)
    assert run.invocations == 1
    assert took(run) == 0
    return str(failure.value)


# -- deadlines ---------------------------------------------------------------------------------------------------------


def test_a_timeout_over_a_lone_step_ends_it_at_its_deadline(sim):
    """asyncio.timeout over one awaited step raises TimeoutError at its deadline."""

    @durable_function("deadline")
    async def deadline(ctx):
        try:
            async with asyncio.timeout(10):
                await ctx.step.sleep("long", "20s")
        except TimeoutError:
            return "late"

    run = sim.start(deadline)
    assert run.wait() == "late"
    assert took(run) == 10
    assert run.steps == []


@pytest.mark.parametrize("kind", ["run", "wait", "signal", "invoke"])
def test_a_timeout_ends_every_kind_of_step(sim, kind):
    """Whatever the body awaits, asyncio.timeout ends it at its deadline."""

    @durable_function("child")
    async def child(ctx):
        await ctx.step.sleep("nap", "1d")

    @durable_function("deadline")
    async def deadline(ctx):
        try:
            async with asyncio.timeout(10):
                if kind == "run":
                    await ctx.step.run("it", lambda: None)
                elif kind == "wait":
                    await ctx.step.wait_for_event("it", event="never", timeout="1d")
                elif kind == "signal":
                    await ctx.step.wait_for_signal("it", signal="never", timeout=None, on_conflict="fail")
                else:
                    await ctx.step.invoke("it", function=child)
        except TimeoutError:
            return "late"

    if kind == "run":
        sim.step("it").takes("1h")
    run = sim.start(deadline)
    assert run.wait() == "late"
    assert took(run) == 10


def test_a_timeout_that_is_kept_costs_nothing(sim):
    """A step that ends within its timeout gives its result, and the deadline never happens."""

    @durable_function("kept")
    async def kept(ctx):
        async with asyncio.timeout(10):
            await ctx.step.sleep("short", "9s")
        await ctx.step.sleep("more", "1h")
        return "kept"

    run = sim.start(kept)
    assert run.wait() == "kept"
    assert run.steps == ["short", "more"]
    assert took(run) == 9 + 3600
    assert run.invocations == 3


@pytest.mark.parametrize("gathered", [False, True])
def test_a_later_timeout_has_its_own_deadline(sim, gathered):
    """A deadline that was kept does not strike again in a later timeout, which is longer."""

    @durable_function("two")
    async def two(ctx):
        def sleep(name, length):
            step = ctx.step.sleep(name, length)
            return asyncio.gather(step) if gathered else step

        async with asyncio.timeout(10):
            await sleep("first", "1s")
        async with asyncio.timeout(1000):
            await sleep("second", "100s")
        return "kept"

    run = sim.start(two)
    assert run.wait() == "kept"
    assert took(run) == 101


@pytest.mark.parametrize("gathered", [False, True])
def test_a_later_timeout_may_be_shorter(sim, gathered):
    """The deadline that is in force counts, not the one of an earlier and longer timeout."""

    @durable_function("two")
    async def two(ctx):
        def sleep(name, length):
            step = ctx.step.sleep(name, length)
            return asyncio.gather(step) if gathered else step

        async with asyncio.timeout(1000):
            await sleep("first", "1s")
        try:
            async with asyncio.timeout(10):
                await sleep("second", "100s")
        except TimeoutError:
            return "late"

    run = sim.start(two)
    assert run.wait() == "late"
    assert took(run) == 11


def test_nested_timeouts_strike_from_the_inside(sim):
    """The inner deadline strikes first and the outer one, of the whole, afterwards, both at their own instants."""

    @durable_function("nested")
    async def nested(ctx):
        log = []
        try:
            async with asyncio.timeout(30):
                try:
                    async with asyncio.timeout(10):
                        await ctx.step.sleep("a", "1h")
                except TimeoutError:
                    log.append("inner")
                await ctx.step.sleep("b", "1h")
        except TimeoutError:
            log.append("outer")
        return log

    run = sim.start(nested)
    assert run.wait() == ["inner", "outer"]
    assert took(run) == 30


def test_a_deadline_is_stable_over_replays(sim):
    """A deadline over many steps counts from where it was set, however often the body is entered meanwhile."""

    @durable_function("stable")
    async def stable(ctx):
        await ctx.step.sleep("before", "1h")
        number = 0
        try:
            async with asyncio.timeout(95):
                while True:
                    await ctx.step.sleep("tick", "10s")
                    number += 1
        except TimeoutError:
            return number

    run = sim.start(stable)
    assert run.wait() == 9
    assert took(run) == 3600 + 95
    assert run.invocations < 14


def test_a_deadline_of_years_is_exact(sim):
    """A timeout of two years over half-year sleeps strikes at its very second."""

    @durable_function("years")
    async def years(ctx):
        number = 0
        try:
            async with asyncio.timeout(2 * 365 * DAY + 1):
                while True:
                    await asyncio.gather(ctx.step.sleep("half", "183d"))
                    number += 1
        except TimeoutError:
            return number

    run = sim.start(years)
    assert run.wait() == 3
    assert took(run) == 2 * 365 * DAY + 1


def test_after_a_timeout_the_abandoned_step_holds_nobody_up(sim):
    """Steps behind a timeout go on at once; the step that was given up on is not waited for."""

    @durable_function("abandons")
    async def abandons(ctx):
        try:
            async with asyncio.timeout(60):
                await asyncio.gather(
                    ctx.step.wait_for_event("never", event="never", timeout="7d"), ctx.step.run("a", lambda: 1)
                )
        except TimeoutError:
            await ctx.step.run("cleanup", lambda: 2)
            await ctx.step.sleep("rest", "1m")
            return "cleaned"

    run = sim.start(abandons)
    assert run.wait() == "cleaned"
    assert run.steps == ["a", "cleanup", "rest"]
    assert took(run) == 120


def test_after_a_timeout_a_wait_for_ever_does_not_make_the_run_stuck(sim):
    """A wait without a timeout that the body gave up on is no reason to be stuck."""

    @durable_function("abandons")
    async def abandons(ctx):
        try:
            async with asyncio.timeout(60):
                await ctx.step.wait_for_event("never", event="never", timeout=None)
        except TimeoutError:
            return await ctx.step.run("cleanup", lambda: "cleaned")

    run = sim.start(abandons)
    assert run.wait() == "cleaned"
    assert took(run) == 60


def test_a_timeout_does_not_hurry_a_retry(sim):
    """A timer of the body is no reason to try a failed step again before its pause is over."""
    tries = []

    @durable_function("hurried")
    async def hurried(ctx):
        def shaky():
            tries.append((ctx.attempt, (sim.now - run.started_at).total_seconds()))
            if len(tries) < 3:
                raise ValueError("again")
            return "fine"

        beside = asyncio.create_task(asyncio.sleep(5))
        result = await ctx.step.run("shaky", shaky)
        await beside
        return result

    run = sim.start(hurried)
    assert run.wait() == "fine"
    assert [attempt for attempt, _ in tries] == [0, 1, 2]
    assert 15 <= tries[1][1] < 45
    assert 30 <= tries[2][1] - tries[1][1] < 60


def test_a_retry_that_was_given_up_does_not_befall_the_next_step(sim):
    """A step behind a timeout has its own attempts; the pause of the abandoned one is over."""
    tries = []

    @durable_function("given-up", retries=2)
    async def given_up(ctx):
        def fail(name):
            tries.append((name, ctx.attempt))
            raise ValueError(name)

        try:
            async with asyncio.timeout(10):
                await ctx.step.run("a", fail, "a")
        except TimeoutError:
            try:
                await ctx.step.run("b", fail, "b")
            except StepError as error:
                return error.message

    run = sim.start(given_up)
    assert run.wait() == "b"
    assert tries == [("a", 0), ("b", 0), ("b", 1), ("b", 2)]


@pytest.mark.parametrize(("length", "expected"), [("5s", "done"), ("50s", "late")])
def test_wait_for_gives_up_at_its_deadline(sim, length, expected):
    """asyncio.wait_for over a step returns its result, or raises TimeoutError at the deadline."""

    @durable_function("waits-for")
    async def waits_for(ctx):
        try:
            await asyncio.wait_for(ctx.step.sleep("nap", length), 10)
        except TimeoutError:
            return "late"
        return "done"

    run = sim.start(waits_for)
    assert run.wait() == expected
    assert took(run) == (5 if expected == "done" else 10)


def test_a_step_that_ends_at_the_deadline_is_a_tie_with_one_answer(sim):
    """A step and the deadline at one instant: one of them wins, the same one in every invocation."""

    @durable_function("tie")
    async def tie(ctx):
        try:
            async with asyncio.timeout(10):
                await ctx.step.sleep("nap", "10s")
            first = "step"
        except TimeoutError:
            first = "deadline"
        await ctx.step.run("after", lambda: None)
        return first

    run = sim.start(tie)
    assert run.wait() in {"step", "deadline"}
    assert took(run) == 10


def test_shield_keeps_a_step_beyond_a_deadline(sim):
    """A shielded step survives the timeout and can be awaited afterwards."""

    @durable_function("shielded")
    async def shielded(ctx):
        task = asyncio.create_task(ctx.step.sleep("nap", "30s"))
        try:
            async with asyncio.timeout(10):
                await asyncio.shield(task)
        except TimeoutError:
            await task
            return "both"

    run = sim.start(shielded)
    assert run.wait() == "both"
    assert took(run) == 30
    assert run.steps == ["nap"]


def test_a_sleep_of_asyncio_in_a_body_takes_virtual_time(sim):
    """asyncio.sleep in a body passes in virtual time, once, and is no step."""

    @durable_function("sleepy")
    async def sleepy(ctx):
        await asyncio.sleep(90)
        await ctx.step.run("a", lambda: None)
        await asyncio.sleep(10 * 365 * DAY)
        return "awake"

    run = sim.start(sleepy)
    assert run.wait() == "awake"
    assert run.steps == ["a"]
    assert (run.step("a").started_at - run.started_at).total_seconds() == 90
    assert took(run) == 90 + 10 * 365 * DAY


def test_sleeps_of_asyncio_side_by_side_overlap(sim):
    """Several timers of one body fire in the order of their instants."""

    @durable_function("overlap")
    async def overlap(ctx):
        log = []

        async def nap(length):
            await asyncio.sleep(length)
            log.append(length)

        await asyncio.gather(nap(30), nap(10), nap(20), ctx.step.sleep("step", "15s"))
        return log

    run = sim.start(overlap)
    assert run.wait() == [10, 20, 30]
    assert took(run) == 30


def test_the_loop_of_a_body_tells_virtual_time(sim):
    """loop.time() in a body moves with its steps, and says the same in every invocation."""
    seen = {}

    @durable_function("loop-time")
    async def loop_time(ctx):
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await ctx.step.sleep("a", "1h")
        seen.setdefault("a", set()).add(loop.time() - begin)
        await ctx.step.sleep("b", "1h")
        seen.setdefault("b", set()).add(loop.time() - begin)
        await ctx.step.run("c", lambda: None)

    sim.run(loop_time)
    assert seen == {"a": {3600.0}, "b": {7200.0}}


# -- tasks -------------------------------------------------------------------------------------------------------------


def test_a_task_group_runs_its_steps_side_by_side(sim):
    """TaskGroup over steps plans them together and gives every task its result."""

    @durable_function("tasks")
    async def tasks(ctx):
        async with asyncio.TaskGroup() as group:
            made = [group.create_task(ctx.step.run(name, lambda n=name: n.upper())) for name in "abc"]
        return [task.result() for task in made]

    run = sim.start(tasks)
    assert run.wait() == ["A", "B", "C"]
    assert run.invocations == 5


def test_a_task_group_cancels_the_siblings_of_a_failure(sim):
    """A failing step fails its TaskGroup with an ExceptionGroup that a body can catch with except*."""

    @durable_function("tasks", retries=0)
    async def tasks(ctx):
        def fail():
            raise ValueError("bad")

        caught = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.step.run("bad", fail))
                group.create_task(ctx.step.sleep("slow", "1h"))
        except* StepError as errors:
            caught += [error.message for error in errors.exceptions]
        return caught

    run = sim.start(tasks)
    assert run.wait() == ["bad"]


def test_an_uncaught_group_of_step_errors_fails_the_run_at_once(sim):
    """An ExceptionGroup of nothing but StepErrors fails the run as one of them would: no attempt can change it."""

    @durable_function("tasks", retries=1)
    async def tasks(ctx):
        def fail():
            raise ValueError("bad")

        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.step.run("bad", fail))

    run = sim.start(tasks)
    with pytest.raises(RunFailed):
        run.wait()
    assert run.ended_at == run.step("bad").ended_at


@pytest.mark.parametrize("optimise", [True, False])
def test_wait_for_all_gives_all(sim, optimise):
    """asyncio.wait returns every task as done when all steps are."""

    @durable_function("all", optimize_parallelism=optimise)
    async def wait_all(ctx):
        tasks = [asyncio.create_task(ctx.step.sleep(name, f"{n}s")) for n, name in enumerate("abc", 1)]
        done, pending = await asyncio.wait(tasks)
        return [len(done), len(pending)]

    run = sim.start(wait_all)
    assert run.wait() == [3, 0]
    assert took(run) == 3


@pytest.mark.parametrize("optimise", [True, False])
def test_wait_with_a_timeout_returns_what_is_done(sim, optimise):
    """asyncio.wait(timeout=...) returns at its deadline with the rest pending, which can be cancelled."""

    @durable_function("some", optimize_parallelism=optimise)
    async def some(ctx):
        tasks = [asyncio.create_task(ctx.step.sleep(name, length)) for name, length in (("a", "1s"), ("b", "1d"))]
        done, pending = await asyncio.wait(tasks, timeout=60)
        for task in pending:
            task.cancel()
        await ctx.step.run("after", lambda: None)
        return [[tasks.index(task) for task in done], [tasks.index(task) for task in pending]]

    run = sim.start(some)
    assert run.wait() == [[0], [1]]
    assert took(run) == 60


def test_first_exception_returns_at_the_first_failure(sim):
    """asyncio.wait(FIRST_EXCEPTION) returns when a step has failed, without optimised parallelism at once."""

    @durable_function("first", retries=0, optimize_parallelism=False)
    async def first(ctx):
        def fail():
            raise ValueError("bad")

        tasks = [asyncio.create_task(ctx.step.sleep("slow", "1h")), asyncio.create_task(ctx.step.run("bad", fail))]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        return [tasks.index(task) for task in done]

    run = sim.start(first)
    assert run.wait() == [1]
    assert took(run) == 0


def test_as_completed_follows_the_order_of_completion(sim):
    """asyncio.as_completed yields the results by the virtual duration of their steps."""

    @durable_function("completed")
    async def completed(ctx):
        return [await one for one in asyncio.as_completed([ctx.step.run(name, lambda n=name: n) for name in "abcd"])]

    for name, length in (("a", "3s"), ("b", "1s"), ("c", "4s"), ("d", "2s")):
        sim.step(name).takes(length)
    assert sim.run(completed) == ["b", "d", "a", "c"]


def test_as_completed_takes_each_awaitable_once(sim):
    """What is given to as_completed twice is awaited once, as asyncio does."""

    @durable_function("completed")
    async def completed(ctx):
        async def branch():
            return await ctx.step.run("a", lambda: "a")

        coro, task = branch(), asyncio.create_task(ctx.step.run("b", lambda: "b"))
        return sorted([await one for one in asyncio.as_completed([coro, task, coro, task])])

    assert sim.run(completed) == ["a", "b"]


def test_as_completed_starts_branches_in_the_order_in_which_they_are_given(sim):
    """Branches that are coroutines of the author begin in the given order, in every invocation."""

    @durable_function("completed")
    async def completed(ctx):
        async def branch(name):
            return await ctx.step.run(name, lambda: name)

        return [await one for one in asyncio.as_completed([branch(f"s{n}") for n in range(12)])]

    assert sim.run(completed) == [f"s{n}" for n in range(12)]


def test_branches_talk_through_events_queues_locks_and_semaphores(sim):
    """asyncio's primitives work between the branches of a body."""

    @durable_function("talk")
    async def talk(ctx):
        queue, ready, lock, gate = asyncio.Queue(), asyncio.Event(), asyncio.Lock(), asyncio.Semaphore(1)

        async def produce():
            for number in range(3):
                async with gate:
                    await queue.put(await ctx.step.run("make", lambda n=number: n))
            ready.set()

        async def consume():
            await ready.wait()
            taken = []
            while not queue.empty():
                async with lock:
                    number = queue.get_nowait()
                    taken.append(await ctx.step.run("use", lambda n=number: n * 10))
            return taken

        return (await asyncio.gather(produce(), consume()))[1]

    run = sim.start(talk)
    assert run.wait() == [0, 10, 20]
    assert run.steps == ["make", "make:1", "make:2", "use", "use:1", "use:2"]


def test_a_branch_that_another_one_cancels_is_cancelled(sim):
    """task.cancel() ends a branch at its step; the body sees a cancelled task."""

    @durable_function("cancels")
    async def cancels(ctx):
        task = asyncio.create_task(ctx.step.sleep("slow", "1d"))
        await ctx.step.run("a", lambda: None)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return await ctx.step.run("b", lambda: "cancelled")

    run = sim.start(cancels)
    assert run.wait() == "cancelled"
    assert run.steps == [..., "a", ..., "b"]


def test_context_variables_belong_to_their_branches(sim):
    """A branch sees the context of its creation, in every invocation, and changes nobody else's."""
    tenant = contextvars.ContextVar("tenant", default="nobody")

    @durable_function("contexts")
    async def contexts(ctx):
        async def branch(name):
            tenant.set(name)
            await ctx.step.sleep(f"nap-{name}", "1s")
            return tenant.get()

        results = await asyncio.gather(branch("a"), branch("b"))
        return [*results, tenant.get()]

    assert sim.run(contexts) == ["a", "b", "nobody"]
    assert tenant.get() == "nobody"


def test_the_step_of_a_background_task_happens(sim):
    """A task that the body started and does not await has its step executed beside the next one of the body."""
    ran = []

    @durable_function("background")
    async def background(ctx):
        task = asyncio.create_task(ctx.step.run("audit", ran.append, 1))
        await ctx.step.run("main", lambda: None)
        return task.done()

    run = sim.start(background)
    run.wait()
    assert ran == [1]
    assert run.steps == [{"main", "audit"}]


# -- the same order in every process ------------------------------------------------------------------------------

SETS = """
    import asyncio, json
    from pytest_durable import Simulation, durable_function

    class Junk:
        pass

    junk = []

    @durable_function("sets", optimize_parallelism=False)
    async def sets(ctx):
        junk.append([Junk() for _ in range(len(junk) % 7)])
        tasks = set()
        for n in range(9):
            junk.append([Junk() for _ in range(len(junk) % 5)])
            tasks.add(asyncio.create_task(ctx.step.run(f"s{n}", lambda n=n: n)))
        log = []
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                log.append(task.result())
        for task in {asyncio.create_task(ctx.step.run(f"u{n}", lambda n=n: n)) for n in range(9)}:
            log.append(await task)
        done, _ = await asyncio.wait({asyncio.create_task(ctx.step.run(f"v{n}", lambda n=n: n)) for n in range(9)})
        return [log, [task.result() for task in done]]

    lines = []
    for number in range(6):
        with Simulation() as sim:
            run = sim.start(sets)
            lines.append(json.dumps([run.wait(), run.steps, run.history.to_json()]))
    print(lines[0])
    assert len(set(lines)) == 1, lines
"""


def test_sets_of_tasks_have_one_order_in_every_process():
    """Sets of tasks, as asyncio.wait returns them, have one order: in every run, process and PYTHONHASHSEED."""
    outputs = []
    for seed in ("0", "1", "42", "random"):
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(SETS)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stderr == ""
        outputs.append(result.stdout)
    assert len(set(outputs)) == 1
    (log, done), _, _ = json.loads(outputs[0])
    assert sorted(log) == sorted([*range(9), *range(9)])
    assert sorted(done) == list(range(9))


def test_a_set_of_steps_is_gathered_in_one_order(sim):
    """A set of steps that were called and not yet awaited iterates the same in every run of one process."""

    @durable_function("set-of-steps")
    async def set_of_steps(ctx):
        return await asyncio.gather(*{ctx.step.run(f"s{n}", lambda n=n: n) for n in range(12)})

    junk, runs = [], []
    for number in range(6):
        junk.append(bytearray(number * 1000))
        runs.append(sim.start(set_of_steps))
        runs[-1].wait()
    assert all(run.result == runs[0].result for run in runs)
    assert all(list(run.steps) == list(runs[0].steps) for run in runs)


# -- what a body cannot do ---------------------------------------------------------------------------------------


def body_that(use):
    @durable_function("uses")
    async def uses(ctx):
        return await use(ctx, asyncio.get_running_loop())

    return uses


async def to_thread(ctx, loop):
    return await asyncio.to_thread(len, "abc")


async def run_in_executor(ctx, loop):
    return await loop.run_in_executor(None, len, "abc")


async def open_connection(ctx, loop):
    return await asyncio.open_connection("localhost", 1)


async def start_server(ctx, loop):
    return await asyncio.start_server(lambda *_: None, "localhost", 0)


async def subprocess_exec(ctx, loop):
    return await asyncio.create_subprocess_exec("true")


async def getaddrinfo(ctx, loop):
    return await loop.getaddrinfo("localhost", 80)


async def call_soon_threadsafe(ctx, loop):
    loop.call_soon_threadsafe(print)


async def run_until_complete(ctx, loop):
    return loop.run_until_complete(None)


async def add_signal_handler(ctx, loop):
    loop.add_signal_handler(2, print)


async def set_task_factory(ctx, loop):
    loop.set_task_factory(lambda loop, coro, **kwargs: asyncio.Task(coro, loop=loop, **kwargs))


async def sock_recvfrom(ctx, loop):
    return await loop.sock_recvfrom(None, 10)


async def sock_sendto(ctx, loop):
    return await loop.sock_sendto(None, b"", ("localhost", 1))


@pytest.mark.parametrize(
    ("use", "named"),
    [
        (to_thread, "thread"),
        (run_in_executor, "run_in_executor"),
        (open_connection, "create_connection"),
        (start_server, "create_server"),
        (subprocess_exec, "subprocess_exec"),
        (getaddrinfo, "getaddrinfo"),
        (call_soon_threadsafe, "call_soon_threadsafe"),
        (run_until_complete, "run_until_complete"),
        (add_signal_handler, "add_signal_handler"),
        (set_task_factory, "set_task_factory"),
        (sock_recvfrom, "sock_recvfrom"),
        (sock_sendto, "sock_sendto"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_needs_the_outside_world_is_refused_by_name(sim, use, named):
    """Threads, sockets, processes and loops of one's own are refused at once, by their names and the function's."""
    message = refused(sim.start(body_that(use)))
    assert named in message
    assert "uses" in message


def test_eager_tasks_are_refused_by_name(sim):
    """A task that would run out of turn is refused: eager_start is named."""

    async def eager(ctx, loop):
        await loop.create_task(ctx.step.run("a", len, "abc"), eager_start=True)

    assert "eager_start" in refused(sim.start(body_that(eager)))


def test_the_future_of_another_loop_is_refused_with_its_place(sim):
    """Awaiting a future of another loop is refused at once, with the file and the line of the await."""

    async def foreign(ctx, loop):
        other = asyncio.new_event_loop()
        try:
            await other.create_future()
        finally:
            other.close()

    message = refused(sim.start(body_that(foreign)))
    assert "another event loop" in message
    assert "test_asyncio_in_bodies.py" in message


def test_the_future_of_another_loop_is_refused_in_a_branch_too(sim):
    """A foreign future in a task of the body is refused as one in the body itself: at once, not after retries."""

    async def foreign(ctx, loop):
        other = asyncio.new_event_loop()

        async def branch():
            await other.create_future()

        try:
            await asyncio.gather(branch(), ctx.step.run("a", len, "abc"))
        finally:
            other.close()

    assert "loop" in refused(sim.start(body_that(foreign)))


def test_an_awaitable_that_nobody_knows_is_refused_with_its_place(sim):
    """An awaitable that yields something strange is refused at once, with the place."""

    class Strange:
        def __await__(self):
            yield "strange"

    async def strange(ctx, loop):
        await Strange()

    message = refused(sim.start(body_that(strange)))
    assert "strange" in message
    assert "test_asyncio_in_bodies.py" in message


def test_a_body_that_nothing_can_wake_is_reported_at_once_with_its_place(sim):
    """A body that waits for an Event that nobody sets fails at once and says where it stands in its own file."""

    async def stuck(ctx, loop):
        await asyncio.Event().wait()

    message = refused(sim.start(body_that(stuck)))
    assert "no step and no timer" in message
    assert "test_asyncio_in_bodies.py" in message


def test_branches_that_wait_for_each_other_are_reported(sim):
    """Two branches in a deadlock are reported when no step is left, instead of hanging."""

    @durable_function("deadlock")
    async def deadlock(ctx):
        first, second = asyncio.Event(), asyncio.Event()

        async def branch(mine, other):
            await other.wait()
            mine.set()

        await asyncio.gather(branch(first, second), branch(second, first), ctx.step.run("a", lambda: None))

    run = sim.start(deadlock)
    with pytest.raises(RunFailed, match="no step and no timer"):
        run.wait()
    assert run.steps == ["a"]


def test_a_body_that_turns_for_ever_ends_at_a_bound(sim):
    """A body that spins without steps ends at a bound whose message names the function."""

    async def spin(ctx, loop):
        while True:
            await asyncio.sleep(0)

    with pytest.raises((BoundReachedError, RunFailed), match=r"uses.*too many turns"):
        sim.start(body_that(spin)).wait()


def test_a_body_that_polls_for_ever_ends_at_a_bound():
    """A body that polls with asyncio.sleep is bounded as one that polls with steps is: at the limit of steps."""

    async def poll(ctx, loop):
        while True:
            await asyncio.sleep(60)

    with Simulation(limits=Limits(steps=50, happenings_per_drive=1000)) as sim:
        run = sim.start(body_that(poll))
        with pytest.raises((BoundReachedError, RunFailed), match="uses"):
            run.wait()
        assert run.invocations <= 60


def test_a_step_that_a_body_gives_away_is_refused_elsewhere(sim):
    """A step that was called in a body and is awaited on another loop, after it, is refused by name."""
    kept = []

    @durable_function("gives")
    async def gives(ctx):
        kept.append(ctx)
        await ctx.step.run("a", lambda: None)

    sim.run(gives)

    async def later():
        await kept[0].step.run("b", lambda: None)

    with pytest.raises(UsageError, match=r"'b' of gives"):
        asyncio.run(later())


def test_an_async_generator_with_steps_may_be_left_early(sim):
    """Leaving an async generator of steps in the middle is quiet, and the body goes on."""

    @durable_function("generates")
    async def generates(ctx):
        async def pages():
            for number in range(5):
                yield await ctx.step.run("page", lambda n=number: n)

        seen = []
        async for page in pages():
            seen.append(page)
            if page == 2:
                break
        await ctx.step.run("after", lambda: None)
        return seen

    run = sim.start(generates)
    assert run.wait() == [0, 1, 2]
    assert run.steps == ["page", "page:1", "page:2", "after"]


def test_events_reach_the_waits_of_branches_in_any_order(sim):
    """Two branches that wait for different events are woken by each, whichever comes first."""

    @durable_function("two-waits", optimize_parallelism=False)
    async def two_waits(ctx):
        log = []

        async def branch(name):
            event = await ctx.step.wait_for_event(f"wait-{name}", event=name, timeout="1h")
            log.append(event.data["n"])
            await ctx.step.run(f"after-{name}", lambda: None)

        await asyncio.gather(branch("a"), branch("b"))
        return log

    run = sim.start(two_waits)
    sim.timeline({"10m": Event("b", {"n": 1}), "20m": Event("a", {"n": 2})})
    assert run.wait() == [1, 2]
    assert run.steps == ["wait-b", "after-b", "wait-a", "after-a"]


# -- the same as asyncio itself ---------------------------------------------------------------------------------------


class StockLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, whose time jumps to the next timer instead of waiting for it."""

    def __init__(self):
        super().__init__()
        self.moment = 0.0
        self._selector.select = self.jump

    def time(self):
        return self.moment

    def jump(self, timeout):
        if timeout:
            self.moment += timeout
        return []


class StockStep:
    """Steps that are nothing but pauses of asyncio."""

    async def sleep(self, step_id, length):
        await asyncio.sleep(length / 1000)

    async def run(self, step_id, handler, length):
        await asyncio.sleep(length / 1000)
        return handler(0)


class StockContext:
    step = StockStep()


def pause_then_name(ctx_is_real, name):
    async def work(length):
        if length:
            await asyncio.sleep(length / 1000)
        return name

    return work if ctx_is_real else lambda _: name


SECONDS = st.sampled_from([1, 2, 5, 30])
ASYNC_LEAVES = st.one_of(
    st.tuples(st.just("run"), SECONDS), st.tuples(st.just("sleep"), SECONDS), st.tuples(st.just("pause"), SECONDS)
)


def async_nodes(children):
    lists = st.lists(children, min_size=1, max_size=3)
    names = ["seq", "gather", "group", "first", "all", "completed", "shield"]
    return st.one_of(
        st.tuples(st.sampled_from(names), lists),
        st.tuples(st.sampled_from(["timeout", "wait_for"]), SECONDS, children),
    )


ASYNC_PROGRAMS = st.recursive(ASYNC_LEAVES, async_nodes, max_leaves=7)


class Walk:
    """Runs a program. Every duration gets a fraction of its own, so that no two moments are the same."""

    def __init__(self, ctx, *, real):
        self.ctx = ctx
        self.real = real
        self.log = []

    async def leaf(self, kind, seconds, path, unique):
        length = seconds * 1000 + unique
        if kind == "run":
            value = await self.ctx.step.run(path, pause_then_name(self.real, path), length)
        elif kind == "sleep":
            value = await self.ctx.step.sleep(path, length)
        else:
            value = await asyncio.sleep(length / 1000)
        self.log.append(path)
        return value

    async def limited(self, kind, seconds, child, path, unique):
        length = (seconds * 1000 + unique) / 1000
        try:
            if kind == "wait_for":
                return await asyncio.wait_for(self.node(child, f"{path}t", unique * 2), length)
            async with asyncio.timeout(length):
                return await self.node(child, f"{path}t", unique * 2)
        except TimeoutError:
            self.log.append(f"{path} late")
            return "late"

    async def node(self, node, path, unique):
        kind, *rest = node
        if kind in {"run", "sleep", "pause"}:
            return await self.leaf(kind, rest[0], path, unique)
        if kind in {"timeout", "wait_for"}:
            return await self.limited(kind, *rest, path, unique)
        children, parts = rest[0], []
        for number, child in enumerate(children):
            parts.append((child, f"{path}.{number}", unique))
            unique *= 2 ** weight(child)
        if kind == "seq":
            return [await self.node(*part) for part in parts]
        made = [self.node(*part) for part in parts]
        if kind == "gather":
            return await asyncio.gather(*made)
        if kind == "completed":
            return [await one for one in asyncio.as_completed(made)]
        if kind == "group":
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one) for one in made]
            return [task.result() for task in tasks]
        tasks = [asyncio.create_task(one) for one in made]
        if kind == "shield":
            return [await asyncio.shield(task) for task in tasks]
        how = asyncio.FIRST_COMPLETED if kind == "first" else asyncio.ALL_COMPLETED
        done, pending = await asyncio.wait(tasks, return_when=how)
        for task in pending:
            task.cancel()
        return sorted(tasks.index(task) for task in done)


def weight(node):
    """How many durations a program has."""
    kind, *rest = node
    if kind in {"run", "sleep", "pause"}:
        return 1
    if kind in {"timeout", "wait_for"}:
        return 1 + weight(rest[1])
    return sum(weight(child) for child in rest[0])


@settings(max_examples=200)
@given(program=ASYNC_PROGRAMS)
def test_a_body_does_what_it_would_do_on_asyncio_itself(program):
    """Without optimised parallelism a random asyncio program over steps does the same, at the same time, as without."""
    loop = StockLoop()
    stock = Walk(StockContext(), real=False)
    try:
        expected = loop.run_until_complete(stock.node(program, "n", 1))
        elapsed = loop.time()
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    walks = []

    @durable_function("program", optimize_parallelism=False)
    async def body(ctx):
        walks.append(Walk(ctx, real=True))
        return await walks[-1].node(program, "n", 1)

    with Simulation(limits=Limits(happenings_per_instant=500)) as simulation:
        run = simulation.start(body)
        assert run.wait() == json.loads(json.dumps(expected))
        assert took(run) == pytest.approx(elapsed, abs=1e-5)
        assert walks[-1].log == stock.log
