"""Functions of the Inngest Python SDK, unmodified: each rule with the smallest function that shows it."""

import asyncio
import datetime as dt
import logging
import time

import pytest

from pytest_durable import (
    BoundReachedError,
    DurabilityWarning,
    Event,
    LimitError,
    NonRetriableError,
    RunFailed,
    RunStuck,
    Simulation,
    UsageError,
    checks,
    durable_function,
    explore,
)
from pytest_durable._core.limits import Limits

inngest = pytest.importorskip("inngest")
errors = pytest.importorskip("inngest._internal.errors")

DAY = dt.timedelta(days=1)


def make(body, app_id="app", client=None, **options):
    client = client or inngest.Inngest(app_id=app_id)
    options.setdefault("trigger", inngest.TriggerEvent(event="app/go"))
    return client.create_function(fn_id=body.__name__, **options)(body)


def play(function, event=None, **settings):
    """The run, after everything that is due without another event."""
    with Simulation(**settings) as sim:
        run = sim.start(function, event or {})
        sim.run_until_idle()
    return run


# -- errors and attempts ----------------------------------------------------------------------------------------------


def test_the_error_of_a_run_has_the_body_of_the_wire_and_the_original_exception():
    """run.error.data is the body of the response; run.error.exception and __cause__ are what was raised."""
    raised = ValueError("no such user")

    async def body(ctx):
        raise raised

    with Simulation() as sim:
        run = sim.start(make(body, retries=0), {})
        with pytest.raises(RunFailed) as caught:
            run.wait()
    assert caught.value.__cause__ is raised
    assert run.error.exception is raised
    assert (run.error.code, run.error.name, run.error.message) == ("unknown", "ValueError", "no such user")
    assert set(run.error.data) == {"code", "message", "name", "stack"}


def test_an_error_without_a_message_is_replaced_in_the_end_of_the_run():
    """The server fills an empty message with what it thinks of the request; the StepError keeps it empty."""
    seen = []

    async def body(ctx):
        try:
            await ctx.step.run("boom", boom)
        except inngest.StepError as error:
            seen.append(error.message)
            raise

    def boom():
        raise ValueError

    assert play(make(body, retries=0)).error.message == "NonRetriableError"
    assert seen == [""]


def test_a_wrapped_step_error_is_retried():
    """A StepError that leaves the body is final; in another exception it is an error like any."""

    async def body(ctx):
        try:
            await ctx.step.run("boom", boom)
        except inngest.StepError as error:
            raise RuntimeError("outer") from error

    def boom():
        raise ValueError("inner")

    run = play(make(body, retries=1))
    assert (run.invocations, run.error.name) == (4, "RuntimeError")


def test_attempts_are_those_of_the_request():
    """A failing body uses up attempts of the step behind it."""

    async def body(ctx):
        if ctx.attempt == 0:
            raise ValueError("first")
        return await ctx.step.run("attempt", lambda: ctx.attempt)

    assert play(make(body)).result == 1


@pytest.mark.filterwarnings("ignore:.*in a task of its own")
def test_a_task_group_crashes_the_request():
    """The interrupts of the SDK leave a TaskGroup as an exception group, which nobody in the SDK catches."""

    async def body(ctx):
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.step.run("a", lambda: 1))

    run = play(make(body, retries=1))
    assert run.status == "failed"
    assert run.error.message == "Your server returned HTTP 500 before the SDK responded."
    assert run.invocations == 2


@pytest.mark.filterwarnings("ignore:.*in a task of its own")
def test_gather_executes_steps_that_nobody_hears_of():
    """asyncio.gather over steps reports one step per request, and executes the others for nothing."""
    calls = []

    async def body(ctx):
        return await asyncio.gather(*(ctx.step.run(name, calls.append, name) for name in "abc"))

    run = play(make(body))
    assert run.steps == ["a", "b", "c"]
    assert calls == ["a", "b", "c", "b", "c", "c"]


def stuck_behind_one_id(run):
    """The run says why."""
    with pytest.raises(RunStuck, match=r"recorded under that id before; .*same final id 'a:1'.*rename one of them"):
        run.wait()


