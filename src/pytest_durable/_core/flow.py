"""Flow control as data and small state machines, in whole microseconds. Semantics' section 14."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from .instants import MINUTE, SECOND

BATCH_BYTES = 10 * 1024 * 1024
"""A batch of this size runs, however few its events are."""

DEBOUNCE_LAG = SECOND + 50 * 1_000
"""How much later than its period the real server lets a debounce end."""

REMEMBERED = 30 * MINUTE
"""How long a rate limit knows an event id that it has admitted, and does not charge it again."""

MOST_PRIORITY = 43_200
"""Seconds by which a priority moves a run in its queue, at the most."""

SOON = 2 * SECOND
"""What is due within this time stands in a queue at the place of its run's age; anything later, at its own time."""


class Reading(NamedTuple):
    """What the key of a rule came to for an event.

    Attributes:
        text: the value as the server writes it.
        off: the value is false, or a field that the event does not have.
        problem: why there is no value, or "".
    """

    text: str
    off: bool = False
    problem: str = ""


Key = Callable[[dict[str, Any], int], Reading]
"""A key: given the wire form of an event and the milliseconds of now, what it came to."""


class Gcra:
    """The generic cell rate algorithm: one in every ``period / limit``, and ``burst`` more before that.

    Invariant: ``due`` is when the next one would come if all came at the rate, in units of ``1 / limit`` microseconds,
    so that nothing is ever rounded; None before the first.
    """

    __slots__ = ("burst", "due", "limit", "period")

    def __init__(self, limit: int, period: int, burst: int) -> None:
        self.limit = limit
        self.period = period
        self.burst = burst
        self.due: int | None = None

    def opens(self, now: int) -> int:
        """The first instant, now or later, at which one more is admitted."""
        if self.due is None:
            return now
        return max(now, -((self.burst * self.period - self.due) // self.limit))

    def take(self, now: int) -> None:
        """Admit one. The caller has asked whether it is admitted."""
        arrives = now * self.limit
        self.due = (arrives if self.due is None else max(self.due, arrives)) + self.period


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Drop what comes too fast: a tenth of the limit and one more at once, then one in every ``period / limit``.

    ``verdict`` is what an outcome says of an event that is dropped.
    """

    limit: int
    period: int
    key: Key | None = None
    verdict: str = "rate limited"

    def bucket(self) -> Gcra:
        """A fresh bucket."""
        return Gcra(self.limit, self.period, self.limit // 10)


@dataclass(frozen=True, slots=True)
class Throttle:
    """Delay what comes too fast: ``limit + burst`` at once, then one in every ``period / limit``."""

    limit: int
    period: int
    burst: int
    key: Key | None = None

    def bucket(self) -> Gcra:
        """A fresh bucket."""
        limit = max(self.limit, 1)
        return Gcra(limit, self.period, limit + self.burst - 1)


@dataclass(frozen=True, slots=True)
class Debounce:
    """One run for the last event, once none has come for the period.

    Attributes:
        timeout: how long after the first event it ends at the latest, or None.
        lag: how much later than that the run begins.
        grain: what is left of the timeout counts in whole multiples of this, and of one at the least if it is not 1.
    """

    period: int
    key: Key | None = None
    timeout: int | None = None
    lag: int = 0
    grain: int = 1

    def ends(self, first: int, now: int) -> int:
        """When a debounce that began at ``first`` is over, if nothing comes after ``now``."""
        if self.timeout is None:
            return now + self.period
        left = (first + self.timeout - now) // self.grain * self.grain
        return now + min(self.period, max(left, self.grain if self.grain > 1 else 0))


@dataclass(frozen=True, slots=True)
class Batch:
    """One run for several events: at ``size`` events, or ``timeout`` after the first.

    ``wanted`` says whether an event joins a batch; if not, it starts a run of its own.
    """

    size: int
    timeout: int
    key: Key | None = None
    wanted: Callable[[dict[str, Any], int], bool] | None = None


@dataclass(frozen=True, slots=True)
class Singleton:
    """One live run: a second one is skipped, or cancels the first."""

    cancels: bool
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many requests may be under way at once, over what ``scope`` and ``key`` name.

    Attributes:
        limit: of requests; of live runs if ``whole_run``.
        scope: "fn", or "env" or "account", which functions share that have the same key.
        text: the expression of the key as written, for the identity of the counter and for people.
    """

    limit: int
    scope: str = "fn"
    text: str = ""
    key: Key | None = None
    whole_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The flow control of a function: what befalls its events before they start runs, and its runs before they go on.

    ``capacities`` are in the order of their limits. ``priority`` gives seconds by which a run counts as older.
    """

    rate_limit: RateLimit | None = None
    debounce: Debounce | None = None
    batch: Batch | None = None
    singleton: Singleton | None = None
    throttle: Throttle | None = None
    capacities: tuple[Capacity, ...] = ()
    priority: Callable[[dict[str, Any], int], int] | None = None

    @property
    def queues(self) -> bool:
        """Whether requests may have to wait for their turn."""
        return bool(self.capacities) or self.throttle is not None or self.priority is not None
