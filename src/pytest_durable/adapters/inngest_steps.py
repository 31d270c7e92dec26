"""The step tools of a request of the SDK: the simulation hears of each step, and they stay of the SDK's class.

Nothing of the SDK is patched: the tools of a request are an object of its own, and its class becomes one between.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from .._core.commands import SEND
from .._core.errors import UsageError
from .inngest_in_place import staying
from .inngest_wire import events_of, key_of

if TYPE_CHECKING:
    from .inngest_request import Request

_kinds: dict[type, type] = {}


def surround(step: Any, request: Request, *, is_async: bool) -> None:
    """Surround the step tools of a request."""
    kind, execute = type(step), step.run
    if kind not in _kinds:
        between = AsyncTools if is_async else SyncTools
        _kinds[kind] = type(kind.__name__, (between, kind), {"__module__": kind.__module__})
    # The SDK ties a knot here that only the garbage collector would undo, with all that a request leaves behind.
    step.ai._step = Reached(step)  # noqa: SLF001 - it is reached through its step alone
    step._durable = request  # noqa: SLF001 - where the class between looks for it
    step.__class__ = _kinds[kind]
    if request.stays:
        step._execute = staying(request, step, execute, is_async=is_async)  # noqa: SLF001 - as above
    if request.probing:
        request.seen.watch(step._execution, request.ops, is_async=is_async)  # noqa: SLF001 - the SDK offers no other way


class Reached:
    """The step tools as their ``ai`` reaches them, as long as somebody else keeps them."""

    __slots__ = ("_step",)

    def __init__(self, step: Any) -> None:
        self._step = weakref.ref(step)

    def __getattr__(self, name: str) -> Any:
        step = self._step()
        if step is None:
            msg = "ctx.step.ai is used behind the request that it belongs to; use the ctx that the function was given"
            raise UsageError(msg)
        return getattr(step, name)


class Tools:
    """What both kinds have in common; to be put before the SDK's own class.

    Attributes:
        _durable: the request that they belong to.
        _execute: the SDK's ``run``, or one that goes on behind the step, if the request does.
    """

    _durable: Request
    _step_id_counter: Any

    def _parse_step_id(self, step_id: str) -> Any:
        # The SDK asks for it in every method, first of all.
        self._durable.is_own(step_id)
        return super()._parse_step_id(step_id)  # type: ignore[misc]  # of the SDK's class

    def _index(self, step_id: str) -> int:
        """How often the id was used so far; the SDK counts this use later."""
        index: int = self._step_id_counter._counts.get(step_id, 0)  # noqa: SLF001 - the SDK's own count
        return index

    def _sends(self, step_id: str, *args: Any, **kwargs: Any) -> None:
        key = key_of(step_id, self._index(step_id))
        self._durable.ops[key], self._durable.inputs[key] = SEND, events_of(*args, **kwargs)


class AsyncTools(Tools):
    """The tools of an async function."""

    async def run(self, step_id: str, handler: Any, *args: Any, **kwargs: Any) -> Any:
        """As the SDK's own."""
        request = self._durable
        index = self._index(step_id)
        attempt = partial(request.attempt, step_id, index, handler)
        try:
            return await self._execute(step_id, attempt, *args, **kwargs)
        except Exception as error:  # noted, and raised again
            request.seen.raises(key_of(step_id, index), error)
            raise

    async def _execute(self, step_id: str, *args: Any, **kwargs: Any) -> Any:
        return await super().run(step_id, *args, **kwargs)  # type: ignore[misc]  # of the SDK's class

    async def send_event(self, step_id: str, *args: Any, **kwargs: Any) -> Any:
        """As the SDK's own."""
        self._sends(step_id, *args, **kwargs)
        return await super().send_event(step_id, *args, **kwargs)  # type: ignore[misc]  # as above

    async def invoke(self, step_id: str, **kwargs: Any) -> Any:
        """As the SDK's own."""
        self._durable.known(kwargs.get("function"))
        return await super().invoke(step_id, **kwargs)  # type: ignore[misc]  # as above


class SyncTools(Tools):
    """The tools of a sync function."""

    def run(self, step_id: str, handler: Any, *args: Any, **kwargs: Any) -> Any:
        """As the SDK's own."""
        request = self._durable
        index = self._index(step_id)
        attempt = partial(request.attempt_sync, step_id, index, handler)
        try:
            return self._execute(step_id, attempt, *args, **kwargs)
        except Exception as error:  # noted, and raised again
            request.seen.raises(key_of(step_id, index), error)
            raise

    def _execute(self, step_id: str, *args: Any, **kwargs: Any) -> Any:
        return super().run(step_id, *args, **kwargs)  # type: ignore[misc]  # of the SDK's class

    def send_event(self, step_id: str, *args: Any, **kwargs: Any) -> Any:
        """As the SDK's own."""
        self._sends(step_id, *args, **kwargs)
        return super().send_event(step_id, *args, **kwargs)  # type: ignore[misc]  # as above

    def invoke(self, step_id: str, **kwargs: Any) -> Any:
        """As the SDK's own."""
        self._durable.known(kwargs.get("function"))
        return super().invoke(step_id, **kwargs)  # type: ignore[misc]  # as above
