"""Events and signals as authors and tests see them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._core import wire
from ._core.errors import LimitError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ._core.bus import BusEvent, Outcome

RESERVED = "inngest/"
MOST_NAME = 512
FIRST_TS, LAST_TS = 315_532_800_000, 4_102_444_800_000
"""The server takes times of events from 1980 to 2100."""


class Event:
    """An event: a name, data that JSON can carry, and optionally an id and a time.

    Args:
        name: such as ``order/paid``; names under ``inngest/`` are reserved for the system.
        data: the payload; a dict.
        id: two events with one id start a function once within a day. Empty for a new id.
        ts: milliseconds since 1970; one in the future delays the runs that it starts. 0 for now.

    Raises:
        UsageError: the name or the data cannot be those of an event.
    """

    __slots__ = ("data", "id", "name", "ts")

    def __init__(self, name: str, data: Mapping[str, Any] | None = None, id: str = "", ts: int = 0) -> None:
        self.name = name
        self.data: dict[str, Any] = dict(data) if isinstance(data, dict) else _no_mapping(name, data)
        self.id = id
        self.ts = ts

    def __repr__(self) -> str:
        return f"Event(name={self.name!r}, data={self.data!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and (self.name, self.data, self.id, self.ts) == (
            other.name,
            other.data,
            other.id,
            other.ts,
        )

    __hash__ = None  # type: ignore[assignment]  # its data may change


def _no_mapping(name: str, data: Any) -> dict[str, Any]:
    if data is None:
        return {}
    try:
        return dict(data.items())
    except AttributeError:
        msg = f"event {name!r}: data must be a dict, and {data!r} is a {type(data).__name__}"
        raise UsageError(msg) from None


class SentEvent(Event):
    """An event on the bus. ``outcome`` says who it started, woke and cancelled, and why it did nothing for others."""

    __slots__ = ("_event",)

    def __init__(self, event: BusEvent) -> None:
        body = event.copy()
        super().__init__(body["name"], body["data"], body["id"], body["ts"])
        self._event = event

    @property
    def outcome(self) -> Outcome:
        """What became of it; its text is for people."""
        return self._event.outcome

    def __repr__(self) -> str:
        return f"<event {self.name!r} {json.dumps(self.data)}: {self.outcome}>"


class Signal:
    """What ``wait_for_signal`` receives: the name of the signal, and its data."""

    __slots__ = ("data", "signal")

    def __init__(self, signal: str, data: Any = None) -> None:
        self.signal = signal
        self.data = data

    def __repr__(self) -> str:
        return f"Signal(signal={self.signal!r}, data={self.data!r})"


def as_event(wired: dict[str, Any]) -> Event:
    """The event of a wire form."""
    return Event(wired["name"], wired["data"], wired["id"], wired["ts"])


def event_or_none(value: Any) -> Event | None:
    """What ``wait_for_event`` gives: an event, or None after its timeout."""
    return None if value is None else as_event(value)


def outgoing(event: object, who: str, limit: int) -> dict[str, Any]:
    """The wire form of an event that is about to be sent, checked as the server would.

    Any object with name, data, id and ts will do, so that the SDK's own events can be sent too.

    Raises:
        UsageError: no event, no name, a reserved one, a wrong time, or data that JSON cannot carry.
        LimitError: the data is larger than ``limit`` bytes.
    """
    name = getattr(event, "name", None)
    if not isinstance(name, str) or not name or not hasattr(event, "data"):
        msg = f'{who}: {event!r} is not an event with a name and data; write Event(name="order/paid", data={{...}})'
        raise UsageError(msg)
    if name.lower().startswith(RESERVED):
        msg = f"{who}: the event name {name!r} is reserved for the system; use a prefix of your own"
        raise UsageError(msg)
    if len(name) > MOST_NAME:
        msg = f"{who}: the event name {name[:30]!r}... has {len(name)} characters; {MOST_NAME} are allowed"
        raise UsageError(msg)
    ts = getattr(event, "ts", 0) or 0
    if not isinstance(ts, int) or isinstance(ts, bool) or (ts and not FIRST_TS <= ts < LAST_TS):
        msg = f"{who}: ts={ts!r} of event {name!r} is not a number of milliseconds since 1970, between 1980 and 2100"
        raise UsageError(msg)
    data = getattr(event, "data", None)
    data = _sent(dict(data), name, who, limit) if data else {}
    return {"name": name, "data": data, "id": getattr(event, "id", "") or "", "ts": ts}


SENDERS = ("step ", "client.send")
"""How the senders of events begin that are no tests."""

watchers: list[Callable[[str, Any], None]] = []
"""Who looks at the data of events before it crosses the wire, for checks; empty in ordinary runs."""


@contextmanager
def watching(watcher: Callable[[str, Any], None]) -> Iterator[None]:
    """Tell a watcher of the data of each event that a step or a function sends: who sends it, and the data."""
    watchers.append(watcher)
    try:
        yield
    finally:
        watchers.remove(watcher)


def _sent(data: dict[str, Any], name: str, who: str, limit: int) -> dict[str, Any]:
    for watcher in watchers:
        if who.startswith(SENDERS):
            watcher(who, data)
    stored, size = wire.store(data, f"{who}: the data of event {name!r}")
    if size > limit:
        msg = f"{who}: the data of event {name!r} is {size:,} bytes of JSON; {limit:,} are allowed"
        raise LimitError(msg)
    data = wire.load(stored)
    data.pop("_inngest", None)
    return data


def outgoing_all(events: object, who: str, limit: int, most: int) -> list[dict[str, Any]]:
    """The wire forms of one event or of a list of events.

    Raises:
        UsageError: as ``outgoing``, or more than ``most`` events at once.
    """
    listed: Iterable[object] = events if isinstance(events, (list, tuple)) else [events]
    wires = [outgoing(event, who, limit) for event in listed]
    if len(wires) > most:
        msg = f"{who}: {len(wires)} events at once; {most} are allowed, so send them in several steps"
        raise UsageError(msg)
    return wires
