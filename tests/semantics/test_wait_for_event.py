"""``wait_for_event``: from its registration to its timeout, the exact name, and a condition."""

from datetime import UTC, datetime

import pytest

from pytest_durable import Context, ContextSync, Event, RunFailed, durable_function


@durable_function("async-waiter")
async def async_waiter(ctx: Context):
    """Waits an hour for ``ok`` and says what came."""
    came = await ctx.step.wait_for_event("wait", event="ok", timeout="1h")
    return None if came is None else came.data


@durable_function("sync-waiter")
def sync_waiter(ctx: ContextSync):
    """The same, sync."""
    came = ctx.step.wait_for_event("wait", event="ok", timeout="1h")
    return None if came is None else came.data


BOTH = pytest.mark.parametrize("function", [async_waiter, sync_waiter], ids=["async", "sync"])


@BOTH
@pytest.mark.parametrize(
    ("at", "result", "ended"),
    [
        ("0s", {"n": 1}, datetime(2025, 1, 1, tzinfo=UTC)),
        ("30m", {"n": 1}, datetime(2025, 1, 1, 0, 30, tzinfo=UTC)),
        ("3599.999s", {"n": 1}, datetime(2025, 1, 1, 0, 59, 59, 999_000, tzinfo=UTC)),
        ("1h", {"n": 1}, datetime(2025, 1, 1, 1, tzinfo=UTC)),
        ("3600.001s", None, datetime(2025, 1, 1, 1, tzinfo=UTC)),
    ],
)
def test_an_event_is_in_time_up_to_the_deadline(durable, function, at, result, ended):
    """Worked timeline 3: before the deadline it counts, and at it, in the default order; after it the wait is None."""
    run = durable.start(function)
    durable.settle()
    durable.send("ok", {"n": 1}, at=at)
    assert run.wait() == result
    assert run.ended_at == ended


@BOTH
def test_there_is_no_look_back(durable, function):
    """An event that came before the wait was reached never counts."""
    durable.send("ok", {"n": 1})
    durable.settle()
    run = durable.start(function)
    durable.settle()
    assert run.waiting_for == ["wait"]
    assert run.wait() is None


