"""Moments that are choices, for ``at=``; and names for happenings that belong to no run and no event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    """For ``at=``: any moment of a window; both ends, and before and after all that is due inside."""
    return Between(first, last)


class Named:
    """A subject for happenings that belong to no run and no event."""

    def __init__(self, subject_id: str, name: str) -> None:
        self.id = subject_id
        self.name = name
