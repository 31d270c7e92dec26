"""Names of happenings and faults that an unrelated edit of a function does not change: by function, step and event.

A name is words, and what the author named (a function, a step, an event), quoted where it could be mistaken. The
second run of a function is ``shop#2``, and what happens a second time under one name has a ``(2)`` behind it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ._core.instants import instant_text
from .faults import CANCEL, REDELIVER, Injection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._core.happenings import Happening
    from ._core.runs import RunState
    from .simulation import Simulation

UNTIL, TO, HOLD, MOVE = "until", "to", "hold", "move"
PLAIN = re.compile(r"[^\s;\"'\\]+")
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"(?:#\d+)?|;|[^\s;"]+')

FAULT_NAMES = {
    "crash before": "crash before step {step} of {run}",
    "crash after": "crash after step {step} of {run}",
    "lost": "lose the answer of step {step} of {run}",
    "step error": "fail step {step} of {run}",
    "slow": "slow step {step} of {run}",
    "duplicate": "duplicate event {event}",
    "duplicate under a new id": "duplicate with new id event {event}",
    "drop": "drop event {event}",
    "delay": "delay event {event}",
    "redeliver": "redeliver step {step} of {run}",
    "cancel": "cancel {run} at {happening}",
    "crash at the end": "crash at the end of {run}",
}
"""The names of faults, by verdict."""

HAPPENING_NAMES = {
    "start": "{run} starts",
    "go on": "{run} goes on after {detail}",
    "step": "step {detail} of {run}",
    "end": "end of step {detail} of {run}",
    "answer": "answer of {run}",
    "handler": "step {detail} of {run} goes on",
    "wake": "end of sleep {detail} of {run}",
    "timeout": "timeout of {detail} of {run}",
    "timer": "timer {detail} of {run}",
    "limit": "{detail} timeout of {run}",
    "event": "event {run}",
    "signal": "signal {run}",
    "cancel": "cancellation of {run}",
    "cron": "cron of {run}",
    "again": "redelivery of step {detail} of {run}",
}
"""The names of happenings, by kind; ``run`` is whom it happens to."""


def quoted(name: str) -> str:
    """What an author named, as one token."""
    plain = PLAIN.fullmatch(name) and name not in {UNTIL, TO, HOLD, MOVE}
    return name if plain else json.dumps(name, ensure_ascii=False)


class Names:
    """The names of one simulation.

    Attributes:
        seen: every name of a happening so far, in order.
        offered: every name of a fault that was an option so far, in order.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.seen: dict[str, None] = {}
        self.offered: dict[str, None] = {}
        self._known: dict[Happening, str] = {}
        self._times: dict[str, int] = {}

    def happening(self, happening: Happening) -> str:
        """The name of a happening; it must be asked for no later than when it is ready."""
        name = self._known.get(happening)
        if name is None:
            name = self._numbered(self._base(happening))
            self._known[happening] = name
            self.seen[name] = None
        return name

    def deed(self, happening: Happening) -> str:
        """The name of the step that a request of a run has just executed; "" if it executed none, or not alone."""
        run: Any = happening.subject
        if happening.kind not in {"start", "go on"} or not hasattr(run, "noted"):
            return ""
        for _, what, step, _ in reversed(run.noted):
            if what in {"step.completed", "step.failed", "attempt.failed"}:
                name = self._numbered(HAPPENING_NAMES["step"].format(detail=quoted(step), run=self.run(run)))
                self.seen[name] = None
                return name
            if what in {"request", "run.queued"}:
                break
        return ""

    def injections(self, options: Sequence[Injection]) -> list[str]:
        """The names of the faults that are options of one choice; it must be asked for once at each."""
        names: list[str] = []
        for option in options:
            name = self._injection(option)
            if option.verdict == REDELIVER:
                # One record is offered for redelivery behind every request that leaves it the latest.
                name = self._numbered(name)
            same = names.count(name)
            names.append(f"{name} or-{same + 1}" if same else name)
        self.offered.update(dict.fromkeys(names))
        return names

    def run(self, run: RunState) -> str:
        """A run: its function, and which one of the runs of that function it is."""
        same = [one for one in self.simulation.engine.runs if one.spec.id == run.spec.id]
        number = same.index(run) + 1
        return quoted(run.spec.id) + (f"#{number}" if number > 1 else "")

    def due(self) -> list[str]:
        """The names of what is ready now, timers first."""
        ready = self.simulation.world._ready  # noqa: SLF001 - a name of an instant is what is due at it
        # All of them are named, in the order in which a choice would name them, so that the numbers are the same.
        names = [[self.happening(one) for one in rank if not one.dead] for rank in ready]
        return [name for rank in reversed(names) for name in rank]

    def _numbered(self, base: str) -> str:
        times = self._times[base] = self._times.get(base, 0) + 1
        return f"{base} ({times})" if times > 1 else base

    def _base(self, happening: Happening) -> str:
        kind, subject, detail = happening.kind, happening.subject, str(happening.detail)
        run: Any = subject
        who = self.run(run) if hasattr(run, "spec") else quoted(subject.name)
        if kind == "go on":
            number = getattr(happening.detail, "number", 0)
            if not number:
                return HAPPENING_NAMES["start"].format(run=who)
            detail = run.stack[number - 1].key
        elif kind in {"end", "handler"}:
            detail = detail.rpartition(" ")[0]
        elif kind == "event":
            who += {"again": " again", "late": " late"}.get(detail, "")
        return HAPPENING_NAMES[kind].format(run=who, detail=quoted(detail))

    def _injection(self, injection: Injection) -> str:
        words = FAULT_NAMES[injection.verdict]
        if injection.event is not None:
            events = self.simulation.engine.answers.events
            same = [event for event in events if event.name == injection.event.name]
            number = 1 + (same.index(injection.event) if injection.event in same else len(same))
            name = words.format(event=quoted(injection.event.name))
            return f"{name} ({number})" if number > 1 else name
        assert injection.run is not None, "this is our bug: a fault that befalls neither a run nor an event"
        current = self.simulation.world.current
        happening = self.happening(current) if "{happening}" in words and current is not None else ""
        name = words.format(step=quoted(injection.step), run=self.run(injection.run), happening=happening)
        return f"{name} ({injection.attempt})" if injection.attempt > 1 else name


