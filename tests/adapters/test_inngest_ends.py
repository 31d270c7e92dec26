"""Functions of the Inngest Python SDK: calls without an answer, runs that end meanwhile, slots that are held."""

import asyncio
import datetime as dt

import pytest

from pytest_durable import RunFailed, Simulation, UsageError

inngest = pytest.importorskip("inngest")

HOUR = dt.timedelta(hours=1)


def make(body, **options):
    """A function of the SDK."""
    options.setdefault("trigger", inngest.TriggerEvent(event="app/go"))
    return inngest.Inngest(app_id="app").create_function(fn_id=body.__name__, **options)(body)


@pytest.mark.parametrize(("app", "arrives"), [("app", True), ("other", False)])
def test_an_unknown_function_is_looked_for_when_the_event_arrives(app, arrives):
    """The step fails as it does on the server; the event of an invocation in another app is news over there."""

    async def body(ctx):
        await ctx.step.invoke_by_id("i", app_id=app, function_id="nobody")

    with Simulation() as sim:
        run = sim.start(make(body, retries=0), {})
        with pytest.raises(RunFailed, match=f"could not find function with ID: {app}-nobody"):
            run.wait()
        assert ("inngest/function.invoked" in [event.name for event in sim.events]) is arrives


def test_an_unknown_function_does_not_fail_a_run_that_is_over():
    """Where the caller was cancelled meanwhile, nobody hears that there is no such function."""

    async def body(ctx):
        await ctx.step.invoke_by_id("i", function_id="nobody")

    with Simulation() as sim:
        run = sim.start(make(body), {})
        sim.cancel(run)
        sim.settle()
        assert run.status == "cancelled"
        assert [what for _, what, _, _ in run.history.facts][-1] == "run.cancelled"


def test_an_invocation_that_takes_too_long_has_the_words_of_the_server():
    """The timeout of an invocation is the server's error, by its name and message."""

    async def child(ctx):
        await ctx.step.sleep("nap", HOUR * 3)

    async def body(ctx):
        await ctx.step.invoke("i", function=served, timeout=HOUR)

    served = make(child, trigger=inngest.TriggerEvent(event="app/child"))
    with Simulation() as sim:
        sim.register(served)
        run = sim.start(make(body, retries=0), {})
        with pytest.raises(RunFailed, match="Timed out waiting for invoked function to complete"):
            run.wait()
        assert sim.now - run.started_at == HOUR


def test_a_request_that_sleeps_keeps_its_slot():
    """With one slot, the step of the second run begins when that of the first has had its sleep."""
    log = []

    async def body(ctx):
        async def slow():
            log.append((ctx.event.data["n"], "begins", sim.now - start))
            await asyncio.sleep(60)

        await ctx.step.run("slow", slow)

    with Simulation() as sim:
        start = sim.now
        sim.register(make(body, concurrency=[inngest.Concurrency(limit=1)]))
        for number in (1, 2):
            sim.send("app/go", {"n": number})
        sim.run_until_idle()
    assert [(n, int(at.total_seconds())) for n, _, at in log] == [(1, 0), (2, 60)]


def test_a_sleep_that_is_too_long_keeps_its_siblings_from_beginning():
    """A run that fails at a step does not start the function that it invokes beside it."""
    effects = []

    async def child(ctx):
        effects.append("child")

    async def body(ctx):
        await ctx.group.parallel(
            (
                lambda: ctx.step.sleep("a", dt.timedelta(days=9_000)),
                lambda: ctx.step.invoke("b", function=served),
                lambda: ctx.step.run("c", effects.append, "charge"),
            )
        )

    served = make(child, trigger=inngest.TriggerEvent(event="app/child"))
    with Simulation() as sim:
        run = sim.start(make(body), {})
        sim.run_until_idle()
        assert run.status == "failed"
        assert effects == []


