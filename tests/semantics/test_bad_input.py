"""Bad input: a clear error that names function, step, value and remedy, raised where the author wrote it."""

import asyncio
import enum
import functools
import traceback
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from unittest import mock

import anyio
import pytest

from pytest_durable import (
    Context,
    ContextSync,
    Event,
    ExpressionError,
    RunFailed,
    SerializationError,
    Simulation,
    TriggerEvent,
    UsageError,
    durable_function,
)


def fail(durable, body, **options):
    """Run a body that uses the API wrongly; its error, after what holds for all of them."""
    function = durable_function("f", **options)(body)
    run = durable.start(function)
    with pytest.raises(RunFailed) as failed:
        run.wait()
    assert run.status == "failed"
    assert durable.now == datetime(2025, 1, 1, tzinfo=UTC), "an error of usage is not tried again"
    error = failed.value.__cause__
    assert isinstance(error, ValueError)
    assert isinstance(error, UsageError)
    assert str(error) in str(failed.value)
    assert "failed" in run.timeline()
    return error


def mentions(error, *parts):
    """Whether a message has all parts."""
    missing = [part for part in parts if part not in str(error)]
    assert not missing, f"{missing} not in {error}"


def written_here(error):
    """Whether the line of the author is in the traceback: the error was raised at the call."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.filename == __file__ and "ctx.step" in (frame.line or "") for frame in frames)


DURATIONS = ["soon", "", "10", -5, timedelta(days=-1), 1.5, None, True, [1]]
MOMENTS = [datetime(2025, 6, 1), "2025-06-01T00:00:00", "tomorrow", "2025-02-30", 5, None]  # noqa: DTZ001 - naive on purpose


@pytest.mark.parametrize("wrong", DURATIONS, ids=repr)
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_bad_duration(durable, sync, wrong):
    """In ``sleep``: named with step, function and value, and with how to write one."""

    async def async_body(ctx: Context):
        await ctx.step.sleep("nap", wrong)

    def sync_body(ctx: ContextSync):
        ctx.step.sleep("nap", wrong)

    error = fail(durable, sync_body if sync else async_body)
    mentions(error, "step 'nap' of f", repr(wrong))
    assert written_here(error)


@pytest.mark.parametrize("wrong", MOMENTS, ids=repr)
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_bad_moment(durable, sync, wrong):
    """In ``sleep_until``: naive, impossible, or no moment at all."""

    async def async_body(ctx: Context):
        await ctx.step.sleep_until("nap", wrong)

    def sync_body(ctx: ContextSync):
        ctx.step.sleep_until("nap", wrong)

    error = fail(durable, sync_body if sync else async_body)
    mentions(error, "step 'nap' of f", repr(wrong))
    assert written_here(error)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (b"x", "bytes"),
        ({"when": [datetime(2025, 1, 1, tzinfo=UTC)]}, "when[0]"),
        (Decimal("1.5"), "Decimal"),
        ({1, 2}, "set"),
        (object, "type"),
        ({(1, 2): 3}, "tuple"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("place", ["step", "result", "script", "event", "invoke"])
def test_a_value_that_json_cannot_carry(durable, place, value, shown):
    """As the output of a step, the result of a function, in a script, in an event, as the data of an invocation."""

    @durable_function("child")
    async def child(ctx: Context):
        return 1

    async def body(ctx: Context):
        if place == "step":
            await ctx.step.run("a", lambda: value)
        elif place == "script":
            await ctx.step.run("a", lambda: 1)
        elif place == "event":
            await ctx.step.send_event("a", Event("x", {"key": value}))
        elif place == "invoke":
            await ctx.step.invoke("a", function=child, data={"key": value})
        return value

    if place == "script":
        durable.step("a").returns(value)
    error = fail(durable, body)
    assert isinstance(error, SerializationError)
    mentions(error, shown, "result of f" if place == "result" else "step 'a' of f")


@pytest.mark.parametrize("data", [[1], "text", 5], ids=repr)
def test_the_data_of_an_invocation_is_a_dict(durable, data):
    """The message names the step and the function, not an event that the author never wrote."""

    @durable_function("child")
    async def child(ctx: Context):
        return 1

    async def body(ctx: Context):
        await ctx.step.invoke("call", function=child, data=data)

    mentions(fail(durable, body), "step 'call' of f", repr(data), "dict")


def test_what_is_no_function(durable):
    """In ``start`` and ``register`` at the call, in ``invoke`` with its step."""

    def plain(ctx):
        return 1

    for call in (durable.start, durable.register, durable.run):
        with pytest.raises(UsageError, match=r"no durable function; decorate it with @durable_function"):
            call(plain)

    async def body(ctx: Context):
        await ctx.step.invoke("call", function=plain)

    mentions(fail(durable, body), "step 'call' of f", "plain", "@durable_function")


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_function_named_by_text(durable, sync):
    """The seed does not support it; the message shows what to write."""

    async def async_body(ctx: Context):
        await ctx.step.invoke("call", function="child")

    def sync_body(ctx: ContextSync):
        ctx.step.invoke("call", function="child")

    error = fail(durable, sync_body if sync else async_body)
    mentions(error, "step 'call' of f", "'child'", "not supported", "invoke_by_id('call', function_id='child')")
    assert written_here(error)


def test_an_unknown_function(durable):
    """Named with all that are known."""

    async def body(ctx: Context):
        await ctx.step.invoke_by_id("call", function_id="nobody")

    mentions(fail(durable, body), "step 'call' of f", "'nobody'", "known are: f", "durable.register")


def twice():
    """Two functions with one id."""

    @durable_function("same", trigger="x")
    async def one(ctx: Context):
        return 1

    @durable_function("same", trigger="x")
    async def two(ctx: Context):
        return 2

    return one, two


def test_two_functions_with_one_id_cannot_be_registered(durable):
    """At once or one after the other, and then nothing is registered."""
    one, two = twice()
    with pytest.raises(UsageError, match="two functions have the id 'same'"):
        durable.register(one, two)
    durable.send("x")
    durable.settle()
    assert durable.runs == []
    durable.register(one)
    durable.register(one)
    with pytest.raises(UsageError, match="two functions have the id 'same'"):
        durable.register(two)


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_step_inside_a_step(durable, sync):
    """Steps cannot be nested; the message says so, and names both."""

    async def async_body(ctx: Context):
        async def outer():
            return await ctx.step.run("inner", lambda: 1)

        await ctx.step.run("outer", outer)

    def sync_body(ctx: ContextSync):
        ctx.step.run("outer", lambda: ctx.step.run("inner", lambda: 1))

    error = fail(durable, sync_body if sync else async_body)
    mentions(error, "'inner'", "'outer'", "of f", "nested")


@pytest.mark.parametrize("kind", ["sleep", "wait_for_event", "send_event", "invoke"])
def test_any_step_inside_a_step(durable, kind):
    """Not only ``run``."""

    async def body(ctx: Context):
        async def outer():
            if kind == "sleep":
                await ctx.step.sleep("inner", "1s")
            elif kind == "wait_for_event":
                await ctx.step.wait_for_event("inner", event="x", timeout="1s")
            elif kind == "send_event":
                await ctx.step.send_event("inner", Event("x"))
            else:
                await ctx.step.invoke("inner", function=durable_function("child")(body))

        await ctx.step.run("outer", outer)

    mentions(fail(durable, body), "'inner'", "nested")


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_step_after_the_end_of_its_run(durable, sync):
    """A context that outlives its run is refused by name."""
    kept = []

    @durable_function("async")
    async def async_body(ctx: Context):
        kept.append(ctx)

    @durable_function("sync")
    def sync_body(ctx: ContextSync):
        kept.append(ctx)

    function = sync_body if sync else async_body
    durable.run(function)
    with pytest.raises(UsageError, match=rf"step 'late' of {function.id} is asked for outside .*the run completed"):
        kept[0].step.run("late", lambda: 1)


def test_a_step_that_is_awaited_after_the_end_of_its_run(durable):
    """A coroutine that outlives its run is refused by name too, wherever it is awaited."""
    kept = []

    @durable_function("f", retries=0)
    async def f(ctx: Context):
        kept.append(ctx.step.run("late", lambda: 1))
        raise ValueError("over")

    with pytest.raises(RunFailed, match="over"):
        durable.run(f)

    async def main():
        return await kept[0]

    with pytest.raises(UsageError, match=r"step 'late' of f"):
        asyncio.run(main())


def test_a_step_that_nobody_awaits(durable):
    """Named with the line where it was created."""

    async def body(ctx: Context):
        ctx.step.run("forgotten", lambda: 1)
        await ctx.step.run("b", lambda: 1)
        return 1

    mentions(fail(durable, body), "step 'forgotten' of f", "never awaited", "test_bad_input.py:", "await ctx.step")


@pytest.mark.filterwarnings("error")
def test_a_step_that_is_awaited_in_one_invocation_only(durable):
    """A recorded step that a replay does not await is reported, and leaves no warning of Python behind."""
    entered = []

    async def body(ctx: Context):
        entered.append(1)
        step = ctx.step.run("a", lambda: 1)
        if len(entered) == 1:
            await step
        return await ctx.step.run("b", lambda: 1)

    mentions(fail(durable, body), "step 'a' of f", "never awaited")


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
@pytest.mark.parametrize("kind", ["event", "signal"])
def test_a_wait_without_a_timeout(durable, kind, sync):
    """The message shows both ways to say it."""

    async def async_body(ctx: Context):
        if kind == "event":
            await ctx.step.wait_for_event("wait", event="ok")
        else:
            await ctx.step.wait_for_signal("wait", signal="ok", on_conflict="fail")

    def sync_body(ctx: ContextSync):
        if kind == "event":
            ctx.step.wait_for_event("wait", event="ok")
        else:
            ctx.step.wait_for_signal("wait", signal="ok", on_conflict="fail")

    error = fail(durable, sync_body if sync else async_body)
    mentions(error, "step 'wait' of f", 'timeout="7d"', "timeout=None")
    assert written_here(error)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"event": "", "timeout": "1h"}, ["event=''"]),
        ({"event": 5, "timeout": "1h"}, ["event=5"]),
        ({"event": Event("x"), "timeout": "1h"}, ["is not the name of an event"]),
        ({"event": "ok", "timeout": "soon"}, ["timeout", "'soon'"]),
        ({"event": "ok", "timeout": -1}, ["timeout", "-1"]),
        ({"event": "ok", "timeout": "1h", "match": "data.x ="}, ["match='data.x ='"]),
        ({"event": "ok", "timeout": "1h", "match": 5}, ["match=5"]),
        ({"event": "ok", "timeout": "1h", "match": "data.x", "if_exp": "true"}, ["both if_exp and match"]),
        ({"event": "ok", "timeout": "1h", "if_exp": "async.data.x =="}, ["async.data.x =="]),
        ({"event": "ok", "timeout": "1h", "if_exp": "a = b"}, ["a = b"]),
        ({"event": "ok", "timeout": "1h", "if_exp": "'open"}, ["'open"]),
        ({"event": "ok", "timeout": "1h", "if_exp": ""}, ["expression ''"]),
        ({"event": "ok", "timeout": "1h", "if_exp": 5}, ["if_exp", "5"]),
    ],
    ids=str,
)
def test_a_bad_wait(durable, arguments, parts):
    """Names, timeouts and conditions, invalid CEL among them."""

    async def body(ctx: Context):
        await ctx.step.wait_for_event("wait", **arguments)

    error = fail(durable, body)
    mentions(error, "step 'wait' of f", *parts)
    assert written_here(error)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"signal": "", "timeout": "1h", "on_conflict": "fail"}, "signal=''"),
        ({"signal": None, "timeout": "1h", "on_conflict": "fail"}, "signal=None"),
        ({"signal": "bell", "timeout": "1h", "on_conflict": "wait"}, "on_conflict='wait'"),
        ({"signal": "bell", "timeout": "1h"}, "on_conflict"),
        ({"signal": "bell", "timeout": "soon", "on_conflict": "fail"}, "'soon'"),
    ],
    ids=str,
)
def test_a_bad_wait_for_a_signal(durable, arguments, part):
    """Names, timeouts, and what happens in a conflict, which must be said."""

    async def body(ctx: Context):
        await ctx.step.wait_for_signal("wait", **arguments)

    mentions(fail(durable, body), "step 'wait' of f", part)


@pytest.mark.parametrize("wrong", ["", None, 5, b"a", ("a",), ["a"]], ids=repr)
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_bad_step_id(durable, sync, wrong):
    """Named with the value and an example."""

    async def async_body(ctx: Context):
        await ctx.step.run(wrong, lambda: 1)

    def sync_body(ctx: ContextSync):
        ctx.step.run(wrong, lambda: 1)

    mentions(fail(durable, sync_body if sync else async_body), "a step of f", repr(wrong), "ctx.step.run(")


@pytest.mark.parametrize("wrong", [5, None, "charge"], ids=repr)
def test_a_handler_that_cannot_be_called(durable, wrong):
    """Often the result of a function in place of the function."""

    async def body(ctx: Context):
        await ctx.step.run("a", wrong)

    error = fail(durable, body)
    mentions(error, "step 'a' of f", repr(wrong), "not callable", "not its result")
    assert written_here(error)


@pytest.mark.filterwarnings("error")
def test_a_coroutine_in_place_of_a_handler(durable):
    """``run("a", charge())``: refused, and no warning of Python is left behind."""

    async def charge():
        return 1

    async def body(ctx: Context):
        await ctx.step.run("a", charge())

    mentions(fail(durable, body), "step 'a' of f", "not callable", "not its result")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"trigger": ""}, "''"),
        ({"trigger": 5}, "5"),
        ({"trigger": TriggerEvent(event="")}, "no trigger"),
        ({"trigger": TriggerEvent(event="x", expression="event.data ==")}, "event.data =="),
        ({"retries": -1}, "retries=-1"),
    ],
    ids=str,
)
def test_a_bad_configuration(options, part):
    """Raised at the decorator, with the function and the value."""
    with pytest.raises(UsageError, match="'f'") as raised:
        durable_function("f", **options)(lambda ctx: None)
    mentions(raised.value, part)


def test_an_invalid_expression_is_an_expression_error():
    """It has a class of its own below UsageError."""
    with pytest.raises(ExpressionError):
        durable_function("f", trigger=TriggerEvent(event="x", expression="a &&"))(lambda ctx: None)


@pytest.mark.parametrize("wrong", ["", None, 5], ids=repr)
def test_a_bad_function_id(wrong):
    """Raised at the decorator."""
    with pytest.raises(UsageError, match="a function id must be text"):
        durable_function(wrong)


def test_a_decorator_without_a_call():
    """``@durable_function`` without an id shows what to write."""

    def onboarding(ctx):
        """Never entered."""

    with pytest.raises(UsageError, match=r'given onboarding\(\) in place of an id; write @durable_function\("onb'):
        durable_function(onboarding)


async def yields(ctx):
    yield ctx


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda: None, r"<lambda>\(\) cannot be called with a context alone \(too many positional arguments\)"),
        (lambda ctx, more: None, r"<lambda>\(ctx, more\) cannot be called .*: 'more'\); it takes ctx and nothing else"),
        (yields, "yields is a generator; return the result"),
    ],
)
def test_a_body_takes_the_context_and_returns(body, words):
    """What could never be entered, or never end with a result, is refused where it is decorated."""
    with pytest.raises(UsageError, match=f"function 'f': {words}"):
        durable_function("f")(body)
    with pytest.raises(UsageError, match=f"function 'f': on_failure={words}"):
        durable_function("f", on_failure=body)


WRONG_CALLS = {
    "too few": (lambda ctx: ctx.step.run("a"), "ctx.step.run() missing 1 required positional argument: 'handler'"),
    "unknown name": (lambda ctx: ctx.step.run("a", print, end=""), "ctx.step.run() got an unexpected keyword argument"),
    "by place": (lambda ctx: ctx.step.wait_for_event("a", "x", "1h"), "ctx.step.wait_for_event() takes 2 positional"),
    "of a model": (lambda ctx: ctx.step.ai.infer("a"), "ctx.step.ai.infer() missing 2 required keyword-only arguments"),
    "of a group": (lambda ctx: ctx.group.parallel(), "ctx.group.parallel() missing 1 required positional argument"),
    "no such step": (lambda ctx: ctx.step.runn("a", print), "ctx.step has no 'runn'; it has ai, invoke, "),
    "nothing of the ctx": (lambda ctx: ctx.evnt, "ctx has no 'evnt'; it has attempt, event, events, group, "),
    "no dict": (lambda ctx: ctx.step.ai.infer("a", adapter=None, body=None), "step 'a': body=None (NoneType) is no"),
}


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("case", WRONG_CALLS)
def test_a_wrong_call_of_the_api_ends_the_run_at_once(durable, case, kind):
    """With the call as the author knows it, and how it is meant, and without another try."""
    call, words = WRONG_CALLS[case]

    @durable_function("f")
    async def f(ctx):
        await call(ctx)

    @durable_function("f")
    def f_sync(ctx):
        call(ctx)

    run = durable.start(f if kind == "async" else f_sync)
    with pytest.raises(RunFailed) as failed:
        run.wait()
    assert isinstance(failed.value.__cause__, UsageError)
    assert str(failed.value.__cause__).startswith(words)
    assert run.ended_at == run.started_at


def test_how_a_call_is_meant_is_shown(durable):
    """The signature leaves out what the author does not write."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.wait_for_event("a", "x")

    words = r"it is called as ctx\.step\.wait_for_event\(step_id, \*, event, timeout, if_exp=None, match=None\)"
    with pytest.raises(RunFailed, match=words):
        durable.run(f)