# -- for people -------------------------------------------------------------------------------------------------------


def told(happening: Happening, simulation: Simulation) -> str:
    """A happening in words; a run is told from others only where its function has several."""
    subject: Any = happening.subject
    text = happening.name
    if hasattr(subject, "spec"):
        text = text.replace(subject.name, run_told(subject, simulation))
        number = getattr(happening.detail, "number", 0)
        if happening.kind == "go on" and not happening.did and number:
            text += f" after '{subject.stack[number - 1].key}'"
    elif happening.kind == "event" and several_events(subject.name, simulation):
        name = f"event '{subject.name}'"
        text = text.replace(name, f"{name} of {instant_text(happening.at)}", 1)
    return text


def run_told(run: RunState, simulation: Simulation) -> str:
    """A run for people: its function, with the end of its id where there are several."""
    several = sum(one.spec.id == run.spec.id for one in simulation.engine.runs) > 1
    return run.name if several else run.spec.id


def several_events(name: str, simulation: Simulation) -> bool:
    """Whether more than one event of this name has arrived."""
    return sum(event.name == name for event in simulation.engine.answers.events) > 1


def injection_told(injection: Injection, simulation: Simulation) -> str:
    """A fault in words: which event, and which run where more than one has that step."""
    event, run = injection.event, injection.run
    if event is not None:
        sender = f"by {run_told(event.sender, simulation)}" if event.sender is not None else "by the test"
        name = f"event '{event.name}'"
        return str(injection).replace(name, f"{name} (sent {sender} for {instant_text(injection.at)})", 1)
    text = str(injection)
    if run is None:
        return text
    if injection.verdict == CANCEL:
        where = f"after '{injection.step}'" if injection.step else "before its first step"
        return f"{run_told(run, simulation)} is cancelled {where}"
    step = injection.step
    if sum((step in one.entries) if step else one.spec is run.spec for one in simulation.engine.runs) > 1:
        text += f" ({run_told(run, simulation)})"
    return f"{text}, at attempt {injection.attempt}" if injection.attempt > 1 else text
