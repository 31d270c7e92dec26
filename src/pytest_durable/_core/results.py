"""How an attempt at a step ended, or how a script answers a step in place of the world."""

from __future__ import annotations

from typing import Any

VALUE, ERROR, CRASH, DEAF = "value", "error", "crash", "deaf"


class Result:
    """A value, an error, a crash, or the word that the step hears nothing but its timeout.

    Attributes:
        kind: VALUE, ERROR, CRASH or DEAF.
        payload: the value or the exception.
        elapsed: how much virtual time it took, in microseconds.
    """

    __slots__ = ("elapsed", "kind", "payload")

    def __init__(self, kind: str, payload: Any = None, elapsed: int = 0) -> None:
        self.kind = kind
        self.payload = payload
        self.elapsed = elapsed
