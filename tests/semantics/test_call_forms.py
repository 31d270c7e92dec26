"""What authors write at a step: the forms of the SDK, and the mistakes that people make most."""

import datetime as dt
import inspect
import types

import inngest
import pytest
from inngest.experimental.ai import anthropic, gemini, openai

from pytest_durable import (
    Cancel,
    Context,
    ContextSync,
    Event,
    ParallelMode,
    RunFailed,
    Simulation,
    StepError,
    TriggerCron,
    TriggerEvent,
    UsageError,
    durable_function,
)


def bodies(steps):
    """One body, async and sync; ``steps(ctx)`` gives what is awaited or returned."""

    @durable_function("async-twin")
    async def async_twin(ctx: Context):
        return await steps(ctx)

    @durable_function("sync-twin")
    def sync_twin(ctx: ContextSync):
        return steps(ctx)

    return [async_twin, sync_twin]


def test_options_of_the_sdk_are_taken(durable):
    """A body written for it works unchanged: the mode by its place, output types and versions."""
    child = durable_function("child")(lambda ctx: "called")
    durable.register(child)
    for body in bodies(
        lambda ctx: ctx.group.parallel(
            (
                lambda: ctx.step.run("a", lambda: 1, output_type=int),
                lambda: ctx.step.invoke("b", function=child, v="1"),
                lambda: ctx.step.invoke_by_id("c", function_id="child", v="1"),
            ),
            ParallelMode.RACE,
        )
    ):
        assert list(durable.run(body)) == [1, "called", "called"]


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        (lambda ctx: ctx.step.wait_for_event("w", timeout="1h"), "step 'w' of .*there is no event; say event="),
        (lambda ctx: ctx.step.wait_for_signal("w", timeout="1h"), "step 'w' of .*there is no signal; say signal="),
    ],
)
def test_a_wait_for_nothing_is_a_mistake_at_once(durable, wait, words):
    """It names the step and what to say, and is not tried again."""
    for body in bodies(wait):
        with pytest.raises(RunFailed, match=words) as failed:
            durable.run(body)
        assert isinstance(failed.value.__cause__, UsageError)
        assert durable.now == dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize("use", [lambda user: user["id"], lambda user: user.id, lambda user: user + 1])
def test_a_step_that_is_used_without_await_is_named(durable, use):
    """What Python says of it is the cause; the error says which step, and what to write."""

    @durable_function("f")
    async def f(ctx: Context):
        return use(ctx.step.run("fetch", dict))

    with pytest.raises(RunFailed, match=r"step 'fetch' of f was created and is never awaited .*write await") as failed:
        durable.run(f)
    assert isinstance(failed.value.__cause__.__cause__, (TypeError, AttributeError))
    assert durable.now == dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


def test_an_error_of_the_body_behind_awaited_steps_is_its_own(durable):
    """A TypeError alone does not make a step forgotten."""

    @durable_function("f", retries=0)
    async def f(ctx: Context):
        await ctx.step.run("fetch", dict)
        return None + 1

    with pytest.raises(RunFailed, match="TypeError: unsupported operand"):
        durable.run(f)


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_body_that_cannot_be_called_fails_its_run(durable, kind):
    """So its caller hears of it, as of any other error of a child."""

    async def body_async():
        """It takes no ctx."""

    def body_sync():
        """It takes no ctx."""

    body = body_async if kind == "async" else body_sync
    body.__signature__ = inspect.signature(lambda ctx: None)  # As a careless wrapper would have it.
    child = durable_function("child", retries=0)(body)

    @durable_function("parent")
    async def parent(ctx: Context):
        try:
            await ctx.step.invoke("call", function=child)
        except StepError as error:
            return error.name

    assert durable.run(parent) == "TypeError"
    assert [run.status for run in durable.runs] == ["completed", "failed"]


def test_an_error_that_cannot_say_its_text_is_kept_all_the_same(durable):
    """The code of an author's class takes no run along."""

    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError

    def work():
        raise MuteError

    @durable_function("f", retries=0)
    async def f(ctx: Context):
        await ctx.step.run("a", work)

    with pytest.raises(RunFailed, match=r"MuteError: \(its text cannot be read: __str__ raises RuntimeError\)"):
        durable.run(f)


def test_what_no_json_number_is_is_named_with_its_type(durable):
    """As of every other value."""

    @durable_function("f")
    async def f(ctx: Context):
        return await ctx.step.run("bad", lambda: float("nan"))

    with pytest.raises(RunFailed, match=r"step 'bad' of f: JSON has no nan \(float\)"):
        durable.run(f)


@pytest.mark.parametrize(
    "options", [{"trigger": TriggerEvent(event="a", expression=5)}, {"cancel": [Cancel(event="x", if_exp=5)]}]
)
def test_an_expression_that_is_no_text_is_refused(options):
    """Where the function is written."""
    with pytest.raises(UsageError, match=r"function 'f'.*the expression 5 is no text; write CEL"):
        durable_function("f", **options)(lambda ctx: None)


def test_a_cron_has_the_jitter_of_the_sdk(durable):
    """Its ticks come up to so much later, as the seed says."""
    began = []

    @durable_function("f", trigger=TriggerCron(cron="0 * * * *", jitter="1m"))
    async def f(ctx: Context):
        began.append(durable.now)

    durable.register(f)
    durable.advance("5h")
    late = [moment.minute * 60 + moment.second for moment in began]
    assert len(late) >= 4
    assert all(0 <= seconds <= 60 for seconds in late)
    assert len(set(late)) > 1


