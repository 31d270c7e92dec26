"""The step API: what an author writes in a durable function."""

from __future__ import annotations

import asyncio
import contextvars
import enum
import inspect
import logging
from json import loads
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, overload

from ._core import gateway
from ._core.commands import (
    INFER,
    INVOKE,
    RUN,
    SEND,
    SIGNAL,
    SLEEP,
    WAIT,
    Execute,
    Invoke,
    Send,
    Sleep,
    WaitForEvent,
    WaitForSignal,
)
from ._core.errors import UsageError
from ._core.instants import MILLISECOND, Duration, duration, instant
from .awaiting import ConvertedStep, WantedStep, recorded
from .conditions import accepts_all, bound_refusal, field_condition
from .events import Event, Signal, as_event, event_or_none, outgoing_all
from .gathering import StepGroup, are_steps
from .invocation import BODY, GROUP, Invocation, ReplayLogger
from .loop import close_quietly

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from datetime import datetime

    from ._core.commands import Command
    from ._core.runs import Entry, Refusal, RunState

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
UNSET: Any = object()
NO_NAMES: dict[str, Any] = {}
"""No arguments by name; one for all steps."""


class ParallelMode(enum.Enum):
    """When the body goes on behind parallel steps: when all have settled, or after each of them."""

    WAIT = "wait"
    RACE = "race"


