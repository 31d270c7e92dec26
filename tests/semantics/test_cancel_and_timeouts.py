"""Cancellation by events and by hand, and the timeouts of runs."""

from datetime import UTC, datetime, timedelta

import pytest

from pytest_durable import (
    Cancel,
    Context,
    ContextSync,
    Event,
    RunCancelled,
    Timeouts,
    UsageError,
    durable_function,
)


def sleeper(length="60s", **options):
    """A function that sleeps, then runs a step."""

    @durable_function("f", trigger="go", **options)
    async def f(ctx: Context):
        await ctx.step.sleep("nap", length)
        await ctx.step.run("late", lambda: 1)
        return "done"

    return f


def sync_sleeper(length="60s", **options):
    """The same, sync."""

    @durable_function("f", trigger="go", **options)
    def f(ctx: ContextSync):
        ctx.step.sleep("nap", length)
        ctx.step.run("late", lambda: 1)
        return "done"

    return f


BOTH = pytest.mark.parametrize("make", [sleeper, sync_sleeper], ids=["async", "sync"])


@BOTH
@pytest.mark.parametrize(
    ("cancel", "event", "status"),
    [
        (Cancel(event="stop"), Event("stop"), "cancelled"),
        (Cancel(event="stop"), Event("stop/now"), "completed"),
        (Cancel(event="stop", if_exp="event.data.id == async.data.id"), Event("stop", {"id": 1}), "cancelled"),
        (Cancel(event="stop", if_exp="event.data.id == async.data.id"), Event("stop", {"id": 2}), "completed"),
        (Cancel(event="stop", if_exp="async.data.why == 'fraud'"), Event("stop", {}), "completed"),
        (Cancel(event="stop", timeout="29s"), Event("stop"), "completed"),
        (Cancel(event="stop", timeout="31s"), Event("stop"), "cancelled"),
        ([Cancel(event="halt"), Cancel(event="stop")], Event("stop"), "cancelled"),
    ],
    ids=["name", "other name", "same id", "other id", "missing field", "too late", "in time", "second of two"],
)
def test_an_event_cancels_a_run(durable, make, cancel, event, status):
    """By its exact name, with a condition, within the time of the cancellation."""
    run = durable.start(make(cancel=cancel), {"id": 1})
    durable.send(event, at="30s")
    durable.run_until_idle()
    assert run.status == status
    seconds = 30 if status == "cancelled" else 60
    assert run.ended_at == datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert run.steps == ([] if status == "cancelled" else ["nap", "late"])


def test_a_cancelled_run_says_by_what(durable):
    """``wait`` raises RunCancelled with the reason; there is neither result nor error."""
    run = durable.start(sleeper(cancel=Cancel(event="stop")))
    durable.send("stop", at="1s")
    with pytest.raises(RunCancelled, match=r"2025-01-01 00:00:01Z: the event 'stop' came"):
        run.wait()
    assert (run.result, run.error, run.status) == (None, None, "cancelled")


def test_a_cancellation_before_the_run_does_not_count(durable):
    """Only events after its creation cancel a run."""
    durable.send("stop")
    durable.settle()
    assert durable.run(sleeper(cancel=Cancel(event="stop"))) == "done"


def test_a_run_that_has_not_started_can_be_cancelled(durable):
    """A queued run never enters its body."""
    run = durable.start(sleeper(cancel=Cancel(event="stop")), Event("go", ts=1_735_689_600_000 + 60_000))
    durable.send("stop", at="30s")
    durable.run_until_idle()
    assert (run.status, run.invocations, run.started_at) == ("cancelled", 0, None)


def test_an_event_does_not_cancel_the_run_that_it_starts(durable):
    """A function that is restarted by every change: the newest run survives."""
    durable.register(sleeper(cancel=Cancel(event="go")))
    for at in ("0s", "10s", "20s"):
        durable.send("go", at=at)
    durable.run_until_idle()
    assert [run.status for run in durable.runs] == ["cancelled", "cancelled", "completed"]


def test_one_event_cancels_every_run_that_it_means(durable):
    """And no other."""
    function = sleeper(cancel=Cancel(event="stop", if_exp="event.data.user == async.data.user"))
    runs = [durable.start(function, {"user": user}) for user in ("ann", "bob", "ann")]
    durable.send("stop", {"user": "ann"}, at="1s")
    durable.run_until_idle()
    assert [run.status for run in runs] == ["cancelled", "completed", "cancelled"]


