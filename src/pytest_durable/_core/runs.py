"""The tables of a run: what it is, which steps it has, and the facts of its history."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import CodeType, MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from . import chance
from .errors import InvokeTimeoutError, NonRetriableStepError, SignalConflictError, StepError
from .instants import SECOND
from .limits import DEFAULT_RETRIES
from .wire import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .commands import Answer
    from .flow import Flow
    from .happenings import Happening
    from .wire import Stored

QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED = "queued", "running", "completed", "failed", "cancelled"

ERRORS: dict[str, type[StepError]] = {
    "step": StepError,
    "non_retriable": NonRetriableStepError,
    "invoke_timeout": InvokeTimeoutError,
    "signal_conflict": SignalConflictError,
}
"""What a recorded failure is raised as, by its kind."""


class Host(Protocol):
    """The port that executes bodies: a run and its memo in, what the body asks for or how it ended out."""

    def invoke(self, run: RunState, target: Entry | None) -> Answer:
        """Enter the body from the top. With a target, stop at that step and answer with it alone."""
        ...

    def resume(self, run: RunState, entry: Entry | None) -> Answer | None:
        """Go on in place behind a step that has just been recorded; None if that is not possible any more."""
        ...

    def drop(self, run: RunState) -> None:
        """Let go of a body that is suspended in place."""
        ...

    def leave(self, run: RunState) -> None:
        """Close the body that ``run.open`` holds; asked only of a host that has put it there."""
        ...


Refusal = Callable[[dict[str, Any], int], "str | None"]
"""A condition on events: given the wire form and the milliseconds of now, None or why the event does not count."""


class Trigger:
    """An event name (or pattern with a trailing ``*``) and a condition; ``cron`` in its place for a schedule.

    ``jitter``: how late each tick of the schedule may be, in microseconds; 0 for never.
    """

    __slots__ = ("cron", "event", "jitter", "refuses", "text")

    def __init__(
        self,
        event: str | None,
        refuses: Refusal | None = None,
        cron: Callable[[int], int | None] | None = None,
        text: str = "",
        jitter: int = 0,
    ) -> None:
        self.event = event
        self.jitter = jitter
        self.text = text
        self.refuses = refuses
        self.cron = cron

    def late(self, seed: int, *who: object) -> int:
        """How late a tick is: from a second to the jitter, by chance of its own; 0 without one."""
        return SECOND + chance.below(max(1, self.jitter - SECOND), seed, "jitter", *who) if self.jitter else 0


class CancelOn:
    """An event that cancels runs. ``bind`` makes the condition of the run's first event."""

    __slots__ = ("bind", "event", "timeout")

    def __init__(
        self,
        event: str,
        bind: Callable[[dict[str, Any], int], Refusal],
        timeout: int | None,
    ) -> None:
        self.event = event
        self.bind = bind
        self.timeout = timeout


class FunctionSpec:
    """What the engine knows of a function, native or not."""

    def __init__(
        self,
        function_id: str,
        host: Host,
        *,
        source: object = None,
        retries: int = DEFAULT_RETRIES,
        triggers: Sequence[Trigger] = (),
        cancels: Sequence[CancelOn] = (),
        start_timeout: int | None = None,
        finish_timeout: int | None = None,
        flow: Flow | None = None,
        on_failure: FunctionSpec | None = None,
        optimize_parallelism: bool = True,
        checkpointing: bool = False,
        app: str | None = None,
    ) -> None:
        self.id = function_id
        self.host = host
        self.source = source
        self.attempts = retries + 1
        self.triggers = tuple(triggers)
        self.cancels = tuple(cancels)
        self.start_timeout = start_timeout
        self.finish_timeout = finish_timeout
        self.flow = flow
        self.on_failure = on_failure
        self.optimize_parallelism = optimize_parallelism
        self.checkpointing = checkpointing
        self.app = app
        """The app that serves it through an SDK, or None for a native function."""
        self.remote = app is not None
        """Executed by an SDK behind its wire, so that the rules of the real server hold for it."""


class Failure:
    """An error as a fact: what crosses the wire of it, and the exception itself where it was raised in this process.

    ``reason`` is what the server itself says of the failed request of an SDK, "" elsewhere.
    """

    __slots__ = ("data", "exception", "kind", "message", "name", "reason", "stack")

    def __init__(
        self,
        name: str,
        message: str,
        *,
        kind: str = "step",
        stack: str | None = None,
        exception: BaseException | None = None,
        data: Any = None,
        reason: str = "",
    ) -> None:
        self.name = name
        self.message = message
        self.kind = kind
        self.stack = stack
        self.exception = exception
        self.data = data
        self.reason = reason

    def step_error(self) -> StepError:
        """A fresh StepError of the right kind, caused by the original exception."""
        error = ERRORS[self.kind](self.message, self.name, self.stack)
        error.__cause__ = self.exception
        return error

    def wire(self) -> dict[str, Any]:
        """The error as it stands in events and histories. The traceback names files, so it is no part of it."""
        return {"name": self.name, "message": self.message}

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name


