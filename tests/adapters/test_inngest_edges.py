"""Functions of the Inngest Python SDK at the edges: refused configurations, clients, limits, scripts and checks."""

import asyncio
import contextlib
import datetime as dt
import sys
import threading
import time

import pytest

from pytest_durable import (
    DurabilityError,
    History,
    Limits,
    NonRetriableError,
    RetryAfterError,
    RunFailed,
    Simulation,
    UsageError,
    checks,
    durable_function,
)

inngest = pytest.importorskip("inngest")
inngest_client = pytest.importorskip("pytest_durable.adapters.inngest_client")

DAY = dt.timedelta(days=1)


def make(body, client=None, **options):
    """A function of the SDK."""
    options.setdefault("trigger", inngest.TriggerEvent(event="app/go"))
    return (client or inngest.Inngest(app_id="app")).create_function(fn_id=body.__name__, **options)(body)


def test_a_configuration_that_the_sdk_cannot_send_is_refused():
    """What the SDK itself cannot write as a request names the function."""

    async def body(ctx):
        return None

    function = make(body, debounce=inngest.Debounce(period=dt.timedelta(microseconds=1)))
    with Simulation() as sim, pytest.raises(UsageError, match="function 'app-body': "):
        sim.start(function, {})


def test_a_function_is_given_as_itself():
    """A text is no function, and the message says so."""
    with Simulation() as sim, pytest.raises(UsageError, match="'body' is text; give the function itself"):
        sim.start("body", {})


def test_outside_a_simulation_a_client_is_the_sdk_s_own(monkeypatch):
    """Without a simulation the methods that the SDK has are called, with what they were given."""
    called = []

    async def send(client, events, *, skip_middleware):
        called.append(("async", events, skip_middleware))

    def send_sync(client, events, *, skip_middleware):
        called.append(("sync", events, skip_middleware))

    monkeypatch.setattr(inngest_client, "_send", send)
    monkeypatch.setattr(inngest_client, "_send_sync", send_sync)
    client, event = inngest.Inngest(app_id="app"), inngest.Event(name="x")
    client.send_sync(event, skip_middleware=True)
    asyncio.run(client.send(event))
    assert called == [("sync", event, True), ("async", event, False)]


def test_a_middleware_that_fails_fails_the_sending():
    """As with the SDK's own client, what a middleware raises before the events are sent is raised there."""

    class Broken(inngest.MiddlewareSync):
        """Refuses."""

        def before_send_events(self, events):
            """Refuse."""
            raise RuntimeError("refused")

    client = inngest.Inngest(app_id="app", middleware=[Broken])
    with Simulation() as sim:
        with pytest.raises(Exception, match="refused"):
            client.send_sync(inngest.Event(name="x"))
        assert client.send_sync(inngest.Event(name="x"), skip_middleware=True)
        sim.settle()
        assert [event.name for event in sim.events] == ["x"]


def test_a_wait_longer_than_a_year_fails_the_run():
    """With the words of the server."""

    async def body(ctx):
        await ctx.step.wait_for_event("w", event="x", timeout=DAY * 400)

    with Simulation() as sim, pytest.raises(RunFailed, match="expires more than one year in the future"):
        sim.run(make(body), {})


@pytest.mark.parametrize(
    ("error", "attempts", "seconds"),
    [(RetryAfterError("later", 3_600_000), 2, 3_600), (NonRetriableError("never"), 1, 0)],
    ids=["later", "never"],
)
def test_a_scripted_error_is_one_of_the_sdk(error, attempts, seconds):
    """Our errors that say when to try again mean what the SDK's own mean: later, or that the run fails."""

    async def body(ctx):
        return await ctx.step.run("a", lambda: "real")

    with Simulation() as sim:
        sim.step("a").raises(error)
        run = sim.start(make(body), {})
        sim.run_until_idle()
        assert run.status == ("completed" if attempts == 2 else "failed")
        assert run.step("a").attempts == attempts
        assert int((run.ended_at - run.started_at).total_seconds()) == seconds


def test_a_failed_step_that_the_body_survives_is_no_violation():
    """The battery passes for a function that catches the failure of a step, and goes on."""

    async def body(ctx):
        try:
            await ctx.step.run("a", lambda: 1 / 0)
        except inngest.StepError:
            return await ctx.step.run("b", lambda: 2)

    kept = checks.check_durable(make(body, retries=0), {}, only=["replay_determinism", "terminates"])
    assert all(verdict.proved for verdict in kept)