def test_an_error_beside_a_step_that_is_not_awaited_yet_is_the_authors_own(durable):
    """What is wrong between the creation of a step and its ``await`` is told as it is, and tried again."""

    @durable_function("f", retries=1)
    async def f(ctx):
        first = ctx.step.run("a", lambda: 1)
        second = ctx.step.run("b", print, ctx.event.data["user"]["id"])
        return await asyncio.gather(first, second)

    run = durable.start(f, {"user": None})
    with pytest.raises(RunFailed, match="TypeError: 'NoneType' object is not subscriptable"):
        run.wait()
    assert run.ended_at > run.started_at


@pytest.mark.parametrize("wrong", ["soon", -1, 1.5, None, timedelta(-1), 10**18, "99999999999d"], ids=repr)
def test_a_bad_advance(durable, wrong):
    """What is no duration, goes back, or leaves the calendar; the clock stays where it was."""
    with pytest.raises(UsageError, match="advance"):
        durable.advance(wrong)
    assert durable.now == datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("wrong", [datetime(2024, 12, 31, tzinfo=UTC), datetime(2025, 2, 1), "soon"], ids=str)  # noqa: DTZ001 - naive on purpose
def test_a_bad_advance_to(durable, wrong):
    """A moment in the past, without a zone, or none."""
    with pytest.raises(UsageError, match="advance_to"):
        durable.advance_to(wrong)


