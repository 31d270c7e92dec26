"""Events on their way to runs: ids that were there before, future times, names, invocations. Semantics 7, 8 and 15."""

import pytest

from pytest_durable import (
    Batch,
    Context,
    Debounce,
    Event,
    InvokeTimeoutError,
    RateLimit,
    RunStuck,
    Singleton,
    StepError,
    TriggerCron,
    TriggerEvent,
    durable_function,
)

# -- ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flow", [{}, {"singleton": Singleton(mode="skip", key="event.data.none")}], ids=["plain", "gated"]
)
def test_a_second_event_with_an_id_starts_nothing(durable, log, play, outcomes, flow):
    """Not under another name either; per function, for a day. With gates in front it is the same."""

    @durable_function("once", trigger=["go", "also"], **flow)
    async def once(ctx: Context):
        log(ctx.event.name, ctx.event.data["n"])

    durable.register(once)
    day = 24 * 3600
    play("go", (0, {"n": 1}, "same"), (1, {"n": 2}, "same"), (2, {"n": 4}, "other"), (day - 1, {"n": 5}, "same"))
    play("also", (1.5, {"n": 3}, "same"))
    play("go", (day, {"n": 6}, "same"))
    durable.run_until_idle()
    assert log.lines == [(0, "go", 1), (2, "go", 4), (day, "go", 6)]
    assert outcomes("also") == ["did not start once: duplicate id 'same' within 24 h"]


def test_a_second_event_with_an_id_still_wakes_and_is_one_for_another_function(durable, play):
    """Ids count where runs are created, per function, and nowhere else."""

    @durable_function("waiter", trigger="wait")
    async def waiter(ctx: Context):
        return [(await ctx.step.wait_for_event("w", event="answer", timeout="4s")).data["n"] for _ in range(2)]

    @durable_function("listener", trigger="answer")
    async def listener(ctx: Context):
        return ctx.event.data["n"]

    durable.register(waiter, listener)
    play("wait", (0, {}))
    play("answer", (1, {"n": 5}, "dup"), (2, {"n": 6}, "dup"))
    durable.run_until_idle()
    assert [run.result for run in durable.runs] == [[5, 6], 5]


# -- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flow", [{}, {"rate_limit": RateLimit(limit=100, period="1s")}], ids=["plain", "gated"])
def test_a_future_ts_delays_the_runs_and_not_the_waits(durable, log, flow):
    """Sent at 2 s for 6 s: a wait hears it at once, a run begins at 6 s; a past ts changes nothing."""

    @durable_function("main", trigger="go", **flow)
    async def main(ctx: Context):
        log("start", ctx.event.data["n"])

    @durable_function("waiter", trigger="wait")
    async def waiter(ctx: Context):
        await ctx.step.wait_for_event("w", event="go", if_exp="async.data.n == 2", timeout="8s")
        log("woken")

    durable.register(main, waiter)
    began = int(durable.now.timestamp() * 1000)
    durable.send("wait", {})
    durable.send(Event("go", {"n": 1}, ts=began - 3_600_000), at="1s")
    durable.send(Event("go", {"n": 2}, ts=began + 6_000), at="2s")
    durable.send("go", {"n": 3}, at="3s")
    durable.advance("1m")
    assert log.lines == [(1, "start", 1), (2, "woken"), (3, "start", 3), (6, "start", 2)]


# -- names and conditions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("triggers", "started_by"),
    [
        (["v/user.created"], ["v/user.created"]),
        (["v/*"], ["v/user.created", "v/user.created.twice", "v/user", "v/order.created", "v/user/created"]),
        (["v/user.*"], ["v/user.created", "v/user.created.twice"]),
        (["v/user.created.*"], ["v/user.created.twice"]),
        (["v/*.created"], []),
        (["v/*", "v/user.*", "v/user.created"], ["v/user.created", "v/user.created.twice", "v/user",
                                                 "v/order.created", "v/user/created"]),
        (["v/us*"], []),
        (["v*"], []),
        (["*"], []),
        (["v/User.created"], []),
    ],
    ids=str,
)  # fmt: skip
def test_which_names_start_a_function(durable, triggers, started_by):
    """Exactly, or by a star at the end behind a slash or a dot; several matching triggers start it once."""

    @durable_function("f", trigger=triggers)
    async def f(ctx: Context):
        return ctx.event.name

    durable.register(f)
    for name in ("v/user.created", "v/user.created.twice", "v/user", "v/order.created", "v/user/created"):
        durable.send(name, {})
    durable.settle()
    assert [run.result for run in durable.runs] == started_by


