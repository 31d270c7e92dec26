"""What functions of the SDK send themselves, what steps send for them, and what the record of it says."""

import asyncio
import datetime as dt
import re
import subprocess
import sys

import pytest

from pytest_durable import (
    Context,
    ContextSync,
    DurabilityError,
    Event,
    History,
    RunFailed,
    Simulation,
    checks,
    durable_function,
    explore,
)

inngest = pytest.importorskip("inngest")
ai = pytest.importorskip("inngest.experimental.ai")

SECONDS = dt.timedelta(seconds=10)
CLIENT = inngest.Inngest(app_id="app", is_production=False)


def sdk(body, **options):
    """A function of the SDK."""
    return CLIENT.create_function(fn_id="f", trigger=inngest.TriggerEvent(event="go"), retries=0, **options)(body)


async def asks_itself(ctx):
    """A body that sends an event, and then waits for one of that name."""
    await CLIENT.send(inngest.Event(name="x"))
    return await ctx.step.wait_for_event("w", event="x", timeout=SECONDS) is not None


def asks_itself_sync(ctx):
    """The same, in a sync function."""
    CLIENT.send_sync(inngest.Event(name="x"))
    return ctx.step.wait_for_event("w", event="x", timeout=SECONDS) is not None


@durable_function("native")
async def native(ctx: Context):
    """The same, in a native function."""
    CLIENT.send_sync(inngest.Event(name="x"))
    return await ctx.step.wait_for_event("w", event="x", timeout=SECONDS) is not None


@durable_function("native-sync")
def native_sync(ctx: ContextSync):
    """The same, in a native sync function."""
    CLIENT.send_sync(inngest.Event(name="x"))
    return ctx.step.wait_for_event("w", event="x", timeout=SECONDS) is not None


@pytest.mark.parametrize("function", [sdk(asks_itself), sdk(asks_itself_sync), native, native_sync])
def test_what_a_body_sends_is_out_before_its_answer(function):
    """The wait is registered when the answer is heard, so by default it has missed the event; a search finds both."""
    with Simulation() as sim:
        assert sim.run(function) is False
        assert [event.name for event in sim.events] == ["x", "x", "inngest/function.finished"]
    results = []
    report = explore(lambda sim: results.append(sim.run(function)))
    assert (set(results), report.complete) == ({False, True}, True)


def test_what_a_body_sends_may_cancel_its_own_run():
    """Before its result is heard, or not any more; either may be."""

    async def body(ctx):
        await CLIENT.send(inngest.Event(name="stop"))
        return 1

    function, ends = sdk(body, cancel=[inngest.Cancel(event="stop")]), []

    def scenario(sim):
        sim.register(function)
        run = sim.start(function)
        sim.run_until_idle()
        ends.append((run.status, run.result))

    assert explore(scenario).complete
    assert set(ends) == {("cancelled", None), ("completed", 1)}


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_body_that_sends_is_impure(sync):
    """It sends again whenever it is entered; in a step it does not."""

    async def body(ctx):
        await ctx.step.run("a", lambda: 1)
        await CLIENT.send(inngest.Event(name="receipt"))

    def body_sync(ctx):
        ctx.step.run("a", lambda: 1)
        CLIENT.send_sync(inngest.Event(name="receipt"))

    def in_steps_sync(ctx):
        ctx.step.run("a", lambda: CLIENT.send_sync(inngest.Event(name="receipt")))
        ctx.step.send_event("b", inngest.Event(name="receipt"))

    async def in_steps(ctx):
        await ctx.step.run("a", lambda: CLIENT.send(inngest.Event(name="receipt")))
        await ctx.step.send_event("b", inngest.Event(name="receipt"))

    with pytest.raises(DurabilityError, match=r"impure_body: network: client\.send.*test_inngest_sends\.py:\d+; a rep"):
        checks.check_durable(sdk(body_sync if sync else body), {})
    checks.check_durable(sdk(in_steps_sync if sync else in_steps), {})


def test_the_record_of_a_sending_step_has_its_events():
    """As that of its native twin."""

    async def body(ctx):
        await ctx.step.send_event("s", [inngest.Event(name="x", data={"a": 1}), inngest.Event(name="y")])

    inputs = []
    for function in (sdk(body), durable_function("native")(body)):
        with Simulation() as sim:
            run = sim.start(function)
            run.wait()
            inputs.append(run.step("s").input)
    assert inputs[0] == inputs[1]
    assert [event["name"] for event in inputs[0]] == ["x", "y"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda ctx: ctx.step.run("s", lambda: {1, 2}), r"step 's' of app-f: JSON cannot carry \{1, 2\} \(set\)"),
        (lambda ctx: {"a": {1, 2}}, r"the result of app-f: JSON cannot carry \{1, 2\} \(set\) at a"),
    ],
)
def test_what_json_cannot_carry_is_named_behind_the_words_of_the_sdk(body, words):
    """The SDK says that something is unserializable; the cause says what, where and of which type."""
    with Simulation() as sim, pytest.raises(RunFailed, match="unserializable data") as failed:
        sim.run(sdk(body))
    assert re.match(words, str(failed.value.__cause__))