@pytest.mark.parametrize("data", [object(), {"x": b"y"}, float("nan")], ids=["object", "bytes", "nan"])
def test_a_signal_with_bad_data_is_refused_where_it_is_sent(durable, data):
    """At the call, and not in the run that waits for it."""
    with pytest.raises(UsageError, match=r"signal.*JSON"):
        durable.signal("bell", data)


def test_time_cannot_be_driven_from_inside(durable):
    """A step that advances the clock it lives in is told what to do instead."""

    async def body(ctx: Context):
        await ctx.step.run("a", lambda: durable.advance("1h"))

    mentions(fail(durable, body), "driven from inside", "time.sleep")


def test_sleeping_in_the_body_is_refused(durable):
    """``time.sleep`` between steps is lost on every replay."""
    import time

    async def body(ctx: Context):
        time.sleep(1)

    mentions(fail(durable, body), "time.sleep(1)", "ctx.step.sleep")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"start": datetime(2025, 1, 1)}, "time zone"),  # noqa: DTZ001 - naive on purpose
        ({"start": "soon"}, "'soon'"),
        ({"seed": "1"}, "seed='1'"),
        ({"replay": "never"}, "replay='never'"),
        ({"clock": "sundial"}, "clock='sundial'"),
    ],
    ids=str,
)
def test_a_bad_simulation(options, part):
    """Refused when it is made."""
    with pytest.raises(UsageError) as raised:
        Simulation(**options)
    mentions(raised.value, part)


