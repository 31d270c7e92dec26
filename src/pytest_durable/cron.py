"""Cron schedules: croniter reads them; the time zone prefix is the server's, and so are two corrections.

Where croniter departs from the server (robfig's cron): a local time that a change of clocks leaves out does not tick,
and a range of one value is that value. Both agree that a local time that comes twice ticks twice.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ._core.errors import UsageError
from ._core.instants import SECOND, as_datetime, instant

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS = 5
MOST_SKIPPED = 10
"""How many ticks in a row a change of clocks may leave out, until the schedule counts as one without another tick."""

_ONE = re.compile(r"\b(\w+)-\1\b(?!/)")
REMEDY = 'write five fields, such as "0 9 * * 1-5", with "TZ=Europe/Oslo " before them for a zone other than UTC'


def ticks(text: str, who: str) -> Callable[[int], int | None]:
    """A function from an instant to the next tick behind it, or None if there is none.

    Raises:
        UsageError: the text is no cron of five fields, or its zone does not exist.
    """
    from croniter import CroniterBadCronError, CroniterBadDateError, croniter

    zone, fields = ZoneInfo("UTC"), text.strip()
    if fields.startswith(("TZ=", "CRON_TZ=")):
        name, _, fields = fields.partition(" ")
        try:
            zone = ZoneInfo(name.partition("=")[2])
        except (KeyError, ValueError, OSError):
            msg = f"{who}: the cron {text!r} names a time zone that does not exist; {REMEDY}"
            raise UsageError(msg) from None
    fields = _ONE.sub(r"\1", fields)
    if len(fields.split()) != FIELDS or not croniter.is_valid(fields):
        msg = f"{who}: {text!r} is not a valid cron schedule; {REMEDY}"
        raise UsageError(msg)

    minutes, hours = croniter.expand(fields)[0][:2]

    def after(now: int) -> int | None:
        local = as_datetime(now).astimezone(zone)
        for _ in range(MOST_SKIPPED):
            try:
                found: datetime = croniter(fields, local).get_next(datetime)
            except (CroniterBadDateError, CroniterBadCronError):
                return None
            if _fits(minutes, found.minute) and _fits(hours, found.hour):
                tick = instant(found)
                return tick if tick > now else tick + SECOND
            local = found
        return None

    return after


def _fits(listed: list[Any], value: int) -> bool:
    return listed == ["*"] or value in listed