E = TypeVar("E", bound=BaseException)
Source = tuple[CodeType, int]
"""Where the author wrote a call: the code and the line."""

NOTHING: Mapping[str, Any] = MappingProxyType({})

NEVER = 1 << 60
"""Behind every place in the order of completion."""


class Entry:
    """One step of a run, from the moment at which the body asked for it. Recorded (``done``), it is the memo.

    Attributes:
        stored: the recorded result, if it has one; ``failure`` otherwise.
        source: where the author wrote the call, if that is known.
        command: what the body asks for; None until the body waits for it.
        awaited: the number of the last invocation that awaited it.
        plain: its result is recorded, and is neither a failure nor anything that could be changed.
        order: its place in the order of completion; NEVER until it is done.
        visible: how many completed steps the body had seen when this step was planned.
        in_flight: planned, started or waiting, and not yet done.
        abandoned: the body waits for it no more.
        retry: the happening in which a failed attempt is repeated.
        deaf: a script says that it hears nothing but its timeout.
        timer: the happening that ends it in time, if there is one.
    """

    __slots__ = (
        "abandoned",
        "attempts",
        "awaited",
        "command",
        "deaf",
        "done",
        "ended_at",
        "failure",
        "id",
        "in_flight",
        "index",
        "key",
        "op",
        "order",
        "plain",
        "retry",
        "source",
        "started_at",
        "stored",
        "timer",
        "visible",
    )  # fmt: skip

    def __init__(self, key: str, step_id: str, index: int, op: str, source: Source | None) -> None:
        self.key = key
        self.id = step_id
        self.index = index
        self.op = op
        self.source = source
        self.command: Any = None
        self.done = False
        self.in_flight = False
        self.attempts = 0
        self.awaited = -1
        self.plain = False
        self.order = NEVER
        self.visible = 0
        self.stored: Stored = (None, None)
        self.deaf = False
        self.abandoned = False
        self.retry: Happening | None = None
        self.timer: Happening | None = None
        self.failure: Failure | None = None
        self.started_at: int | None = None
        self.ended_at: int | None = None

    def placed(self, error: E) -> E:
        """An error that is about the step, with a note of where the author wrote it. Messages name no files."""
        if self.source is not None:
            code, line = self.source
            error.add_note(f"step '{self.key}' stands at {code.co_filename}:{line}")
        return error

    def told(self, what: str) -> dict[str, Any]:
        """The rest of a fact of this step: of its being asked for, or of its result."""
        if what == "step.asked":
            return {"op": self.op, "id": self.id, "index": self.index}
        return {"op": self.op, "output": load(self.stored)}


Fact = tuple[int, str, str, Any]
"""When (microseconds), what, of which step ("" for the run itself), and the rest, which JSON can carry."""

Noted = tuple[int, str, str, "dict[str, Any] | Entry"]
"""A fact as it is noted down: in place of the rest, what it can be told from when somebody asks."""