def test_a_condition_that_is_false_says_why(durable, outcomes):
    """The outcome has the expression's verdict and what the fields were; nobody else is to blame."""

    @durable_function("paid", trigger=TriggerEvent(event="go", expression="event.data.plan == 'pro'"))
    async def paid(ctx: Context):
        return 1

    durable.register(paid)
    durable.send("go", {"plan": "free"})
    durable.send("nobody", {})
    durable.settle()
    assert outcomes("go") == ["did not start paid: expression false: event.data.plan was 'free'"]
    assert outcomes("nobody") == ["nobody listened"]


# -- invocations ------------------------------------------------------------------------------------------------------


def caller(fn_id, target, **more):
    """A function that invokes another and returns what came of it."""

    @durable_function(fn_id, trigger=f"call/{fn_id}")
    async def body(ctx: Context):
        try:
            return await ctx.step.invoke("call", function=target, data={"n": fn_id}, **more)
        except StepError as error:
            return [type(error).__name__, error.name, error.message]

    return body


def test_an_invocation_that_is_rate_limited_fails(durable):
    """At once, at the step; no run."""

    @durable_function("limited", rate_limit=RateLimit(limit=1, period="1h"))
    async def limited(ctx: Context):
        return "ran"

    parent = caller("parent", limited)
    assert durable.run(parent) == "ran"
    assert durable.run(parent) == ["StepError", "Error", "invoked function is rate limited"]
    assert [run.function_id for run in durable.runs] == ["parent", "limited", "parent"]


def test_an_invocation_that_a_singleton_skips_waits(durable):
    """Nothing is announced, so the caller waits until its timeout, or for ever, and the event says why."""

    @durable_function("single", singleton=Singleton(mode="skip"))
    async def single(ctx: Context):
        await ctx.step.sleep("nap", "30s")
        return "ran"

    first, second = caller("first", single), caller("second", single)
    briefly = caller("briefly", single, timeout="4s")
    runs = [durable.start(function) for function in (first, second, briefly)]
    durable.run_until_idle()
    durable.advance("1m")
    assert runs[0].result == "ran"
    assert runs[2].result[0] == InvokeTimeoutError.__name__
    assert runs[1].status == "running"
    with pytest.raises(RunStuck, match=r"waits since .* for the end of single"):
        runs[1].wait()
    assert "call  nobody will answer: single was not started: singleton: the run of single (" in runs[1].timeline()
    skipped = [str(event.outcome) for event in durable.events if event.name == "inngest/function.invoked"]
    assert [text.startswith("did not start single: singleton: the run of single") for text in skipped] == [
        False,
        True,
        True,
    ]


def test_the_callers_of_a_batch_all_get_its_result(durable):
    """Each event of the batch answers who sent it, and has a finished event of its own."""

    @durable_function("batched", batch_events=Batch(max_size=3, timeout="10s"))
    async def batched(ctx: Context):
        return [event.data["n"] for event in ctx.events]

    runs = [durable.start(caller(name, batched)) for name in ("one", "two")]
    durable.run_until_idle()
    assert [run.result for run in runs] == [["one", "two"], ["one", "two"]]
    ends = [event for event in durable.events if event.data.get("function_id") == "batched"]
    assert [event.data["event"]["data"]["n"] for event in ends] == ["one", "two"]
    assert len({event.id for event in ends}) == 2


def test_only_the_last_caller_of_a_debounce_is_answered(durable):
    """The others wait: their events never start a run."""

    @durable_function("settled", debounce=Debounce(period="10s"))
    async def settled(ctx: Context):
        return ctx.event.data["n"]

    runs = [durable.start(caller(name, settled)) for name in ("one", "two")]
    durable.run_until_idle()
    assert [run.status for run in runs] == ["running", "completed"]
    assert runs[1].result == "two"


def test_an_invoked_run_that_is_gated_keeps_its_caller(durable):
    """A child that fails or is cancelled answers, gates or not."""

    @durable_function("child", retries=0, rate_limit=RateLimit(limit=100, period="1s"))
    async def child(ctx: Context):
        raise ValueError("no")

    assert durable.run(caller("parent", child)) == ["StepError", "ValueError", "no"]


# -- cron -------------------------------------------------------------------------------------------------------------


def test_cron_passes_the_gates_but_for_batches(durable, log):
    """A rate limit drops ticks, and a batch does not gather them."""
    every_minute = TriggerCron(cron="* * * * *")

    @durable_function("limited", trigger=every_minute, rate_limit=RateLimit(limit=1, period="2m"))
    async def limited(ctx: Context):
        log("limited")

    @durable_function("batched", trigger=every_minute, batch_events=Batch(max_size=3, timeout="1h"))
    async def batched(ctx: Context):
        log("batched", len(ctx.events))

    durable.register(limited, batched)
    durable.advance("5m")
    assert log.of("limited") == [60, 180, 300]
    assert log.of("batched", 1) == [60, 120, 180, 240, 300]