def test_a_retry_after_of_the_sdk_counts_in_a_native_step(durable):
    """So a handler that both kinds of function share behaves the same."""
    tries = []

    def work():
        tries.append(durable.now)
        if len(tries) == 1:
            raise inngest.RetryAfterError("later", dt.timedelta(hours=1))

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.run("a", work)

    durable.run(f)
    assert tries[1] - tries[0] == dt.timedelta(hours=1)


ADAPTERS = {
    "openai": (openai.Adapter(auth_key="k", model="m"), "https://api.openai.com/v1/chat/completions",
               {"Authorization": "Bearer k"}),
    "anthropic": (anthropic.Adapter(auth_key="k", model="m", headers={"x-my": "1"}),
                  "https://api.anthropic.com/v1/messages", {"x-api-key": "k", "x-my": "1"}),
}  # fmt: skip


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_inference_is_what_the_adapter_of_the_sdk_makes_of_it(durable, name):
    """A fake sees the address, the key and the model, in a native function as in one of the SDK."""
    adapter, url, headers = ADAPTERS[name]
    client = inngest.Inngest(app_id="app", is_production=False)
    steps = lambda ctx: ctx.step.ai.infer("ask", adapter=adapter, body={"messages": []})  # noqa: E731 - a body of one line

    async def body(ctx):
        return await steps(ctx)

    sdk = client.create_function(fn_id="f", trigger=inngest.TriggerEvent(event="e"))(body)
    seen = []
    durable.step("ask").calls(lambda **request: seen.append(request), times=3)
    for function in (*bodies(steps), sdk):
        durable.run(function)
    assert seen == [{"url": url, "headers": headers, "body": {"messages": [], "model": "m"}}] * 3


def test_the_key_of_gemini_is_in_its_address(durable):
    """That is where its API looks for it."""
    adapter = gemini.Adapter(auth_key="k", model="m")
    seen = []
    durable.step("ask").calls(lambda **request: seen.append(request["url"]))
    durable.run(bodies(lambda ctx: ctx.step.ai.infer("ask", adapter=adapter, body={}))[0])
    assert seen[0].endswith("key=k")
    assert seen[0].count("?") == 1


def test_a_wait_may_be_scripted_with_an_event_of_the_sdk(durable):
    """It is an event as any other."""
    durable.step("w").returns(inngest.Event(name="x", data={"a": 1}), times=2)
    for body in bodies(lambda ctx: ctx.step.wait_for_event("w", event="x", timeout="1h")):
        run = durable.start(body)
        durable.run_until_idle()
        assert run.step("w").output["data"] == {"a": 1}


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda sim: sim.on_wait("a").send(5), r"on_wait\('a'\): 5 is not an event"),
        (lambda sim: sim.on_wait("a").send("inngest/x"), r"on_wait\('a'\): the event name 'inngest/x' is reserved"),
        (lambda sim: sim.on_wait("a").signal(""), r"on_wait\('a'\): signal='' is not the name"),
        (lambda sim: sim.on_wait("a").signal("go", object()), r"on_wait\('a'\): the data of signal 'go'.*object"),
        (lambda sim: sim.step("a", index=-1), r"step\('a'\): index=-1 is not a number"),
        (lambda sim: sim.step("a", index="0"), r"step\('a'\): index='0' is not a number"),
        (lambda sim: sim.step("a", function=5), r"step\('a'\): function=5 is no durable function"),
        (lambda sim: sim.timeline([1]), r"timeline: \[1\] is no mapping of moments to events"),
    ],
)  # fmt: skip
def test_a_mistake_of_a_test_is_refused_where_it_is_written(misuse, words):
    """And not later, out of a run that has done nothing wrong."""
    with Simulation() as sim, pytest.raises(UsageError, match=words):
        misuse(sim)


def test_an_adapter_with_data_in_place_of_methods_will_do(durable):
    """A test needs no more of it than its fake looks at."""
    adapter = types.SimpleNamespace(url="https://models.example", headers={"a": "b"})
    seen = []
    durable.step("ask").calls(lambda **request: seen.append(request))
    durable.run(bodies(lambda ctx: ctx.step.ai.infer("ask", adapter=adapter, body={"q": 1}))[0])
    assert seen == [{"url": "https://models.example", "headers": {"a": "b"}, "body": {"q": 1}}]


def test_a_simulation_starts_where_a_shifted_freeze_stands():
    """The offset of freezegun's local time does not move the clock."""
    freezegun = pytest.importorskip("freezegun")
    with freezegun.freeze_time("2022-02-03 04:05:06", tz_offset=2), Simulation() as sim:
        assert sim.now == dt.datetime(2022, 2, 3, 4, 5, 6, tzinfo=dt.UTC)


def test_an_event_is_in_the_log_as_soon_as_it_is_sent(durable):
    """It says that it is on its way until time is driven; one of a later moment is sent then."""
    durable.send("now")
    durable.send(Event("later"), at="1h")
    assert [(event.name, str(event.outcome)) for event in durable.events] == [("now", "it is on its way")]
    durable.advance("1h")
    assert [(event.name, str(event.outcome)) for event in durable.events] == [
        ("now", "nobody listened"), ("later", "nobody listened"),
    ]  # fmt: skip
