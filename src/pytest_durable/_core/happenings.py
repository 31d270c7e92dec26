"""What can happen: a happening has an instant, a rank among its equals and a name that no other order changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .instants import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable

# The default order at one instant: work that is under way, then news from outside, then timers. An event at the very
# deadline of a wait is therefore in time unless a schedule says otherwise.
WORK, NEWS, TIMER = range(3)
RANKS = (WORK, NEWS, TIMER)

LOG_OF_EVENTS, LOG_OF_STEPS, LOG_OF_EFFECTS = "log of events", "log of steps", "log of effects"
"""What happenings add to: their order shows there, so it counts as soon as the test looks there."""


class Subject(Protocol):
    """Whose happening it is: a run or an event."""

    id: str

    @property
    def name(self) -> str:
        """For people."""
        ...


WORDS = {
    "start": "{name} starts",
    "go on": "{name} goes on",
    "step": "step '{detail}' of {name} runs",
    "end": "step '{detail}' of {name} ends",
    "answer": "the answer of {name} is heard",
    "handler": "step '{detail}' of {name} goes on",
    "request": "a request of {name} goes on ({detail})",
    "wake": "sleep '{detail}' of {name} ends",
    "timeout": "wait '{detail}' of {name} times out",
    "timer": "a timer in the body of {name} fires",
    "limit": "the {detail} timeout of {name}",
    "event": "event '{name}' arrives",
    "signal": "signal '{name}' arrives",
    "cancel": "{name} is cancelled",
    "cron": "cron starts {name}",
    "debounce": "the debounce of {name} ends",
    "batch": "the batch of {name} runs",
    "turn": "the next in the queue of {name} has its turn",
    "again": "a request of {name} is delivered again",
}


def nothing() -> None:
    """What a happening does that is over."""


class Happening:
    """Something that will happen at an instant.

    Attributes:
        at: the instant, in microseconds since 1970.
        rank: WORK, NEWS or TIMER.
        kind: a key of WORDS.
        subject: the run or event that it happens to.
        detail: the step, or what else tells it from its like; its text counts.
        act: what to do.
        weak: it does not keep the world busy (the timeout of a wait, a tick of cron).
        answer: it is the timeout of a wait, which ``run_until_idle`` never goes through.
        dead: it happened, or was called off.
        ready: its instant has come.
        owner: the table of a run from which it goes when it is dead, or None.
        did: what it turned out to be, in words; known once it has happened.
    """

    __slots__ = ("act", "answer", "at", "dead", "detail", "did", "kind", "owner", "rank", "ready", "subject", "weak")

    def __init__(
        self,
        at: int,
        rank: int,
        kind: str,
        subject: Subject,
        detail: object,
        act: Callable[[], object],
        *,
        weak: bool = False,
        answer: bool = False,
        owner: dict[Happening, None] | None = None,
    ) -> None:
        self.at = at
        self.rank = rank
        self.kind = kind
        self.subject = subject
        self.detail = detail
        self.act = act
        self.weak = weak
        self.answer = answer
        self.owner = owner
        self.did = ""
        self.dead = False
        self.ready = False
        if owner is not None:
            owner[self] = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies it in every order of the other happenings."""
        return (self.kind, self.subject.id, str(self.detail))

    @property
    def mark(self) -> str:
        """What it is, without what only one run knows: its kind, the function or the event, the step."""
        subject: Any = self.subject
        spec = getattr(subject, "spec", None)
        return f"{self.kind} {spec.id if spec is not None else subject.name} {self.detail}"

    @property
    def name(self) -> str:
        """What happens, in words."""
        words = WORDS[self.kind].format(name=self.subject.name, detail=self.detail)
        return f"{words} ({self.did})" if self.did else words

    def __str__(self) -> str:
        return self.name


class Moment:
    """An option of news whose moment is a choice: it arrives at this instant, or (None) later."""

    __slots__ = ("at", "happening")

    def __init__(self, happening: Happening, at: int | None) -> None:
        self.happening = happening
        self.at = at

    def __str__(self) -> str:
        return f"{self.happening} {'later' if self.at is None else f'at {instant_text(self.at)}'}"

    @property
    def mark(self) -> str:
        """The news, and whether it comes now."""
        return f"{self.happening.mark} {'later' if self.at is None else 'now'}"
