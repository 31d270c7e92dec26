"""Cron schedules: croniter reads them; the time zone prefix is the server's."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ._core.errors import UsageError
from ._core.instants import SECOND, as_datetime, instant

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS = 5
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
    if len(fields.split()) != FIELDS or not croniter.is_valid(fields):
        msg = f"{who}: {text!r} is not a valid cron schedule; {REMEDY}"
        raise UsageError(msg)

    def after(now: int) -> int | None:
        local = as_datetime(now).astimezone(zone)
        try:
            found: datetime = croniter(fields, local).get_next(datetime)
        except (CroniterBadDateError, CroniterBadCronError):
            return None
        tick = instant(found)
        return tick if tick > now else tick + SECOND

    return after
