"""Time in integers: durations and instants, both ways."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_durable._core.errors import UsageError
from pytest_durable._core.instants import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    WEEK,
    as_datetime,
    as_milliseconds,
    duration,
    duration_text,
    instant,
    instant_text,
)

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
YEARS_9998 = (datetime(9998, 12, 31, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("given_", "micros"),
    [
        ("1h30m", 90 * MINUTE),
        ("7d", 7 * DAY),
        ("2 weeks", 2 * WEEK),
        ("1w", WEEK),
        ("1 day, 2 hours", DAY + 2 * HOUR),
        ("1.5h", 90 * MINUTE),
        ("0.5s", 500 * MILLISECOND),
        ("250ms", 250 * MILLISECOND),
        ("1us", 1),
        ("90 minutes", 90 * MINUTE),
        ("1 Hour", HOUR),
        ("  3s  ", 3 * SECOND),
        ("0s", 0),
        (0, 0),
        (1500, 1500 * MILLISECOND),
        (timedelta(days=366), 366 * DAY),
        (timedelta(microseconds=1), 1),
    ],
)
def test_durations_are_microseconds(given_, micros):
    """A duration is text in short or long units, whole milliseconds or a timedelta."""
    assert duration(given_) == micros


@pytest.mark.parametrize("unit", ["M", "y", "fortnights", "H", "D"])
def test_units_that_could_mean_two_things_are_refused(unit):
    """One capital letter is no unit: "1M" could be a minute or a month."""
    with pytest.raises(UsageError, match="is not a duration"):
        duration(f"1{unit}")


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "   ",
        "soon",
        "10",
        "5 s m",
        "1h garbage",
        "1h-30m",
        "-1h",
        "1,5h",
        "s",
        "1.5us",
        1.5,
        None,
        True,
        b"1h",
        [1],
    ],
    ids=repr,
)
def test_what_is_no_duration_is_refused(wrong):
    """The message names the place, the value and three ways to write a duration."""
    with pytest.raises(UsageError) as raised:
        duration(wrong, "step 'nap' of sleeper")
    text = str(raised.value)
    assert "step 'nap' of sleeper" in text
    assert repr(wrong) in text
    assert "timedelta" in text
    assert "milliseconds" in text


@pytest.mark.parametrize("wrong", [-1, timedelta(microseconds=-1), timedelta(days=-1)], ids=repr)
def test_negative_durations_are_refused(wrong):
    """Time only goes forward."""
    with pytest.raises(UsageError, match="is negative"):
        duration(wrong)


@given(st.integers(min_value=0, max_value=10**18))
def test_a_duration_survives_its_text(micros):
    """What is shown to people can be given back, to the microsecond."""
    assert duration(duration_text(micros)) == micros


@given(st.timedeltas(min_value=timedelta(0)))
def test_a_timedelta_survives(delta):
    """No microsecond of a timedelta is lost."""
    assert timedelta(microseconds=duration(delta)) == delta


@given(st.integers(min_value=0, max_value=10**12))
def test_a_number_is_milliseconds(number):
    """A plain number has the unit of the SDK."""
    assert duration(number) == duration(f"{number}ms") == duration(timedelta(milliseconds=number))


@pytest.mark.parametrize(
    ("given_", "utc"),
    [
        ("2025-12-24T18:00:00Z", datetime(2025, 12, 24, 18, tzinfo=UTC)),
        ("2025-12-24T18:00:00+01:00", datetime(2025, 12, 24, 17, tzinfo=UTC)),
        ("2025-12-24", datetime(2025, 12, 24, tzinfo=UTC)),
        (date(2024, 2, 29), datetime(2024, 2, 29, tzinfo=UTC)),
        (datetime(2025, 3, 30, 3, 0, tzinfo=BERLIN), datetime(2025, 3, 30, 1, 0, tzinfo=UTC)),
        (datetime(2025, 3, 30, 1, 59, tzinfo=BERLIN), datetime(2025, 3, 30, 0, 59, tzinfo=UTC)),
        (datetime(2025, 10, 26, 2, 30, tzinfo=BERLIN), datetime(2025, 10, 26, 0, 30, tzinfo=UTC)),
        (datetime(2025, 10, 26, 2, 30, tzinfo=BERLIN, fold=1), datetime(2025, 10, 26, 1, 30, tzinfo=UTC)),
        (datetime(2025, 11, 2, 1, 30, tzinfo=NEW_YORK, fold=1), datetime(2025, 11, 2, 6, 30, tzinfo=UTC)),
        (
            datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ),
    ],
    ids=str,
)
def test_instants_are_utc(given_, utc):
    """An instant is the same moment whatever zone it was written in, on both sides of a change of clocks."""
    assert as_datetime(instant(given_)) == utc


@pytest.mark.parametrize("wrong", [datetime(2025, 1, 1), "2025-01-01T00:00:00", "2025-01-01 10:00"], ids=str)  # noqa: DTZ001 - naive on purpose
def test_moments_without_a_zone_are_refused(wrong):
    """A naive moment could be any of 38 instants, so the message asks for a time zone."""
    with pytest.raises(UsageError, match=r"start.*has no time zone.*timezone\.utc"):
        instant(wrong, "start")


@pytest.mark.parametrize(
    "wrong", ["tomorrow", "2025-02-30", "2025-13-01T00:00:00Z", "", 5, 1.5, None, timedelta(1)], ids=repr
)
def test_what_is_no_moment_is_refused(wrong):
    """The message names the place and the value."""
    with pytest.raises(UsageError) as raised:
        instant(wrong, "advance_to")
    assert "advance_to" in str(raised.value)
    assert repr(wrong) in str(raised.value)


@given(st.integers(min_value=-(10**16), max_value=YEARS_9998))
def test_an_instant_survives_its_datetime(micros):
    """Instant and datetime are the same thing, to the microsecond, leap days included."""
    assert instant(as_datetime(micros)) == micros
    assert instant(as_datetime(micros).isoformat()) == micros


@given(st.integers(min_value=0, max_value=YEARS_9998))
def test_an_instant_survives_its_text(micros):
    """What is shown to people can be given back."""
    assert instant(instant_text(micros)) == micros


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001 - hypothesis wants naive bounds
    st.integers(min_value=-23, max_value=23),
)
def test_offsets_never_move_an_instant(naive, hours):
    """Written in another offset, a moment is the same instant."""
    moment = naive.replace(tzinfo=UTC)
    assert instant(moment.astimezone(timezone(timedelta(hours=hours)))) == instant(moment)


def test_milliseconds_are_cut_not_rounded():
    """Events carry whole milliseconds; what is less is cut off, so an event is never from the future."""
    assert as_milliseconds(1_999) == 1
    assert as_milliseconds(2_000) == 2


@pytest.mark.parametrize(
    ("micros", "text"),
    [(0, "0s"), (15_250_000, "15.25s"), (26 * HOUR, "1d 2h"), (1, "0.000001s"), (WEEK, "7d"), (90 * SECOND, "1m 30s")],
)
def test_durations_are_shown_short(micros, text):
    """A duration for people has no zero parts and no trailing zeros."""
    assert duration_text(micros) == text
