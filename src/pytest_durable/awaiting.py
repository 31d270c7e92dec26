"""What the methods of an async step API return: coroutines that the memo answers, or that wait for the engine."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any
from zlib import crc32

from ._core.errors import UsageError
from .invocation import BODY, CLOSING, GROUP, Invocation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ._core.commands import Command
    from ._core.runs import Entry
    from .loop import VirtualLoop


class StepCoroutine(Coroutine[Any, Any, Any]):
    """A recorded step. It hashes by its key, so that a set of steps has one order, and says if it is awaited too late.

    Attributes:
        command: what is asked for, if the step is not recorded.
        convert: makes the result of what was recorded, or None; what it makes of None is None.
    """

    __slots__ = ("_running", "entry", "invocation")

    command: Command | None = None
    convert: Callable[[Any], Any] | None = None

    def __init__(self, invocation: Invocation, entry: Entry) -> None:
        self.invocation = invocation
        self.entry = entry

    def __await__(self) -> Generator[Any, Any, Any]:
        invocation, entry = self.invocation, self.entry
        entry.awaited = invocation.number
        if not invocation.direct:
            if invocation.phase is not BODY:
                self._too_late()
                yield None
            loop = self._busy_loop()
            if loop is not None:
                invocation.waiting[entry.key] = future = loop.create_future()
                yield from future
        if entry.plain:
            invocation.last = entry
            return entry.stored[0]
        return invocation.answer(entry, self.convert)

    @property
    def begun(self) -> bool:
        """Whether somebody drives it as a coroutine."""
        return hasattr(self, "_running")

    def join(self, member: Any, mode: str) -> None:  # noqa: ARG002 - as of those that are wanted
        """Wait for the step as a member of a group of that mode; it is told by ``set_result`` when it is recorded."""
        invocation, entry = self.invocation, self.entry
        entry.awaited = invocation.number
        invocation.waiting[entry.key] = member

    def result(self) -> Any:
        """What was recorded: returned, or raised."""
        return self.invocation.answer(self.entry, self.convert)

    def send(self, value: Any) -> Any:
        """As of any coroutine."""
        return self._start().send(value)

    def throw(self, *error: Any) -> Any:
        """As of any coroutine."""
        return self._start().throw(*error)

    def close(self) -> None:
        """As of any coroutine."""
        if self.begun:
            self._running.close()

    def _start(self) -> Generator[Any, Any, Any]:
        try:
            return self._running
        except AttributeError:
            self._running: Generator[Any, Any, Any] = self.__await__()
            return self._running

    def __hash__(self) -> int:
        # Not the hash of text, which differs from process to process.
        return crc32(self.entry.key.encode())

    def _busy_loop(self) -> VirtualLoop | None:
        """The loop, if others are under way on it: then the body goes on by a future, and not by the engine's hand."""
        loop = self.invocation.loop
        return loop if loop is not None and (loop.made or loop.timers or loop.gathers) else None

    def _too_late(self) -> None:
        invocation = self.invocation
        if invocation.phase is CLOSING:
            invocation.lose_patience(closing := GeneratorExit())
            raise closing
        run = invocation.run
        msg = (
            f"step '{self.entry.key}' of {run.spec.id} is awaited outside the invocation that asked for it (the run "
            f"{run.status}); every step is awaited in the body"
        )
        raise UsageError(msg)


def recorded(invocation: Invocation, entry: Entry, _new: Any = object.__new__) -> StepCoroutine:
    """A ``StepCoroutine``. There is one for every step of every replay, and so it costs half as much."""
    step: StepCoroutine = _new(StepCoroutine)
    step.invocation = invocation
    step.entry = entry
    return step


class ConvertedStep(StepCoroutine):
    """A recorded step whose result is made of what was recorded."""

    __slots__ = ("convert",)

    def __init__(self, invocation: Invocation, entry: Entry, convert: Callable[[Any], Any]) -> None:
        super().__init__(invocation, entry)
        self.convert = convert


class WantedStep(StepCoroutine):
    """A step that is not recorded: it suspends the body until it is."""

    __slots__ = ("command", "convert")

    command: Command

    def __init__(
        self, invocation: Invocation, entry: Entry, command: Command, convert: Callable[[Any], Any] | None = None
    ) -> None:
        self.invocation = invocation
        self.entry = entry
        self.command = command
        self.convert = convert

    def __await__(self) -> Generator[Any, Any, Any]:
        invocation, command, entry = self.invocation, self.command, self.entry
        if invocation.phase is not BODY:
            self._too_late()
            yield None
        self._ask(GROUP.get())
        loop = None if invocation.direct else self._busy_loop()
        if loop is not None:
            invocation.waiting[entry.key] = command.future = future = loop.create_future()
            yield from future
        else:
            # The one place at which a body yields to the engine.
            yield command
        return invocation.answer(entry, self.convert)

    def join(self, member: Any, mode: str) -> None:
        """As of a recorded step."""
        self._ask(mode)
        self.invocation.waiting[self.entry.key] = self.command.future = member

    def _ask(self, mode: str) -> None:
        invocation, command = self.invocation, self.command
        self.entry.awaited = invocation.number
        invocation.calls.append(command)
        if mode:
            command.planned = True
            command.race = mode == "race"