class Commands:
    """Checks what the author wrote and makes commands of it; shared by the async and the sync API."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    def _where(self, key: str) -> str:
        return f"step '{key}' of {self._invocation.run.spec.id}"

    def _execute(self, entry: Entry, handler: Any, args: Any, kwargs: Any) -> Execute:
        if not callable(handler):
            msg = (
                f"{self._where(entry.key)}: {handler!r} is not callable; give the function itself and its arguments, "
                'as in ctx.step.run("charge", charge, order), not its result'
            )
            raise self._invocation.misused(UsageError(msg))
        return Execute(entry.key, entry.id, entry.index, entry.op, handler, args, kwargs)

    def _sleep(self, entry: Entry, length: Duration) -> Sleep:
        return Sleep(entry.key, entry.id, entry.index, duration(length, self._where(entry.key)), None)

    def _sleep_until(self, entry: Entry, until: datetime | str) -> Sleep:
        return Sleep(entry.key, entry.id, entry.index, None, instant(until, self._where(entry.key)))

    def _timeout(self, key: str, timeout: Any) -> int | None:
        if timeout is UNSET:
            msg = (
                f'{self._where(key)} has no timeout; say how long it may wait, as in timeout="7d", '
                "or timeout=None to wait for ever"
            )
            raise UsageError(msg)
        return None if timeout is None else duration(timeout, f"{self._where(key)}: timeout")

    def _wait_for_event(
        self, entry: Entry, event: Any, timeout: Any, if_exp: str | None, match: str | None
    ) -> WaitForEvent:
        where = self._where(entry.key)
        if not isinstance(event, str) or not event:
            given = "there is no event" if event is UNSET else f"event={event!r} is not the name of an event"
            msg = f'{where}: {given}; say event="order/approved", or whatever it waits for'
            raise UsageError(msg)
        if if_exp is not None and not isinstance(if_exp, str):
            msg = f'{where}: if_exp={if_exp!r} is not an expression; write text, such as "async.data.ok == true"'
            raise UsageError(msg)
        if if_exp is not None and match is not None:
            msg = f"{where} has both if_exp and match; put the condition of match into if_exp"
            raise UsageError(msg)
        condition = field_condition(match, where) if match is not None else if_exp
        refuses: Refusal = accepts_all
        if condition is not None:
            invocation = self._invocation
            refuses = bound_refusal(condition, where, invocation.run.events[0], invocation.now // MILLISECOND)
        return WaitForEvent(
            entry.key, entry.id, entry.index, event, self._timeout(entry.key, timeout), refuses, condition or ""
        )

    def _wait_for_signal(self, entry: Entry, signal: Any, timeout: Any, on_conflict: Any) -> WaitForSignal:
        where = self._where(entry.key)
        if not isinstance(signal, str) or not signal:
            given = "there is no signal" if signal is UNSET else f"signal={signal!r} is not the name of a signal"
            msg = f'{where}: {given}; say signal="approved", or whatever it waits for'
            raise UsageError(msg)
        if on_conflict not in {"replace", "fail"}:
            given = "there is no on_conflict" if on_conflict is UNSET else f"on_conflict={on_conflict!r}"
            msg = f'{where}: {given}; say on_conflict="replace" or on_conflict="fail"'
            raise UsageError(msg)
        limit = self._timeout(entry.key, timeout)
        return WaitForSignal(entry.key, entry.id, entry.index, signal, limit, replace=on_conflict == "replace")

    def _send(self, entry: Entry, events: Any) -> Send:
        limits = self._invocation.limits
        wires = outgoing_all(events, self._where(entry.key), limits.event_bytes, limits.events_per_send)
        return Send(entry.key, entry.id, entry.index, wires)

    def _invoke(self, entry: Entry, function: Any, data: Any, timeout: Any) -> Invoke:
        where = self._where(entry.key)
        if isinstance(function, str):
            msg = (
                f"{where} invokes {function!r} by text, which is not supported; give the function itself, "
                f"or write ctx.step.invoke_by_id({entry.id!r}, function_id={function!r})"
            )
            raise UsageError(msg)
        spec = self._invocation.spec_of(function, where)
        return self._invoke_spec(entry, spec.id, spec, data, timeout)

    def _invoke_by_id(self, entry: Entry, app_id: str | None, function_id: str, data: Any, timeout: Any) -> Invoke:
        known = self._invocation.known
        full = f"{app_id}-{function_id}" if app_id else function_id
        spec = known.get(full) or (known.get(function_id) if not app_id else None)
        return self._invoke_spec(entry, full, spec, data, timeout)

    def _invoke_spec(self, entry: Entry, function_id: str, spec: Any, data: Any, timeout: Any) -> Invoke:
        where = self._where(entry.key)
        if data is not None and not isinstance(data, dict):
            msg = f"{where}: data={data!r} is a {type(data).__name__}; give a dict, which becomes the data of its event"
            raise UsageError(msg)
        payload = data or {}
        if payload:
            payload = outgoing_all(Event("invoke", payload), where, self._invocation.limits.step_bytes, 1)[0]["data"]
        limit = None if timeout is None else duration(timeout, f"{where}: timeout")
        return Invoke(entry.key, entry.id, entry.index, function_id, spec, payload, limit)


def signal_or_none(value: Any) -> Signal | None:
    """What ``wait_for_signal`` gives: a signal, or None after its timeout."""
    return None if value is None else Signal(value["signal"], value["data"])


def adapter_request(adapter: Any, body: Any) -> dict[str, Any]:
    """What the server would send to the model of an adapter, of the SDK or one with a part of its methods."""

    def part(name: str, default: Any) -> Any:
        value = getattr(adapter, name, default)
        return value() if callable(value) else value

    if isinstance(body, dict):
        # The adapter may add to it, as the SDK lets it, and every replay begins with what the author wrote.
        body = dict(body)
    if callable(prepare := getattr(adapter, "on_call", None)):
        prepare(body)
    url = part("url_infer", "") or part("url", "")
    return gateway.request(url, part("headers", None) or {}, part("format", ""), part("auth_key", ""), body)


def infer(entry: Entry, adapter: Any, body: Any) -> Execute:
    """The command of ``ai.infer``."""
    if not isinstance(body, dict):
        msg = f"step '{entry.key}': body={body!r} ({type(body).__name__}) is no dict, as the API of a model wants"
        raise UsageError(msg)
    return Execute(entry.key, entry.id, entry.index, INFER, None, (), adapter_request(adapter, body))


class Step(Commands):
    """``ctx.step`` of an async function. Every method is awaited; its result has crossed JSON."""

    @property
    def ai(self) -> AI:
        """Calls of models."""
        return AI(self)

    @overload
    def run(
        self, step_id: str, handler: Callable[[*Ts], Awaitable[T]], *args: *Ts, output_type: Any = None
    ) -> Coroutine[Any, Any, T]: ...

    @overload
    def run(
        self, step_id: str, handler: Callable[[*Ts], T], *args: *Ts, output_type: Any = None
    ) -> Coroutine[Any, Any, T]: ...

    def run(self, step_id: str, handler: Any, *args: Any, output_type: Any = None) -> Any:  # type: ignore[misc]  # noqa: ARG002 - the overloads speak for it
        """Call ``handler(*args)``, sync or async, once its result is recorded never again.

        ``output_type`` is for the serializer of an SDK; without one, here as there, it changes nothing.

        Raises:
            StepError: when awaited, after the last attempt failed.
            UsageError: the id or the handler is wrong, or the call stands inside a step.
        """
        invocation = self._invocation
        position, branch = invocation.position, invocation.branch
        # What ``claim`` does where a step is asked for as before, without the call: this is most of a replay.
        if (
            position < len(branch)
            and (entry := branch[position]).id == step_id
            and entry.op is RUN
            and invocation.phase is BODY
        ):
            invocation.position = position + 1
        else:
            entry = invocation.claim(step_id, RUN)
        if entry.order < invocation.horizon:
            return recorded(invocation, entry)
        return WantedStep(invocation, entry, self._execute(entry, handler, args, NO_NAMES))

    def _take(self, entry: Entry, make: Callable[..., Command], *wanted: Any, convert: Any = None) -> Any:
        invocation = self._invocation
        if entry.order >= invocation.horizon:
            try:
                command = make(entry, *wanted)
            except UsageError as error:
                raise invocation.misused(error) from error.__cause__
            return WantedStep(invocation, entry, command, convert)
        return recorded(invocation, entry) if convert is None else ConvertedStep(invocation, entry, convert)

    def sleep(self, step_id: str, duration: Duration) -> Coroutine[Any, Any, None]:
        """Sleep for a timedelta, text such as "1h30m", or whole milliseconds."""
        entry = self._invocation.claim(step_id, SLEEP)
        return self._take(entry, self._sleep, duration)  # type: ignore[no-any-return]

    def sleep_until(self, step_id: str, until: datetime | str) -> Coroutine[Any, Any, None]:
        """Sleep until an aware datetime or an ISO 8601 text; one in the past ends the sleep at once."""
        entry = self._invocation.claim(step_id, SLEEP)
        return self._take(entry, self._sleep_until, until)  # type: ignore[no-any-return]

    def wait_for_event(
        self,
        step_id: str,
        *,
        event: str = UNSET,
        timeout: Duration | None = UNSET,
        if_exp: str | None = None,
        match: str | None = None,
    ) -> Coroutine[Any, Any, Event | None]:
        """Wait for an event that comes from now on; None after the timeout.

        Args:
            step_id: the id of the step.
            event: the exact name of the event.
            timeout: how long to wait; None for ever. It must be given.
            if_exp: a CEL expression; ``event`` is the run's own event, ``async`` the one that arrives.
            match: a field that must be equal in both, such as "data.order_id".
        """
        entry = self._invocation.claim(step_id, WAIT)
        return self._take(  # type: ignore[no-any-return]
            entry, self._wait_for_event, event, timeout, if_exp, match, convert=event_or_none
        )

    def wait_for_signal(
        self, step_id: str, *, signal: str = UNSET, timeout: Duration | None = UNSET, on_conflict: str = UNSET
    ) -> Coroutine[Any, Any, Signal | None]:
        """Wait for a signal by its name; None after the timeout. One run waits for a name at a time.

        Raises:
            SignalConflictError: when awaited, if another run waits and ``on_conflict`` is "fail".
        """
        entry = self._invocation.claim(step_id, SIGNAL)
        return self._take(  # type: ignore[no-any-return]
            entry, self._wait_for_signal, signal, timeout, on_conflict, convert=signal_or_none
        )

    def send_event(self, step_id: str, events: Event | Sequence[Event]) -> Coroutine[Any, Any, list[str]]:
        """Send one event or several, without waiting for what they start. Returns their ids."""
        entry = self._invocation.claim(step_id, SEND)
        return self._take(entry, self._send, events)  # type: ignore[no-any-return]

    def invoke(
        self,
        step_id: str,
        *,
        function: Any,
        data: dict[str, Any] | None = None,
        timeout: Duration | None = None,
        v: str | None = None,  # noqa: ARG002 - the version of the event, which nothing here reads
    ) -> Coroutine[Any, Any, Any]:
        """Run another function and wait for its result.

        Raises:
            StepError: when awaited, if that run failed or was cancelled.
            InvokeTimeoutError: when awaited, if it did not end within the timeout; it runs on.
        """
        entry = self._invocation.claim(step_id, INVOKE)
        return self._take(entry, self._invoke, function, data, timeout)  # type: ignore[no-any-return]

    def invoke_by_id(
        self,
        step_id: str,
        *,
        app_id: str | None = None,
        function_id: str,
        data: dict[str, Any] | None = None,
        timeout: Duration | None = None,
        v: str | None = None,  # noqa: ARG002 - as above
    ) -> Coroutine[Any, Any, Any]:
        """As ``invoke``, for a registered function named by its id; one of another app must be scripted."""
        entry = self._invocation.claim(step_id, INVOKE)
        return self._take(entry, self._invoke_by_id, app_id, function_id, data, timeout)  # type: ignore[no-any-return]


class AI:
    """``ctx.step.ai``: calls of models as steps."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def wrap(self, step_id: str, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Call ``fn(*args, **kwargs)`` as a step."""
        step = self._step
        entry = step._invocation.claim(step_id, RUN)  # noqa: SLF001 - a part of the same API
        return step._take(entry, step._execute, fn, args, kwargs)  # type: ignore[no-any-return]  # noqa: SLF001 - as above

    def infer(self, step_id: str, *, adapter: Any, body: Any) -> Coroutine[Any, Any, Any]:
        """Ask a model through the server. In a test its answer is scripted: ``durable.step(id).returns(...)``."""
        entry = self._step._invocation.claim(step_id, INFER)  # noqa: SLF001 - as above
        return self._step._take(entry, infer, adapter, body)  # type: ignore[no-any-return]  # noqa: SLF001 - as above