def test_a_model_that_answers_too_late_is_not_heard():
    """A singleton that starts itself while it asks a model is cancelled; the answer of the model is not recorded."""

    async def body(ctx):
        return await ctx.step.ai.infer("ask", adapter=adapter, body={})

    ai = pytest.importorskip("inngest.experimental.ai.openai")
    adapter = ai.Adapter(auth_key="key", model="model")
    function = make(body, singleton=inngest.Singleton(mode="cancel"))
    with Simulation() as sim:
        answers = iter([True, False])
        sim.step("ask").calls(lambda **_: (sim.start(function, {}) and None) if next(answers) else {"n": 1})
        run = sim.start(function, {})
        sim.run_until_idle()
        assert (run.status, run.steps) == ("cancelled", [])
        assert sim.runs[1].steps == ["ask"]


def test_a_model_that_no_script_answers_keeps_its_siblings_from_beginning():
    """A run that fails at a question to a model does not execute what was planned behind it."""
    effects = []
    ai = pytest.importorskip("inngest.experimental.ai.openai")
    adapter = ai.Adapter(auth_key="key", model="model")

    async def body(ctx):
        await ctx.group.parallel(
            (
                lambda: ctx.step.ai.infer("ask", adapter=adapter, body={}),
                lambda: ctx.step.run("charge", effects.append, "charge"),
            )
        )

    with Simulation() as sim:
        run = sim.start(make(body), {})
        sim.run_until_idle()
        assert (run.status, effects) == ("failed", [])


def test_a_mistake_in_a_script_keeps_the_siblings_from_beginning():
    """A script that crashes a wait fails the run of an SDK function; what stands beside the wait is not executed."""
    effects = []

    async def body(ctx):
        await ctx.group.parallel(
            (
                lambda: ctx.step.run("charge", effects.append, "charge"),
                lambda: ctx.step.wait_for_event("w", event="never", timeout=HOUR),
            )
        )

    with Simulation() as sim:
        sim.step("w").crashes()
        run = sim.start(make(body), {})
        with pytest.raises(RunFailed, match="is executed by no worker, so it cannot crash"):
            run.wait()
        assert effects == []


@pytest.mark.parametrize("place", ["step", "body"])
@pytest.mark.parametrize("by_a_client", [False, True])
def test_a_mistake_is_not_tried_again(by_a_client, place):
    """What the simulation refuses ends the run at once and by its name, though the SDK would have it tried again."""

    async def connect():
        try:
            await asyncio.open_connection("127.0.0.1", 9)
        except UsageError as error:
            if by_a_client:
                raise ConnectionError("the client cannot say more") from error
            raise

    async def body(ctx):
        await (ctx.step.run("s", connect) if place == "step" else connect())

    with Simulation() as sim:
        run = sim.start(make(body), {})
        with pytest.raises(RunFailed) as caught:
            run.wait()
        assert run.ended_at == run.started_at
    who = "step 's'" if place == "step" else "the body"
    told = f"{who} of app-body uses the network or other processes (loop.create_connection)"
    assert str(caught.value.__cause__).startswith(told)


def test_an_invocation_reaches_the_function_that_is_served_by_that_id():
    """The wire carries the id alone, so an object of the same id that nobody serves is not what is invoked."""

    def child(ctx):
        return "served"

    def other(ctx):
        return "an object"

    other.__name__ = "child"
    invoked = make(other)

    async def body(ctx):
        return await ctx.step.invoke("i", function=invoked)

    with Simulation() as sim:
        sim.register(make(child))
        assert sim.run(make(body), {}) == "served"


def test_a_ctx_knows_its_request():
    """The ids of a request are there, the same in every execution, and others for the next request."""
    seen = []

    async def body(ctx):
        if "request_id" in ctx.__dict__:
            seen.append((ctx.run_id, ctx.job_id, ctx.request_id))
        await ctx.step.run("a", lambda: None)

    found = []
    for _ in range(2):
        seen.clear()
        with Simulation() as sim:
            sim.run(make(body), {})
        found.append([*seen])
    assert found[0] == found[1]
    assert len({request for _, _, request in seen}) == len(seen)
    assert None not in [request for _, _, request in seen]
