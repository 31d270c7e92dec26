"""The one ``choose``: every decision that the engine does not make itself goes through here, and is recorded.

A *choice* has a label, the options in their default order and the index taken. Option 0 is what happens when nobody
cares, so a schedule is the list of its deviations. A choice with one option is none, and is not recorded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol
from zlib import crc32

from .errors import ScheduleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .happenings import Happening

ORDER = "order"
"""The label of a choice among happenings that are ready at one instant. Every other label is a choice of data."""


class Chooser(Protocol):
    """The port through which the world asks: a label and at least two options in, an index out."""

    def choose(self, label: str, options: Sequence[object]) -> int:
        """Return an index into ``options``."""
        ...


class Observer(Chooser, Protocol):
    """A chooser that is also asked where there is only one option, and told what each happening touched."""

    def happened(self, happening: Happening, footprint: dict[str, str]) -> None:
        """Take note of what a happening read (r), wrote (w) or updated in a way that commutes (c)."""
        ...

    def barrier(self) -> None:
        """Take note that a drive has reached its goal, so that the test looks at the world now."""
        ...


class First:
    """The default order: always option 0."""

    def choose(self, label: str, options: Sequence[object]) -> int:  # noqa: ARG002 - the port's signature
        """Return 0."""
        return 0


class Deviation(NamedTuple):
    """A choice in which another option than the default was taken; ``str()`` of the options says it in words."""

    position: int
    label: str
    option: int
    taken: object
    default: object


class Choices:
    """Asks the chooser, checks the answer and keeps the record of one simulation."""

    def __init__(self, chooser: Chooser) -> None:
        self.chooser = chooser
        self.counts: list[int] = []
        self.indices: list[int] = []
        self.deviations: list[Deviation] = []

    def choose(self, label: str, options: Sequence[object]) -> int:
        """The index of the option to take; records it unless there is only one."""
        count = len(options)
        if count == 1:
            return 0
        index = self.chooser.choose(label, options)
        if not 0 <= index < count:
            msg = f"the chooser answered {index} to {label!r}, which has {count} options; an index from 0 is needed"
            raise ScheduleError(msg)
        if index:
            self.deviations.append(Deviation(len(self.counts), label, index, options[index], options[0]))
        self.counts.append(count)
        self.indices.append(index)
        return index

    def schedule(self) -> Schedule:
        """What was chosen so far."""
        return Schedule(tuple(self.counts), tuple(self.indices), tuple(mark_of(one.taken) for one in self.deviations))


_TEXT = re.compile(r"s1\.(\d+)((?:\.\d+-\d+of\d+(?:-[0-9a-f]{4})?)*)\.([0-9a-f]{8})")


def mark_of(option: object) -> str:
    """What an option is, in four characters: the same in every run of the same test, and hardly in another one."""
    return f"{crc32(str(getattr(option, 'mark', option)).encode()) & 0xFFFF:04x}"


class Schedule(NamedTuple):
    """The recorded list of choices: for each, how many options it had and which was taken; marks of the deviations."""

    counts: tuple[int, ...]
    indices: tuple[int, ...]
    marks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line that survives a shell: how many choices, each deviation, and a checksum of all counts."""
        marks = iter(self.marks)
        taken = "".join(
            f".{position}-{index}of{count}" + (f"-{mark}" if (mark := next(marks, "")) else "")
            for position, (count, index) in enumerate(zip(self.counts, self.indices, strict=True))
            if index
        )
        return f"s1.{len(self.counts)}{taken}.{_checksum(self.counts):08x}"


def is_schedule(text: str) -> bool:
    """Whether a text is meant as a schedule, whole or not."""
    return re.match(r"s\d+(\.|$)", text) is not None or not re.search(r"\s", text)


def _checksum(counts: Sequence[int]) -> int:
    return crc32(",".join(map(str, counts)).encode())


class Replay:
    """Follows the text of a schedule, and says so when the text does not fit this test.

    Raises:
        ScheduleError: the text is not a schedule or is truncated (at once), or the test offers other choices than the
            schedule was made from (at that choice, or by ``finish``).
    """

    def __init__(self, text: str) -> None:
        parsed = _TEXT.fullmatch(text.strip())
        if parsed is None:
            msg = (
                f"{text!r} is not a schedule, or only a part of one; "
                "copy the whole line after --durable-replay= from the report, from 's1.' to the checksum"
            )
            raise ScheduleError(msg)
        self.text, self.length, self.checksum = text, int(parsed[1]), int(parsed[3], 16)
        self.wanted: dict[int, tuple[int, int, str]] = {}
        for part in parsed[2].split(".")[1:]:
            position, index, count, *mark = re.split("-|of", part)
            self.wanted[int(position)] = (int(index), int(count), mark[0] if mark else "")
        self.counts: list[int] = []

    def choose(self, label: str, options: Sequence[object]) -> int:
        """The index that the schedule took at this point; 0 where it did not deviate, and after its end."""
        position = len(self.counts)
        self.counts.append(len(options))
        index, count, mark = self.wanted.get(position, (0, len(options), ""))
        if count != len(options):
            self._refuse(f"at choice {position} ({label}) it knows {count} options and the test offers {len(options)}")
        if mark and mark != mark_of(options[index]):
            told = ", ".join(map(str, options))
            self._refuse(f"at choice {position} ({label}) it took what the test does not offer there, which is: {told}")
        return index

    def finish(self) -> None:
        """Check, after the test, that all choices were met as the schedule knows them."""
        if len(self.counts) < self.length:
            self._refuse(f"it has {self.length} choices and the test made only {len(self.counts)}")
        if _checksum(self.counts[: self.length]) != self.checksum:
            self._refuse("its choices have other numbers of options than those of the test")

    def _refuse(self, why: str) -> None:
        msg = (
            f"the schedule {self.text} does not fit this test: {why}. It was made from another version of the test, "
            "of the function or of pytest-durable; explore again to get a new one"
        )
        raise ScheduleError(msg)
