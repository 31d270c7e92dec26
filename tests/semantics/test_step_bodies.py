"""What the body of a step may do, what happens to what it raises, and what it cannot do."""

import asyncio
import contextvars
import functools
import threading

import pytest

from pytest_durable import Limits, RunFailed, RunStuck, Simulation, StepError, UsageError, durable_function


def one_step(handler, *args, retries=0):
    @durable_function("one", retries=retries)
    async def one(ctx):
        return await ctx.step.run("it", handler, *args)

    return one


def one_step_sync(handler, *args, retries=0):
    @durable_function("one", retries=retries)
    def one(ctx):
        return ctx.step.run("it", handler, *args)

    return one


HOSTS = pytest.mark.parametrize("one", [one_step, one_step_sync], ids=["async", "sync"])


async def double(value):
    await asyncio.sleep(1)
    return value * 2


class Doubler:
    async def __call__(self, value):
        return value * 2

    def method(self, value):
        return value * 2


class Awaitable:
    def __await__(self):
        yield from asyncio.sleep(1).__await__()
        return "awaited"


@HOSTS
@pytest.mark.parametrize(
    ("handler", "args", "expected"),
    [
        (lambda: 4, (), 4),
        (double, (2,), 4),
        (functools.partial(double, 2), (), 4),
        (Doubler(), (2,), 4),
        (Doubler().method, (2,), 4),
        (lambda: double(2), (), 4),
        (Awaitable, (), "awaited"),
        (max, (1, 4), 4),
    ],
    ids=["lambda", "async", "partial", "callable", "method", "coroutine", "awaitable", "builtin"],
)
def test_handlers_of_every_kind(durable, one, handler, args, expected):
    """Functions, coroutine functions, partials, callable objects and awaitables are handlers, in both hosts."""
    assert durable.run(one(handler, *args)) == expected


@HOSTS
def test_a_step_may_use_all_of_asyncio_on_its_own(durable, one):
    """Tasks, groups, timeouts, queues and events work inside a step, in virtual time."""

    async def work():
        queue = asyncio.Queue()

        async def produce():
            for number in range(3):
                await asyncio.sleep(1)
                await queue.put(number)

        async with asyncio.TaskGroup() as group:
            group.create_task(produce())
            got = [await queue.get() for _ in range(3)]
        try:
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        except TimeoutError:
            got.append("late")
        try:
            await asyncio.wait_for(asyncio.sleep(60), 5)
        except TimeoutError:
            got.append("later")
        done, pending = await asyncio.wait(
            [asyncio.create_task(asyncio.sleep(n)) for n in (1, 9)], return_when=asyncio.FIRST_COMPLETED
        )
        return [*got, len(done), len(pending)]

    run = durable.start(one(work))
    assert run.wait() == [0, 1, 2, "late", "later", 1, 1]
    assert (run.ended_at - run.started_at).total_seconds() == 3 + 5 + 5 + 1


@HOSTS
def test_threads_of_asyncio_run_here_and_now_in_a_step(durable, one):
    """asyncio.to_thread and run_in_executor in a step call the function in this thread, and give its result."""

    async def work():
        here = threading.get_ident()
        loop = asyncio.get_running_loop()
        return [
            await asyncio.to_thread(threading.get_ident) == here,
            await loop.run_in_executor(None, threading.get_ident) == here,
        ]

    assert durable.run(one(work)) == [True, True]


@HOSTS
def test_an_error_in_a_thread_of_asyncio_is_the_error_of_the_step(durable, one):
    """What a function in to_thread raises, the step raises."""

    def fail():
        raise LookupError("gone")

    async def work():
        await asyncio.to_thread(fail)

    with pytest.raises(RunFailed, match="LookupError: gone"):
        durable.run(one(work))


@HOSTS
def test_context_variables_reach_a_thread_of_asyncio(durable, one):
    """asyncio.to_thread in a step sees the context of its caller, as the real one does."""
    tenant = contextvars.ContextVar("tenant", default="nobody")

    async def work():
        tenant.set("acme")
        return await asyncio.to_thread(tenant.get)

    assert durable.run(one(work)) == "acme"


async def open_connection():
    await asyncio.open_connection("localhost", 1)


async def start_server():
    await asyncio.start_server(lambda *_: None, "localhost", 0)


