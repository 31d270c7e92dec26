"""Steps side by side without a task for each: what ``asyncio.gather`` does, where all that it is given are steps.

A branch that is one step runs no code of the author's between the step and its result, so a future for the whole
group can stand for the tasks. In all that can be seen, the order in which steps are asked for above all, it does what
asyncio's own would.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from typing import TYPE_CHECKING, Any

from .awaiting import ConvertedStep, StepCoroutine, WantedStep
from .invocation import GROUP
from .loop import NumberedFuture, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Sequence

stock_gather = asyncio.gather
STEPS = frozenset({StepCoroutine, ConvertedStep, WantedStep})
"""A set of types, as ``isinstance`` is slow for the abstract class of all coroutines."""


def gather(*coros_or_futures: Any, return_exceptions: bool = False) -> Any:
    """``asyncio.gather`` while time is driven."""
    loop = events._get_running_loop()  # noqa: SLF001 - the loop, or None
    if isinstance(loop, VirtualLoop) and are_steps(coros_or_futures):
        return StepGroup(loop, coros_or_futures, GROUP.get(), return_exceptions=return_exceptions)
    return stock_gather(*coros_or_futures, return_exceptions=return_exceptions)


def are_steps(awaitables: Sequence[Any]) -> bool:
    """Whether these are steps, at least one, each once, that nobody has begun to await."""
    for one in awaitables:
        if type(one) not in STEPS or one.begun:
            return False
    return len(awaitables) > 0 and len({*map(id, awaitables)}) == len(awaitables)


class Member:
    """A step of a group, in the place of the future that its task would wait for."""

    __slots__ = ("ended", "group", "place", "step")

    def __init__(self, group: StepGroup, place: int, step: StepCoroutine) -> None:
        self.group = group
        self.place = place
        self.step = step
        self.ended = False

    def done(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.ended or self.group.dropped

    def set_result(self, _: object) -> None:
        """The step is recorded."""
        self.ended = True
        self.group.settle(self)


class StepGroup(NumberedFuture):
    """The results of several steps, in the order in which they were given; or the first failure."""

    dropped = False
    """It was cancelled, so none of its steps is waited for any more."""

    def __init__(
        self, loop: VirtualLoop, steps: Sequence[StepCoroutine], mode: str, *, return_exceptions: bool
    ) -> None:
        super().__init__(loop=loop)
        self._return_exceptions = return_exceptions
        self._results: list[Any] = [None] * len(steps)
        self._open_ends = len(steps)
        # Where the first of the tasks would begin, all of them would, one behind the other.
        loop.gathers = True
        loop.call_soon(self._begin, steps, mode)

    def _begin(self, steps: Sequence[StepCoroutine], mode: str) -> None:
        if not self.dropped:
            for place, step in enumerate(steps):
                step.join(Member(self, place, step), mode)

    def settle(self, member: Member) -> None:
        """Take the result of a step."""
        try:
            self._results[member.place] = member.step.result()
        except Exception as error:  # noqa: BLE001 - whatever the step raises is its outcome
            if not self._return_exceptions:
                if not self.done():
                    self.set_exception(error)
                return
            self._results[member.place] = error
        self._open_ends -= 1
        if not self._open_ends and not self.done():
            self.set_result(self._results)

    def cancel(self, msg: Any = None) -> bool:
        """As of asyncio's own: the steps are given up."""
        if self.done():
            return False
        self.dropped = True
        return super().cancel(msg)