class Group:
    """``ctx.group``: steps side by side."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    async def parallel(
        self, callables: Sequence[Callable[[], Awaitable[Any]]], parallel_mode: ParallelMode = ParallelMode.WAIT
    ) -> tuple[Any, ...]:
        """Run callables that return awaitables side by side.

        Args:
            callables: such as ``lambda: ctx.step.run("a", a)``; each may contain several steps.
            parallel_mode: WAIT lets the body go on when all pending steps have settled, RACE after each of them.

        Returns:
            The results of all, in the order of the callables.
        """
        started = []
        try:
            mode = mode_of(parallel_mode)
            callables = branches_of(callables)
        except UsageError as error:
            raise self._invocation.misused(error) from None
        for branch in callables:
            context = contextvars.copy_context()
            context.run(GROUP.set, mode)
            started.append((context.run(branch), context))
        loop: Any = asyncio.get_running_loop()
        awaitables: Any = [awaitable for awaitable, _ in started]
        for awaitable in awaitables:
            if not inspect.isawaitable(awaitable):
                raise self._invocation.misused(_no_awaitable(awaitable))
        if are_steps(awaitables):
            return tuple(await StepGroup(loop, awaitables, mode, return_exceptions=False))
        tasks = [
            loop.create_task(awaitable if asyncio.iscoroutine(awaitable) else _awaited(awaitable), context=context)
            for awaitable, context in started
        ]
        return tuple(await asyncio.gather(*tasks))


def _no_awaitable(value: object) -> UsageError:
    return UsageError(f'group.parallel: a branch gave {value!r}, which is no step; write lambda: ctx.step.run("a", a)')


def mode_of(parallel_mode: object) -> str:
    """The word of a parallel mode, ours or the SDK's.

    Raises:
        UsageError: it is none.
    """
    value = getattr(parallel_mode, "value", None)
    if value not in {"wait", "race"}:
        msg = f"parallel_mode={parallel_mode!r}; say ParallelMode.WAIT or ParallelMode.RACE"
        raise UsageError(msg)
    return str(value)


def branches_of(callables: Sequence[Any]) -> Sequence[Any]:
    """The branches of a group.

    Raises:
        UsageError: one of them is not callable.
    """
    if inspect.isawaitable(callables) or not hasattr(callables, "__iter__"):
        if asyncio.iscoroutine(callables):
            close_quietly(callables)
        msg = (
            f"group.parallel: {callables!r} is no list of branches; write "
            'ctx.group.parallel((lambda: ctx.step.run("a", a), lambda: ctx.step.run("b", b)))'
        )
        raise UsageError(msg)
    callables = tuple(callables)
    for branch in callables:
        if not callable(branch):
            for other in callables:
                if asyncio.iscoroutine(other):
                    close_quietly(other)
            msg = f'group.parallel: {branch!r} is not callable; write lambda: ctx.step.run("a", a), not the step itself'
            raise UsageError(msg)
    return callables


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


OF_ANOTHER = (
    "{} reads the ctx of another run, of {}; use the ctx that the function was given, keep none, and give steps what "
    "they need as arguments"
)


class Context:
    """What an async durable function receives.

    Attributes:
        logger: silent while the body replays.
        step: the steps.
    """

    step_class: type = Step
    _events: list[Event] | None = None

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self.step: Step = self.step_class(invocation)

    def _own(self) -> RunState:
        """The run, if it is the one under way.

        Raises:
            UsageError: another run reads what belongs to this one, perhaps from a global that holds the ctx.
        """
        run, stage = self._invocation.run, self._invocation.around.stage
        acting = stage.engine.current if stage is not None else None
        if acting is not None and acting is not run:
            raise UsageError(OF_ANOTHER.format(stage.actor(), run.name))
        return run

    @property
    def run_id(self) -> str:
        """The id of the run."""
        run_id: str = self._own().id
        return run_id

    @property
    def group(self) -> Group:
        """Parallel steps."""
        return Group(self._invocation)

    @property
    def attempt(self) -> int:
        """The zero-based attempt of the request that is under way."""
        attempt: int = self._own().attempt
        return attempt

    @property
    def events(self) -> list[Event]:
        """The events that started the run; a copy of its own for every invocation."""
        run = self._own()
        if self._events is None:
            self._events = [as_event(loads(text)) for text in run.event_texts]
        return self._events

    @property
    def event(self) -> Event:
        """The event that started the run; the first of a batch."""
        return self.events[0]

    @property
    def logger(self) -> ReplayLogger:
        """The logger ``pytest_durable.run``, silent while the body replays."""
        return ReplayLogger(logging.getLogger("pytest_durable.run"), self._invocation)