async def subprocess_shell():
    await asyncio.create_subprocess_shell("true")


async def foreign_future():
    other = asyncio.new_event_loop()
    try:
        await other.create_future()
    finally:
        other.close()


async def never_set():
    await asyncio.Event().wait()


@HOSTS
@pytest.mark.parametrize(
    ("handler", "named"),
    [
        (open_connection, "create_connection"),
        (start_server, "create_server"),
        (subprocess_shell, "subprocess_shell"),
        (foreign_future, "loop"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_step_cannot_do_is_refused_at_once_by_name(durable, one, handler, named):
    """The network, processes and foreign futures fail the run at once; step and remedy are named."""
    run = durable.start(one(handler, retries=4))
    with pytest.raises(RunFailed, match="step 'it' of one") as failure:
        run.wait()
    assert named in str(failure.value)
    assert isinstance(failure.value.__cause__, UsageError)
    assert run.step("it").attempts == 1


@HOSTS
def test_a_step_that_waits_for_ever_is_told_at_once(durable, one):
    """Of an async function others could wake it, so the run is stuck; of a sync one nobody can, so it fails."""
    run = durable.start(one(never_set))
    words = "no timer will bring" if one is not one_step else "waits for something of asyncio that nobody brings"
    with pytest.raises(RunStuck if one is one_step else RunFailed, match=words) as told:
        run.wait()
    assert "nothing from outside" in str(told.value)
    assert run.step("it").attempts == 1


@HOSTS
def test_a_step_in_a_step_is_refused_as_nested(durable, one):
    """A step that is asked for inside a step fails the run at once; the message says that steps cannot be nested."""

    @durable_function("matryoshka")
    async def nests(ctx):
        async def outer():
            return await ctx.step.run("inner", lambda: 1)

        return await ctx.step.run("outer", outer)

    @durable_function("matryoshka-sync")
    def nests_sync(ctx):
        return ctx.step.run("outer", lambda: ctx.step.run("inner", lambda: 1))

    run = durable.start(nests if one is one_step else nests_sync)
    with pytest.raises(RunFailed, match=r"'inner'.*nest") as failure:
        run.wait()
    assert "'outer'" in str(failure.value)
    assert isinstance(failure.value.__cause__, UsageError)
    assert run.step("outer").attempts == 1


def test_a_step_in_a_parallel_step_is_refused_as_nested(durable):
    """The same holds for a step of a group."""

    @durable_function("matryoshka")
    async def nests(ctx):
        async def outer():
            return await ctx.step.sleep("inner", "1h")

        return await asyncio.gather(ctx.step.run("outer", outer), ctx.step.run("beside", lambda: 1))

    with pytest.raises(RunFailed, match=r"'inner'.*nest"):
        durable.run(nests)


@HOSTS
def test_driving_time_from_a_step_is_refused(durable, one):
    """A step cannot advance the clock it lives in; the message says what to do."""
    run = durable.start(one(lambda: durable.advance("1h"), retries=4))
    with pytest.raises(RunFailed, match="driven from inside") as failure:
        run.wait()
    assert isinstance(failure.value.__cause__, UsageError)
    assert run.step("it").attempts == 1


@HOSTS
def test_a_step_may_drive_a_simulation_of_its_own(durable, one):
    """A simulation inside a step has its own time; the outer one goes on where it was."""

    @durable_function("inner")
    async def inner(ctx):
        await ctx.step.sleep("nap", "30d")
        return "inner"

    def work():
        with Simulation() as other:
            return other.run(inner)

    run = durable.start(one(work))
    assert run.wait() == "inner"
    assert run.ended_at == run.started_at


@HOSTS
def test_a_cancelled_error_of_a_step_is_an_error_like_others(durable, one):
    """asyncio.CancelledError from a handler fails the attempt, and not the engine."""

    async def work():
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    with pytest.raises(RunFailed, match="CancelledError"):
        durable.run(one(work))


@HOSTS
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_step_reaches_the_test(durable, one, error):
    """KeyboardInterrupt and SystemExit pass through to whoever drives; the simulation can be looked at afterwards."""

    def work():
        raise error("stop")

    run = durable.start(one(work))
    with pytest.raises(error, match="stop"):
        run.wait()
    assert run.status == "running"
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()

    assert durable.run(one(lambda: "fine")) == "fine"


@HOSTS
def test_after_an_interrupt_effects_are_not_ascribed_to_the_step(durable, one):
    """What the test records after an interrupted drive belongs to the test, not to the step that was interrupted."""

    def work():
        durable.ledger.record("in the step")
        raise KeyboardInterrupt

    durable.start(one(work))
    with pytest.raises(KeyboardInterrupt):
        durable.settle()
    durable.ledger.record("in the test")
    assert [(effect.name, effect.step) for effect in durable.ledger] == [("in the step", "it"), ("in the test", "")]


@HOSTS
def test_pytest_fail_in_a_step_fails_the_test_at_once(durable, one):
    """pytest.fail in a double is a failure of the test, not an attempt of the step."""
    tries = []

    def work():
        tries.append(1)
        pytest.fail("wrong call")

    with pytest.raises(pytest.fail.Exception, match="wrong call"):
        durable.run(one(work, retries=4))
    assert tries == [1]


@HOSTS
def test_stop_iteration_of_a_step_is_an_error_like_others(durable, one):
    """A handler that raises StopIteration fails its attempts; the body is not confused."""

    def work():
        return next(iter(()))

    with pytest.raises(RunFailed, match="StopIteration"):
        durable.run(one(work))


@HOSTS
def test_forgotten_tasks_of_a_step_are_closed_in_silence(durable, one):
    """Tasks that a handler leaves behind do not run on and warn of nothing."""
    ran = []

    async def later():
        await asyncio.sleep(10)
        ran.append("later")

    async def fail():
        raise ValueError("nobody asks")

    async def work():
        work.tasks = [asyncio.create_task(later()), asyncio.create_task(fail()), asyncio.create_task(later())]
        await asyncio.sleep(1)
        work.tasks.append(asyncio.create_task(later()))
        return "done"

    run = durable.start(one(work))
    assert run.wait() == "done"
    durable.advance("1m")
    assert ran == []
    assert (run.step("it").ended_at - run.started_at).total_seconds() == 1


def test_a_step_that_turns_for_ever_ends_at_a_bound():
    """A handler that spins ends at a bound, with the step's name, without further attempts."""

    async def spin():
        while True:
            await asyncio.sleep(0)

    with Simulation(limits=Limits(callbacks_per_invocation=500)) as sim:
        run = sim.start(one_step(spin, retries=4))
        with pytest.raises(RunFailed, match=r"step 'it' of one.*too many turns"):
            run.wait()
        assert run.step("it").attempts == 1


def test_arguments_are_handed_over_as_they_are(durable):
    """A handler receives the very arguments of the call, which need not be JSON."""
    thing = object()
    seen = []

    @durable_function("hands")
    async def hands(ctx):
        await ctx.step.run("it", lambda *args: seen.append(args), thing, {"x": {1, 2}})

    durable.run(hands)
    assert seen == [(thing, {"x": {1, 2}})]


def test_a_failing_step_names_its_original_error(durable):
    """StepError carries name and message of the original, which is its cause; the stack is text."""
    caught = []

    class OddError(Exception):
        def __str__(self):
            return "odd"

    def work():
        raise OddError(1, 2)

    @durable_function("names", retries=0)
    async def names(ctx):
        try:
            await ctx.step.run("it", work)
        except StepError as error:
            caught.append(error)

    durable.run(names)
    (error,) = caught
    assert (error.name, error.message) == ("OddError", "odd")
    assert isinstance(error.__cause__, OddError)
    assert "in work" in error.stack
    assert (error.name, str(error)) == ("OddError", "odd")


def call_later(coro):
    """Leave a timer."""
    asyncio.get_running_loop().call_later(1, coro.close)


@HOSTS
@pytest.mark.parametrize("leave", [asyncio.create_task, call_later])
def test_a_task_that_a_plain_handler_leaves_behind_is_refused(durable, one, leave):
    """A sync handler has no loop that would go on: a task or a timer that it leaves there is refused, by step."""

    async def later():
        """Nothing."""

    def work():
        coro = later()
        try:
            leave(coro)
        finally:
            coro.close()

    with pytest.raises(RunFailed, match=r"in step 'it' of one, plain code leaves a task or a timer.*async and await"):
        durable.run(one(work))
