"""The ledger: what a step's test doubles did to the outside world, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Effect(NamedTuple):
    """One recorded effect.

    Attributes:
        name: what was done, such as "charge".
        key: to what, such as an order id; None if that does not matter.
        at: when, in microseconds since 1970.
        run: the id of the run, or "" outside any.
        step: the key of the step that did it, or "" if a body or the test did.
        invocation: which invocation of the run that was.
    """

    name: str
    key: object
    at: int
    run: str
    step: str
    invocation: int


class Ledger:
    """Effects in the order in which they happened."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []
        self.was_read = False
        """The order of the effects was looked at."""
        self.where: Callable[[], tuple[int, str, str, int]] = lambda: (0, "", "", 0)
        self.muted = False

    def record(self, name: str, key: object = None) -> None:
        """Record an effect, from a test double."""
        if not self.muted:
            at, run, step, invocation = self.where()
            self._effects.append(Effect(name, key, at, run, step, invocation))

    def count(self, name: str, key: object = ...) -> int:
        """How often an effect was recorded; with ``key``, how often for that key."""
        return sum(1 for effect in self._effects if effect.name == name and key in (..., effect.key))

    def __iter__(self) -> Iterator[Effect]:
        return iter(self.effects)

    @property
    def effects(self) -> list[Effect]:
        """All effects, in order."""
        self.was_read = True
        return self._effects

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {key}: {count}" for (name, key), count in self.counts().items())
        return f"<Ledger: {shown or 'nothing recorded'}>"

    def __len__(self) -> int:
        return len(self._effects)

    def counts(self) -> dict[tuple[str, str], int]:
        """How often each effect was recorded for each key, ordered by both."""
        counts: dict[tuple[str, str], int] = {}
        for effect in self._effects:
            who = (effect.name, repr(effect.key))
            counts[who] = counts.get(who, 0) + 1
        return dict(sorted(counts.items()))