@pytest.mark.filterwarnings("ignore::pytest_durable.DurabilityWarning")
def test_the_finding_names_the_error_that_the_function_caught():
    """There are two that an SDK raises at the step itself."""

    async def body(ctx):
        def work():
            raise inngest.RetryAfterError("later", 1_000)

        try:
            await ctx.step.run("a", work)
        except inngest.RetryAfterError:
            return await ctx.step.run("b", lambda: "caught")

    with Simulation() as sim:
        run = sim.start(sdk(body))
        assert run.wait() == "caught"
    assert "step 'a' raised RetryAfterError and the function caught it" in run.findings[0]


@pytest.mark.filterwarnings("ignore::pytest_durable.DurabilityWarning")
def test_a_planned_step_that_is_not_asked_for_again_is_told():
    """The request of the step is no repeated delivery; its function differs between two requests."""
    entries = []

    async def body(ctx):
        entries.append(1)
        names = ("a", "b") if len(entries) == 1 else ("a",)
        await ctx.group.parallel(tuple((lambda name=name: ctx.step.run(name, lambda: 1)) for name in names))
        return "done"

    with Simulation() as sim:
        run = sim.start(sdk(body))
        sim.run_until_idle()
    assert any("step 'b' was planned with its group" in finding for finding in run.findings)


def test_a_trace_with_sent_events_is_replayed():
    """In a trace from production a step that sends events is one that was run."""

    async def body(ctx):
        await ctx.step.send_event("s", inngest.Event(name="x"))

    span = {"name": "s", "stepOp": "RUN", "status": "COMPLETED", "queuedAt": "2026-03-01T10:00:00Z",
            "endedAt": "2026-03-01T10:00:01Z", "output": {"data": ["id"]}}  # fmt: skip
    trace = {"id": "01RUN", "function": {"slug": "app-f"}, "events": [{"name": "e", "data": {}}],
             "status": "COMPLETED", "trace": {"queuedAt": "2026-03-01T10:00:00Z", "childrenSpans": [span]}}  # fmt: skip
    checks.replay(sdk(body), History.from_inngest(trace))

    @durable_function("app-f")
    async def twin(ctx: Context):
        await ctx.step.send_event("s", Event("x"))

    checks.replay(twin, History.from_inngest(trace))


@pytest.mark.parametrize(
    "script",
    [
        lambda step: step.returns({"a": 1}),
        lambda step: step.takes("3s").returns({"a": 1}),
        lambda step: step.raises(ConnectionError("overloaded")).returns({"a": 1}),
    ],
)
@pytest.mark.parametrize("alone", [False, True], ids=["beside another", "alone"])
def test_an_inference_in_a_group_has_the_history_of_its_native_twin(script, alone):
    """The server asks the model itself, without a request for the step."""

    async def body(ctx):
        ask = lambda: ctx.step.ai.infer("ask", adapter=ai.openai.Adapter(auth_key="k", model="m"), body={})  # noqa: E731 - in a group
        beside = () if alone else (lambda: ctx.step.run("a", lambda: 1),)
        return (await ctx.group.parallel((ask, *beside)))[0]

    function = CLIENT.create_function(fn_id="f", trigger=inngest.TriggerEvent(event="go"))(body)
    histories = []
    for twin in (function, durable_function("app-f", trigger="go")(body)):
        with Simulation() as sim:
            script(sim.step("ask"))
            run = sim.start(twin)
            assert run.wait() == {"a": 1}
            histories.append(([fact[:3] for fact in run.history.facts], run.invocations))
    assert histories[0] == histories[1]


LATE = """
from pytest_durable import Simulation
with Simulation() as sim:
    import inngest
    client = inngest.Inngest(app_id="app", is_production=False)
    client.send_sync(inngest.Event(name="q"))
    assert [event.name for event in sim.events] == ["q"]
"""


def test_an_sdk_that_is_imported_late_sends_into_the_simulation():
    """A test may import its application behind the fixture; nothing of that goes to the network."""
    subprocess.run([sys.executable, "-c", LATE], check=True, timeout=60)


async def sleeps_and_asks(ctx):
    """It sends behind a sleep of its own, in the same request."""
    await asyncio.sleep(1)
    return await asks_itself(ctx)


def test_what_a_body_sends_behind_a_sleep_is_out_before_its_answer_too():
    """A request that was suspended is heard behind what it has sent, as any other."""
    with Simulation() as sim:
        assert sim.run(sdk(sleeps_and_asks)) is False
        assert sim.events[0].name == "x"
        assert sim.events[0].ts == int(sim.runs[0].started_at.timestamp() * 1000) + 1000
