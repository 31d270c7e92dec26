"""A mistake of the author ends the run at once and by its own name, whatever the body or a handler catches."""

import asyncio
import contextlib
import threading
import time

import pytest

from pytest_durable import RunFailed, Simulation, StepError, UsageError, durable_function


def nap_in_a_body(ctx):
    time.sleep(1)


def thread_in_a_body(ctx):
    threading.Thread(target=print).start()


ASYNC = {
    "duration": (lambda ctx: ctx.step.sleep("s", "zz"), "'zz'"),
    "moment": (lambda ctx: ctx.step.sleep_until("s", "soon"), "'soon'"),
    "timeout": (lambda ctx: ctx.step.wait_for_event("s", event="e"), "has no timeout"),
    "expression": (lambda ctx: ctx.step.wait_for_event("s", event="e", timeout="1h", if_exp="a ==="), "a ==="),
    "function": (lambda ctx: ctx.step.invoke("s", function="text"), "invoke_by_id"),
    "handler": (lambda ctx: ctx.step.run("s", 5), "5 is not callable"),
    "id": (lambda ctx: ctx.step.run(5, print), "has the id 5"),
    "group of no list": (lambda ctx: ctx.group.parallel(5), "5 is no list of branches"),
    "group of a step": (lambda ctx: ctx.group.parallel(ctx.step.run("s", print)), "is no list of branches"),
    "branch": (lambda ctx: ctx.group.parallel((5,)), "5 is not callable"),
    "branch without a step": (lambda ctx: ctx.group.parallel((lambda: 5,)), "gave 5, which is no step"),
    "mode": (lambda ctx: ctx.group.parallel((), parallel_mode="fast"), "parallel_mode='fast'"),
    "sleep in the body": (nap_in_a_body, "time.sleep(1) in the body"),
    "thread in the body": (thread_in_a_body, "the body of f starts a thread"),
}
SYNC = {name: case for name, case in ASYNC.items() if name not in {"group of a step", "branch without a step"}}


def failed(function):
    """The error that the run fails from; nothing is tried again and no time passes."""
    with Simulation() as sim:
        run = sim.start(function)
        with pytest.raises(RunFailed) as caught:
            run.wait()
        assert sim.now == run.started_at
    assert run.error.name in {"UsageError", "ExpressionError"}
    return str(caught.value.__cause__)


@pytest.mark.parametrize("name", ASYNC)
def test_a_mistake_that_an_async_body_catches(name):
    """The run fails with the mistake, though the body catches it and goes on."""
    mistake, words = ASYNC[name]

    @durable_function("f")
    async def f(ctx):
        with contextlib.suppress(Exception):
            await mistake(ctx)
        await ctx.step.sleep("on", "1h")

    assert words in failed(f)


@pytest.mark.parametrize("name", SYNC)
def test_a_mistake_that_a_sync_body_catches(name):
    """As in an async body."""
    mistake, words = SYNC[name]

    @durable_function("f")
    def f(ctx):
        with contextlib.suppress(Exception):
            mistake(ctx)
        return "ok"

    assert words in failed(f)


@pytest.mark.parametrize("kind", ["step", "thread"])
@pytest.mark.parametrize("sync", [False, True])
def test_a_mistake_that_a_handler_catches(sync, kind):
    """A step inside a step, and a thread, fail the run though the handler catches that."""

    def work(ctx):
        with contextlib.suppress(UsageError):
            if kind == "thread":
                threading.Thread(target=print).start()
            else:
                ctx.step.run("inner", print)
        return "fine"

    @durable_function("f")
    async def f(ctx):
        return await ctx.step.run("outer", work, ctx)

    @durable_function("f")
    def f_sync(ctx):
        return ctx.step.run("outer", work, ctx)

    words = failed(f_sync if sync else f)
    assert ("starts a thread" if kind == "thread" else "inside step 'outer' of f") in words


async def connect():
    await asyncio.open_connection("127.0.0.1", 9)


