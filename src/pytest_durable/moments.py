"""Moments that are choices, for ``at=``; and names for happenings that belong to no run and no event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._core.errors import UsageError
from ._core.instants import duration, instant, instant_text, later

if TYPE_CHECKING:
    from datetime import datetime

    from ._core.instants import Duration


class Between:
    """A moment that is a choice: from ``first`` (a duration from now) to ``last``, or until nothing else is due."""

    def __init__(self, first: Any, last: Any) -> None:
        self.first = first
        self.last = last

    def __repr__(self) -> str:
        return "ANYTIME" if self.last is None else f"between({self.first!r}, {self.last!r})"


ANYTIME = Between(0, None)
"""For ``at=``: any moment from now to when the run would otherwise be idle."""


def between(first: Duration | datetime, last: Duration | datetime) -> Between:
    """For ``at=``: any moment of a window; both ends, and before and after all that is due inside.

    Raises:
        UsageError: an end is neither a duration nor a datetime, or the window ends before it begins.
    """
    ends = [at if hasattr(at, "tzinfo") else duration(at, f"between({first!r}, {last!r})") for at in (first, last)]
    if type(ends[0]) is type(ends[1]) and ends[1] < ends[0]:  # type: ignore[operator]  # of one type
        msg = f"between({first!r}, {last!r}) ends before it begins"
        raise UsageError(msg)
    return Between(first, last)


class Named:
    """A subject for happenings that belong to no run and no event."""

    def __init__(self, subject_id: str, name: str) -> None:
        self.id = subject_id
        self.name = name


def moment_of(at: Duration | datetime | Between | None, now: int, what: str) -> tuple[int, int | None]:
    """The instant of an ``at``, and where its window closes, if it has one.

    Raises:
        UsageError: it is in the past, or a window that ends before it begins.
    """
    if at is None:
        return now, None
    if isinstance(at, Between):
        opens = moment_of(at.first, now, what)[0]
        closes = None if at.last is None else moment_of(at.last, now, what)[0]
        if closes is not None and closes < opens:
            msg = f"{what}: {at!r} ends before it begins"
            raise UsageError(msg)
        return opens, closes
    if hasattr(at, "tzinfo"):
        moment = instant(at, what)
        if moment < now:
            msg = f"{what}: {at!r} is before the present instant, {instant_text(now)}"
            raise UsageError(msg)
        return moment, None
    return later(now, duration(at, what), what), None