def test_an_error_of_usage_leaves_the_simulation_usable(durable):
    """The run fails, the world goes on."""

    async def body(ctx: Context):
        await ctx.step.sleep("nap", "soon")

    fail(durable, body)

    @durable_function("g")
    async def g(ctx: Context):
        await ctx.step.sleep("nap", "1h")
        return "fine"

    assert durable.run(g) == "fine"


class Names(enum.StrEnum):
    """Ids of steps that an author keeps in one place."""

    CHARGE = "charge"


@pytest.mark.parametrize("sync", [False, True])
def test_a_member_of_a_str_enum_is_an_id(durable, sync):
    """It is the text that counts, in keys, in histories and for scripts."""

    @durable_function("named")
    async def named(ctx):
        return [await ctx.step.run(Names.CHARGE, lambda: 1), await ctx.step.run(Names.CHARGE, lambda: 2)]

    @durable_function("named-sync")
    def named_sync(ctx):
        return [ctx.step.run(Names.CHARGE, lambda: 1), ctx.step.run(Names.CHARGE, lambda: 2)]

    run = durable.start(named_sync if sync else named)
    assert run.wait() == [1, 2]
    assert [type(key) for key in run.steps] == [str, str]
    assert list(run.steps) == ["charge", "charge:1"]


def test_no_message_holds_an_address(durable):
    """What lies where in memory differs from process to process, and a history does not."""

    @durable_function("addressed", retries=0)
    async def addressed(ctx):
        return await ctx.step.run("a", object)

    @durable_function("no-conflict", retries=0)
    async def no_conflict(ctx):
        return await ctx.step.wait_for_signal("w", signal="s", timeout="1d")

    for function, words in (
        (addressed, "<object object>"),
        (no_conflict, 'there is no on_conflict; say on_conflict="re'),
    ):
        run = durable.start(function)
        with pytest.raises(RunFailed, match=words):
            run.wait()
        assert "0x" not in run.history.to_json()