def test_two_ids_of_one_hash_leave_the_run_stuck():
    """An explicit id that equals the counter of another is recorded once and asked for for ever."""

    async def body(ctx):
        for step_id in ("a", "a", "a:1"):
            await ctx.step.run(step_id, lambda: 1)

    with pytest.warns(DurabilityWarning, match="same final id 'a:1'"), Simulation() as sim:
        stuck_behind_one_id(sim.start(make(body), {}))


def test_a_function_meets_the_limit_of_steps_one_step_early():
    """The server looks before each request, so the last of the allowed steps has no request behind it."""

    async def body(ctx):
        for number in range(ctx.event.data["steps"]):
            await ctx.step.run(f"s{number}", lambda: None)

    limits = Limits(steps=5)
    assert play(make(body), {"steps": 4}, limits=limits).status == "completed"
    run = play(make(body), {"steps": 5}, limits=limits)
    assert run.status == "failed"
    assert "function has too many steps" in run.error.message


def test_memos_are_canonical():
    """Keys are sorted, whole floats are whole numbers, and whole numbers are doubles."""

    async def body(ctx):
        value = {"b": 2.0, "a": 2**53 + 1, 1: 1e21, "c": -0.5, "d": 2**64}
        memo = await ctx.step.run("value", lambda: value)
        return [list(memo), [type(part).__name__ for part in memo.values()], memo]

    keys, types, memo = play(make(body)).result
    assert keys == ["1", "a", "b", "c", "d"]
    assert types == ["float", "int", "int", "float", "int"]
    assert memo["a"] == 2**53
    assert memo["d"] == 18446744073709552000


def test_what_comes_from_elsewhere_is_canonical_too():
    """Events that end a wait, and results of invoked and scripted steps, have been on the server."""

    async def body(ctx):
        event = await ctx.step.wait_for_event("wait", event="app/ok", timeout=DAY)
        answer = await ctx.step.invoke_by_id("call", function_id="elsewhere")
        return [type(ctx.event.data["n"]).__name__, type(event.data["n"]).__name__, type(answer["n"]).__name__]

    with Simulation() as sim:
        sim.step("call").returns({"n": 3.0})
        sim.send("app/ok", {"n": 2.0}, at="1s")
        assert sim.run(make(body), {"n": 1.0}) == ["int", "int", "int"]


def test_outputs_that_are_too_large_have_the_words_of_the_server():
    """The state of a run is limited at once, one output by requests that are made again; the cause says what to do."""

    async def body(ctx):
        for _ in range(5):
            await ctx.step.run("a", lambda: "x" * 300)

    for limits, words, invocations in (
        (Limits(run_bytes=1_000), "InngestErrStateOverflowed", 4),
        (Limits(step_bytes=100), "step output size is greater than the limit", 2),
    ):
        with Simulation(limits=limits) as sim:
            run = sim.start(make(body, retries=1), {})
            with pytest.raises(RunFailed, match=words) as caught:
                run.wait()
        assert isinstance(caught.value.__cause__, LimitError)
        assert run.invocations == invocations


def test_one_reply_holds_a_thousand_steps():
    """More steps side by side than that end the run."""

    async def body(ctx):
        await ctx.group.parallel(tuple(lambda n=n: ctx.step.run(f"s{n}", lambda: n) for n in range(1_001)))

    run = play(make(body))
    assert (run.status, run.invocations) == ("failed", 1)
    assert "InngestErrFunctionOverflowed" in run.error.message


def test_what_is_no_json_fails():
    """NaN makes the whole response unreadable, so the request is made again."""

    async def body(ctx):
        return await ctx.step.run("value", lambda: float("nan"))

    run = play(make(body, retries=1))
    assert (run.status, run.invocations) == ("failed", 2)


@pytest.mark.filterwarnings("ignore::pytest_durable.DurabilityWarning")
def test_a_condition_that_the_server_cannot_fill_in_is_a_finding_with_a_bound():
    """The server would make the request for ever; the run fails after a while and says why."""

    async def body(ctx):
        await ctx.step.wait_for_event("w", event="app/ok", if_exp="event.data.n + 1 == async.data.n", timeout=DAY)

    with Simulation() as sim:
        run = sim.start(make(body), {"n": 5})
        with pytest.raises(RunFailed, match="makes the request again, for ever") as caught:
            run.wait()
    assert isinstance(caught.value.__cause__, UsageError)
    assert run.invocations == 50
    assert ["for ever" in finding for finding in run.findings] == [True]


