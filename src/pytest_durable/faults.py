"""Faults: small rules that add unpleasant options to a choice.

Each function here returns a ``Fault``; add it with ``durable.faults.add(...)``, or name it in ``faults=[...]`` of the
marker, of ``explore`` or of a strategy. Under exploration every injection is a choice, and ``max_faults`` bounds how
many happen in one schedule. Outside exploration a fault simply happens, ``times`` times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._core.errors import UsageError
from ._core.instants import Duration, duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._core.bus import BusEvent
    from ._core.runs import RunState

CRASH_BEFORE, CRASH_AFTER, LOST, STEP_ERROR, SLOW = "crash before", "crash after", "lost", "step error", "slow"
DUPLICATE, DUPLICATE_NEW_ID, DROP, DELAY, REORDER = "duplicate", "duplicate under a new id", "drop", "delay", "reorder"
REDELIVER, CANCEL, CRASH_END = "redeliver", "cancel", "crash at the end"

STEP_VERDICTS = {
    CRASH_BEFORE: "crash before step '{step}' has its effect",
    CRASH_AFTER: "crash after step '{step}' has had its effect and before it is recorded",
    LOST: "the answer of step '{step}' is lost before it is recorded",
    STEP_ERROR: "step '{step}' fails before its effect",
    SLOW: "step '{step}' is slow",
}
EVENT_VERDICTS = {
    DUPLICATE: "event '{event}' arrives twice",
    DUPLICATE_NEW_ID: "event '{event}' arrives twice, under two ids",
    DROP: "event '{event}' is lost",
    DELAY: "event '{event}' is late",
    REORDER: "event '{event}' arrives behind the next one",
}
REQUEST_VERDICTS = {
    REDELIVER: "the request of step '{step}' is delivered again",
    CANCEL: "the run is cancelled",
    CRASH_END: "crash after the body has returned and before that is recorded",
}


CRASHES = (CRASH_BEFORE, CRASH_AFTER, CRASH_END)
"""The verdicts by which a worker dies."""

WORDS = {**STEP_VERDICTS, **EVENT_VERDICTS, **REQUEST_VERDICTS}


class Injection:
    """An unpleasant option of a choice: what a fault makes possible for one attempt, event or request.

    Attributes:
        verdict: what may happen, a key of WORDS.
        fault: the rule that makes it possible.
        run, step, attempt: whom it befalls, if it is no event: a run, the key of a step or "", an attempt from 1 on.
        event, at: the event that it befalls, and the instant at which it was due.
    """

    __slots__ = ("at", "attempt", "event", "fault", "run", "step", "verdict")

    def __init__(
        self,
        verdict: str,
        fault: Fault,
        *,
        run: RunState | None = None,
        step: str = "",
        attempt: int = 1,
        event: BusEvent | None = None,
        at: int = 0,
    ) -> None:
        self.verdict = verdict
        self.fault = fault
        self.run = run
        self.step = step
        self.attempt = attempt
        self.event = event
        self.at = at

    @property
    def point(self) -> tuple[str, str, str, int]:
        """Where it happens: what, the function, the key of the step, the attempt."""
        return (self.verdict, self.run.spec.id if self.run is not None else "", self.step, self.attempt)

    def __str__(self) -> str:
        return WORDS[self.verdict].format(step=self.step, event=self.event.name if self.event is not None else "")


class Fault:
    """A rule: which attempts, events or requests it is about, and what it makes possible there.

    Attributes:
        name: the name under which ``faults=[...]`` finds it.
        verdicts: what may happen, each a key of one of the tables above.
        function, step, event: it is about these only; None for all.
        times: how often it happens at the most; None for once outside exploration, and for any number within the
            budget under exploration.
        length: microseconds, for what is slow or late.
        met: there was something that it is about.
    """

    def __init__(
        self,
        name: str,
        verdicts: tuple[str, ...],
        *,
        function: Any = None,
        step: str | None = None,
        event: str | None = None,
        times: int | None = None,
        length: int = 0,
    ) -> None:
        self.name = name
        self.verdicts = verdicts
        self.function = getattr(function, "id", function)
        self.step = step
        self.event = event
        self.times = times
        self.length = length
        self.injected = 0
        self.met = False

    def __repr__(self) -> str:
        narrowed = [f"{key}={getattr(self, key)!r}" for key in ("function", "step", "event") if getattr(self, key)]
        return f"faults.{self.name}({', '.join(narrowed)})"

    def concerns(self, function: str, step: str, step_id: str) -> bool:
        """Whether a step of a function is meant."""
        mine = self.event is None and (self.function is None or self.function == function)
        meant = mine and self.step in {None, step, step_id}
        self.met = self.met or meant
        return meant

    def concerns_event(self, name: str, sender: str | None) -> bool:
        """Whether an event is meant, by its name and the function that sent it."""
        meant = self.event in {None, name} and (self.function is None or self.function == sender) and self.step is None
        self.met = self.met or meant
        return meant


def _times(rate: object, times: int | None) -> int | None:
    if rate is not None:
        if not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
            msg = f"rate={rate!r} is not between 0 and 1"
            raise UsageError(msg)
        return 1_000_000_000 if rate else 0
    if times is None:
        return None
    if not isinstance(times, int) or isinstance(times, bool) or times < 1:
        msg = f"times={times!r} is not a number from 1 on"
        raise UsageError(msg)
    return times


def step_error(
    rate: float | None = None, *, times: int | None = None, function: Any = None, step: str | None = None
) -> Fault:
    """One attempt fails before its effect. With ``rate`` any number of attempts may; each is a choice of its own."""
    return Fault("step_error", (STEP_ERROR,), function=function, step=step, times=_times(rate, times))


def crash(when: str | None = None, *, times: int | None = None, function: Any = None, step: str | None = None) -> Fault:
    """The worker dies "before" a step has its effect or "after" it and before it is recorded; None for either.

    "after" is also after the body has returned and before that is recorded, unless a step is named.
    """
    after = (CRASH_AFTER,) if step is not None else (CRASH_AFTER, CRASH_END)
    verdicts = {None: (CRASH_BEFORE, *after), "before": (CRASH_BEFORE,), "after": after}
    if when not in verdicts:
        msg = f'crash(when={when!r}); say "before", "after" or nothing for either'
        raise UsageError(msg)
    return Fault("crash", verdicts[when], function=function, step=step, times=_times(None, times))


def lost_ack(*, times: int | None = None, function: Any = None, step: str | None = None) -> Fault:
    """A step has its effect and its answer is lost: it is tried again, though the worker lives."""
    return Fault("lost_ack", (LOST,), function=function, step=step, times=_times(None, times))


def slow_step(
    length: Duration = "1m", *, times: int | None = None, function: Any = None, step: str | None = None
) -> Fault:
    """A step takes this much longer in virtual time."""
    return Fault("slow_step", (SLOW,), function=function, step=step, times=_times(None, times),
                 length=duration(length, "slow_step"))  # fmt: skip


def redelivery(*, times: int | None = None, function: Any = None, step: str | None = None) -> Fault:
    """A request whose step was recorded already is delivered once more."""
    return Fault("redelivery", (REDELIVER,), function=function, step=step, times=_times(None, times))


def cancellation(*, times: int | None = None, function: Any = None, step: str | None = None) -> Fault:
    """A run is cancelled just before one of its requests; with ``step``, before that step or just behind it."""
    return Fault("cancellation", (CANCEL,), function=function, step=step, times=_times(None, times))


def duplicate_event(
    new_id: bool = False,  # noqa: FBT001, FBT002 - faults.duplicate_event(True) reads well enough
    *,
    times: int | None = None,
    event: str | None = None,
    function: Any = None,
) -> Fault:
    """An event arrives twice, under the same id or (``new_id=True``) under a second one."""
    verdict = DUPLICATE_NEW_ID if new_id else DUPLICATE
    return Fault("duplicate_event", (verdict,), event=event, function=function, times=_times(None, times))


def drop_event(*, times: int | None = None, event: str | None = None, function: Any = None) -> Fault:
    """An event never arrives."""
    return Fault("drop_event", (DROP,), event=event, function=function, times=_times(None, times))


def delay_event(
    by: Duration = "1h", *, times: int | None = None, event: str | None = None, function: Any = None
) -> Fault:
    """An event arrives this much later."""
    return Fault("delay_event", (DELAY,), event=event, function=function, times=_times(None, times),
                 length=duration(by, "delay_event"))  # fmt: skip


def reorder_event(
    within: Duration = "1h", *, times: int | None = None, event: str | None = None, function: Any = None
) -> Fault:
    """An event arrives right behind the next one; after ``within`` if none comes until then."""
    return Fault("reorder_event", (REORDER,), event=event, function=function, times=_times(None, times),
                 length=duration(within, "reorder_event"))  # fmt: skip


BY_NAME = {
    maker.__name__: maker
    for maker in (step_error, crash, lost_ack, slow_step, redelivery, cancellation, duplicate_event, drop_event,
                  delay_event, reorder_event)
}  # fmt: skip


def named(fault: str | Fault) -> Fault:
    """A fault by its name, with its defaults; a fresh copy of one that was made already.

    Raises:
        UsageError: there is no fault of that name.
    """
    if isinstance(fault, Fault):
        return Fault(fault.name, fault.verdicts, function=fault.function, step=fault.step, event=fault.event,
                     times=fault.times, length=fault.length)  # fmt: skip
    if fault not in BY_NAME:
        msg = f"{fault!r} is not a fault; there are {', '.join(BY_NAME)}"
        raise UsageError(msg)
    return BY_NAME[fault]()


def about_nothing(faults: Iterable[Fault], steps: Iterable[str], events: Iterable[str]) -> list[str]:
    """What to say of faults that are about a step, a function or an event of which there was none."""
    idle = [fault for fault in faults if not fault.met and (fault.step or fault.event or fault.function)]
    if not idle:
        return []
    known = {"step": sorted(set(steps)), "event": sorted(set(events))}
    lines = []
    for fault in idle:
        kind = "event" if fault.event or any(verdict in EVENT_VERDICTS for verdict in fault.verdicts) else "step"
        there = ", ".join(map(repr, known[kind])) or "none"
        lines.append(f"{fault!r} is about nothing that came up; the {kind}s that did are {there}. Correct the name")
    return lines


class Faults:
    """The faults of one simulation, and the budget that bounds them under exploration."""

    def __init__(self, faults: Iterable[str | Fault] = (), *, exploring: bool = False, budget: int = 1) -> None:
        self.exploring = exploring
        self.budget = budget
        self._faults = [named(fault) for fault in faults]
        self.present = bool(self._faults)

    def __iter__(self) -> Any:
        return iter(self._faults)

    def add(self, fault: str | Fault) -> None:
        """Add a fault to this simulation."""
        self._faults.append(named(fault))
        self.present = True

    def spend(self, fault: Fault) -> None:
        """Take note of an injection."""
        fault.injected += 1
        if self.exploring:
            self.budget -= 1

    def open(self) -> list[Fault]:
        """The faults that may still happen."""
        if not self._faults or (self.exploring and self.budget <= 0):
            return []
        return [fault for fault in self._faults if self._may_happen(fault)]

    def _may_happen(self, fault: Fault) -> bool:
        if fault.times is None:
            return self.exploring or not fault.injected
        return fault.injected < fault.times
