"""A run as a test sees it: its status, result, steps and history. Reading never drives."""

from __future__ import annotations

import enum
from json import loads
from typing import TYPE_CHECKING, Any

from ._core import wire
from ._core.commands import AWAITED, TIMER_OP
from ._core.errors import NonDeterminismError, RunCancelled, RunFailed, RunStuck
from ._core.happenings import LOG_OF_STEPS
from ._core.instants import as_datetime, duration_text, instant_text
from ._core.runs import CANCELLED, COMPLETED, FAILED
from .events import Event, SentEvent, as_event
from .history import History
from .report import timeline
from .steplog import StepLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ._core.runs import Entry, Failure, RunState
    from .simulation import Simulation


IDLE_TICKS = 1_000
"""How many ticks of cron may pass without anything happening to a run, until it counts as stuck."""


class RunStatus(enum.StrEnum):
    """How far a run is; equal to its lower-case word. Sleeping and waiting runs are running."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunError:
    """Why a run or a step failed.

    Attributes:
        name: the class name of the original error.
        message: its message.
        stack: its traceback as text, or None.
        code: a code, where the SDK of the function has one.
        data: the body on the wire, for a function of an SDK.
        exception: the original exception, where the body ran in this process.
    """

    def __init__(self, failure: Failure) -> None:
        self.name = failure.name
        self.message = failure.message
        self.stack = failure.stack
        self.data = failure.data
        self.code = failure.data.get("code") if isinstance(failure.data, dict) else None
        self.exception = failure.exception

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name

    def __repr__(self) -> str:
        return f"<RunError {self}>"


class StepRecord:
    """One step of a run.

    Attributes:
        id: its id with its counter, as in ``run.steps``.
        op: run, sleep, wait_for_event, wait_for_signal, send_event, invoke or ai.
        status: "completed", "failed" or "running".
        attempts: how often it was tried.
        output: its result; None if it has none.
        error: a RunError if it failed for good.
        input: the arguments of its handler, or what it waits for.
        started_at, ended_at: aware datetimes or None.
    """

    def __init__(self, entry: Entry) -> None:
        self.id = entry.key
        self.op = entry.op
        self.attempts = entry.attempts
        self.status = "running" if not entry.done else "failed" if entry.failure is not None else "completed"
        self.output: Any = wire.load(entry.stored) if entry.done else None
        self.error = RunError(entry.failure) if entry.failure is not None else None
        self.input: Any = _input(entry.command)
        self.started_at = _moment(entry.started_at)
        self.ended_at = _moment(entry.ended_at)

    def __repr__(self) -> str:
        return f"<step {self.id!r} ({self.op}): {self.status} after {self.attempts} attempts>"


def _input(command: Any) -> Any:
    if getattr(command, "kwargs", None):
        return dict(command.kwargs) if not command.args else [*command.args, command.kwargs]
    for part in ("events", "args", "data", "event", "signal", "until", "length"):
        value = getattr(command, part, None)
        if value is not None:
            return list(value) if part == "args" else value
    return None


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else as_datetime(micros)


CHILDREN = 10
"""Down to which generation of invoked runs it is told what they wait for."""


def _waits(simulation: Simulation, state: RunState, generations: int) -> Iterator[str]:
    """What a run waits for, in words; of an invoked run, what that waits for."""
    for entry in state.unsettled:
        told = simulation.describe_wait(entry)
        child = next((run for run in simulation.engine.runs if run.parent == (state, entry)), None)
        if child is not None and child.pending and generations:
            told += f" ({child.name}: {'; '.join(_waits(simulation, child, generations - 1))})"
        yield told


class Run:
    """One execution of a function, from its trigger to its end."""

    def __init__(self, simulation: Simulation, state: RunState) -> None:
        self._simulation = simulation
        self._state = state

    @property
    def id(self) -> str:
        """The id of the run."""
        return self._state.id

    @property
    def function(self) -> Any:
        """The function, as it was given to the simulation."""
        return self._simulation.function_of(self._state.spec)

    @property
    def function_id(self) -> str:
        """The id of the function."""
        return self._state.spec.id

    @property
    def events(self) -> list[Event]:
        """The events that started the run."""
        return [as_event(loads(text)) for text in self._state.event_texts]

    @property
    def event(self) -> Event:
        """The event that started the run; the first of a batch."""
        return self.events[0]

    @property
    def status(self) -> RunStatus:
        """How far the run is."""
        return RunStatus(self._state.status)

    @property
    def result(self) -> Any:
        """The result after its way over JSON; None before the end."""
        return None if self._state.result is None else wire.load(self._state.result)

    @property
    def error(self) -> RunError | None:
        """Why the run failed, or None."""
        return None if self._state.failure is None else RunError(self._state.failure)

    @property
    def steps(self) -> StepLog:
        """The ids of the finished steps in order of completion; compares with lists, sets in them, and ``...``."""
        self._simulation.look(LOG_OF_STEPS, f" of {self._state.id}")
        return StepLog(entry.key for entry in self._state.stack if entry.op != TIMER_OP)

    def step(self, step_id: str, index: int | None = None) -> StepRecord:
        """The record of one step; ``index`` counts the uses of a reused id from 0.

        Raises:
            KeyError: the run has no such step; the message lists those it has.
        """
        for entry in self._state.entries.values():
            if entry.op != TIMER_OP and ((index is None and entry.key == step_id)
                                         or (entry.id == step_id and entry.index == index)):  # fmt: skip
                return StepRecord(entry)
        known = ", ".join(entry.key for entry in self._state.entries.values()) or "none"
        which = "" if index is None else f" with the index {index}"
        msg = f"{self.function_id} has no step {step_id!r}{which}; it has {known}"
        raise KeyError(msg)

    @property
    def invocations(self) -> int:
        """How often the body was entered."""
        return self._state.invocations

    @property
    def waiting_for(self) -> list[str]:
        """The ids of the waits, signals and invocations that the run waits for."""
        return [entry.key for entry in self._state.pending.values() if entry.op in AWAITED]

    @property
    def sent_events(self) -> list[SentEvent]:
        """The events that the run sent in its steps, in order."""
        self._simulation.look(LOG_OF_STEPS, f" of {self._state.id}")
        return [SentEvent(event) for event in self._state.sent]

    @property
    def findings(self) -> list[str]:
        """What an SDK did that nobody wants and no server notices, each with the remedy; see the guide on functions."""
        return list(self._state.findings)

    @property
    def history(self) -> History:
        """The facts so far."""
        self._simulation.look(LOG_OF_STEPS, f" of {self._state.id}")
        state = self._state
        return History(state.spec.id, state.id, state.events, state.facts)

    @property
    def started_at(self) -> datetime | None:
        """When the body was entered first."""
        return _moment(self._state.started_at)

    @property
    def ended_at(self) -> datetime | None:
        """When the run ended."""
        return _moment(self._state.ended_at)

    def wait(self) -> Any:
        """Drive time until the run ends, and return its result.

        Raises:
            RunFailed: it failed; from the original exception.
            RunCancelled: it was cancelled.
            RunStuck: nothing can wake it; raised at once, with what it waits for.
        """
        __tracebackhide__ = True
        state, simulation = self._state, self._simulation
        known, since = len(state.noted), simulation.ticks

        def over() -> bool:
            nonlocal known, since
            if state.ended_at is not None:
                return True
            if len(state.noted) != known:
                known, since = len(state.noted), simulation.ticks
            return simulation.ticks - since > IDLE_TICKS

        try:
            simulation.drive_to(over)
        except NonDeterminismError:
            if state.ended_at is None:
                raise
        if state.status == COMPLETED:
            return self.result
        if state.status == CANCELLED:
            msg = f"the run of {state.name} was cancelled at {instant_text(state.ended_at or 0)}: {state.reason}"
            raise RunCancelled(msg)
        if state.status == FAILED and state.failure is not None:
            msg = f"the run of {state.name} failed at {instant_text(state.ended_at or 0)}: {state.failure}"
            raise RunFailed(msg) from state.failure.exception
        raise RunStuck(self._stuck())

    def _turn(self) -> str:
        """What the run waits for in a queue of flow control, or ""."""
        if self._state.ticket is None:
            return ""
        return self._simulation.engine.answers.gates.turns.describe(self._state)

    def _stuck(self) -> str:
        simulation, state = self._simulation, self._state
        waits = "; ".join(_waits(simulation, state, CHILDREN))
        queued = f"it was queued {duration_text(simulation.world.now - state.queued_at)} ago and has not started"
        if state.started_at is not None:
            queued = "no request of it is due: what it did last was recorded under that id before"
        if simulation.engine.stage.is_open(state):
            queued = (
                "its body is under way, and waits for something of asyncio that nobody brings; a function can await "
                "its own tasks, asyncio.sleep, fakes and what other runs bring, and nothing from outside"
            )
        if simulation.ticks:
            waits += f" (cron has ticked {simulation.ticks:,} times)"
        waits = "; ".join([self._turn() or waits or queued, *self.findings])
        return (
            f"the run of {state.name} is stuck at {instant_text(simulation.world.now)}: {waits}. Nothing "
            "that is due can wake it. Send what it waits for (durable.send, durable.signal, durable.on_wait), give the "
            "wait a timeout, or use durable.advance to look at it while it waits"
        )

    def timeline(self) -> str:
        """What happened, as text; of a run in a queue, what it waits for there."""
        self._simulation.look(LOG_OF_STEPS, f" of {self._state.id}")
        queued = self._turn()
        return timeline(self._state) + (f"\n  {queued}" if queued else "")

    def __repr__(self) -> str:
        return f"<Run of {self._state.name}: {self.status}>"