def test_a_condition_that_does_not_compile_fails_the_run_at_once():
    """It is the server that compiles conditions of waits, when it is told of them."""

    async def body(ctx):
        await ctx.step.wait_for_event("w", event="app/ok", if_exp="async.data.x ==", timeout=DAY)

    run = play(make(body))
    assert (run.invocations, run.error.name) == (1, "Error")
    assert "InvalidExpression" in run.error.message


# -- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clock", ["time-machine", "freezegun", "off"])
def test_the_sdk_sees_virtual_time(clock):
    """Sleeps and retry times that the SDK computes are right with every clock."""
    if clock == "freezegun":
        pytest.importorskip("freezegun")

    async def body(ctx):
        await ctx.step.sleep("nap", DAY)
        if ctx.attempt == 0:
            raise inngest.RetryAfterError("later", 5000)

    run = play(make(body), clock=clock)
    assert run.ended_at - run.started_at == DAY + dt.timedelta(seconds=5)


def test_sleeps_are_whole_seconds():
    """The server rounds what is left of a sleep."""

    async def body(ctx):
        await ctx.step.sleep("short", 400)
        await ctx.step.sleep("long", 1600)

    run = play(make(body))
    assert run.ended_at - run.started_at == dt.timedelta(seconds=2)


def test_a_request_that_sleeps_lets_others_happen():
    """asyncio.sleep takes virtual time in a step and in a body, and other requests go on meanwhile."""
    order = []

    def step(ctx, name, seconds):
        async def work():
            await asyncio.sleep(seconds)
            order.append(name)

        return lambda: ctx.step.run(name, work)

    async def body(ctx):
        await asyncio.sleep(1)
        await ctx.group.parallel((step(ctx, "a", 3), step(ctx, "b", 1), step(ctx, "c", 2)))

    run = play(make(body))
    assert order == ["b", "c", "a"]
    # The body sleeps in each of its five requests: to plan, for each step, and to end.
    assert run.ended_at - run.started_at == dt.timedelta(seconds=1 + 1 + 3 + 1)


@pytest.mark.parametrize("is_async", [True, False])
def test_time_sleep_takes_virtual_time(is_async):
    """A blocking sleep in a step blocks its request, in virtual time."""

    def nap():
        time.sleep(60)

    async def body(ctx):
        await ctx.step.run("nap", nap)

    def sync_body(ctx):
        ctx.step.run("nap", nap)

    run = play(make(body if is_async else sync_body))
    assert run.ended_at - run.started_at == dt.timedelta(minutes=1)


def test_cancelling_does_not_stop_a_request_that_is_under_way():
    """It goes on to its end, and nobody hears of it."""
    done = []

    async def body(ctx):
        async def slow():
            await asyncio.sleep(3)
            done.append(sim.now)

        await ctx.step.run("slow", slow)

    with Simulation() as sim:
        run = sim.start(make(body), {})
        sim.cancel(run, at="1s")
        sim.advance("1m")
    assert (run.status, list(run.steps), len(done)) == ("cancelled", [], 1)


def test_a_simulation_may_end_in_the_middle_of_a_request():
    """What is left of a request is closed with its simulation; its finally blocks run."""
    closed = []

    async def body(ctx):
        async def slow():
            try:
                await asyncio.sleep(3)
            finally:
                closed.append(True)

        await ctx.step.run("slow", slow)

    with Simulation() as sim:
        run = sim.start(make(body), {})
        sim.advance("1s")
        assert (run.status, closed) == ("running", [])
        assert run.step("slow").status == "running"
    assert closed == [True]


def test_a_request_that_polls_has_a_bound():
    """A body that sleeps in a loop without a step does not hang the test."""

    async def polls(ctx):
        while True:
            await asyncio.sleep(1)

    async def spins(ctx):
        while True:
            await asyncio.sleep(0)

    with Simulation() as sim, pytest.raises(RunFailed, match="polled for something"):
        sim.run(make(polls), {})
    limits = Limits(callbacks_per_invocation=1_000)
    with Simulation(limits=limits) as sim, pytest.raises(BoundReachedError, match="loops for ever"):
        sim.run(make(spins), {})


