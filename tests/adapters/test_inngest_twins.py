"""One body, twice: as a native function and as a function of the Inngest SDK. Both have the same history."""

import datetime as dt
import re

import pytest

import pytest_durable
from pytest_durable import Event, Simulation, StepError, durable_function

inngest = pytest.importorskip("inngest")

ULID = re.compile(r"\b01[0-9A-HJKMNP-TV-Z]{24}\b")
DAY = dt.timedelta(days=1)


def one():
    return {"n": 1}


async def two():
    return [2, None]


async def run_steps(ctx):
    first = await ctx.step.run("one", one)
    second = await ctx.step.run("two", two)
    again = await ctx.step.run("one", one)
    return [first, second, again]


async def with_arguments(ctx):
    return await ctx.step.run("add", lambda a, b: a + b, 1, ctx.event.data.get("b", 5))


async def sleeps(ctx):
    await ctx.step.sleep("timedelta", DAY)
    await ctx.step.sleep("milliseconds", 5000)
    await ctx.step.sleep_until("until", dt.datetime(2025, 2, 1, tzinfo=dt.UTC))
    await ctx.step.sleep_until("past", dt.datetime(2024, 2, 1, tzinfo=dt.UTC))
    return "awake"


async def waits(ctx):
    found = await ctx.step.wait_for_event("found", event="twin/ok", timeout=DAY)
    missed = await ctx.step.wait_for_event("missed", event="twin/ok", timeout=DAY, if_exp="async.data.n == 2")
    return [found.data, missed]


async def sends(ctx):
    ids = await ctx.step.send_event("several", [inngest.Event(name="twin/sent", data={"n": n}) for n in range(2)])
    single = await ctx.step.send_event("single", inngest.Event(name="twin/sent"))
    return [len(ids), len(single)]


async def parallel(ctx):
    results = await ctx.group.parallel((lambda: ctx.step.run("one", one), lambda: ctx.step.run("two", two)))
    after = await ctx.step.run("after", one)
    return [*results, after]


async def mixed_group(ctx):
    results = await ctx.group.parallel(
        (
            lambda: ctx.step.run("one", one),
            lambda: ctx.step.sleep("nap", 3000),
            lambda: ctx.step.wait_for_event("wait", event="twin/never", timeout=DAY),
        )
    )
    return list(results)


def chain(ctx, *names):
    """A branch of these steps, one behind the other."""

    async def branch():
        return [await ctx.step.run(name, lambda: 1) for name in names]

    return branch


def mode_of(ctx, name):
    """The mode in the words of either package."""
    if not hasattr(inngest, "ParallelMode"):
        pytest.skip("this version of the SDK has no modes of groups")
    return (inngest if isinstance(ctx, inngest.Context) else pytest_durable).ParallelMode[name]


async def two_chains(ctx):
    wait = mode_of(ctx, "WAIT")
    return list(await ctx.group.parallel((chain(ctx, "a1", "a2"), chain(ctx, "b1", "b2")), parallel_mode=wait))


async def racing_chains(ctx):
    race = mode_of(ctx, "RACE")
    results = await ctx.group.parallel((chain(ctx, "a1", "a2"), chain(ctx, "b1", "b2")), parallel_mode=race)
    return [list(results), await ctx.step.run("after", one)]


async def racing_kinds(ctx):
    race = mode_of(ctx, "RACE")
    results = await ctx.group.parallel(
        (
            chain(ctx, "a1", "a2", "a3"),
            lambda: ctx.step.sleep("nap", 3000),
            lambda: ctx.step.run("b", one),
            lambda: ctx.step.wait_for_event("wait", event="twin/ok", timeout=DAY),
        ),
        parallel_mode=race,
    )
    return [results[0], results[1], results[2], results[3].data]


def broken():
    raise ValueError("broken")


async def failing_step(ctx):
    try:
        await ctx.step.run("broken", broken)
    except (StepError, inngest.StepError) as error:
        return [error.name, error.message]


async def failing_body(ctx):
    await ctx.step.run("one", one)
    raise KeyError("k")


async def uncaught_step(ctx):
    return await ctx.step.run("broken", broken)


async def plain_result(ctx):
    return {"a": [1.5, True, None, "ü"], "b": 1}


class Resource:
    """Something that is open inside a block."""

    is_open = False

    def __enter__(self):
        self.is_open = True
        return self

    def __exit__(self, *_):
        self.is_open = False


async def inside_blocks(ctx):
    with Resource() as resource:
        used = await ctx.step.run("use", lambda: resource.is_open)
    try:
        await ctx.step.run("broken", broken)
    except (StepError, inngest.StepError) as error:  # noqa: F841 - the handler reads it, inside this block
        return [used, await ctx.step.run("refund", lambda: error.message)]  # noqa: F821 - as above


