"""Cron: when it ticks, in zones whose clocks change, and what its event says. Semantics 14.10."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_durable import Context, Simulation, TriggerCron, UsageError, durable_function
from pytest_durable._core.instants import as_datetime, instant
from pytest_durable.cron import ticks as next_tick

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


async def ticked(ctx: Context):
    """Nothing."""


# -- what the server's parser reads, and what it refuses --------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("0 9 * * 7", "'7' is no day of the week, which is 0 to 6"),
        ("0 9 * * 6-7", "'7' is no day of the week"),
        ("0 9 * * sun-7", "'7' is no day of the week"),
        ("10-1 * * * *", "'10-1' begins behind its end"),
        ("* 22-2 * * *", "'22-2' begins behind its end"),
        ("0 0 L * *", "'L' is no day of the month"),
        ("0 0 * * 1#2", "'1#2' is no day of the week, range or step"),
        ("0 0 1W * *", "'1W' is no day of the month"),
        ("r 0 * * *", "'r' is no minute"),
        ("h 0 * * *", "'h' is no minute"),
        ("*/0 * * * *", "'*/0' has a step of 0"),
        ("60 * * * *", "'60' is no minute, which is 0 to 59"),
        ("0 0 0 * *", "'0' is no day of the month, which is 1 to 31"),
        ("0 0 * 13 *", "'13' is no month"),
        (", * * * *", "there is no minute"),
        ("- * * * *", "'-' is no minute, range or step"),
        ("@daily", "it has 1 field;"),
        ("0 0 0 * * *", "it has 6 fields"),
        ("", "it has 0 fields"),
    ],
)  # fmt: skip
def test_what_the_parser_of_the_server_refuses(cron, why):
    """What other crons know and the server does not is refused where it is written, with the part that is wrong."""
    with pytest.raises(UsageError, match="is not a valid cron schedule: ") as refused:
        durable_function("nightly", trigger=TriggerCron(cron=cron))(ticked)
    assert why in str(refused.value)
    assert "write five fields" in str(refused.value)


def field(low, high, words=()):
    """Texts of a field, as authors write them."""
    number = st.integers(low, high)
    name = number.map(lambda value: words[value - low] if words else str(value))
    span = st.tuples(number, number).map(sorted).map(lambda pair: f"{pair[0]}-{pair[1]}")
    step = st.tuples(st.one_of(st.just("*"), number.map(str), span), st.integers(1, 9)).map(lambda p: f"{p[0]}/{p[1]}")
    part = st.one_of(number.map(str), name, span, step)
    return st.one_of(st.sampled_from(("*", "?")), part, st.lists(part, min_size=2, max_size=3).map(",".join))


def listed(text, low, high, words=()):
    """The values of a field and its star, read once more, from the grammar of the server."""
    values, star = set(), False
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span in {"*", "?"}:
            first, last = str(low), str(high)
            star = star or int(step or 1) == 1
        elif step and not last:
            last = str(high)
        ends = [words.index(one) + low if one in words else int(one) for one in (first, last or first)]
        values.update(range(ends[0], ends[1] + 1, int(step or 1)))
    return values, star


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LIMITS = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, MONTHS), (0, 6, DAYS))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.tuples(*(field(*limit) for limit in LIMITS)), st.integers(0, 400 * 24 * 60))
def test_the_next_tick_is_the_first_moment_that_fits(fields, minutes):
    """For any schedule the next tick is the first minute behind the start that all five fields accept."""
    start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    (minute, _), (hour, _), (dates, any_date), (months, _), (days, any_day) = map(
        listed, fields, *zip(*LIMITS, strict=True)
    )

    def accepts(day):
        by_date, by_day = day.day in dates, (day.weekday() + 1) % 7 in days
        either = by_date and by_day if any_date or any_day else by_date or by_day
        return day.month in months and either

    moments = (
        moment
        for offset in range(3 * 366)
        if accepts(day := (start + timedelta(days=offset)).date())
        for h in sorted(hour)
        for m in sorted(minute)
        if (moment := datetime(day.year, day.month, day.day, h, m, tzinfo=UTC)) > start
    )
    expected = next(moments, None)
    assume(expected is not None)
    found = next_tick(" ".join(fields), "a test")(instant(start))
    assert as_datetime(found) == expected


# -- who else hears of a tick -----------------------------------------------------------------------------------------


def test_a_tick_reaches_those_who_wait_for_it(durable):
    """A wait and a trigger on `inngest/scheduled.timer` of other functions are answered by a tick."""

    @durable_function("hourly", trigger=TriggerCron(cron="0 * * * *"))
    async def hourly(ctx: Context):
        return "ticked"

    @durable_function("follows", trigger="inngest/scheduled.timer")
    async def follows(ctx: Context):
        return ctx.event.data["cron"]

    @durable_function("waits")
    async def waits(ctx: Context):
        event = await ctx.step.wait_for_event("tick", event="inngest/scheduled.timer", timeout="1d")
        return event.data["cron"]

    durable.register(hourly, follows)
    run = durable.start(waits)
    durable.advance("1h")
    assert run.result == "0 * * * *"
    assert sorted((run.function_id, run.result) for run in durable.runs) == [
        ("follows", "0 * * * *"), ("hourly", "ticked"), ("waits", "0 * * * *"),
    ]  # fmt: skip
    (tick,) = [event for event in durable.events if event.name == "inngest/scheduled.timer"]
    assert "started hourly, follows" in str(tick.outcome)
    assert "woke waits at 'tick'" in str(tick.outcome)


def test_the_second_tick_of_a_minute_says_why_it_starts_nothing(durable):
    """A function with two crons that meet has one run for the minute, and the other tick says so."""

    @durable_function("twice", trigger=[TriggerCron(cron="0 * * * *"), TriggerCron(cron="*/30 * * * *")])
    async def twice(ctx: Context):
        """Nothing."""

    durable.register(twice)
    durable.advance("1h")
    assert len(durable.runs) == 2
    refused = [str(event.outcome) for event in durable.events if not event.outcome.started]
    assert [text for text in refused if "tick" in text] == [
        "did not start twice: it has a run for the tick of 2025-01-01T01:00:00Z"
    ]