def test_forgotten_tasks_go_on_behind_the_response():
    """A task that the body created and did not await goes on for a while, as on a server, and then ends."""
    beats = []

    async def body(ctx):
        async def heart():
            while True:
                await asyncio.sleep(60)
                beats.append(sim.now)

        task = asyncio.create_task(heart())
        result = await ctx.step.run("a", lambda: 1)
        task.cancel()
        return result

    def play():
        with sim:
            assert sim.run(function, {}) == 1
            sim.advance("1h")
            assert len(beats) == 60
            sim.run_until_idle()

    function, sim = make(body), Simulation()
    with pytest.warns(DurabilityWarning, match="has gone to sleep 1,000 times"):
        play()
    assert len(beats) == 1_000


def test_the_outside_world_is_refused_by_name():
    """A step that opens a connection fails the run and says what to do."""

    async def body(ctx):
        async def fetch():
            await asyncio.open_connection("example.com", 80)

        await ctx.step.run("fetch", fetch)

    run = play(make(body, retries=0))
    assert run.error.name == "UsageError"
    assert "durable.step(...).returns(...)" in run.error.message


# -- scripts, faults, checks, exploration -----------------------------------------------------------------------------


def forbidden(*_):
    raise AssertionError("the real handler was called")


@pytest.mark.parametrize("is_async", [True, False])
def test_a_script_stands_in_for_a_step(is_async):
    """Errors, values and durations of a script are those of the handler; the attempts are counted as always."""

    async def body(ctx):
        return await ctx.step.run("charge", forbidden, 5)

    def sync_body(ctx):
        return ctx.step.run("charge", forbidden, 5)

    with Simulation() as sim:
        sim.step("charge").raises(OSError("down"), times=2).takes("3h").calls(lambda amount: amount * 2)
        run = sim.start(make(body if is_async else sync_body), {})
        assert run.wait() == 10
    record = run.step("charge")
    assert (record.attempts, record.input) == (3, [5])
    assert run.ended_at - run.started_at > dt.timedelta(hours=3)
    assert run.invocations == 4


def test_a_scripted_non_retriable_error_is_that_of_the_sdk():
    """A script may raise this package's NonRetriableError; the function gets the SDK's."""

    async def body(ctx):
        try:
            await ctx.step.run("charge", forbidden)
        except inngest.NonRetriableError as error:
            return str(error)

    with Simulation() as sim:
        sim.step("charge").raises(NonRetriableError("no"))
        assert sim.run(make(body), {}) == "no"


def test_waits_sleeps_and_invocations_are_scripted():
    """What nobody executes is answered by a script as in a native function."""

    async def body(ctx):
        event = await ctx.step.wait_for_event("wait", event="app/ok", timeout=DAY)
        await ctx.step.sleep("nap", DAY)
        result = await ctx.step.invoke_by_id("call", function_id="elsewhere", app_id="other")
        missed = await ctx.step.wait_for_event("late", event="app/ok", timeout=DAY)
        return [event.name, event.data, result, missed]

    with Simulation() as sim:
        sim.step("wait").returns({"n": 1})
        sim.step("nap").returns()
        sim.step("call").returns([1])
        sim.step("late").times_out()
        run = sim.start(make(body), {})
        assert run.wait() == ["app/ok", {"n": 1}, [1], None]
    assert run.ended_at - run.started_at == DAY


def test_a_model_is_asked_by_a_script_only():
    """ai.infer is answered by a script; without one the run fails and says what to write."""
    openai = pytest.importorskip("inngest.experimental.ai.openai")
    adapter = openai.Adapter(auth_key="key", model="gpt")

    async def body(ctx):
        try:
            return await ctx.step.ai.infer("ask", adapter=adapter, body={"q": 1})
        except inngest.StepError as error:
            return [error.name, error.message]

    with Simulation() as sim:
        sim.step("ask").calls(lambda url, headers, body: [url.rsplit("/", 1)[-1], body["q"]])
        assert sim.run(make(body), {}) == ["completions", 1]
    with Simulation() as sim:
        sim.step("ask").raises(OSError("down"), times=2)
        assert sim.run(make(body, retries=1), {}) == ["AIGatewayError", "Error making AI request: down"]
    with Simulation() as sim, pytest.raises(RunFailed, match=r"durable.step\('ask'\).returns"):
        sim.run(make(body), {})


