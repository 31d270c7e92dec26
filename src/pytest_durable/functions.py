"""``durable_function`` and its configuration, with the names and fields of the Inngest Python SDK."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ._core.errors import UsageError
from ._core.instants import MINUTE, SECOND, Duration, duration
from ._core.limits import DEFAULT_RETRIES, MOST_RETRIES
from ._core.runs import CancelOn, FunctionSpec, Trigger
from .conditions import accepts_all, bound_refusal, compiled, refusal
from .flow_config import config_of, flow_of
from .host import NativeHost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._core.flow import Flow
    from ._core.runs import Refusal


@dataclass(frozen=True, slots=True)
class TriggerEvent:
    """Start for an event of this name (a trailing ``*`` stands for the rest) for which the expression is true."""

    event: str
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class TriggerCron:
    """Start at every tick of a five-field cron, in UTC unless it begins with ``TZ=Area/City``.

    With a ``jitter`` of 1 s to 5 m, each run begins up to so much later, as the seed says.
    """

    cron: str
    jitter: Duration | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel a run when this event comes: ``event`` in the expression is the run's own, ``async`` the one that came."""

    event: str
    if_exp: str | None = None
    timeout: Duration | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Cancel a run that has not started within ``start``, or not ended within ``finish`` of its start."""

    start: Duration | None = None
    finish: Duration | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Start one run for several events."""

    max_size: int
    timeout: Duration | None = None
    key: str | None = None
    if_exp: str | None = None


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many requests of a function may be under way."""

    limit: int
    key: str | None = None
    scope: Literal["account", "env", "fn"] | None = None


@dataclass(frozen=True, slots=True)
class Debounce:
    """Start once, for the last event of a burst."""

    period: Duration
    key: str | None = None
    timeout: Duration | None = None


@dataclass(frozen=True, slots=True)
class Priority:
    """Which runs go first."""

    run: str


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How many runs may start in a period; events beyond start none."""

    limit: int
    period: Duration
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Singleton:
    """One live run at a time."""

    mode: Literal["skip", "cancel"]
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Throttle:
    """How many runs may start in a period; events beyond start later."""

    limit: int
    period: Duration
    key: str | None = None
    burst: int = 1


TriggerLike = str | TriggerEvent | TriggerCron


