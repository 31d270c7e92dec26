"""The event bus: what was sent, who listens, and what each event did and did not do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .instants import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .runs import Entry, FunctionSpec, Refusal, RunState, Trigger


class Outcome:
    """What became of an event: who it started, woke and cancelled, and why it did nothing for others.

    ``held`` says, by function, what an event waits for that has not started a run yet and still may.
    """

    __slots__ = ("cancelled", "held", "notes", "refused", "started", "woke")

    def __init__(self) -> None:
        self.started: list[str] = []
        self.woke: list[str] = []
        self.cancelled: list[str] = []
        self.held: dict[str, str] = {}
        self.refused: list[str] = []
        self.notes: list[str] = []

    def __str__(self) -> str:
        parts = [
            f"{verb} {', '.join(names)}"
            for verb, names in (("started", self.started), ("woke", self.woke), ("cancelled", self.cancelled))
            if names
        ]
        return "; ".join([*parts, *self.held.values(), *self.refused, *self.notes]) or "nobody listened"

    def __repr__(self) -> str:
        return f"<Outcome: {self}>"


class BusEvent:
    """An event on the bus.

    Attributes:
        id: of this sending; unique even where two events were given one id.
        sent_at: the instant at which it arrives, in microseconds.
        sender: the run that sent it, or None.
        logged: it stands in the log of events.
    """

    __slots__ = ("_make", "_outcome", "_wire", "id", "logged", "sender", "sent_at")

    def __init__(
        self, wire: dict[str, Any] | Callable[[], dict[str, Any]], sending: str, sent_at: int, sender: RunState | None
    ) -> None:
        self._wire = wire if isinstance(wire, dict) else None
        self._make = wire if not isinstance(wire, dict) else None
        self.id = sending
        self.sent_at = sent_at
        self.sender = sender
        self.logged = False
        self._outcome: Outcome | None = None

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        if self._outcome is None:
            self._outcome = Outcome()
        return self._outcome

    @property
    def wire(self) -> dict[str, Any]:
        """The wire form; that of an event that nobody listened to is made only if somebody asks."""
        if self._wire is None:
            assert self._make is not None, "this is our bug: an event without a wire form"
            self._wire = self._make()
        return self._wire

    @property
    def text(self) -> str:
        """The wire form as JSON."""
        return json.dumps(self.wire)

    @property
    def name(self) -> str:
        """The name of the event."""
        name: str = self.wire["name"]
        return name

    def copy(self) -> dict[str, Any]:
        """A fresh copy of the wire form."""
        copy: dict[str, Any] = json.loads(self.text)
        return copy

    def __repr__(self) -> str:
        return f"<{self.name} at {instant_text(self.sent_at)}: {self.outcome}>"


class Pause:
    """Somebody who listens for an event name: a waiting step, or a run that the event cancels (``entry`` is None)."""

    __slots__ = ("entry", "event", "expires", "refuses", "run")

    def __init__(
        self,
        run: RunState,
        entry: Entry | None,
        event: str,
        refuses: Refusal,
        expires: int | None,
    ) -> None:
        self.run = run
        self.entry = entry
        self.event = event
        self.refuses = refuses
        self.expires = expires


class Listeners:
    """Who listens for what, in the order of registration."""

    def __init__(self) -> None:
        self.functions: dict[str, FunctionSpec] = {}
        self._pauses: dict[str, dict[Pause, None]] = {}
        self._of_run: dict[str, list[Pause]] = {}
        self.signals: dict[str, tuple[RunState, Entry]] = {}

    def add(self, pause: Pause) -> None:
        """Listen."""
        self._pauses.setdefault(pause.event, {})[pause] = None
        self._of_run.setdefault(pause.run.id, []).append(pause)

    def remove(self, pause: Pause) -> None:
        """Listen no more."""
        del self._pauses[pause.event][pause]
        self._of_run[pause.run.id].remove(pause)

    def remove_run(self, run: RunState) -> None:
        """Forget all pauses and signals of a run."""
        for pause in self._of_run.pop(run.id, ()):
            del self._pauses[pause.event][pause]
        if self.signals:
            for signal in [name for name, (owner, _) in self.signals.items() if owner is run]:
                del self.signals[signal]

    def pauses(self, name: str) -> list[Pause]:
        """All pauses for an event name, as they are now."""
        return list(self._pauses.get(name, ()))

    def anybody(self, name: str) -> bool:
        """Whether an event of this name would find a pause or a trigger at all."""
        return bool(self._pauses.get(name)) or (bool(self.functions) and any(True for _ in self.triggered(name)))

    def triggered(self, name: str) -> Iterator[tuple[FunctionSpec, list[Trigger]]]:
        """The functions with a trigger for this name, with those triggers."""
        for spec in self.functions.values():
            triggers = [trigger for trigger in spec.triggers if trigger.event and fits(trigger.event, name)]
            if triggers:
                yield spec, triggers


def fits(pattern: str, name: str) -> bool:
    """Whether an event name fits a trigger: equal, or a ``*`` behind a ``/`` or ``.`` stands for the rest."""
    if pattern.endswith(("/*", ".*")):
        return name.startswith(pattern[:-1]) and len(name) >= len(pattern)
    return pattern == name