@pytest.mark.parametrize("fault", ["crash", "lost_ack", "step_error"])
def test_faults_befall_steps(fault):
    """A fault costs an attempt, and the run survives it."""

    async def body(ctx):
        a = await ctx.step.run("a", lambda: 1)
        b, c = await ctx.group.parallel((lambda: ctx.step.run("b", lambda: 2), lambda: ctx.step.run("c", lambda: 3)))
        return [a, b, c]

    run = play(make(body), faults=[fault])
    assert run.result == [1, 2, 3]
    assert run.step("a").attempts == 2


def test_a_planned_request_that_is_delivered_again_ends_the_function_early():
    """The server has no guard: the group sees a step without its siblings, and the function returns with it alone."""

    async def body(ctx):
        return list(await ctx.group.parallel(tuple(lambda n=n: ctx.step.run(n, lambda: n) for n in ("a", "b"))))

    def scenario(sim):
        assert sim.run(function, {}) == ["a", "b"]

    function = make(body)
    assert explore(scenario).complete
    with pytest.warns(DurabilityWarning, match="in the request of step '.' alone.*part of the group"):
        report = explore(scenario, faults=["redelivery"])
    assert len(report.failures) == 1


def test_a_model_may_take_its_time_and_crash_the_worker():
    """A scripted answer of a model has a duration; a crash costs an attempt, and the last one ends the run."""
    openai = pytest.importorskip("inngest.experimental.ai.openai")
    adapter = openai.Adapter(auth_key="key", model="gpt")

    async def body(ctx):
        return await ctx.step.ai.infer("ask", adapter=adapter, body={})

    with Simulation() as sim:
        sim.step("ask").crashes("before").takes("5m").returns({"a": 2.0})
        run = sim.start(make(body), {})
        assert run.wait() == {"a": 2}
    assert run.ended_at - run.started_at > dt.timedelta(minutes=5)
    assert run.step("ask").attempts == 2
    with Simulation() as sim:
        sim.step("ask").crashes("before", times=2)
        with pytest.raises(RunFailed, match="the worker was lost"):
            sim.run(make(body, retries=1), {})


def test_a_model_without_a_script_ends_the_run_before_its_siblings():
    """What the test forgot is said at once, whoever stands beside it."""
    openai = pytest.importorskip("inngest.experimental.ai.openai")
    adapter = openai.Adapter(auth_key="key", model="gpt")

    async def body(ctx):
        return await ctx.group.parallel(
            (
                lambda: ctx.step.ai.infer("ask", adapter=adapter, body={}),
                lambda: ctx.step.run("a", forbidden),
            )
        )

    with Simulation() as sim, pytest.raises(RunFailed, match="asks a model"):
        sim.run(make(body), {})


def test_a_crash_at_the_last_attempt_ends_the_run():
    """A lost response with no attempts left is the error of the run, and no StepError."""

    async def body(ctx):
        await ctx.step.run("a", lambda: 1)

    with Simulation() as sim:
        sim.step("a").crashes("after", times=2)
        run = sim.start(make(body, retries=1), {})
        with pytest.raises(RunFailed, match="the worker was lost"):
            run.wait()
    assert run.invocations == 2


def test_requests_that_sleep_are_explored_and_delivered_again():
    """Their ends are happenings like any, and a redelivery of one enters the body again."""
    entered = []

    async def body(ctx):
        entered.append(1)

        async def slow():
            await asyncio.sleep(2)
            return 1

        await ctx.step.run("slow", slow)
        return await ctx.step.wait_for_event("wait", event="app/ok", timeout=DAY) is not None

    def scenario(sim):
        sim.send("app/ok", at="2s")
        seen.add(sim.run(function, {}))

    function, seen = make(body), set()
    assert explore(scenario).complete
    assert seen == {True, False}
    entered.clear()
    with Simulation(faults=["redelivery"]) as sim:
        assert sim.run(function, {}) is False
    assert len(entered) == 4


