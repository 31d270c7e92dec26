"""Clients of the Inngest Python SDK: which one a function was made by, and where the events go that one sends.

Events of every client go into the simulation that is entered or driven, with the client's middleware, wherever ``send``
is called. Without a simulation the client does what it does.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
from typing import TYPE_CHECKING, Any

import inngest
from inngest._internal import errors, middleware_lib

from .._core.errors import LimitError, UsageError
from ..clock import inbox
from ..events import FIRST_TS, LAST_TS, RESERVED

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENT = "_durable_client"
"""The attribute of a function under which the client that made it is remembered."""

_create = inngest.Inngest.create_function
_send = inngest.Inngest.send
_send_sync = inngest.Inngest.send_sync


# -- which client ------------------------------------------------------------------------------------------------------


@functools.wraps(_create)
def create_function(self: inngest.Inngest, **options: Any) -> Callable[[Any], inngest.Function[Any]]:
    """As the client's own, and the function knows its client."""
    decorate = _create(self, **options)

    def decorator(handler: Any) -> inngest.Function[Any]:
        function = decorate(handler)
        setattr(function, CLIENT, self)
        return function

    return decorator


def client_of(function: inngest.Function[Any]) -> inngest.Inngest:
    """The client that made a function: a function of the SDK does not say.

    One that was made before this module was imported is looked for: first among what its handler refers to, then among
    all clients alive, the latest first. If it is gone, one of the same app without middleware stands in for it.
    """
    known = getattr(function, CLIENT, None)
    if isinstance(known, inngest.Inngest):
        return known
    app_id = function.id.removesuffix(f"-{function.local_id}")
    client = next((one for one in _candidates(function) if one.app_id == app_id), None)
    if client is None:
        client = inngest.Inngest(app_id=app_id, is_production=False)
    setattr(function, CLIENT, client)
    return client


def _candidates(function: inngest.Function[Any]) -> list[inngest.Inngest]:
    handler: Any = inspect.unwrap(function._handler)  # noqa: SLF001 - the SDK offers no other way to it
    near = [
        *getattr(handler, "__globals__", {}).values(),
        *gc.get_referents(*getattr(handler, "__closure__", None) or ()),
    ]
    # By the type alone: a proxy that is asked for its class may wake up what stands behind it.
    return [one for one in [*near, *reversed(gc.get_objects())] if issubclass(type(one), inngest.Inngest)]


# -- where events go ---------------------------------------------------------------------------------------------------


WANTED = frozenset(inspect.signature(middleware_lib.MiddlewareManager.from_client).parameters)


def _middleware_of(client: inngest.Inngest) -> middleware_lib.MiddlewareManager:
    options: dict[str, Any] = {"raw_request": None, "timings": None}
    # Older versions of the SDK take fewer of them.
    return middleware_lib.MiddlewareManager.from_client(client, **{k: v for k, v in options.items() if k in WANTED})


def _received(events: list[Any], receive: Callable[[Any], list[str]]) -> inngest.SendEventsResult:
    """Hand events over as one request. What comes before an event that the server refuses has arrived by then."""
    for event in events:
        # As the SDK makes its request of them; with what is no event it fails in its own words.
        _raise(event.to_dict())
    refused = next((i for i, event in enumerate(events) if _refusal(event) is not None), len(events))
    try:
        ids = receive(events[:refused])
    except (UsageError, LimitError) as error:
        return inngest.SendEventsResult(error=str(error), ids=[])
    return inngest.SendEventsResult(error=_refusal(events[refused]) if refused < len(events) else None, ids=ids)


def _refusal(event: inngest.Event) -> str | None:
    """What the server answers to an event that it does not take, in its own words; None if it takes it."""
    if not event.name:
        return "event name is empty"
    if event.name.lower().startswith(RESERVED):
        return f"event name is reserved for internal use: {event.name}"
    if event.ts and event.ts < FIRST_TS:
        return "timestamp is before Jan 1, 1980"
    if event.ts >= LAST_TS:
        return "timestamp is after Jan 1, 2100"
    return None


def _ids(result: inngest.SendEventsResult) -> list[str]:
    if result.error is not None:
        raise errors.SendEventsError(result.error, result.ids)
    return result.ids


@functools.wraps(_send)
async def send(self: inngest.Inngest, events: Any, *, skip_middleware: bool = False) -> list[str]:
    """As the client's own, into the simulation."""
    receive = inbox()
    if receive is None:
        return await _send(self, events, skip_middleware=skip_middleware)
    listed = events if isinstance(events, list) else [events]
    middleware = None
    if not skip_middleware:
        middleware = _middleware_of(self)
        _raise(await middleware.before_send_events(listed))
    result = _received(listed, receive)
    await asyncio.sleep(0)
    if middleware is not None:
        _raise(await middleware.after_send_events(result))
    return _ids(result)


@functools.wraps(_send_sync)
def send_sync(self: inngest.Inngest, events: Any, *, skip_middleware: bool = False) -> list[str]:
    """As the client's own, into the simulation."""
    receive = inbox()
    if receive is None:
        return _send_sync(self, events, skip_middleware=skip_middleware)
    listed = events if isinstance(events, list) else [events]
    middleware = None
    if not skip_middleware:
        middleware = _middleware_of(self)
        _raise(middleware.before_send_events_sync(listed))
    result = _received(listed, receive)
    if middleware is not None:
        _raise(middleware.after_send_events_sync(result))
    return _ids(result)


def _raise(error: object) -> None:
    if isinstance(error, Exception):
        raise error


def install() -> None:
    """Let clients send into simulations, and functions know their clients."""
    client: Any = inngest.Inngest
    client.create_function, client.send, client.send_sync = create_function, send, send_sync
