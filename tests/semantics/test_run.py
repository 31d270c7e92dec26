"""``step.run``: called once, recorded, handed back as a fresh copy."""

import asyncio
import functools
from datetime import UTC, datetime

import pytest

from pytest_durable import Context, ContextSync, RunFailed, durable_function


def test_a_step_runs_once_and_the_body_once_more_than_it_has_steps(durable):
    """Two steps: each handler is called once, the body is entered three times."""
    calls = []

    @durable_function("f")
    async def f(ctx: Context):
        calls.append("body")
        first = await ctx.step.run("a", lambda: calls.append("a") or 1)
        return first + await ctx.step.run("b", lambda: calls.append("b") or 2)

    run = durable.start(f)
    assert run.wait() == 3
    assert calls == ["body", "a", "body", "b", "body"]
    assert (run.steps, run.invocations) == (["a", "b"], 3)


def test_sync_functions_have_the_same_steps(durable):
    """Without await, with the same order of calls."""
    calls = []

    @durable_function("f")
    def f(ctx: ContextSync):
        calls.append("body")
        first = ctx.step.run("a", lambda: calls.append("a") or 1)
        return first + ctx.step.run("b", lambda: calls.append("b") or 2)

    run = durable.start(f)
    assert run.wait() == 3
    assert calls == ["body", "a", "body", "b", "body"]
    assert (run.steps, run.invocations) == (["a", "b"], 3)


class Charger:
    """A callable instance with an async call."""

    async def __call__(self, amount):
        return amount * 2


async def double(amount):
    """An async handler."""
    return amount * 2


@pytest.mark.parametrize(
    "handler",
    [lambda amount: amount * 2, double, functools.partial(double), Charger(), functools.partial(lambda k, a: a * k, 2)],
    ids=["sync", "async", "partial", "instance", "partial with arguments"],
)
def test_a_handler_is_anything_that_can_be_called(durable, handler):
    """Sync or async, with the arguments that follow it, in async functions and in sync ones."""

    @durable_function("f")
    async def f(ctx: Context):
        return await ctx.step.run("a", handler, 21)

    @durable_function("g")
    def g(ctx: ContextSync):
        return ctx.step.run("a", handler, 21)

    assert (durable.run(f), durable.run(g)) == (42, 42)


def test_a_result_has_crossed_json(durable):
    """Even in the invocation that follows at once: tuples are lists and keys are text."""

    @durable_function("f")
    async def f(ctx: Context):
        value = await ctx.step.run("a", lambda: {1: (1, 2)})
        return repr(value)

    assert durable.run(f) == "{'1': [1, 2]}"


def test_a_memo_is_a_fresh_copy_in_every_invocation(durable):
    """Changing a result leaks neither into the memo nor into the next invocation."""
    seen = []

    @durable_function("f")
    async def f(ctx: Context):
        value = await ctx.step.run("a", lambda: {"items": []})
        seen.append(list(value["items"]))
        value["items"].append("changed")
        await ctx.step.run("b", lambda: 1)
        return value

    run = durable.start(f)
    assert run.wait() == {"items": ["changed"]}
    assert seen == [[], []]
    assert run.step("a").output == {"items": []}


def test_what_a_handler_keeps_does_not_leak_into_the_memo(durable):
    """A handler that changes what it returned long ago changes nothing."""
    kept = {"n": 1}

    @durable_function("f")
    async def f(ctx: Context):
        first = await ctx.step.run("a", lambda: kept)
        await ctx.step.run("b", lambda: kept.update(n=2))
        return first["n"]

    assert durable.run(f) == 1


def test_the_event_of_a_body_is_a_fresh_copy(durable):
    """Changing ``ctx.event`` in one invocation is not seen in the next."""

    @durable_function("f")
    async def f(ctx: Context):
        ctx.event.data["deep"]["seen"] += 1
        await ctx.step.run("a", lambda: 1)
        return ctx.event.data["deep"]["seen"]

    assert durable.run(f, {"deep": {"seen": 0}}) == 1


def test_a_body_may_skip_steps_by_what_is_recorded(durable):
    """A condition on a memo is the same in every invocation."""

    @durable_function("f")
    async def f(ctx: Context):
        if await ctx.step.run("is-pro", lambda: ctx.event.data["pro"]):
            await ctx.step.run("thank", lambda: 1)
        else:
            await ctx.step.run("nudge", lambda: 1)

    runs = [durable.start(f, {"pro": pro}) for pro in (True, False)]
    durable.settle()
    assert [list(run.steps) for run in runs] == [["is-pro", "thank"], ["is-pro", "nudge"]]


def test_sleeping_in_a_step_takes_virtual_time(durable):
    """``asyncio.sleep`` and ``time.sleep`` in a step move the clock of the step, and the step ends that much later."""
    import time

    async def nap():
        await asyncio.sleep(90)
        return datetime.now(UTC).isoformat()

    def doze():
        time.sleep(30)
        return datetime.now(UTC).isoformat()

    @durable_function("f")
    async def f(ctx: Context):
        return [await ctx.step.run("nap", nap), await ctx.step.run("doze", doze)]

    run = durable.start(f)
    assert run.wait() == ["2025-01-01T00:01:30+00:00", "2025-01-01T00:02:00+00:00"]
    assert run.ended_at == datetime(2025, 1, 1, 0, 2, tzinfo=UTC)


def test_a_step_record_tells_all(durable):
    """Input, output, attempts, operation and times of one step; what a run has not is named with what it has."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.run("a", lambda x: {"got": x}, 5)

    run = durable.start(f)
    run.wait()
    record = run.step("a")
    assert (record.id, record.op, record.status, record.attempts) == ("a", "run", "completed", 1)
    assert (record.input, record.output, record.error) == ([5], {"got": 5}, None)
    assert record.started_at == record.ended_at == datetime(2025, 1, 1, tzinfo=UTC)
    with pytest.raises(KeyError, match="f has no step 'b'; it has a"):
        run.step("b")


def test_the_result_of_a_function_crosses_json_too(durable):
    """What a function returns is what JSON carries of it."""

    @durable_function("f")
    async def f(ctx: Context):
        return {"pair": (1, 2)}

    assert durable.run(f) == {"pair": [1, 2]}


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_step_in_finally_runs_once_at_the_end(durable, sync):
    """Only when the body really leaves the block, and not at every step at which it stops."""
    calls = []

    @durable_function("async")
    async def async_body(ctx: Context):
        try:
            await ctx.step.run("a", lambda: calls.append("a"))
            await ctx.step.run("b", lambda: calls.append("b"))
        finally:
            await ctx.step.run("cleanup", lambda: calls.append("cleanup"))

    @durable_function("sync")
    def sync_body(ctx: ContextSync):
        try:
            ctx.step.run("a", lambda: calls.append("a"))
            ctx.step.run("b", lambda: calls.append("b"))
        finally:
            ctx.step.run("cleanup", lambda: calls.append("cleanup"))

    run = durable.start(sync_body if sync else async_body)
    run.wait()
    assert run.steps == ["a", "b", "cleanup"]
    assert calls == ["a", "b", "cleanup"]


def test_a_swallowed_interrupt_is_named(durable):
    """A sync body that catches BaseException at a step is told to let it pass."""

    @durable_function("f")
    def f(ctx: ContextSync):
        try:
            ctx.step.run("a", lambda: 1)
        except BaseException:  # noqa: BLE001 - the mistake under test
            return "swallowed"

    with pytest.raises(RunFailed, match=r"swallowed the interrupt of step 'a'.*except Exception"):
        durable.run(f)