def test_race_reports_siblings_again():
    """Every completion makes a request; what it finds again is known, and is not done twice."""
    if not hasattr(inngest, "ParallelMode"):
        pytest.skip("this version of the SDK has no modes of groups")
    calls = []

    async def body(ctx):
        def chain(name):
            async def two():
                await ctx.step.run(f"{name}1", calls.append, name)
                return await ctx.step.wait_for_event(f"{name}2", event="app/ok", timeout=DAY)

            return two

        mode = inngest.ParallelMode.RACE
        return list(await ctx.group.parallel((chain("a"), chain("b")), parallel_mode=mode))

    with Simulation() as sim:
        run = sim.start(make(body), {})
        sim.advance("2d")
    assert run.result == [None, None]
    assert sorted(calls) == ["a", "b"]


def test_exploration_finds_the_order_that_breaks():
    """Every order of siblings of a group is explored, and a lost crash is found."""
    order = []

    async def body(ctx):
        await ctx.group.parallel(tuple(lambda n=n: ctx.step.run(n, order.append, n) for n in ("a", "b", "c")))

    def scenario(sim):
        order.clear()
        sim.run(function, {})
        assert order != ["c", "b", "a"]

    function = make(body)
    report = explore(scenario)
    assert len(report.failures) == 1
    assert report.complete or report.failures


def test_the_battery_passes_a_sound_function_and_finds_an_impure_one():
    """Checks look into functions of the SDK as into native ones, and see the author's lines alone."""

    async def sound(ctx):
        await ctx.step.run("a", time.time)
        await ctx.step.wait_for_event("w", event="app/ok", timeout=DAY)
        await ctx.step.send_event("send", inngest.Event(name="app/sent"))
        return "done"

    async def impure(ctx):
        ctx.logger.info("at %s", time.time())
        await ctx.step.run("a", time.time)

    checks.check_durable(make(sound), {})
    with pytest.raises(checks.DurabilityError) as caught:
        checks.check_durable(make(impure), {}, only=["impure_body"])
    assert str(caught.value).count("time.time at") == 1


def test_the_battery_finds_ids_that_change():
    """A step whose id is minted in the body is found at once, although the server would not notice."""
    numbers = iter(range(1_000))

    async def body(ctx):
        await ctx.step.run(f"step-{next(numbers)}", lambda: 1)

    with pytest.raises(checks.DurabilityError, match="asks for other steps than before"):
        checks.check_durable(make(body), {}, only=["replay_determinism"])


def test_a_saved_history_is_compared_with_new_code():
    """checks.replay enters today's function with yesterday's steps."""

    async def order(ctx):
        await ctx.step.run("charge", lambda: 1)
        await ctx.step.sleep("nap", DAY)

    history = play(make(order)).history
    checks.replay(make(order), history)

    async def renamed(ctx):
        await ctx.step.run("charge-card", lambda: 1)
        await ctx.step.sleep("nap", DAY)

    renamed.__name__ = "order"
    with pytest.raises(checks.DurabilityError, match="renamed to 'charge-card'"):
        checks.replay(make(renamed), history)


# -- clients, middleware, serializers ---------------------------------------------------------------------------------


def test_events_of_a_client_go_into_the_simulation():
    """client.send and send_sync start functions, from a test, a body, a step and another loop, with no key at all."""
    client = inngest.Inngest(app_id="cloud", is_production=True)

    async def body(ctx):
        ids = await client.send(inngest.Event(name="app/bare"))
        await ctx.step.run("send", lambda: client.send_sync(inngest.Event(name="app/step")))
        return len(ids)

    with Simulation() as sim:
        sim.register(make(body, client=client))
        ids = client.send_sync([inngest.Event(name="app/go"), inngest.Event(name="app/other", id="mine")])
        ids += asyncio.run(client.send(inngest.Event(name="app/go")))
        sim.run_until_idle()
    assert len(set(ids)) == 3
    assert "mine" not in ids
    assert [run.result for run in sim.runs] == [1, 1]
    names = [event.name for event in sim.events if event.name.startswith("app/")]
    assert sorted(set(names)) == ["app/bare", "app/go", "app/other", "app/step"]
    assert names.count("app/bare") == 4
    assert [event.name for event in sim.runs[0].sent_events] == ["app/bare", "app/step", "app/bare"]


def test_an_event_that_the_server_refuses_is_the_error_of_the_sdk():
    """A reserved name is an answer of 400, of which the SDK makes SendEventsError."""
    client = inngest.Inngest(app_id="app")
    with Simulation(), pytest.raises(errors.SendEventsError, match="reserved"):
        client.send_sync(inngest.Event(name="inngest/function.finished"))


