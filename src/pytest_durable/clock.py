"""The clocks of the process: while a simulation is entered or driven, ``datetime.now()`` and ``time.time()`` read it.

Two backends do the patching, time-machine and freezegun. Simulations in one process share one patch: whoever is on top
of the stack below is shown, and a simulation that is driven goes on top for as long as that takes.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

from ._core.errors import UsageError
from ._core.instants import MILLISECOND, SECOND, as_datetime, instant
from .places import HOME, of_library

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_START = datetime(2025, 1, 1, tzinfo=UTC)
real_sleep = time.sleep


class Backend(Protocol):
    """Something that makes the process believe in an instant."""

    def move(self, micros: int) -> None:
        """Show an instant."""
        ...

    def stop(self) -> None:
        """Show real time again."""
        ...


class TimeMachine:
    """time-machine: exact, and a microsecond to move."""

    def __init__(self, micros: int) -> None:
        import time_machine

        if freezegun_is_active():
            msg = (
                'clock="time-machine" (or durable_clock) inside freeze_time: time-machine cannot work while freezegun '
                'does; leave the argument away, which takes up the moment of freeze_time, or say clock="freezegun"'
            )
            raise UsageError(msg)
        seconds, rest = divmod(micros, SECOND)
        # Whole seconds, not a datetime: a datetime in UTC would also change the local zone of the process.
        self._travel = time_machine.travel(seconds, tick=False)
        self._traveller: Any = self._travel.start()
        self._shown = seconds * SECOND
        self.move(self._shown + rest)

    def move(self, micros: int) -> None:
        """Show an instant."""
        if micros != self._shown:
            self._traveller.shift(timedelta(microseconds=micros - self._shown))
            self._shown = micros

    def stop(self) -> None:
        """Show real time again."""
        self._travel.stop()


class Freezegun:
    """freezegun: for suites that use it already; it patches more, and takes milliseconds to start."""

    def __init__(self, micros: int) -> None:
        from freezegun import freeze_time

        self._freezer = freeze_time(as_datetime(micros).replace(tzinfo=None), real_asyncio=True)
        self._factory: Any = self._freezer.start()

    def move(self, micros: int) -> None:
        """Show an instant."""
        self._factory.move_to(as_datetime(micros).replace(tzinfo=None))

    def stop(self) -> None:
        """Show real time again."""
        self._freezer.stop()


class BorrowedFreeze:
    """The freeze of somebody else, which is moved while a simulation shows its time, and put back."""

    def __init__(self, micros: int) -> None:
        from freezegun import api

        self._factory: Any = api.freeze_factories[-1]
        self._before = self._factory()
        self.move(micros)

    def move(self, micros: int) -> None:
        """Show an instant."""
        self._factory.move_to(as_datetime(micros).replace(tzinfo=None))

    def stop(self) -> None:
        """Show the moment of the freeze again."""
        self._factory.move_to(self._before)


BACKENDS: dict[str, Callable[[int], Backend]] = {"time-machine": TimeMachine, "freezegun": Freezegun}
NAMES = (*BACKENDS, "off")
"""What ``clock=`` takes; with "off" only ``sim.now`` is virtual."""


def freezegun_is_active() -> bool:
    """Whether freezegun has replaced ``datetime`` by its own class now."""
    return "freezegun" in sys.modules and sys.modules["datetime"].datetime.__name__ == "FakeDatetime"


def time_machine_is_active() -> bool:
    """Whether somebody else than a simulation travels with time-machine now."""
    module = sys.modules.get("time_machine")
    return module is not None and bool(module.escape_hatch.is_travelling()) and not _stack


def default_start() -> datetime:
    """The moment at which the process is frozen already, or the start of 2025."""
    if not _stack and (freezegun_is_active() or time_machine_is_active()):
        return as_datetime(frozen_at())
    return DEFAULT_START


def frozen_at() -> int:
    """The moment that the process reads now, in microseconds."""
    # Not by `datetime.now`, which freezegun shifts by its `tz_offset`; its floats are off by some nanoseconds.
    return (time.time_ns() + 500) // 1000


_driver = [0]
"""The thread that drives a simulation; other threads sleep in real time."""

_stack: list[Clock] = []
_shown: list[tuple[str, Backend]] = []
"""The backend that is at work, if one is, with its name."""

_hidden: list[Backend] = []
"""Backends of ours above which somebody else froze the process, and above whom we are again."""


def _show_top() -> None:
    """Make the process believe in the instant of the clock on top, by its backend; in real time without one."""
    wanted = (_stack[-1].kind or "off") if _stack else "off"
    if _shown and (_shown[0][0] != wanted or (_hidden and not _stack)):
        _shown.pop()[1].stop()
        while _hidden:
            _hidden.pop().stop()
    if _shown:
        _shown[0][1].move(_stack[-1].micros)
    elif wanted != "off":
        _shown.append((wanted, BACKENDS[wanted](_stack[-1].micros)))


class Clock:
    """The process clock of one simulation.

    Args:
        micros: the first instant.
        backend: "time-machine", "freezegun", "off", or None for freezegun where it is active and time-machine
            elsewhere.

    Raises:
        UsageError: no such backend.
    """

    def __init__(self, micros: int, backend: str | None = None) -> None:
        if backend is not None and backend not in NAMES:
            msg = f"clock={backend!r} is not a backend; use one of {', '.join(map(repr, NAMES))}"
            raise UsageError(msg)
        self.micros = micros
        self.kind = backend
        self.elapsed: int | None = None
        """How long the step that is executed has slept, in microseconds; None outside any step."""
        self.receive: Callable[[Any], list[str]] | None = None
        """What takes the events that clients of an SDK send while this simulation is on top."""
        self.actor: Callable[[], str] | None = None
        """Who acts now, for messages: a step or a body; "" for the test."""
        self.misused: Callable[[UsageError], None] | None = None
        """What takes note of a mistake of the author, which the code under way may catch."""
        self.threads = False
        """Whether steps may start threads."""
        self.block: Callable[[int], None] | None = None
        """Who lets the code under way wait, where others go on meanwhile; None where it waits alone."""

    def show(self, micros: int) -> None:
        """Show an instant from now on."""
        self.micros = micros
        if _stack and _stack[-1] is self and _shown:
            _shown[0][1].move(micros)

    def sleep(self, micros: int) -> None:
        """Let virtual time pass in the step that is executed."""
        assert self.elapsed is not None, "this is our bug: a sleep outside any step"
        self.elapsed += micros
        self.show(self.micros + micros)

    def refused(self, message: str) -> UsageError:
        """An error for the author of the code under way."""
        error = UsageError(message)
        if self.misused is not None:
            self.misused(error)
        return error

    def enter(self) -> None:
        """Go on top of the stack."""
        if self.kind is None:
            self.kind = "freezegun" if freezegun_is_active() else "time-machine"
        _stack.append(self)
        try:
            _show_top()
        except UsageError:
            self.leave()
            raise

    @property
    def hidden(self) -> bool:
        """Whether somebody else has frozen the process behind it, so that its instant is not what the process reads."""
        shown = bool(_shown) and _stack[-1] is self
        return shown and abs(time.time_ns() // 1000 - self.micros) > MILLISECOND

    def surface(self) -> None:
        """Show the instant above whoever has frozen the process; all that is shown ends with the simulation."""
        self.kind = "freezegun" if freezegun_is_active() else "time-machine"
        _hidden.append(_shown.pop()[1])
        above = BorrowedFreeze(self.micros) if self.kind == "freezegun" else TimeMachine(self.micros)
        _shown.append((self.kind, above))

    def leave(self) -> None:
        """Leave the stack; the clock below is shown again."""
        for index in range(len(_stack) - 1, -1, -1):
            if _stack[index] is self:
                del _stack[index]
                break
        _show_top()


def inbox() -> Callable[[Any], list[str]] | None:
    """What takes the events that are sent now; None without a simulation."""
    return _stack[-1].receive if _stack else None


def driven() -> Clock | None:
    """The clock that this thread drives; None elsewhere."""
    return _stack[-1] if _stack and get_ident() == _driver[0] else None


def virtual_sleep(seconds: float) -> None:
    """``time.sleep`` while a simulation is driven: in a step it takes virtual time, and in a body it is refused."""
    clock = driven()
    if clock is None:
        real_sleep(seconds)
    elif clock.elapsed is None:
        msg = (
            f"time.sleep({seconds!r}) in the body of a durable function is lost on every replay and blocks the worker; "
            'write ctx.step.sleep("pause", ...), or sleep inside a step'
        )
        raise clock.refused(msg)
    elif seconds < 0:
        msg = "sleep length must be non-negative"
        raise ValueError(msg)
    else:
        (clock.block or clock.sleep)(round(seconds * SECOND))


_scanned: set[str] = set()


def adopt_sleep() -> None:
    """Let modules that hold ``time.sleep`` under a name of their own hold ours, which is the real one outside drives.

    ``from time import sleep`` copies the function when the module is imported, long before any drive. Each module is
    looked at once; of those of the standard library nothing is wanted.
    """
    if len(sys.modules) == len(_scanned):
        return
    for name, module in list(sys.modules.items()):
        if name in _scanned:
            continue
        _scanned.add(name)
        path = getattr(module, "__file__", None)
        names = getattr(module, "__dict__", None)
        if not isinstance(path, str) or type(names) is not dict or of_library(path) or path.startswith(HOME):
            continue
        for held in [held for held, value in names.items() if value is real_sleep]:
            names[held] = virtual_sleep


def drive_from(thread: int) -> int:
    """Say which thread drives from now on, 0 for none. Returns the one before."""
    before, _driver[0] = _driver[0], thread
    return before


def drive_from_here() -> int:
    """Let this thread be the one that drives. Returns the one before."""
    return drive_from(get_ident())


def start_instant(start: datetime | str | None) -> int:
    """The instant of ``Simulation(start=...)``, in microseconds.

    Raises:
        UsageError: it has no time zone, or is no moment.
    """
    return instant(start if start is not None else default_start(), "start")
