"""Cron: when it ticks, in zones whose clocks change, and what its event says. Semantics 14.10."""

from datetime import UTC, datetime

import pytest

from pytest_durable import Context, Simulation, TriggerCron, UsageError, durable_function

inngest = pytest.importorskip("inngest")


def ticks(cron, start, end):
    """The moments at which a function with this cron begins, as text in UTC."""
    found = []

    @durable_function("ticking", trigger=TriggerCron(cron=cron))
    async def ticking(ctx: Context):
        found.append(f"{datetime.fromtimestamp(ctx.event.ts / 1000, UTC):%m-%d %H:%M}")

    with Simulation(start=start) as sim:
        sim.register(ticking)
        sim.advance_to(end)
    return found


@pytest.mark.parametrize(
    ("cron", "start", "end", "expected"),
    [
        ("*/20 * * * *", "2025-01-01T00:00:00Z", "2025-01-01T01:00:00Z", ["01-01 00:20", "01-01 00:40", "01-01 01:00"]),
        ("0 9 * * 1-5", "2025-01-03T12:00:00Z", "2025-01-07T12:00:00Z", ["01-06 09:00", "01-07 09:00"]),
        ("12-12 6 * * *", "2025-01-01T00:00:00Z", "2025-01-02T12:00:00Z", ["01-01 06:12", "01-02 06:12"]),
        ("0 0 1 * 1", "2025-01-30T00:00:00Z", "2025-02-10T12:00:00Z", ["02-01 00:00", "02-03 00:00", "02-10 00:00"]),
        ("0 0 29 2 *", "2025-01-01T00:00:00Z", "2028-12-31T00:00:00Z", ["02-29 00:00"]),
        ("0 0 30 2 *", "2025-01-01T00:00:00Z", "2026-12-31T00:00:00Z", []),
        ("CRON_TZ=America/New_York 0 9 * * *", "2025-03-08T00:00:00Z", "2025-03-10T00:00:00Z",
         ["03-08 14:00", "03-09 13:00"]),
    ],
)  # fmt: skip
def test_the_ticks_of_a_schedule(cron, start, end, expected):
    """Five fields, days of the month or of the week, leap days, dates that never come, and a zone."""
    assert ticks(cron, start, end) == expected


def test_a_local_time_that_is_left_out_does_not_tick():
    """On 30 March 2025 it is 03:00 in Berlin after 01:59: there is no 02:30, as on the real server."""
    moments = ticks("TZ=Europe/Berlin 30 2 * * *", "2025-03-28T12:00:00Z", "2025-04-01T00:00:00Z")
    assert moments == ["03-29 01:30", "03-31 00:30"]


def test_a_local_time_that_comes_twice_ticks_twice():
    """On 26 October 2025 it is 02:30 in Berlin at 00:30 and at 01:30 UTC."""
    moments = ticks("TZ=Europe/Berlin 30 2 * * *", "2025-10-25T12:00:00Z", "2025-10-27T12:00:00Z")
    assert moments == ["10-26 00:30", "10-26 01:30", "10-27 01:30"]


def test_hours_are_counted_through_a_change_of_clocks():
    """An hourly schedule ticks every hour, whatever the clocks on the wall show."""
    spring = ticks("TZ=Europe/Berlin 30 * * * *", "2025-03-30T00:00:00Z", "2025-03-30T03:00:00Z")
    autumn = ticks("TZ=Europe/Berlin 30 * * * *", "2025-10-26T00:00:00Z", "2025-10-26T03:00:00Z")
    assert (spring, autumn) == (
        ["03-30 00:30", "03-30 01:30", "03-30 02:30"], ["10-26 00:30", "10-26 01:30", "10-26 02:30"],
    )  # fmt: skip


def test_the_event_of_a_tick(durable):
    """Its id is the tick, so two schedules that tick at one instant start one run."""
    seen = []

    @durable_function("twice", trigger=[TriggerCron(cron="0 * * * *"), TriggerCron(cron="0 1 * * *")])
    async def twice(ctx: Context):
        seen.append((ctx.event.name, ctx.event.id, ctx.event.ts, ctx.event.data))

    durable.register(twice)
    durable.advance("1h")
    at = "2025-01-01T01:00:00Z"
    data = {"cron": "0 * * * *", "scheduledAt": at, "fireAt": at}
    assert seen == [("inngest/scheduled.timer", at, 1_735_693_200_000, data)]


def served(jitter):
    client = inngest.Inngest(app_id="app", is_production=False)

    @client.create_function(fn_id="late", trigger=inngest.TriggerCron(cron="* * * * *", jitter=jitter))
    async def late(ctx: inngest.Context):
        return ctx.event.data

    return late


@pytest.mark.skipif("jitter" not in inngest.TriggerCron.model_fields, reason="this version of the SDK has no jitter")
def test_jitter_makes_ticks_late_and_loses_none():
    """By a second up to the jitter, the same way for the same seed; the schedule itself does not move."""

    def moments(seed):
        with Simulation(seed=seed) as sim:
            sim.register(served("30s"))
            sim.advance("5m 30s")
            return [run.result for run in sim.runs]

    found = moments(1)
    assert [one["scheduledAt"][-6:-1] for one in found] == ["01:00", "02:00", "03:00", "04:00", "05:00"]
    late = [datetime.fromisoformat(one["fireAt"]) - datetime.fromisoformat(one["scheduledAt"]) for one in found]
    assert all(1 <= length.total_seconds() < 30 for length in late)
    assert len(set(late)) > 1
    assert moments(1) == found != moments(2)


@pytest.mark.skipif("jitter" not in inngest.TriggerCron.model_fields, reason="this version of the SDK has no jitter")
@pytest.mark.parametrize("jitter", ["500ms", "6m"])
def test_a_jitter_outside_its_range_is_refused(durable, jitter):
    """The error says what the server takes."""
    with pytest.raises(UsageError, match=rf"the jitter of a cron is '{jitter}'; the server takes one from 1 s to 5 m"):
        durable.register(served(jitter))