def test_a_cloud_client_needs_no_set_up(monkeypatch):
    """A client in cloud mode without keys works; the environment is as it was."""
    monkeypatch.delenv("INNGEST_SIGNING_KEY", raising=False)

    async def body(ctx):
        return await ctx.step.run("a", lambda: 1)

    import os

    assert play(make(body, client=inngest.Inngest(app_id="cloud", is_production=True))).result == 1
    assert "INNGEST_SIGNING_KEY" not in os.environ


def test_middleware_sees_every_request_and_every_sending():
    """Hooks of the client run around steps, results and sent events, and what they change is kept."""
    seen = []

    class Spy(inngest.Middleware):
        async def transform_output(self, result):
            seen.append(result.step.id if result.step else "end")
            if result.step is None:
                result.output = {"wrapped": result.output}

        async def before_send_events(self, events):
            seen.append(f"sends {len(events)}")

    client = inngest.Inngest(app_id="spied", middleware=[Spy])

    async def body(ctx):
        return await ctx.step.run("a", lambda: 1)

    with Simulation() as sim:
        sim.register(make(body, client=client))
        asyncio.run(client.send(inngest.Event(name="app/go")))
        sim.run_until_idle()
        assert sim.runs[0].result == {"wrapped": 1}
    assert seen == ["sends 1", "a", "end"]


def test_a_serializer_is_at_work():
    """output_type and the client's serializer carry objects through steps, results, invocations and scripts."""
    pydantic = pytest.importorskip("pydantic")

    class User(pydantic.BaseModel):
        name: str

    client = inngest.Inngest(app_id="typed", serializer=inngest.PydanticSerializer())

    async def child(ctx):
        user = await ctx.step.run("user", lambda: User(name="Ada"), output_type=User)
        return User(name=user.name.upper())

    served = make(child, client=client, output_type=User)

    async def parent(ctx):
        user = await ctx.step.invoke("call", function=served)
        return user.name

    with Simulation() as sim:
        assert sim.run(make(parent, client=client), {}) == "ADA"
        sim.step("user").returns(User(name="Bo"))
        assert sim.run(make(parent, client=client), {}) == "BO"
        sim.step("call").returns(User(name="Cy"))
        assert sim.run(make(parent, client=client), {}) == "Cy"
        with pytest.raises(UsageError, match=r"User\(name='Di'\) is not an event with a name and data"):
            sim.start(served, User(name="Di"))


def test_the_logger_is_silent_while_replaying(caplog):
    """ctx.logger is the SDK's own: a line is written when the body reaches it first."""

    async def body(ctx):
        ctx.logger.warning("before")
        await ctx.step.run("a", lambda: 1)
        ctx.logger.warning("after")

    with caplog.at_level(logging.INFO):
        play(make(body))
    assert [record.message for record in caplog.records] == ["before", "after"]


def test_a_function_outlives_its_client():
    """A client that nobody holds any more is found with its function."""

    def build():
        client = inngest.Inngest(app_id="gone")

        async def body(ctx):
            return ctx.event.name

        return client.create_function(fn_id="body", trigger=inngest.TriggerEvent(event="app/go"))(body)

    run = play(build())
    assert run.result == "app/go"
    assert run.function_id == "gone-body"


def test_functions_that_were_made_before_find_their_client():
    """The client is looked for near the handler, then among all that are alive; if it is gone, one stands in for it."""
    adapter = pytest.importorskip("pytest_durable.adapters.inngest_client")
    trigger = inngest.TriggerEvent(event="app/go")
    create = adapter.create_function.__wrapped__
    near, far = inngest.Inngest(app_id="near"), inngest.Inngest(app_id="far")

    async def refers(ctx):
        return near.app_id

    async def lonely(ctx):
        return None

    for client, body in ((near, refers), (far, lonely)):
        function = create(client, fn_id="f", trigger=trigger)(body)
        assert adapter.client_of(function) is client
    function = create(inngest.Inngest(app_id="nobody"), fn_id="f", trigger=trigger)(lonely)
    assert adapter.client_of(function).app_id == "nobody"
    assert play(function).status == "completed"


# -- the world around -------------------------------------------------------------------------------------------------