def test_a_script_that_answers_a_wait_with_no_event_is_told_so(durable):
    """The message names the step, the value and what to give."""

    @durable_function("waits")
    async def waits(ctx):
        return await ctx.step.wait_for_event("approval", event="ok", timeout="1d")

    durable.step("approval").returns(5)
    with pytest.raises(UsageError, match="step 'approval' waits for an event, and its script returns 5; give an Event"):
        durable.run(waits)


def test_what_is_no_run_cannot_be_cancelled(durable):
    """The message says what to give."""
    with pytest.raises(UsageError, match=r"cancel: 5 is no run; give what start\(\) returned"):
        durable.cancel(5)


def starts_with_asyncio():
    loop = asyncio.new_event_loop()
    nap = asyncio.sleep(1)
    try:
        loop.run_until_complete(nap)
    finally:
        nap.close()
        loop.close()


def starts_with_anyio():
    anyio.run(asyncio.sleep, 1)


@pytest.mark.parametrize("starts", [starts_with_asyncio, starts_with_anyio])
def test_a_step_that_starts_a_loop_of_its_own_is_told_to_be_async(durable, starts):
    """However it starts it."""

    @durable_function("own-loop", retries=0)
    async def own_loop(ctx):
        return await ctx.step.run("starts", starts)

    with pytest.raises(RunFailed, match="step 'starts' of own-loop starts an event loop of its own"):
        durable.run(own_loop)


