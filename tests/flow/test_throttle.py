"""Throttle: starts that come too fast are delayed, and nothing is dropped. Semantics 14.7."""

import pytest

from pytest_durable import Context, RetryAfterError, Throttle, durable_function


def function(log, fn_id="f", **options):
    """A function that logs when it starts."""

    @durable_function(fn_id, trigger="go", throttle=Throttle(**options))
    async def body(ctx: Context):
        log(fn_id, ctx.event.data["n"])
        await ctx.step.run("a", lambda: None)

    return body


@pytest.mark.parametrize(
    ("options", "starts"),
    [
        ({"limit": 1, "period": "3s"}, [0, 0.2, 3, 6, 9]),
        ({"limit": 1, "period": "3s", "burst": 3}, [0, 0.2, 0.4, 0.6, 3]),
        ({"limit": 1, "period": "3s", "burst": 0}, [0, 3, 6, 9, 12]),
        ({"limit": 1, "period": "3s", "key": "event.data.k"}, [0, 0.2, 0.4, 0.6, 3]),
        ({"limit": 0, "period": "3s"}, [0, 0.2, 3, 6, 9]),
        ({"limit": 1, "period": "3s", "key": "event.data.missing"}, [0, 0.2, 3, 6, 9]),
        ({"limit": 1, "period": "3s", "key": "nope("}, [0, 0.2, 3, 6, 9]),
    ],
    ids=["default burst", "burst 3", "burst 0", "keyed", "limit 0", "missing key", "key that fails"],
)
def test_limit_and_burst_at_once_then_one_in_every_interval(durable, log, play, options, starts):
    """Five events, one every 0.2 s; a key that has no value is one bucket for all."""
    durable.register(function(log, **options))
    play("go", *((i * 0.2, {"n": i, "k": i % 2}) for i in range(5)))
    durable.run_until_idle()
    assert [run.started_at.timestamp() - log.start.timestamp() for run in durable.runs] == pytest.approx(starts)
    assert [run.status for run in durable.runs] == ["completed"] * 5


def test_two_in_ten_seconds(durable, log, play):
    """Appendix C 6: limit 2, period 10 s, burst 1 starts at 0, 0, 0, 5, 10, 15."""
    durable.register(function(log, limit=2, period="10s"))
    play("go", *((0, {"n": n}) for n in range(6)))
    durable.run_until_idle()
    assert sorted({run.started_at.second: 0 for run in durable.runs}) == [0, 5, 10, 15]
    assert [(run.started_at - log.start).total_seconds() for run in durable.runs] == [0, 0, 0, 5, 10, 15]


def test_a_delayed_run_is_queued(durable, log, play):
    """It exists, has not begun, and says what it waits for."""
    durable.register(function(log, limit=1, period="1m", burst=0))
    play("go", (0, {"n": 0}), (0, {"n": 1}))
    durable.settle()
    second = durable.runs[1]
    assert (second.status, second.started_at, second.invocations) == ("queued", None, 0)
    assert "it is waiting for the throttle of f until 2025-01-01 00:01:00Z" in second.timeline()
    assert [str(event.outcome) for event in durable.events if event.name == "go"] == ["started f", "started f"]


def test_only_the_start_is_charged(durable, log):
    """Neither the steps of a run nor its retries."""

    @durable_function("g", throttle=Throttle(limit=1, period="1h", burst=0))
    async def g(ctx: Context):
        if ctx.attempt == 0 and not log.lines:
            log("g")
            raise RetryAfterError("again", 5_000)
        await ctx.step.run("a", lambda: None)
        await ctx.step.sleep("nap", "1s")
        return (durable.now - log.start).total_seconds()

    assert durable.run(g) == 6


def test_a_start_timeout_counts_while_a_run_is_delayed(durable, log, play):
    """It is measured from the creation of the run, so a delayed run is cancelled."""
    from pytest_durable import Timeouts

    @durable_function(
        "g", trigger="go", throttle=Throttle(limit=1, period="1m", burst=0), timeouts=Timeouts(start="30s")
    )
    async def g(ctx: Context):
        return ctx.event.data["n"]

    durable.register(g)
    play("go", (0, {"n": 0}), (0, {"n": 1}), (50, {"n": 2}))
    durable.run_until_idle()
    assert [run.status for run in durable.runs] == ["completed", "cancelled", "completed"]
    assert durable.runs[2].started_at == log.start.replace(minute=1)


def test_a_direct_start_is_throttled(durable, log):
    """It delays, and drops nothing, so it holds for a start by name as well."""
    f = function(log, limit=1, period="1m", burst=0)
    runs = [durable.start(f, {"n": n}) for n in range(3)]
    durable.run_until_idle()
    assert [(run.started_at - log.start).total_seconds() for run in runs] == [0, 60, 120]


def test_an_event_cancels_a_run_that_is_delayed(durable, log, play):
    """It exists and listens, although it has not begun."""
    from pytest_durable import Cancel

    @durable_function("g", trigger="go", throttle=Throttle(limit=1, period="1m", burst=0), cancel=Cancel(event="stop"))
    async def g(ctx: Context):
        log("g", ctx.event.data["n"])

    durable.register(g)
    play("go", (0, {"n": 0}), (0, {"n": 1}), (0, {"n": 2}))
    play("stop", (70, {}))
    durable.run_until_idle()
    assert log.lines == [(0, "g", 0), (60, "g", 1)]
    assert [run.status for run in durable.runs] == ["completed", "completed", "cancelled"]


def test_a_throttle_without_a_period_delays_nothing(durable, log, play):
    """A period of 0 is accepted, as on the server."""
    durable.register(function(log, limit=1, period=0))
    play("go", *((0, {"n": n}) for n in range(5)))
    durable.settle()
    assert len(log.lines) == 10
