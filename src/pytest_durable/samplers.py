"""Samplers: choosers that draw, and the seeded search that hands them out."""

from __future__ import annotations

from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING, Any

from ._core.choices import ORDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .shares import Share

SELDOM = 0.25
"""How often a sampler takes something else than the default at a choice that is not one of order."""


def derived(seed: int, *who: object) -> Random:
    """A random number generator of its own for whoever asks."""
    return Random(blake2b(repr((seed, *who)).encode(), digest_size=16).digest())  # noqa: S311 - no secret


class Sampler:
    """A base for choosers that draw; each execution has a generator of its own."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def choose(self, label: str, options: Sequence[Any]) -> int:
        """Draw an order, or now and then something else than the default."""
        if label == ORDER:
            return self.order(options)
        if self.random.random() < SELDOM:
            return self.random.randrange(1, len(options))
        return 0

    def order(self, options: Sequence[Any]) -> int:
        """Draw one of the happenings."""
        return self.random.randrange(len(options))


class Pct(Sampler):
    """Priorities instead of single draws: a bug that needs ``depth`` ordered happenings is found with a known chance.

    Whoever happens (a run, an event) gets a random priority and the highest goes first; at ``depth - 1`` random places
    the one that would go first is put last.
    """

    def __init__(self, random: Random, depth: int, length: int) -> None:
        super().__init__(random)
        self.priorities: dict[str, float] = {}
        self.changes = {random.randrange(max(1, length)) for _ in range(depth - 1)}
        self.position = 0

    def order(self, options: Sequence[Any]) -> int:
        """The option with the highest priority."""
        names = [_who(option) for option in options]
        for name in names:
            if name not in self.priorities:
                self.priorities[name] = 1 + self.random.random()
        best = max(range(len(names)), key=lambda index: self.priorities[names[index]])
        if self.position in self.changes:
            self.priorities[names[best]] = -self.position
            best = max(range(len(names)), key=lambda index: self.priorities[names[index]])
        self.position += 1
        return best


def _who(option: Any) -> str:
    """Who happens: a run that goes on, each of its planned steps, and whatever befalls it from outside."""
    within = {"step": f"step {option.detail}", "start": "", "go on": ""}
    return f"{option.subject.id} {within.get(option.kind, option.kind)}"


class Sparse(Sampler):
    """The default order, with one or a few deviations at random places."""

    def __init__(self, random: Random, length: int) -> None:
        super().__init__(random)
        count = 1
        while random.random() < SELDOM * 2 and count < length:
            count += 1
        self.places = {random.randrange(max(1, length)) for _ in range(count)}
        self.position = 0

    def choose(self, label: str, options: Sequence[Any]) -> int:  # noqa: ARG002 - the port's signature
        """The default, except at the places."""
        position, self.position = self.position, self.position + 1
        return self.random.randrange(1, len(options)) if position in self.places else 0


class Sampling:
    """Seeded sampling, by one sampler or by several in turn; never complete."""

    def __init__(self, kinds: Sequence[str], seed: int) -> None:
        self.kinds = kinds
        self.seed = seed
        self.number = 0
        self.length = 10
        self.complete = False
        self.pruned = 0
        self.step = 1
        self._chooser = Counting(Sampler(Random(0)))  # noqa: S311 - replaced before it is asked

    def take(self, share: Share) -> None:
        """Run every so manieth sample only."""
        self.number, self.step = share.number, share.of

    def next(self) -> Counting:
        """The next sampler, with a generator of its own."""
        kind = self.kinds[self.number % len(self.kinds)]
        random = derived(self.seed, kind, self.number)
        self.number += self.step
        self._chooser = Counting(SAMPLERS[kind](random, self.length))
        return self._chooser

    def done(self, *, pruned: bool, looked: frozenset[str]) -> None:
        """Learn how many choices an execution has."""
        del pruned, looked
        self.length = max(self.length, self._chooser.count)


class Counting:
    """Counts the choices of the chooser that it hands on to."""

    def __init__(self, chooser: Sampler) -> None:
        self.chooser = chooser
        self.count = 0

    def choose(self, label: str, options: Sequence[Any]) -> int:
        """Hand on."""
        self.count += 1
        return self.chooser.choose(label, options)


SAMPLERS: dict[str, Any] = {
    "random": lambda random, _: Sampler(random),
    "pct": lambda random, length: Pct(random, 2, length),
    "pct 3": lambda random, length: Pct(random, 3, length),
    "sparse": Sparse,
}
PORTFOLIO = ("pct", "sparse", "random", "pct 3")