class RunState:
    """One run, from its trigger to its end.

    Invariants: ``stack`` only grows and holds the steps in the order in which they were recorded. ``entries`` holds
    all steps by their keys, in the order in which the body asked for them first. Every invocation must repeat the
    sequence of the one before, before it may add to it: ``branches`` holds that of the body and of each branch of a
    sync group, which are entered one by one. So a step has its key from its first invocation, and ``uses`` counts the
    ids on the way there. ``recalled`` holds the steps of a history, until the body asks for them.
    ``pending`` holds the steps that the run waits for; empty, it means that an invocation is due or under way.
    """

    __slots__ = (
        "_event_texts",
        "attempt",
        "branches",
        "bytes",
        "checkpoint",
        "due",
        "ended_at",
        "entries",
        "events",
        "executing",
        "failure",
        "findings",
        "id",
        "invocations",
        "kept",
        "key",
        "live",
        "logged",
        "noted",
        "open",
        "parent",
        "pending",
        "planning",
        "queued_at",
        "reason",
        "recalled",
        "result",
        "sent",
        "spec",
        "stack",
        "started_at",
        "status",
        "surroundings",
        "talks",
        "ticket",
        "timer",
        "uses",
    )

    def __init__(self, run_id: str, spec: FunctionSpec, events: list[dict[str, Any]], queued_at: int) -> None:
        self.id = run_id
        self.key = f"run {run_id}"
        self.spec = spec
        self.events = events
        self._event_texts: list[str] | None = None
        self.status = QUEUED
        self.queued_at = queued_at
        self.started_at: int | None = None
        self.ended_at: int | None = None
        self.result: Stored | None = None
        self.failure: Failure | None = None
        self.reason = ""
        self.invocations = 0
        self.attempt = 0
        self.bytes = 0
        self.logged = 0
        self.executing = ""
        self.entries: dict[str, Entry] = {}
        self.stack: list[Entry] = []
        self.uses: dict[str, int] = {}
        self.branches: dict[str, list[Entry]] = {"": []}
        self.recalled: Mapping[str, Entry] = NOTHING
        self.pending: dict[str, Entry] = {}
        self.due: dict[Happening, None] = {}
        self.timer: Happening | None = None
        self.noted: list[Noted] = []
        self.sent: list[Any] = []
        self.findings: tuple[str, ...] = ()
        self.parent: tuple[RunState, Entry] | None = None
        self.ticket: Any = None
        """What flow control knows of the run, if its function has any."""
        self.live: Any = None
        self.open: Any = None
        """What the host has left standing at a step for as long as the request takes, and closes then."""
        self.checkpoint = spec.checkpointing
        self.surroundings: Any = None
        self.talks = False
        """The body itself, and none of its steps, has sent events in the request that is under way."""
        self.planning = False
        """The server asks the SDK to plan each step and to execute none at once (``force_step_plan``)."""
        self.kept: Any = None
        """What the host keeps of the run from one request to the next."""

    def ask(self, key: str, step_id: str, index: int, op: str, source: Source | None) -> Entry:
        """A new step that the body asks for."""
        entry = self.entries[key] = Entry(key, step_id, index, op, source)
        return entry

    def find(self, findings: Iterable[str]) -> None:
        """Keep what is to be told of the run, each once."""
        for finding in findings:
            if finding not in self.findings:
                self.findings += (finding,)

    def record(self, entry: Entry, now: int) -> None:
        """Put a step that has its result into the memo."""
        entry.done = True
        entry.in_flight = False
        entry.ended_at = now
        if entry.started_at is None:
            entry.started_at = now
        if entry.timer is not None:
            # Over with the step; kept, the two would keep each other alive.
            entry.timer = None
        entry.order = len(self.stack)
        entry.plain = entry.failure is None and entry.stored[1] is None
        self.stack.append(entry)

    @property
    def unsettled(self) -> list[Entry]:
        """The steps that it waits for, and those that a request under way executes; of a run that is over, none."""
        if self.ended_at is not None:
            return []
        begun = [entry for entry in self.entries.values() if not (entry.done or entry.abandoned) and entry.attempts]
        return [*self.pending.values(), *(entry for entry in begun if entry.key not in self.pending)]

    @property
    def facts(self) -> list[Fact]:
        """The history so far."""
        noted = self.noted
        return [(at, what, key, rest.told(what) if isinstance(rest, Entry) else rest) for at, what, key, rest in noted]

    @property
    def event_texts(self) -> list[str]:
        """The events as JSON, from which every invocation makes copies of its own."""
        if self._event_texts is None:
            self._event_texts = [json.dumps(event) for event in self.events]
        return self._event_texts

    def end_data(self) -> dict[str, Any]:
        """What the events of its end say of the run."""
        data: dict[str, Any] = {
            "function_id": self.spec.id,
            "run_id": self.id,
            "event": self.events[0] if self.events else None,
            "events": self.events,
            "_inngest": {"status": self.status.capitalize()},
        }
        failure = self.failure
        if self.parent is not None and self.parent[0].spec.remote:
            parent, entry = self.parent
            data["correlation_id"] = f"{parent.id}.{entry.key}"
        if failure is not None and self.spec.remote:
            data["error"] = {"error": failure.reason or failure.message, **failure.wire(), "stack": failure.stack or ""}
            data["result"] = failure.data
        elif failure is not None:
            data["error"] = {"error": failure.message, **failure.wire(), "stack": str(failure)}
        elif self.status == COMPLETED and self.result is not None:
            data["result"] = load(self.result)
        return data

    @property
    def name(self) -> str:
        """The run for people: its function and the end of its id."""
        return f"{self.spec.id} ({self.id[-6:]})"
