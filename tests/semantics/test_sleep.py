"""``sleep`` and ``sleep_until``: exact in virtual time, over months, leap days and changes of clocks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pytest_durable import Context, ContextSync, LimitError, RunFailed, Simulation, durable_function

BERLIN = ZoneInfo("Europe/Berlin")


@durable_function("async-sleeper")
async def async_sleeper(ctx: Context):
    """Sleeps as long as the event says."""
    return await ctx.step.sleep("nap", ctx.event.data["length"])


@durable_function("sync-sleeper")
def sync_sleeper(ctx: ContextSync):
    """The same, sync."""
    return ctx.step.sleep("nap", ctx.event.data["length"])


@durable_function("async-until")
async def async_until(ctx: Context):
    """Sleeps until the moment that the event says."""
    return await ctx.step.sleep_until("nap", ctx.event.data["until"])


@durable_function("sync-until")
def sync_until(ctx: ContextSync):
    """The same, sync."""
    return ctx.step.sleep_until("nap", ctx.event.data["until"])


@pytest.mark.parametrize("function", [async_sleeper, sync_sleeper], ids=["async", "sync"])
@pytest.mark.parametrize(
    ("length", "end"),
    [
        ("24h", datetime(2025, 1, 2, tzinfo=UTC)),
        ("1h30m", datetime(2025, 1, 1, 1, 30, tzinfo=UTC)),
        ("2 weeks", datetime(2025, 1, 15, tzinfo=UTC)),
        ("0s", datetime(2025, 1, 1, tzinfo=UTC)),
        (400, datetime(2025, 1, 1, 0, 0, 0, 400_000, tzinfo=UTC)),
        ("2.4s", datetime(2025, 1, 1, 0, 0, 2, 400_000, tzinfo=UTC)),
        ("366d", datetime(2026, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_sleep_lasts_exactly_as_long_as_it_says(durable, function, length, end):
    """Native sleeps are exact to the microsecond; their result is None."""
    run = durable.start(function, {"length": length})
    assert run.wait() is None
    assert (run.ended_at, durable.now) == (end, end)


def test_a_sleep_ends_at_its_instant_and_not_before(durable):
    """One millisecond before, the run is running; at the instant it has ended."""
    run = durable.start(async_sleeper, {"length": "7d"})
    durable.advance(timedelta(days=7) - timedelta(milliseconds=1))
    assert (run.status, run.steps, run.waiting_for) == ("running", [], [])
    durable.advance(1)
    assert (run.status, run.steps) == ("completed", ["nap"])


def test_sleeps_follow_each_other(durable):
    """A day, an hour and a minute are a day, an hour and a minute, however the test cuts them."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.sleep("day", timedelta(days=1))
        await ctx.step.sleep("hour", "1h")
        await ctx.step.sleep("minute", 60_000)

    run = durable.start(f)
    for _ in range(25):
        durable.advance("1h")
    assert run.steps == ["day", "hour"]
    durable.advance("1m")
    assert run.ended_at == datetime(2025, 1, 2, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("function", [async_until, sync_until], ids=["async", "sync"])
@pytest.mark.parametrize(
    ("start", "until", "end"),
    [
        ("2025-01-01T00:00:00Z", "2025-12-24T18:00:00Z", datetime(2025, 12, 24, 18, tzinfo=UTC)),
        ("2024-02-28T12:00:00Z", "2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2025-01-31T00:00:00Z", "2025-02-28T23:59:59.999Z", datetime(2025, 2, 28, 23, 59, 59, 999_000, tzinfo=UTC)),
        ("2025-03-30T00:30:00Z", "2025-03-30T03:00:00+02:00", datetime(2025, 3, 30, 1, tzinfo=UTC)),
        ("2025-01-01T00:00:00Z", "2024-12-31T00:00:00Z", datetime(2025, 1, 1, tzinfo=UTC)),
        ("2025-01-01T00:00:00Z", "1970-01-01", datetime(2025, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_sleep_until_text_from_an_event(function, start, until, end):
    """ISO 8601 text with an offset or a bare date; a moment in the past ends the sleep at once."""
    with Simulation(start=start) as sim:
        run = sim.start(function, {"until": until})
        run.wait()
        assert run.ended_at == end


@pytest.mark.parametrize(
    ("start", "until", "length"),
    [
        (datetime(2025, 3, 29, 12, tzinfo=BERLIN), datetime(2025, 3, 30, 12, tzinfo=BERLIN), "23h"),
        (datetime(2025, 10, 25, 12, tzinfo=BERLIN), datetime(2025, 10, 26, 12, tzinfo=BERLIN), "25h"),
        (datetime(2024, 2, 28, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC), "48h"),
        (datetime(2025, 2, 28, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC), "24h"),
    ],
    ids=["spring", "autumn", "leap year", "common year"],
)
def test_a_local_day_has_as_many_hours_as_it_has(start, until, length):
    """Noon to noon over a change of clocks is 23 or 25 hours of virtual time."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.sleep_until("noon", until)

    with Simulation(start=start) as sim:
        run = sim.start(f)
        sim.advance(length)
        assert run.status == "completed"
        assert run.ended_at == sim.now == until.astimezone(UTC)


def test_the_process_clock_reads_virtual_time_in_the_body(durable):
    """Behind a sleep, ``datetime.now`` is the end of the sleep."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.sleep("nap", "1d")
        return datetime.now(UTC).isoformat()

    assert durable.run(f) == "2025-01-02T00:00:00+00:00"


@pytest.mark.parametrize(
    ("function", "data"),
    [
        (async_sleeper, {"length": "367d"}),
        (sync_sleeper, {"length": "999999999999d"}),
        (async_until, {"until": "9999-12-31T23:59:59Z"}),
    ],
)
def test_a_sleep_of_more_than_a_year_fails_the_run_at_once(durable, function, data):
    """The limit is 366 days, the message names it, the step and the length, and nothing is retried."""
    run = durable.start(function, data)
    with pytest.raises(
        RunFailed, match=r"the sleep of step 'nap' of .*-.* ends in .*d.* may last 366d.*sleep several times"
    ) as failed:
        run.wait()
    assert isinstance(failed.value.__cause__, LimitError)
    assert (durable.now, run.invocations) == (datetime(2025, 1, 1, tzinfo=UTC), 1)
