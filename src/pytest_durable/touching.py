"""What step bodies touch: a promise that lets the search leave out orders that cannot differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def touches(*keys: str) -> Callable[[F], F]:
    """Promise that a handler reads and writes nothing but what these keys stand for.

    Two handlers without a common key are independent: the search explores one of their orders. A handler without a
    promise may touch anything. ``touches()`` is the promise to touch nothing that another step can see.
    """

    def promise(handler: F) -> F:
        handler.__durable_touches__ = keys  # type: ignore[attr-defined]  # read by touched_by
        return handler

    return promise


def touched_by(handler: Any) -> tuple[str, ...] | None:
    """The keys that a handler promised to touch, or None for anything."""
    keys: tuple[str, ...] | None = getattr(handler, "__durable_touches__", None)
    return keys
