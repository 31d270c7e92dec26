"""Shares: one search spread over several items, each of which tries the schedules that begin in its own way.

Nothing is sent between shares, and nothing depends on which worker runs one: whose a schedule is follows from its
first choices. All shares together have tried everything if each of them has tried all of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Sequence

BEGINNINGS = 8
"""How many beginnings of schedules there are at least for each share, so that shares are of about one size."""


class Share(NamedTuple):
    """One share of a search: its number, from 0 on, of so many."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"shard-{self.number + 1}-of-{self.of}"

    def beginning(self, widths: Sequence[int]) -> int:
        """How many choices decide whose a schedule is; more than there are, if these do not decide it yet."""
        ways = 1
        for count, width in enumerate(widths, 1):
            ways *= width
            if ways >= BEGINNINGS * self.of:
                return count
        return len(widths) + 1

    def owns(self, beginning: Sequence[int]) -> bool:
        """Whether schedules that begin with these options belong to this share."""
        return crc32(",".join(map(str, beginning)).encode()) % self.of == self.number

    def refuses(self, indices: Sequence[int], widths: Sequence[int]) -> bool:
        """Whether the last of these choices decides that another share tries this schedule."""
        return self.beginning(widths) == len(indices) and not self.owns(indices)

    def disowns(self, indices: Sequence[int], widths: Sequence[int]) -> bool:
        """Whether a whole schedule, too short to have been decided by its beginning, counts for another share."""
        return self.beginning(widths) > len(indices) and not self.owns(indices)

    def has_all(self, indices: Sequence[int], widths: Sequence[int]) -> bool:
        """Whether all continuations of these choices belong to this share."""
        count = self.beginning(widths)
        return count <= len(indices) and self.owns(indices[:count])

    def budget(self, whole: int) -> int:
        """This share of a number of schedules, rounded up."""
        return -(-whole // self.of)