def test_native_functions_and_those_of_an_sdk_invoke_each_other():
    """They live in one simulation, on one bus."""

    async def child(ctx):
        return ctx.event.data["n"] + 1

    served = make(child)

    @durable_function("app-native")
    async def native(ctx):
        return await ctx.step.invoke("call", function=served, data={"n": 1})

    async def parent(ctx):
        return await ctx.step.invoke_by_id("call", function_id="native")

    with Simulation() as sim:
        sim.register(native)
        assert sim.run(make(parent), {}) == 2


@pytest.mark.parametrize("is_native", [False, True])
def test_the_caller_of_a_cancelled_run_gets_the_event_of_its_end(is_native):
    """The server hands the event itself over, as if it were the result."""

    async def child(ctx):
        await ctx.step.sleep("nap", 5000)

    kid = durable_function("app-child")(child) if is_native else make(child)

    async def parent(ctx):
        got = await ctx.step.invoke_by_id("call", function_id="child")
        return [got["name"], got["data"]["_inngest"]["status"], "correlation_id" in got["data"], got["user"]]

    with Simulation() as sim:
        sim.register(kid)
        run = sim.start(make(parent), {})
        sim.advance("1s")
        sim.cancel(sim.runs[-1])
        assert run.wait() == ["inngest/function.finished", "Cancelled", True, {}]


def test_an_unknown_function_is_a_step_error():
    """The server answers an invocation of what it does not know with an error that can be caught."""

    async def body(ctx):
        try:
            await ctx.step.invoke_by_id("call", function_id="nobody")
        except inngest.StepError as error:
            return error.message

    assert play(make(body)).result == "could not find function with ID: app-nobody"


def test_a_failure_handler_runs_once():
    """on_failure is a run of its own, for the event of the failure."""

    async def report(ctx):
        error = ctx.event.data["error"]
        return [ctx.event.data["function_id"], error["name"], error["message"], error["error"]]

    async def body(ctx):
        raise ValueError("bad")

    async def nothing(ctx):
        return None

    with Simulation() as sim:
        sim.register(
            make(nothing), make(body, retries=1, on_failure=report, trigger=inngest.TriggerEvent(event="app/bad"))
        )
        sim.send("app/bad")
        sim.run_until_idle()
    assert [run.function_id for run in sim.runs] == ["app-body", "app-body-failure"]
    assert sim.runs[1].result == ["app-body", "ValueError", "bad", "invalid status code: 500"]


def test_lists_of_functions_are_registered():
    """register takes what serve takes."""

    async def one(ctx):
        return 1

    async def two(ctx):
        return 2

    with Simulation() as sim:
        sim.register([make(one), make(two)])
        sim.send(inngest.Event(name="app/go"))
        sim.run_until_idle()
    assert [run.result for run in sim.runs] == [1, 2]


def test_a_step_decorator_is_a_step():
    """The SDK's experimental decorator makes a step of a function wherever it is called in a run."""
    context = pytest.importorskip("inngest._internal.execution_lib")
    if not hasattr(context, "step"):
        pytest.skip("this version of the SDK has no decorator")

    @context.step("decorated")
    async def add(a, b):
        return a + b

    async def body(ctx):
        return await add(1, b=2)

    run = play(make(body))
    assert (run.result, list(run.steps)) == (3, ["decorated"])


def test_a_wrong_configuration_is_named():
    """What the SDK or the server would refuse is a UsageError with the function's id."""

    async def body(ctx):
        return None

    debounce = inngest.Debounce(period=dt.timedelta(milliseconds=500))
    cancel = [inngest.Cancel(event="app/stop", if_exp="async.data.x ==")]
    for options in ({"debounce": debounce}, {"cancel": cancel}):
        with Simulation() as sim, pytest.raises(UsageError, match="app-body"):
            sim.register(make(body, **options))


def test_the_ledger_knows_the_step():
    """Effects of a handler belong to its step, those of a body to none."""

    async def body(ctx):
        sim.ledger.record("seen")
        await ctx.step.run("charge", lambda: sim.ledger.record("charge", key="o1"))

    with Simulation() as sim:
        run = sim.start(make(body), Event("app/go"))
        sim.run_until_idle()
    assert [(effect.name, effect.step) for effect in sim.ledger] == [("seen", ""), ("charge", "charge"), ("seen", "")]
    assert {effect.run for effect in sim.ledger} == {run.id}