async def asks_a_model(ctx):
    openai = pytest.importorskip("inngest.experimental.ai.openai")
    adapter = openai.Adapter(auth_key="key", model="gpt")
    answer = await ctx.step.ai.infer("ask", adapter=adapter, body={"messages": []})
    return answer["choices"]


async def invokes_by_id(ctx):
    return await ctx.step.invoke_by_id("call", app_id="elsewhere", function_id="fn", data={"n": 1}, timeout=DAY)


BODIES = [inside_blocks, asks_a_model, invokes_by_id, run_steps, with_arguments, sleeps, waits, sends, parallel,
          mixed_group, failing_step, failing_body, uncaught_step, plain_result, two_chains, racing_chains,
          racing_kinds]  # fmt: skip


def history(function):
    """The facts of one run, without what names the run: ids, and jitter that is drawn from them."""
    with Simulation() as sim:
        sim.step("ask").takes("4s").returns({"choices": [1]}).maybe()
        sim.step("call").takes("5s").returns({"called": True}).maybe()
        run = sim.start(function, {"b": 7})
        sim.send(Event("twin/ok", {"n": 1}), at="1h")
        sim.run_until(lambda: run.ended_at is not None)
        facts = []
        for _, what, step, rest in run.history.facts:
            facts.append((what, step, "" if what == "run.queued" else ULID.sub("<id>", repr(rest))))
        moments = [at - run.history.facts[0][0] for at, *_ in run.history.facts]
        return facts, moments, (str(run.status), list(run.steps), run.result, run.invocations)


def twins(body, retries=0):
    client = inngest.Inngest(app_id="twins", is_production=False)
    name = body.__name__
    native = durable_function(name, trigger="twin/go", retries=retries)(body)
    served = client.create_function(fn_id=name, trigger=inngest.TriggerEvent(event="twin/go"), retries=retries)(body)
    return native, served


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_twins_have_equal_histories(body):
    """The same body has the same facts at the same instants, natively and through the SDK."""
    native, served = (history(function) for function in twins(body))
    assert native == served
    if body is inside_blocks:
        assert native[2][2] == [True, "broken"]


@pytest.mark.parametrize("body", [failing_step, failing_body, uncaught_step], ids=lambda body: body.__name__)
def test_twins_retry_alike(body):
    """Retries are the same facts in the same order; their moments have a jitter that is drawn from the run's id."""
    native, served = (history(function) for function in twins(body, retries=2))
    assert native[0] == served[0]
    assert native[2] == served[2]


def test_twins_invoke_alike():
    """A parent that invokes a child has the same history natively and through the SDK."""
    client = inngest.Inngest(app_id="twins", is_production=False)

    async def child(ctx):
        return await ctx.step.run("double", lambda: ctx.event.data["n"] * 2)

    def parent_of(child_function):
        async def parent(ctx):
            return await ctx.step.invoke("child", function=child_function, data={"n": 4})

        return parent

    native_child = durable_function("child")(child)
    native = durable_function("parent")(parent_of(native_child))
    trigger = inngest.TriggerEvent(event="twin/unused")
    served_child = client.create_function(fn_id="child", trigger=trigger)(child)
    served = client.create_function(fn_id="parent", trigger=trigger)(parent_of(served_child))
    assert history(native) == history(served)


def test_sync_twins_have_equal_histories():
    """Synchronous functions are the same natively and through the SDK too."""
    client = inngest.Inngest(app_id="twins", is_production=False)

    def body(ctx):
        first = ctx.step.run("one", one)
        ctx.step.sleep("nap", 3000)
        second, third = ctx.group.parallel((lambda: ctx.step.run("a", one), lambda: ctx.step.run("b", one)))
        event = ctx.step.wait_for_event("wait", event="twin/never", timeout=DAY)
        ids = ctx.step.send_event("send", inngest.Event(name="twin/sent"))
        with Resource() as resource:
            used = ctx.step.run("use", lambda: resource.is_open)
        try:
            ctx.step.run("broken", broken)
        except (StepError, inngest.StepError) as error:  # noqa: F841 - the handler reads it, inside this block
            refunded = ctx.step.run("refund", lambda: error.message)  # noqa: F821 - as above
        return [first, second, third, event, len(ids), used, refunded]

    native = durable_function("sync", trigger="twin/go", retries=0)(body)
    served = client.create_function(fn_id="sync", trigger=inngest.TriggerEvent(event="twin/go"), retries=0)(body)
    assert history(native) == history(served)