class DurableFunction:
    """A durable function: what the author wrote, with its id and its configuration.

    Attributes:
        id: the function id.
        spec: what the engine knows of it.
    """

    def __init__(self, body: Callable[..., Any], spec: FunctionSpec, name: str) -> None:
        functools.update_wrapper(self, body)
        self.body = body
        self.spec = spec
        self.name = name

    @property
    def id(self) -> str:
        """The function id."""
        return self.spec.id

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the body itself, as if it were not durable."""
        return self.body(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<durable function {self.id!r}>"


def durable_function(
    fn_id: str,
    *,
    trigger: TriggerLike | Sequence[TriggerLike] | None = None,
    retries: int = DEFAULT_RETRIES,
    on_failure: Callable[..., Any] | None = None,
    name: str | None = None,
    cancel: Cancel | Sequence[Cancel] | None = None,
    timeouts: Timeouts | None = None,
    concurrency: Concurrency | Sequence[Concurrency] | None = None,
    throttle: Throttle | None = None,
    rate_limit: RateLimit | None = None,
    debounce: Debounce | None = None,
    batch_events: Batch | None = None,
    priority: Priority | None = None,
    singleton: Singleton | None = None,
    idempotency: str | None = None,
    optimize_parallelism: bool = True,
    checkpointing: bool = False,
) -> Callable[[Callable[..., Any]], DurableFunction]:
    """Make a durable function of a body that takes a ``Context`` (async) or a ``ContextSync``.

    Args:
        fn_id: the id, unique among the functions of a simulation.
        trigger: what starts it: an event name, ``TriggerEvent``, ``TriggerCron``, or a list of these.
        retries: how often a failed step, or the body, is tried again: 0 to 20.
        on_failure: a body that runs once, for the event ``inngest/function.failed``, when a run fails for good.
        name: for people; the id unless given.
        cancel: the events that cancel a run.
        timeouts: how long a run may take to start and to finish.
        concurrency: how many requests are under way at once; up to two limits.
        throttle: how many runs start in a period, delaying the others.
        rate_limit: how many runs start in a period, dropping the others.
        debounce: one run for the last event of a burst.
        batch_events: one run for several events.
        priority: which runs go first.
        singleton: one live run at a time.
        idempotency: one run for a value of this expression within a day.
        optimize_parallelism: parallel steps settle together; otherwise the body goes on after each of them.
        checkpointing: go on in place behind a step instead of entering the body again.

    Raises:
        UsageError: the configuration is not one that the server would accept; the message names the function.
    """
    flow = _checked(fn_id, locals())
    limits = timeouts or Timeouts()

    def decorate(body: Callable[..., Any]) -> DurableFunction:
        _check_body(fn_id, "", body)
        spec = FunctionSpec(
            fn_id,
            NativeHost(body),
            source=body,
            retries=retries,
            triggers=[_trigger(one, fn_id) for one in _listed(trigger)],
            cancels=[_cancel(one, fn_id) for one in _listed(cancel)],
            start_timeout=_optional(limits.start, f"function {fn_id!r}: timeouts.start"),
            finish_timeout=_optional(limits.finish, f"function {fn_id!r}: timeouts.finish"),
            on_failure=_failure_handler(fn_id, on_failure) if on_failure is not None else None,
            optimize_parallelism=optimize_parallelism,
            checkpointing=checkpointing,
            flow=flow,
        )
        return DurableFunction(body, spec, name or fn_id)

    return decorate


def _checked(fn_id: str, given: Mapping[str, Any]) -> Flow | None:
    """Check what can be checked without the body, as the server would; the flow control."""
    timeouts = given["timeouts"]
    if timeouts is not None and not isinstance(timeouts, Timeouts):
        msg = f'function {fn_id!r}: timeouts={timeouts!r}; write timeouts=Timeouts(start="1h", finish="7d")'
        raise UsageError(msg)
    _check_id(fn_id)
    _check_retries(fn_id, given["retries"], given["on_failure"])
    where = f"function {fn_id!r}"
    listens = {"triggers": _wired(given["trigger"]), "cancel": _wired(given["cancel"])}
    return flow_of(config_of(given, where) | listens, where, native=True)


def _check_id(fn_id: object) -> None:
    if inspect.isfunction(fn_id):
        name = fn_id.__name__
        msg = f'@durable_function is given {name}() in place of an id; write @durable_function("{name}") above it'
        raise UsageError(msg)
    if not isinstance(fn_id, str) or not fn_id:
        msg = f'a function id must be text, and {fn_id!r} is not; write @durable_function("onboarding")'
        raise UsageError(msg)


def _check_body(fn_id: str, option: str, body: Any) -> None:
    if not callable(body):
        advice = "give" if option else "decorate"
        msg = f"function {fn_id!r}: {option}{body!r} is not callable; {advice} a function that takes a context"
        raise UsageError(msg)
    who = f"function {fn_id!r}: {option}{getattr(body, '__name__', type(body).__name__)}"
    if inspect.isasyncgenfunction(body) or inspect.isgeneratorfunction(body):
        msg = f"{who} is a generator; return the result, and await steps in an async def without yield"
        raise UsageError(msg)
    try:
        # A wrapper takes what it takes, not what it wraps.
        signature = inspect.signature(body, follow_wrapped=False)
    except (TypeError, ValueError):
        return  # It does not say what it takes.
    try:
        signature.bind(None)
    except TypeError as error:
        msg = f"{who}{signature} cannot be called with a context alone ({error}); it takes ctx and nothing else"
        raise UsageError(msg) from None


def _check_retries(fn_id: str, retries: object, on_failure: Any) -> None:
    if not isinstance(retries, int) or isinstance(retries, bool) or not 0 <= retries <= MOST_RETRIES:
        msg = f"function {fn_id!r}: retries={retries!r} is not a number from 0 to {MOST_RETRIES}"
        raise UsageError(msg)
    if on_failure is not None:
        _check_body(fn_id, "on_failure=", on_failure)


def _wired(given: Any) -> list[dict[str, Any]]:
    """Triggers or cancellations as an SDK would register them; what is neither is refused when it is read."""
    fields = {"event": "event", "cron": "cron", "expression": "expression", "if": "if_exp"}
    wired = [
        {"event": one} if isinstance(one, str) else {wire: getattr(one, name, None) for wire, name in fields.items()}
        for one in _listed(given)
    ]
    return [one for one in wired if isinstance(one.get("event"), str) or isinstance(one.get("cron"), str)]


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _optional(value: Duration | None, what: str) -> int | None:
    return None if value is None else duration(value, what)


LEAST_JITTER, MOST_JITTER = SECOND, 5 * MINUTE


def _jitter(given: TriggerLike, fn_id: str) -> int:
    wanted = getattr(given, "jitter", None)
    if wanted is None:
        return 0
    where = f"function {fn_id!r}: the jitter of a cron"
    length = duration(wanted, where)
    if not LEAST_JITTER <= length <= MOST_JITTER:
        msg = f"{where} is {wanted!r}; the server takes one from 1 s to 5 m"
        raise UsageError(msg)
    return length


def _trigger(given: TriggerLike, fn_id: str) -> Trigger:
    if isinstance(given, str) and given:
        return Trigger(given)
    event = getattr(given, "event", None)
    if isinstance(event, str) and event:
        expression = getattr(given, "expression", None)
        return Trigger(event, refusal(expression, fn_id) if expression is not None else None)
    cron = getattr(given, "cron", None)
    if isinstance(cron, str):
        from .cron import ticks

        return Trigger(None, None, ticks(cron, f"function {fn_id!r}"), cron, _jitter(given, fn_id))
    msg = f"function {fn_id!r}: {given!r} is no trigger; use an event name, TriggerEvent(event=) or TriggerCron(cron=)"
    raise UsageError(msg)


def _cancel(given: Cancel, fn_id: str) -> CancelOn:
    event, text = getattr(given, "event", None), getattr(given, "if_exp", None)
    where = f"function {fn_id!r}: cancel on {event!r}"
    if not isinstance(event, str) or not event:
        msg = f"function {fn_id!r}: {given!r} is no cancellation; write Cancel(event=..., if_exp=...)"
        raise UsageError(msg)
    if text is not None:
        compiled(text, where)

    def bind(first: dict[str, Any], now_ms: int) -> Refusal:
        return accepts_all if text is None else bound_refusal(text, where, first, now_ms)

    return CancelOn(event, bind, _optional(getattr(given, "timeout", None), where))


def _failure_handler(fn_id: str, body: Callable[..., Any]) -> FunctionSpec:
    handler_id = f"{fn_id}-failure"

    def refuses(event: dict[str, Any], now_ms: int) -> str | None:  # noqa: ARG001 - one condition among others
        failed = event["data"].get("function_id")
        return None if failed == fn_id else f"it was {failed} that failed"

    inner = getattr(body, "body", body)
    trigger = Trigger("inngest/function.failed", refuses)
    return FunctionSpec(handler_id, NativeHost(inner), source=inner, retries=0, triggers=[trigger])