def test_a_function_that_fails_fails_its_check():
    """A run that fails without any fault does not terminate well; its replay fails in the same way."""

    async def body(ctx):
        await ctx.step.run("a", lambda: 1)
        raise inngest.NonRetriableError("no")

    function = make(body)
    with pytest.raises(DurabilityError, match="without any fault the run fails"):
        checks.check_durable(function, {}, only="terminates")
    (verdict,) = checks.check_durable(function, {}, only="replay_determinism")
    assert "2 prefixes of the memo" in verdict.proved


@pytest.mark.parametrize("after", [2, 3, 4, 5, 6])
def test_a_body_that_asks_for_other_steps_is_found(after):
    """Whichever entry into the body is the first to ask for another step, some check reports both steps."""
    entered = []

    async def body(ctx):
        entered.append(1)
        await ctx.step.run("first", lambda: 1)
        await ctx.step.run("left" if len(entered) <= after else "right", lambda: 1)

    with pytest.raises(DurabilityError, match="right"):
        checks.check_durable(make(body), {}, only="replay_determinism")


def test_a_trace_with_a_time_that_is_none_is_refused():
    """By the field and its value."""
    trace = {
        "id": "r", "function": "f", "status": "RUNNING",
        "trace": {"name": "Run", "queuedAt": "yesterday", "childrenSpans": []},
    }  # fmt: skip
    with pytest.raises(UsageError, match="'yesterday'"):
        History.from_inngest(trace)


@pytest.mark.parametrize("mode", ["always", "checkpoint"])
@pytest.mark.parametrize("sync", [False, True])
def test_a_step_that_starts_a_loop_of_its_own_is_told_to_be_async(sync, mode):
    """In the words of native steps; other errors of its kind stay what they are."""

    def starts():
        nap = asyncio.sleep(1)
        try:
            return asyncio.run(nap)
        finally:
            nap.close()

    def breaks():
        raise RuntimeError("plain")

    client = inngest.Inngest(app_id="app", is_production=False)
    for handler, words in (
        (starts, "step 's' of app-fn starts an event loop of its own"),
        (breaks, "RuntimeError: plain"),
    ):

        async def body(ctx, handler=handler):
            return await ctx.step.run("s", handler)

        def body_sync(ctx, handler=handler):
            return ctx.step.run("s", handler)

        trigger = inngest.TriggerEvent(event="go")
        function = client.create_function(fn_id="fn", trigger=trigger, retries=0)(body_sync if sync else body)
        with Simulation(replay=mode) as sim, pytest.raises(RunFailed, match=words):
            sim.run(function)


@pytest.mark.parametrize("mode", ["always", "checkpoint"])
def test_a_sync_body_that_starts_a_loop_of_its_own_is_refused(mode):
    """Also where it runs on a thread of its own; nothing takes real time."""

    def body(ctx):
        ctx.step.run("a", lambda: 1)
        nap = asyncio.sleep(3600)
        try:
            return asyncio.run(nap)
        finally:
            nap.close()

    client = inngest.Inngest(app_id="app", is_production=False)
    function = client.create_function(fn_id="fn", trigger=inngest.TriggerEvent(event="go"), retries=0)(body)
    with Simulation(replay=mode) as sim, pytest.raises(RunFailed, match="running event loop"):
        sim.run(function)


@pytest.mark.parametrize("sync", [False, True])
def test_the_ctx_of_another_request_is_refused(sync):
    """A function that keeps the ctx of its first request is told so, instead of asking for the same step for ever."""
    kept = []

    async def body(ctx):
        kept.append(ctx)
        await ctx.step.run("first", lambda: 1)
        return await kept[0].step.run("second", lambda: 2)

    def body_sync(ctx):
        kept.append(ctx)
        ctx.step.run("first", lambda: 1)
        return kept[0].step.run("second", lambda: 2)

    client = inngest.Inngest(app_id="app", is_production=False)
    trigger = inngest.TriggerEvent(event="go")
    function = client.create_function(fn_id="fn", trigger=trigger, retries=0)(body_sync if sync else body)
    with (
        Simulation() as sim,
        pytest.raises(RunFailed, match=r"step 'second' is asked for .* with the ctx of another one"),
    ):
        sim.run(function)