async def connect_behind_a_client():
    try:
        await connect()
    except UsageError as error:
        raise ConnectionError("the client cannot say more") from error


async def connect_in_a_group():
    async with asyncio.TaskGroup() as group:
        group.create_task(connect())


async def connect_and_stumble():
    try:
        await connect()
    except UsageError:
        return {}["while it tidies up"]


async def connect_and_hide():
    try:
        await connect()
    except UsageError:
        raise ConnectionError("as the author means it") from None


WRAPPED = [connect, connect_behind_a_client, connect_in_a_group, connect_and_stumble]


@pytest.mark.parametrize("place", ["step", "body"])
@pytest.mark.parametrize("handler", WRAPPED, ids=lambda handler: handler.__name__)
def test_a_mistake_that_other_code_makes_another_error_of(handler, place):
    """What a client makes of it says less: the run fails at once, and with the mistake itself."""

    @durable_function("f")
    async def f(ctx):
        await (ctx.step.run("s", handler) if place == "step" else handler())

    who = "step 's' of f" if place == "step" else "the body of f"
    assert failed(f).startswith(f"{who} uses the network or other processes (loop.create_connection)")


def test_a_mistake_that_a_handler_hides_is_an_error_as_any():
    """Whoever raises another error from None means that one, and it is tried again."""

    @durable_function("f", retries=1)
    async def f(ctx):
        await ctx.step.run("s", connect_and_hide)

    with Simulation() as sim:
        run = sim.start(f)
        with pytest.raises(RunFailed, match="as the author means it"):
            run.wait()
        assert run.step("s").attempts == 2


def test_the_mistake_of_a_child_is_an_error_of_its_step_to_the_parent():
    """It is told by the run that made it; the parent's fails as with any error of a step."""

    @durable_function("child")
    async def child(ctx):
        await connect()

    @durable_function("parent", retries=0)
    async def parent(ctx):
        await ctx.step.invoke("call", function=child)

    with Simulation() as sim:
        run = sim.start(parent)
        with pytest.raises(RunFailed) as caught:
            run.wait()
        assert isinstance(caught.value.__cause__, StepError)
        assert "uses the network" in sim.runs[1].error.message


def test_what_a_stuck_child_waits_for_is_told():
    """A run that waits for another one is stuck at what that one waits for, which is named."""

    @durable_function("grandchild")
    async def grandchild(ctx):
        await ctx.step.wait_for_event("approval", event="approved", timeout=None)

    @durable_function("child")
    async def child(ctx):
        await ctx.step.invoke("ask", function=grandchild)

    @durable_function("parent")
    async def parent(ctx):
        await ctx.step.invoke("call", function=child)

    words = r"'call' waits .* end of child \(child \(\w+\): 'ask' waits .* \(.*: 'approval' waits .*'approved'\)\)"
    with Simulation() as sim, pytest.raises(Exception, match=words):
        sim.run(parent)


MISPLACED = {
    "result": lambda ctx: ctx.step.run("s", object),
    "sleep": lambda ctx: ctx.step.sleep("s", "400d"),
    "timeout": lambda ctx: ctx.step.wait_for_event("s", event="e", timeout="400d"),
    "function": lambda ctx: ctx.step.invoke_by_id("s", function_id="nowhere"),
    "model": lambda ctx: ctx.step.ai.infer("s", adapter=None, body={}),
    "size": lambda ctx: ctx.step.run("s", lambda: "x" * 5_000_000),
}


@pytest.mark.parametrize("name", MISPLACED)
def test_an_error_that_is_found_later_says_where_the_step_stands(name):
    """What is only seen behind the step has a note with the author's file and line, and no path in its message."""

    @durable_function("f")
    async def f(ctx):
        await MISPLACED[name](ctx)

    with Simulation() as sim:
        run = sim.start(f)
        with pytest.raises(RunFailed) as caught:
            run.wait()
    (note,) = caught.value.__cause__.__notes__
    assert note.startswith("step 's' stands at ")
    assert "test_swallowed_mistakes.py:" in note
    assert ".py" not in run.history.to_json()
