"""``replay="checkpoint"`` for functions of the Inngest SDK: a request goes on behind its steps, to the same end."""

import asyncio
import datetime as dt
import logging
import time

import pytest

from pytest_durable import Event, Simulation, explore, faults

inngest = pytest.importorskip("inngest")

MODES = ["always", "checkpoint"]


def served(body, **options):
    client = options.pop("client", None) or inngest.Inngest(app_id="app", is_production=False)
    options.setdefault("trigger", inngest.TriggerEvent(event="app/go"))
    return client.create_function(fn_id="fn", **options)(body)


def outcome(function, mode):
    """How a run ends, when, after which steps, and what it sent."""
    with Simulation(replay=mode) as sim:
        since = sim.now
        run = sim.start(function)
        sim.send(Event("app/ok", {"n": 1}), at="1h")
        sim.run_until(lambda: run.ended_at is not None)
        sent = [event.name for event in sim.events if event.name.startswith("app/")]
        steps = [(one.id, one.op, one.status, one.attempts, one.output) for one in map(run.step, run.steps)]
        failure = (run.error.name, run.error.message) if run.error is not None else None
        ended = (run.ended_at - since).total_seconds()
    return (str(run.status), run.result, failure, ended, steps, sent), run.invocations


def broken():
    raise ValueError("broken")


async def three_steps(ctx):
    found = [await ctx.step.run("add", lambda n=number: {"n": n}) for number in range(3)]
    return sum(one["n"] for one in found)


async def slow_steps(ctx):
    async def slow():
        await asyncio.sleep(30)
        return "slow"

    return [await ctx.step.run("one", slow), await ctx.step.run("two", slow)]


async def all_kinds(ctx):
    first = await ctx.step.run("first", lambda: [1, 2])
    await ctx.step.sleep("nap", dt.timedelta(hours=2))
    second = await ctx.step.run("second", lambda: first)
    ids = await ctx.step.send_event("send", inngest.Event(name="app/sent"))
    seen = await ctx.step.wait_for_event("wait", event="app/never", timeout=dt.timedelta(days=1))
    third = await ctx.step.run("third", lambda: "x")
    return [second, len(ids), seen, third]


async def group_between(ctx):
    first = await ctx.step.run("first", lambda: 1)
    both = await ctx.group.parallel((lambda: ctx.step.run("a", lambda: 2), lambda: ctx.step.run("b", lambda: 3)))
    last = await ctx.step.run("last", lambda: 4)
    return [first, *both, last]


async def bare_gather(ctx):
    await ctx.step.run("first", lambda: 1)
    return list(await asyncio.gather(ctx.step.run("a", lambda: 2), ctx.step.run("b", lambda: 3)))


async def background_task(ctx):
    async def sleepy():
        await asyncio.sleep(60)

    task = asyncio.create_task(sleepy())
    first = await ctx.step.run("first", lambda: 1)
    second = await ctx.step.run("second", lambda: 2)
    task.cancel()
    return first + second


async def caught_failure(ctx):
    await ctx.step.run("first", lambda: 1)
    try:
        await ctx.step.run("broken", broken)
    except inngest.StepError as error:
        return error.message


async def failing_body(ctx):
    await ctx.step.run("first", lambda: 1)
    await ctx.step.run("second", lambda: 2)
    raise KeyError("k")


async def no_json(ctx):
    await ctx.step.run("first", lambda: 1)
    await ctx.step.run("second", object)


def sync_steps(ctx):
    first = ctx.step.run("first", lambda: {"n": 1})
    ctx.step.sleep("nap", dt.timedelta(seconds=5))
    second = ctx.step.run("second", lambda: time.sleep(10))
    third = ctx.step.run("first", lambda: first["n"] + 1)
    ctx.step.send_event("send", inngest.Event(name="app/sent"))
    return [first, second, third]


def sync_failure(ctx):
    ctx.step.run("first", lambda: 1)
    ctx.step.run("broken", broken)


BODIES = [three_steps, slow_steps, all_kinds, group_between, bare_gather, background_task, caught_failure, failing_body,
          no_json, sync_steps, sync_failure]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*in a task of its own")