def test_cancelling_by_hand(durable):
    """``durable.cancel`` at a moment; what is ended already is not touched."""
    first, second = durable.start(sleeper()), durable.start(sleeper())
    durable.cancel(first, at="10s")
    durable.cancel(second, at="2m")
    durable.run_until_idle()
    assert (first.status, first.ended_at) == ("cancelled", datetime(2025, 1, 1, 0, 0, 10, tzinfo=UTC))
    assert (second.status, second.result) == ("completed", "done")


def test_what_is_in_flight_happens_and_nobody_hears_of_it(durable):
    """A step that is under way has its effect; its result is not recorded, and nothing follows."""
    effects = []

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.run("charge", lambda: effects.append("charged"))
        await ctx.step.run("mail", lambda: effects.append("mailed"))

    durable.step("charge").takes("10s")
    run = durable.start(f)
    durable.cancel(run, at="5s")
    durable.run_until_idle()
    assert (run.status, list(run.steps), effects) == ("cancelled", [], ["charged"])


def test_a_cancelled_run_waits_for_nothing(durable):
    """Its waits are forgotten: the event finds nobody."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.wait_for_event("wait", event="ok", timeout="1h")

    run = durable.start(f)
    durable.settle()
    durable.cancel(run)
    durable.settle()
    durable.send("ok")
    durable.advance("2h")
    assert (run.status, run.waiting_for, run.invocations) == ("cancelled", [], 1)
    assert [str(event.outcome) for event in durable.events if event.name == "ok"] == ["nobody listened"]


@BOTH
def test_a_finish_timeout_cancels(durable, make):
    """Worked timeline 9: finish timeout 30 s, sleep 60 s; cancelled at 30 s, announced, no on_failure."""
    handled = []
    function = make(timeouts=Timeouts(finish="30s"), on_failure=lambda ctx: handled.append(1))
    run = durable.start(function)
    with pytest.raises(RunCancelled, match="its finish timeout passed"):
        run.wait()
    assert run.ended_at == datetime(2025, 1, 1, 0, 0, 30, tzinfo=UTC)
    durable.run_until_idle()
    assert [event.name for event in durable.events] == ["inngest/function.finished", "inngest/function.cancelled"]
    assert handled == []


def test_a_run_that_ends_in_time_is_not_cancelled(durable):
    """And its timeout is no longer due."""
    run = durable.start(sleeper("29s", timeouts=Timeouts(finish="30s")))
    assert run.wait() == "done"
    durable.advance("1d")
    assert run.status == "completed"


def test_a_finish_timeout_counts_from_the_start_of_the_run(durable):
    """Not from its creation: a run that starts an hour late has its whole time."""
    run = durable.start(sleeper("20s", timeouts=Timeouts(finish="30s")), Event("go", ts=1_735_689_600_000 + 3_600_000))
    assert run.wait() == "done"
    assert run.ended_at == datetime(2025, 1, 1, 1, 0, 20, tzinfo=UTC)


def test_a_start_timeout_cancels_a_run_that_does_not_start(durable):
    """It counts from the creation of the run."""
    run = durable.start(sleeper(timeouts=Timeouts(start="10s")), Event("go", ts=1_735_689_600_000 + 60_000))
    with pytest.raises(RunCancelled, match="its start timeout passed"):
        run.wait()
    assert (run.ended_at, run.invocations) == (datetime(2025, 1, 1, 0, 0, 10, tzinfo=UTC), 0)


def test_a_start_timeout_leaves_a_started_run_alone(durable):
    """However long it takes."""
    assert durable.run(sleeper("1h", timeouts=Timeouts(start="10s"))) == "done"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cancel": Cancel(event="")}, "is no cancellation"),
        ({"cancel": "stop"}, "is no cancellation"),
        ({"cancel": Cancel(event="stop", if_exp="event.data.x ==")}, "expression"),
        ({"cancel": Cancel(event="stop", timeout="soon")}, "'soon' is not a duration"),
        ({"cancel": [Cancel(event=f"stop{n}") for n in range(6)]}, "5"),
        ({"timeouts": Timeouts(finish="soon")}, "timeouts.finish: 'soon'"),
        ({"timeouts": Timeouts(start=-1)}, "timeouts.start: -1"),
    ],
    ids=["no name", "text", "expression", "timeout", "six", "finish", "start"],
)
def test_a_bad_configuration_is_refused_at_the_decorator(options, said):
    """With the function and the value; the server takes five cancellations at the most."""
    with pytest.raises(UsageError, match="'f'") as raised:
        sleeper(**options)
    assert said in str(raised.value)
