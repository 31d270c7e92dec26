"""Time in integers: an instant is microseconds since 1970 UTC, a duration is microseconds. No floats, no zones."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache

from .errors import UsageError

MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
LAST = 253_402_300_799 * SECOND
"""The last second of the year 9999, with which the calendar of Python ends."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

UNITS = {
    "us": 1, "µs": 1, "microsecond": 1, "microseconds": 1,
    "ms": MILLISECOND, "millisecond": MILLISECOND, "milliseconds": MILLISECOND,
    "s": SECOND, "sec": SECOND, "secs": SECOND, "second": SECOND, "seconds": SECOND,
    "m": MINUTE, "min": MINUTE, "mins": MINUTE, "minute": MINUTE, "minutes": MINUTE,
    "h": HOUR, "hr": HOUR, "hrs": HOUR, "hour": HOUR, "hours": HOUR,
    "d": DAY, "day": DAY, "days": DAY,
    "w": WEEK, "week": WEEK, "weeks": WEEK,
}  # fmt: skip
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-zµ]+)\s*,?")
_REMEDY = 'write a timedelta, text such as "1h30m", "7d" or "2 weeks", or whole milliseconds'

Duration = timedelta | str | int


def duration(value: object, what: str = "duration") -> int:
    """The microseconds of a duration: a timedelta, text in short or long units, or whole milliseconds.

    Raises:
        UsageError: it is none of these, or negative; the message names ``what``, the value and the remedy.
    """
    if isinstance(value, timedelta):
        micros = value // _MICROSECOND
    elif isinstance(value, str):
        micros = _parse(value, what)
    elif isinstance(value, int) and not isinstance(value, bool):
        micros = value * MILLISECOND
    else:
        msg = f"{what}: {value!r} ({type(value).__name__}) is not a duration; {_REMEDY}"
        raise UsageError(msg)
    if micros < 0:
        msg = f"{what}: {value!r} is negative; a duration goes forward"
        raise UsageError(msg)
    return micros


def _parse(text: str, what: str) -> int:
    micros = _micros_of(text)
    if micros is None:
        msg = f"{what}: {text!r} is not a duration; {_REMEDY}"
        raise UsageError(msg)
    return micros


@lru_cache(maxsize=1024)
def _micros_of(text: str) -> int | None:
    position, total = 0, Fraction(0)
    while position < len(text):
        part = _PART.match(text, position)
        unit = UNITS.get(part[2] if len(part[2]) == 1 else part[2].lower()) if part else None
        if part is None or unit is None:
            break
        total += Fraction(part[1]) * unit
        position = part.end()
    wrong = not text.strip() or position < len(text) or total.denominator != 1
    return None if wrong else int(total)


def later(now: int, micros: int, what: str) -> int:
    """The instant that is so long after another one.

    Raises:
        UsageError: it is behind the end of the calendar.
    """
    if now + micros > LAST:
        msg = f"{what}: {micros // DAY:,} days from now is behind the year 9999, where the calendar ends"
        raise UsageError(msg)
    return now + micros


def instant(value: object, what: str = "moment") -> int:
    """The instant of an aware datetime or of ISO 8601 text with an offset (a bare date is its midnight UTC).

    Raises:
        UsageError: it is neither, or has no time zone.
    """
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            msg = f'{what}: {value!r} is not an ISO 8601 date; write it as "2025-12-24T18:00:00Z"'
            raise UsageError(msg) from None
        if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            moment = moment.replace(tzinfo=UTC)
    elif isinstance(value, date) and not isinstance(value, datetime):
        moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(moment, datetime):
        msg = f"{what}: {value!r} ({type(value).__name__}) is not a moment; write an aware datetime or ISO 8601 text"
        raise UsageError(msg)
    if moment.utcoffset() is None:
        msg = f"{what}: {value!r} has no time zone; add one, as in datetime(..., tzinfo=timezone.utc) or a Z at the end"
        raise UsageError(msg)
    return (moment - _EPOCH) // _MICROSECOND


def as_datetime(micros: int) -> datetime:
    """The aware UTC datetime of an instant."""
    return _EPOCH + timedelta(microseconds=micros)


def rfc3339(micros: int) -> str:
    """An instant as the server writes it."""
    return as_datetime(micros).isoformat().replace("+00:00", "Z")


def as_milliseconds(micros: int) -> int:
    """Milliseconds since 1970, as events carry them."""
    return micros // MILLISECOND


def duration_text(micros: int) -> str:
    """A duration for people: ``1d 2h``, ``15.25s``, ``0s``."""
    if micros == 0:
        return "0s"
    parts = []
    for name, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        whole, micros = divmod(micros, size)
        if whole:
            parts.append(f"{whole}{name}")
    if micros:
        seconds, rest = divmod(micros, SECOND)
        fraction = f".{rest:06d}".rstrip("0") if rest else ""
        parts.append(f"{seconds}{fraction}s")
    return " ".join(parts)


def instant_text(micros: int) -> str:
    """An instant for people: ``2025-01-01 09:30:00Z``, with a fraction only where there is one."""
    moment = as_datetime(micros)
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    if moment.microsecond:
        text += f".{moment.microsecond:06d}".rstrip("0")
    return text + "Z"