@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_the_outcome_is_that_of_entering_anew(body, retries):
    """Status, result, instants, steps with their attempts, and events are equal; requests are never more."""
    function = served(body, retries=retries)
    (always, many), (in_place, few) = (outcome(function, mode) for mode in MODES)
    assert in_place == always
    assert few <= many


@pytest.mark.parametrize(
    ("body", "requests"),
    [(three_steps, (4, 1)), (all_kinds, (7, 3)), (group_between, (6, 4)), (sync_steps, (6, 2)), (no_json, (2, 1))],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_requests_are_saved_where_steps_follow_each_other(body, requests):
    """A sleep, a wait and a group end a request; what follows them begins a new one, and goes on in it."""
    function = served(body, retries=0)
    assert tuple(outcome(function, mode)[1] for mode in MODES) == requests


@pytest.mark.parametrize("of", ["the client", "the function"])
def test_middleware_sees_every_request(of):
    """Whoever has middleware may change what is sent with each request, so each is made."""
    seen = []

    class Noting(inngest.Middleware):
        async def before_response(self):
            seen.append("response")

    client = inngest.Inngest(app_id="app", is_production=False, middleware=[Noting] if of == "the client" else [])
    options = {"middleware": [Noting]} if of == "the function" else {}
    _, requests = outcome(served(three_steps, client=client, **options), "checkpoint")
    assert (requests, len(seen)) == (4, 4)


def test_a_run_that_is_cancelled_in_a_step_executes_no_other():
    """What is under way goes on behind the cancellation, and what it would have led to does not happen."""
    did = []

    async def body(ctx):
        await ctx.step.run("first", lambda: did.append("first"))

        async def slow():
            await asyncio.sleep(3600)
            did.append("slow")

        await ctx.step.run("slow", slow)
        await ctx.step.run("last", lambda: did.append("last"))

    with Simulation(replay="checkpoint") as sim:
        run = sim.start(served(body))
        sim.advance("30m")
        sim.cancel(run)
        sim.advance("1d")
    assert (str(run.status), did) == ("cancelled", ["first", "slow"])


def test_a_simulation_may_end_while_a_request_waits():
    """A step that is recorded at the very end of a simulation leaves nothing behind."""
    did = []

    def body(ctx):
        ctx.step.run("first", lambda: did.append("first"))
        ctx.step.run("slow", lambda: time.sleep(3600))
        ctx.step.run("last", lambda: did.append("last"))

    with Simulation(replay="checkpoint") as sim:
        sim.start(served(body))
        sim.advance("30m")
    assert did == ["first"]


@pytest.mark.parametrize("mode", MODES)
def test_crashes_and_lost_answers_befall_steps_in_both_modes(mode):
    """Every fault at every step is survived, and an effect happens as often as its step was tried."""
    charged = []

    async def body(ctx):
        await ctx.step.run("reserve", lambda: None)
        await ctx.step.run("charge", lambda: charged.append("charge"))
        return len(charged)

    function = served(body)

    def scenario(sim):
        charged.clear()
        sim.engine.checkpoint = mode == "checkpoint"
        run = sim.start(function)
        run.wait()
        assert len(charged) == run.step("charge").attempts

    report = explore(scenario, "every", [faults.lost_ack(), faults.crash("after", step="charge")])
    assert (report.complete, report.failures) == (True, [])
    assert report.schedules > 2


def test_a_line_is_logged_once(caplog):
    """The logger of a request that goes on speaks as that of one request does."""

    async def body(ctx):
        ctx.logger.info("begins")
        await ctx.step.run("first", lambda: None)
        ctx.logger.info("between")
        await ctx.step.run("second", lambda: None)
        ctx.logger.info("ends")

    client = inngest.Inngest(app_id="app", is_production=False, logger=logging.getLogger("in-place"))
    with caplog.at_level(logging.INFO, "in-place"):
        outcome(served(body, client=client), "checkpoint")
    assert [record.message for record in caplog.records] == ["begins", "between", "ends"]
