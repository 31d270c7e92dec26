"""The ctx of a request of the SDK: what it says belongs to its run, and another run that reads it is told so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core.errors import UsageError
from ..step import OF_ANOTHER

if TYPE_CHECKING:
    import contextvars

    from .inngest_request import Request

READ = ("attempt", "event", "events", "run_id")
"""What of a ctx tells of its run."""

_kinds: dict[type, type] = {}


def keep(ctx: Any, request: Request, current: contextvars.ContextVar[Request]) -> None:
    """Let a ctx be read by the code of its own run alone; it stays one of the SDK's class."""
    kind = type(ctx)
    if kind not in _kinds:
        guarded = {name: _guarded(name, current) for name in READ}
        _kinds[kind] = type(kind.__name__, (kind,), {**guarded, "__module__": kind.__module__})
    ctx.__dict__["_durable"] = request
    ctx.__class__ = _kinds[kind]


def _guarded(name: str, current: contextvars.ContextVar[Request]) -> property:
    def read(ctx: Any) -> Any:
        known = ctx.__dict__
        request: Request | None = known.get("_durable")
        if request is None:
            return known[name]  # A copy that the author has made; it is nobody's.
        reader = current.get(request)
        if reader.run is not request.run and reader.stage is request.stage:
            raise UsageError(OF_ANOTHER.format(reader.stage.actor() or reader.run.spec.id, request.run.name))
        return known[name]

    def write(ctx: Any, value: object) -> None:
        ctx.__dict__[name] = value

    return property(read, write)