def with_account(function):
    """A decorator that gives a body one argument more."""

    @functools.wraps(function)
    async def wrapper(ctx):
        return await function(ctx, "account")

    return wrapper


def test_a_wrapper_takes_what_it_takes(durable):
    """Not what it wraps: a body may be given more by decorators, or by mocks."""

    @durable_function("wrapped")
    @with_account
    async def wrapped(ctx, account):
        return account

    @durable_function("patched")
    @mock.patch("os.getcwd", return_value="/here")
    async def patched(ctx, getcwd):
        return getcwd()

    assert [durable.run(wrapped), durable.run(patched)] == ["account", "/here"]


class Mute(TypeError):
    """An error that cannot say its text."""

    def __str__(self):
        return self.nothing


class Odd(type):
    """A kind of classes that can be compared, and have no hash."""

    def __eq__(cls, other):
        return cls is other

    __hash__ = None


class Thing(metaclass=Odd):
    """One of them."""


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("name", ["mute", "odd"])
def test_odd_errors_of_a_body_are_errors_as_any(durable, name, kind):
    """Whatever the class of what is raised, or of what an attribute is missing of, can or cannot do."""

    def fail():
        if name == "mute":
            raise Mute
        return Thing().nothing

    @durable_function("f", retries=0)
    async def f(ctx):
        return fail()

    @durable_function("f", retries=0)
    def f_sync(ctx):
        return fail()

    run = durable.start(f if kind == "async" else f_sync)
    with pytest.raises(RunFailed):
        run.wait()
    assert run.error.name == ("Mute" if name == "mute" else "AttributeError")
