"""Cron schedules: the fields and the time zone prefix are read as the server reads them, and croniter finds the ticks.

The server's parser is robfig's. Where croniter reads a text otherwise (7 for Sunday, ranges over the end of the week,
``L``, ``#``, ``12-12``, ``1-31`` beside a day of the week), it is never given that text, but lists of what was meant.
And a local time that a change of clocks leaves out does not tick; one that comes twice ticks twice.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from ._core.errors import UsageError
from ._core.instants import as_datetime, instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHANGE = timedelta(hours=3)
"""How far from a change of clocks a tick is looked for with care; more than any change."""

MOST_LOOKED_AT = 1_000
"""How many moments are looked at for one tick: each minute near a change of clocks, and some more."""

YEARS = 5
"""How many years ahead the server looks for a tick."""

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
REMEDY = 'write five fields, such as "0 9 * * 1-5", with "TZ=Europe/Oslo " before them for a zone other than UTC'
_PART = re.compile(r"(?P<star>[*?])(?:/(?P<every>\d+))?|(?P<first>\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?", re.ASCII)


class Field(NamedTuple):
    """One of the five fields: its name, its least and its greatest value, and words for values."""

    name: str
    least: int
    most: int
    words: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        """A value, as a number or a word.

        Raises:
            ValueError: it is neither, or outside the field.
        """
        word = text.lower()
        value = self.words.index(word) + self.least if word in self.words else int(text) if text.isdecimal() else -1
        if not self.least <= value <= self.most:
            msg = f"{text!r} is no {self.name}, which is {self.least} to {self.most}"
            raise ValueError(msg)
        return value

    def values(self, text: str) -> tuple[list[int], bool]:
        """All values of a field, and whether it was left open by a star.

        Raises:
            ValueError: the text is no list of values, ranges and steps.
        """
        found: set[int] = set()
        is_open = False
        for part in filter(None, text.split(",")):
            match = _PART.fullmatch(part)
            if match is None:
                msg = f"{part!r} is no {self.name}, range or step"
                raise ValueError(msg)
            step = int(match["every"] or match["step"] or 1)
            if not step:
                msg = f"{part!r} has a step of 0"
                raise ValueError(msg)
            first = self.least if match["star"] else self.number(match["first"])
            to_the_end = match["star"] or (match["step"] and not match["last"])
            last = self.most if to_the_end else self.number(match["last"] or match["first"])
            if first > last:
                msg = f"{part!r} begins behind its end"
                raise ValueError(msg)
            is_open = is_open or (match["star"] is not None and step == 1)
            found.update(range(first, last + 1, step))
        if not found:
            msg = f"there is no {self.name}"
            raise ValueError(msg)
        return sorted(found), is_open


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of the week", 0, 6, DAYS),
)


def ticks(text: str, who: str) -> Callable[[int], int | None]:
    """A function from an instant to the next tick behind it, or None if there is none.

    Raises:
        UsageError: the text is no cron of five fields, or its zone does not exist.
    """
    from croniter import CroniterBadDateError, croniter

    zone, fields = ZoneInfo("UTC"), text.strip()
    if fields.startswith(("TZ=", "CRON_TZ=")):
        name, _, fields = fields.partition(" ")
        try:
            zone = ZoneInfo(name.partition("=")[2])
        except (KeyError, ValueError, OSError):
            msg = f"{who}: the cron {text!r} names a time zone that does not exist; {REMEDY}"
            raise UsageError(msg) from None
    try:
        parts = fields.split()
        if len(parts) != len(FIELDS):
            msg = f"it has {len(parts)} field{'s' * (len(parts) != 1)}"
            raise ValueError(msg)  # noqa: TRY301 - one message for all that is wrong
        read = [field.values(part) for field, part in zip(FIELDS, parts, strict=True)]
    except ValueError as error:
        msg = f"{who}: {text!r} is not a valid cron schedule: {error}; {REMEDY}"
        raise UsageError(msg) from None

    (minutes, _), (hours, _), (dates, any_date), (months, _), (days, any_day) = read
    if not (any_date or any_day) and (len(dates) == FIELDS[2].most or len(days) == len(DAYS)):
        # Either of the two is enough, and one is always given.
        any_date = any_day = True
    lists = (minutes, hours, [] if any_date else dates, months, [] if any_day else days)
    plain = " ".join(",".join(map(str, listed)) or "*" for listed in lists)

    def after(now: int) -> int | None:
        # croniter counts on the clock on the wall alone, and what is not on it, or twice, is seen here.
        local = as_datetime(now).astimezone(zone)
        changes = (local - CHANGE).utcoffset() != (local + CHANGE).utcoffset()
        wall = local.replace(tzinfo=None)
        moments = croniter(plain, wall - CHANGE if changes else wall)
        found: list[int] = []
        for _ in range(MOST_LOOKED_AT):
            try:
                moment: datetime = moments.get_next(datetime)
            except CroniterBadDateError:
                break
            if moment.year > local.year + YEARS or (found and moment > wall + CHANGE):
                break
            found += [tick for tick in _instants(moment, zone) if tick > now]
            if found and not changes:
                break
        return min(found, default=None)

    return after


def _instants(moment: datetime, zone: ZoneInfo) -> Iterator[int]:
    """When a clock on the wall of a zone shows a moment: once; never or twice where clocks are changed."""
    told = [moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    for at in dict.fromkeys(told):
        if at.astimezone(zone).replace(tzinfo=None) == moment:
            yield instant(at)
