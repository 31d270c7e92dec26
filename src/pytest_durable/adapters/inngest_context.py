"""The ctx of a request of the SDK: what it says belongs to its run, and another run that reads it is told so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core.errors import UsageError
from ..step import OF_ANOTHER

if TYPE_CHECKING:
    import contextvars

    from .inngest_request import Request

READ = frozenset({"attempt", "event", "events", "run_id"})
"""What of a ctx tells of its run."""

_kinds: dict[type, type] = {}


def keep(ctx: Any, request: Request, current: contextvars.ContextVar[Request]) -> None:
    """Let a ctx be read by the code of its own run alone; the class of the SDK stays that of which it is one."""
    kind = type(ctx)
    if kind not in _kinds:
        _kinds[kind] = type(kind.__name__, (kind,), {"__getattribute__": _reading, "__module__": kind.__module__})
    ctx.__dict__["_durable"] = (request, current)
    ctx.__class__ = _kinds[kind]


def _reading(ctx: Any, name: str) -> Any:
    if name in READ:
        request, current = object.__getattribute__(ctx, "_durable")
        reader = current.get(None)
        if reader is not None and reader.run is not request.run and reader.stage is request.stage:
            raise UsageError(OF_ANOTHER.format(reader.stage.actor() or reader.run.spec.id, request.run.name))
    return object.__getattribute__(ctx, name)
