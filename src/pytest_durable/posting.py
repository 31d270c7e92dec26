"""What a test sends into the world of a simulation: events, signals, cancellations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._core import wire
from ._core.errors import UsageError
from ._core.happenings import LOG_OF_EVENTS, NEWS, Happening
from ._core.instants import Duration
from .clock import frozen_at
from .events import Event, SentEvent, outgoing_all
from .moments import Between, Named, moment_of
from .run import Run

if TYPE_CHECKING:
    from datetime import datetime

    from ._core.engine import Engine
    from ._core.runs import RunState
    from ._core.world import World
    from .clock import Clock


class Posting:
    """The half of a simulation that takes what a test sends."""

    world: World
    engine: Engine
    _runs: dict[str, Run]
    _sent: int
    _clock: Clock
    _inherits: bool
    _looked: set[str]

    def _begin(self) -> None:
        """Take up the moment at which the process was frozen behind this simulation, if it is not in use yet."""
        clock = self._clock
        if clock.hidden:
            if self._inherits:
                self.world.now = clock.micros = frozen_at()
            clock.surface()
        self._inherits = False

    def look(self, log: str, of: str = "") -> None:
        """Note that somebody looks at the order in which things were added to a log: the test, or a handler."""
        self._looked.add(log)
        self.world.touch(f"{log}{of}", "r")

    def _wired(self, events: object, who: str) -> list[dict[str, Any]]:
        if self._inherits:
            self._begin()
        limits = self.engine.limits
        return outgoing_all(events, who, limits.event_bytes, limits.events_per_send)

    def send(
        self,
        event: Event | str | list[Event],
        data: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        at: Duration | datetime | Between | None = None,
    ) -> list[str]:
        """Send an event (or a name with data, or a list of events), now or at a later moment.

        Args:
            event: the event, or its name.
            data: the data, if a name was given.
            id: an id; two events with one id start a function once within a day.
            at: a duration from now, an aware datetime, ``between(...)`` or ``ANYTIME``.

        Returns:
            One id for each event.
        """
        if isinstance(event, str):
            event = Event(event, data, id or "")
        elif data is not None or id is not None:
            msg = f"send: data= and id= go with the name of an event; put them into {event!r}"
            raise UsageError(msg)
        answers, ids = self.engine.answers, []
        for given in self._wired(event, "send"):
            self._sent += 1
            who = f"test {self._sent}"
            moment, closes = moment_of(at, self.world.now, "send: at")
            sent = answers.make_sending(given, who, None, moment)
            chosen = isinstance(at, Between)
            stamped = not chosen or bool(given["ts"])
            self._put(answers.arrival(sent, moment, fixed=not chosen, stamped=stamped), at, closes)
            ids.append(sent.id)
        return ids

    def timeline(self, events: Mapping[Any, Event | list[Event]]) -> None:
        """Send each event at its duration (or datetime) from now: ``{"1h": Event(...), "2d": Event(...)}``."""
        if not isinstance(events, Mapping):
            msg = (
                f"timeline: {events!r} is no mapping of moments to events; write {{'1h': Event(...), '2d': Event(...)}}"
            )
            raise UsageError(msg)
        for at, event in events.items():
            self.send(event, at=at)

    def signal(self, name: str, data: Any = None, *, at: Duration | datetime | Between | None = None) -> None:
        """Send a signal. Without a run that waits for it, it is lost."""
        if not isinstance(name, str) or not name:
            msg = f"signal: {name!r} is not the name of a signal"
            raise UsageError(msg)
        data = wire.copy(data, f"signal({name!r}): data")
        self._sent += 1
        self._begin()
        moment, closes = moment_of(at, self.world.now, "signal: at")
        subject = Named(f"test {self._sent}", name)
        self._put(Happening(moment, NEWS, "signal", subject, "",
                            lambda: self.engine.answers.signal_arrives(name, data)), at, closes)  # fmt: skip

    def cancel(self, run: Run, *, at: Duration | datetime | Between | None = None) -> None:
        """Cancel a run. What is in flight still happens, and nobody hears of it."""
        if not isinstance(run, Run):
            msg = f"cancel: {run!r} is no run; give what start() returned, or one of durable.runs"
            raise UsageError(msg)
        state = run._state  # noqa: SLF001 - the simulation made it
        if self._runs.get(state.id) is not run:
            msg = f"cancel: {run!r} is a run of another simulation; cancel it there"
            raise UsageError(msg)
        self._sent += 1
        moment, closes = moment_of(at, self.world.now, "cancel: at")
        self._put(Happening(moment, NEWS, "cancel", state, f"test {self._sent}",
                            lambda: self.engine.cancel(state, "the test cancelled it")), at, closes)  # fmt: skip

    def _put(self, happening: Happening, at: object, closes: int | None) -> None:
        if isinstance(at, Between):
            self.world.add_floating(happening, closes)
        else:
            self.world.push(happening)

    def _react(self, kind: str, what: Any, data: Any, at: int, who: str, run: RunState) -> None:
        answers = self.engine.answers
        if kind == "send":
            given = self._wired(what, "on_wait")[0]
            self.world.push(answers.arrival(answers.make_sending(given, who, None, at), at))
        elif kind == "signal":
            self.world.push(Happening(at, NEWS, "signal", Named(who, what), "",
                                      lambda: answers.signal_arrives(what, data)))  # fmt: skip
        else:
            self.world.push(Happening(at, NEWS, "cancel", run, who,
                                      lambda: self.engine.cancel(run, "on_wait(...).cancel()")))  # fmt: skip

    @property
    def events(self) -> list[SentEvent]:
        """Every event on the bus, in the order in which they were sent, with what each did and did not do."""
        self.look(LOG_OF_EVENTS)
        return [SentEvent(event) for event in self.engine.answers.events]