def test_a_wait_is_registered_only_when_it_is_reached(durable):
    """An event during the sleep before the wait is lost, one behind it counts."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.sleep("nap", "1h")
        return (await ctx.step.wait_for_event("wait", event="ok", timeout="1h")).data["n"]

    run = durable.start(f)
    durable.timeline({"59m": Event("ok", {"n": 1}), "61m": Event("ok", {"n": 2})})
    assert run.wait() == 2
    assert [str(event.outcome) for event in durable.events[:2]] == ["nobody listened", "woke f at 'wait'"]


def test_the_event_that_started_the_run_does_not_answer_its_wait(durable):
    """It came before the wait."""

    @durable_function("f", trigger="ok")
    async def f(ctx: Context):
        return await ctx.step.wait_for_event("wait", event="ok", timeout="1h")

    durable.register(f)
    durable.send("ok")
    durable.run_until_idle()
    assert durable.runs[0].waiting_for == ["wait"]
    assert durable.runs[0].wait() is None


@pytest.mark.parametrize("name", ["ok/", "OK", "o*", "ok.more", "o"])
def test_the_name_is_exact(durable, name):
    """No wildcards, no prefixes, no other case."""
    run = durable.start(async_waiter)
    durable.settle()
    durable.send(name)
    durable.settle()
    assert run.waiting_for == ["wait"]


def test_a_wait_gives_the_event(durable):
    """Name, data, id and time of the event that came."""

    @durable_function("f")
    async def f(ctx: Context):
        event = await ctx.step.wait_for_event("wait", event="ok", timeout="1h")
        assert isinstance(event, Event)
        return [event.name, event.data, event.id, event.ts]

    run = durable.start(f)
    durable.settle()
    durable.send("ok", {"n": 1}, id="mine", at="1m")
    assert run.wait() == ["ok", {"n": 1}, "mine", 1_735_689_660_000]


def test_an_event_with_a_future_time_answers_at_once(durable):
    """``ts`` delays the start of runs and nothing else."""
    run = durable.start(async_waiter)
    durable.settle()
    durable.send(Event("ok", {"n": 1}, ts=1_735_689_600_000 + 86_400_000))
    assert run.wait() == {"n": 1}
    assert run.ended_at == datetime(2025, 1, 1, tzinfo=UTC)


def test_one_event_answers_every_wait(durable):
    """All runs and all steps that wait for it."""
    runs = [durable.start(function) for function in (async_waiter, sync_waiter, async_waiter)]
    durable.settle()
    durable.send("ok", {"n": 1})
    assert [run.wait() for run in runs] == [{"n": 1}] * 3
    assert durable.events[0].outcome.woke == [
        "async-waiter at 'wait'",
        "sync-waiter at 'wait'",
        "async-waiter at 'wait'",
    ]


def test_an_event_answers_a_wait_once(durable):
    """The second event finds nobody."""
    run = durable.start(async_waiter)
    durable.settle()
    durable.send("ok", {"n": 1})
    durable.send("ok", {"n": 2})
    assert run.wait() == {"n": 1}
    durable.settle()
    assert str(durable.events[1].outcome) == "nobody listened"


@pytest.mark.parametrize(
    ("condition", "sent", "counts"),
    [
        ({"match": "data.user_id"}, {"user_id": "u1"}, True),
        ({"match": "data.user_id"}, {"user_id": "u2"}, False),
        ({"match": "data.user_id"}, {}, False),
        ({"match": "data.missing"}, {"missing": 1}, False),
        ({"match": "data.missing"}, {}, True),
        ({"if_exp": "event.data.user_id == async.data.user_id && async.data.plan == 'pro'"}, {"user_id": "u1"}, False),
        ({"if_exp": "event.data.user_id == async.data.user_id && async.data.plan == 'pro'"},
         {"user_id": "u1", "plan": "pro"}, True),
        ({"if_exp": "async.data.n > 3"}, {"n": 4}, True),
        ({"if_exp": "async.data.n > 3"}, {"n": 3}, False),
        ({"if_exp": "async.data.n > 3"}, {"n": "text"}, False),
        ({"if_exp": "async.data.flag"}, {"flag": True}, True),
        ({"if_exp": "async.data.flag"}, {"flag": "yes"}, False),
        ({"if_exp": "async.data.flag"}, {}, False),
        ({"if_exp": "async.data.x == null"}, {}, True),
        ({"if_exp": "async.data.x == null"}, {"x": None}, True),
    ],
)  # fmt: skip
def test_a_condition_decides(durable, condition, sent, counts):
    """``match`` compares a field of both events, ``if_exp`` is true or not; a missing field of the trigger is null."""

    @durable_function("f")
    async def f(ctx: Context):
        return await ctx.step.wait_for_event("wait", event="ok", timeout="1h", **condition) is not None

    run = durable.start(f, {"user_id": "u1"})
    durable.settle()
    durable.send("ok", sent)
    assert run.wait() is counts
    if not counts:
        assert "did not wake f at 'wait'" in str(durable.events[0].outcome)


def test_a_condition_sees_the_trigger_as_it_was(durable):
    """What the body does to its event does not move the condition."""

    @durable_function("f")
    async def f(ctx: Context):
        ctx.event.data["id"] = "other"
        return await ctx.step.wait_for_event("wait", event="ok", timeout="1h", match="data.id") is not None

    run = durable.start(f, {"id": "mine"})
    durable.settle()
    durable.send("ok", {"id": "mine"})
    assert run.wait() is True


def test_a_timeout_of_zero_is_over_at_once(durable):
    """It gives None without time passing."""

    @durable_function("f")
    async def f(ctx: Context):
        return await ctx.step.wait_for_event("wait", event="ok", timeout=0)

    assert durable.run(f) is None
    assert durable.now == datetime(2025, 1, 1, tzinfo=UTC)


def test_a_timeout_of_more_than_a_year_fails_the_run_at_once(durable):
    """The limit is 366 days."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.wait_for_event("wait", event="ok", timeout="367d")

    with pytest.raises(
        RunFailed, match=r"the timeout of step 'wait' of f ends in 367d; it may last 366d.*wait in a loop"
    ):
        durable.run(f)
    assert durable.now == datetime(2025, 1, 1, tzinfo=UTC)


def test_idling_never_goes_through_the_timeout_of_a_wait(durable):
    """``run_until_idle`` leaves the run waiting, and the clock where it was."""
    run = durable.start(async_waiter)
    durable.run_until_idle()
    assert (run.waiting_for, durable.now) == (["wait"], datetime(2025, 1, 1, tzinfo=UTC))
    durable.advance("1h")
    assert (run.status, run.result) == ("completed", None)


def test_a_result_is_a_fresh_event_in_every_invocation(durable):
    """Changing the event that came changes no memo."""

    @durable_function("f")
    async def f(ctx: Context):
        event = await ctx.step.wait_for_event("wait", event="ok", timeout="1h")
        event.data["items"].append(2)
        await ctx.step.run("a", lambda: 1)
        return event.data["items"]

    run = durable.start(f)
    durable.settle()
    durable.send("ok", {"items": [1]})
    assert run.wait() == [1, 2]


def test_an_event_that_a_run_sends_before_its_wait_is_missed(durable):
    """There is no look-back: by default the event has arrived when the run goes on to its wait, as on the server."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.send_event("send", Event("mine"))
        return await ctx.step.wait_for_event("wait", event="mine", timeout="1h") is not None

    assert durable.run(f) is False


def test_an_answer_to_what_a_run_sends_finds_its_wait(durable):
    """Another run that is started by the event begins behind the wait, so its answer is in time."""

    @durable_function("answers", trigger="asked")
    async def answers(ctx: Context):
        await ctx.step.send_event("answer", Event("answered"))

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.send_event("ask", Event("asked"))
        return await ctx.step.wait_for_event("wait", event="answered", timeout="1h") is not None

    durable.register(answers)
    assert durable.run(f) is True