@pytest.mark.parametrize("in_step", [False, True], ids=["body", "step"])
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
@pytest.mark.parametrize("native", [False, True], ids=["sdk", "native"])
def test_what_the_ctx_of_another_run_says_is_refused(native, sync, in_step):
    """A run that reads the event of the run before from a ctx that somebody kept fails, with both names."""
    kept = []

    def read(word):
        return getattr(kept[0], word)

    async def body(ctx):
        kept.append(ctx)
        for word in ("event", "run_id", "attempt"):
            await ctx.step.run(word, read, word) if in_step else read(word)

    def body_sync(ctx):
        kept.append(ctx)
        for word in ("event", "run_id", "attempt"):
            ctx.step.run(word, lambda word=word: str(read(word))) if in_step else read(word)

    client = inngest.Inngest(app_id="app", is_production=False)
    trigger = inngest.TriggerEvent(event="go")
    chosen = body_sync if sync else body
    function = (
        durable_function("fn", retries=0)(chosen)
        if native
        else client.create_function(fn_id="fn", trigger=trigger, retries=0)(chosen)
    )
    with Simulation() as sim:
        first = sim.start(function, {})
        sim.advance("1h")
        with pytest.raises(RunFailed, match=r"fn reads the ctx of another run, of \S*fn \(\w+\)") as failed:
            sim.run(function, {})
        assert ("step 'event' of" if in_step else "the body of") in str(failed.value)
        assert kept[0].run_id == first.id


@pytest.mark.parametrize("mode", ["always", "checkpoint"])
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_thread_that_a_step_starts_is_refused(sync, mode):
    """By step and line; the thread on which a sync function itself may run is no such thread."""

    def work():
        threading.Thread(target=time.sleep, args=(3600,)).start()

    async def body(ctx):
        await ctx.step.run("work", work)

    def body_sync(ctx):
        ctx.step.run("work", work)

    client = inngest.Inngest(app_id="app", is_production=False)
    trigger = inngest.TriggerEvent(event="go")
    function = client.create_function(fn_id="fn", trigger=trigger, retries=0)(body_sync if sync else body)
    words = r"step 'work' of app-fn starts a thread .*test_inngest_edges\.py:\d+"
    with Simulation(replay=mode) as sim, pytest.raises(RunFailed, match=words):
        sim.run(function)


@pytest.mark.parametrize("loop", ["while", "suppress"])
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
@pytest.mark.parametrize("native", [False, True], ids=["sdk", "native"])
@pytest.mark.filterwarnings("ignore::pytest_durable.DurabilityWarning")
def test_a_body_that_catches_everything_for_ever_is_left(native, sync, loop):
    """A loop that swallows what ends it, and asks again and again, does not hang: the run fails, and says why."""

    async def body(ctx):
        while True:
            if loop == "suppress":
                with contextlib.suppress(BaseException):
                    await ctx.step.run("a", lambda: 1)
            else:
                try:
                    await ctx.step.run("a", lambda: 1)
                except BaseException:  # noqa: BLE001 - as authors write it
                    ctx.logger.info("again")

    def body_sync(ctx):
        while True:
            if loop == "suppress":
                with contextlib.suppress(BaseException):
                    ctx.step.run("a", lambda: 1)
            else:
                try:
                    ctx.step.run("a", lambda: 1)
                except BaseException:  # noqa: BLE001 - as authors write it
                    ctx.logger.info("again")

    before = sys.gettrace()
    chosen = body_sync if sync else body
    client = inngest.Inngest(app_id="app", is_production=False)
    trigger = inngest.TriggerEvent(event="go")
    function = (
        durable_function("fn", retries=0)(chosen)
        if native
        else client.create_function(fn_id="fn", trigger=trigger, retries=0)(chosen)
    )
    with Simulation(limits=Limits(steps=20)) as sim:
        run = sim.start(function)
        with pytest.raises(RunFailed, match=r"for ever; a bare|swallowed the interrupt|is number 21"):
            run.wait()
    assert sys.gettrace() is before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"retries": -1}, "function 'app-fn': retries: Input should be greater than or equal to 0"),
        (
            {"debounce": inngest.Debounce(period=dt.timedelta(0))},
            "function 'app-fn': period: duration must be at least 1 second",
        ),
    ],
)
def test_what_the_sdk_refuses_is_named_as_the_author_wrote_it(options, words):
    """The name of the option stands in the message, not that of a serializer."""

    async def body(ctx):
        """Never entered."""

    client = inngest.Inngest(app_id="app", is_production=False)
    function = client.create_function(fn_id="fn", trigger=inngest.TriggerEvent(event="app/go"), **options)(body)
    with Simulation() as sim, pytest.raises(UsageError) as refused:
        sim.register(function)
    assert str(refused.value) == words
