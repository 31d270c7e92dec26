"""Reads the configuration of flow control: the options of ``durable_function``, and the dict that an SDK registers.

What the server refuses when a function is registered is refused here, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._core.errors import ExpressionError, UsageError
from ._core.flow import (
    DEBOUNCE_LAG,
    MOST_PRIORITY,
    Batch,
    Capacity,
    Debounce,
    Flow,
    Key,
    RateLimit,
    Reading,
    Singleton,
    Throttle,
)
from ._core.instants import DAY, SECOND, duration, duration_text
from .conditions import compiled
from .registration import check

if TYPE_CHECKING:
    from collections.abc import Callable

    from .expressions import Expression

OPTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "concurrency": ("concurrency", {"limit": "limit", "key": "key", "scope": "scope"}),
    "throttle": ("throttle", {"limit": "limit", "period": "period", "key": "key", "burst": "burst"}),
    "rate_limit": ("rateLimit", {"limit": "limit", "period": "period", "key": "key"}),
    "debounce": ("debounce", {"period": "period", "key": "key", "timeout": "timeout"}),
    "batch_events": ("batchEvents", {"max_size": "maxSize", "timeout": "timeout", "key": "key", "if_exp": "if"}),
    "priority": ("priority", {"run": "run"}),
    "singleton": ("singleton", {"mode": "mode", "key": "key"}),
}
"""The options of ``durable_function``, with the names that they and their fields have on the wire."""

MOST_CAPACITIES = 2
LEAST_DEBOUNCE, MOST_DEBOUNCE = SECOND, 7 * DAY
MOST_RATE = DAY
SCOPES = ("fn", "env", "account")
MODES = ("skip", "cancel")
DAYS = re.compile(r"\d\s*[dw]")
WITHOUT_BATCH = ("cancel", "debounce", "singleton", "priority")


def config_of(options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options of ``durable_function`` as the dict that an SDK would register; durations stay as they were given.

    Raises:
        UsageError: an option is not an object with the fields of its class.
    """
    config: dict[str, Any] = {}
    for option, (name, fields) in OPTIONS.items():
        given = options.get(option)
        if given is None:
            continue
        many = option == "concurrency" and isinstance(given, (list, tuple))
        parts = [_fields(one, option, fields, where) for one in (given if many else [given])]
        config[name] = parts if option == "concurrency" else parts[0]
    if options.get("idempotency") is not None:
        config["idempotency"] = options["idempotency"]
    return config


def _fields(given: object, option: str, fields: Mapping[str, str], where: str) -> dict[str, Any]:
    needed = next(iter(fields))
    if isinstance(given, Mapping) or not hasattr(given, needed):
        kind = {"batch_events": "Batch"}.get(option, option.title().replace("_", ""))
        msg = f"{where}: {option}={given!r} is no {kind}; write {option}={kind}({needed}=...)"
        raise UsageError(msg)
    return {wire: getattr(given, name, None) for name, wire in fields.items()}


def flow_of(config: Mapping[str, Any], where: str = "", *, native: bool = False) -> Flow | None:
    """The flow control of a function, from the dict that its SDK registers; None if it has none.

    All of that dict is checked: see ``registration`` for the rest of it.

    Args:
        config: with the keys ``rateLimit debounce batchEvents concurrency throttle singleton priority idempotency``
            and ``triggers cancel steps``; others are not looked at.
        where: what messages begin with; the id in ``config`` unless given.
        native: a debounce ends exactly at its period, and not when the real server would let it end.

    Raises:
        UsageError: the server would refuse to register it.
    """
    where = where or f"function {config.get('id', '?')!r}"
    check(config, where)
    rules: dict[str, Any] = {}
    for name, (field, read) in READERS.items():
        # An idempotency takes the place of a rate limit, of which the server then knows nothing.
        replaced = name == "rateLimit" and config.get("idempotency") is not None
        if config.get(name) is not None and not replaced:
            rules[field] = read(config[name], where)
    if "debounce" in rules and not native:
        rule: Debounce = rules["debounce"]
        rules["debounce"] = Debounce(rule.period, rule.key, rule.timeout, DEBOUNCE_LAG, SECOND)
    if "batch" in rules:
        _check_batch(config, where)
    return Flow(**rules) if rules else None


def _check_batch(config: Mapping[str, Any], where: str) -> None:
    for other in WITHOUT_BATCH:
        if config.get(other):
            msg = f"{where}: batch_events and {other} exclude each other; leave one of them out"
            raise UsageError(msg)


# -- parts -------------------------------------------------------------------------------------------------------------


def _rate_limit(given: Mapping[str, Any], where: str) -> RateLimit:
    where = f"{where}: rate_limit"
    limit = _count(given.get("limit"), f"{where}: limit")
    if limit < 1:
        msg = f"{where}: limit={limit} lets nothing through; the limit must be greater than 0"
        raise UsageError(msg)
    period = _period(given, "period", where)
    if period > MOST_RATE:
        msg = f"{where}: the period of {duration_text(period)} is longer than a day, the most that the server takes"
        raise UsageError(msg)
    return RateLimit(limit, period, _key(given.get("key"), where))


def _idempotency(text: object, where: str) -> RateLimit:
    """The server makes it a rate limit of one in a day, in place of any other."""
    return RateLimit(1, DAY, _key(text, f"{where}: idempotency"), "idempotency: one run")


def _debounce(given: Mapping[str, Any], where: str) -> Debounce:
    where = f"{where}: debounce"
    period = _period(given, "period", where)
    if not LEAST_DEBOUNCE <= period <= MOST_DEBOUNCE:
        msg = f"{where}: the period of {duration_text(period)} is not between 1s and 7d, which is what the server takes"
        raise UsageError(msg)
    timeout = _period(given, "timeout", where) if given.get("timeout") is not None else None
    return Debounce(period, _key(given.get("key"), where), timeout)


def _batch(given: Mapping[str, Any], where: str) -> Batch:
    where = f"{where}: batch_events"
    size = _count(given.get("maxSize"), f"{where}: max_size")
    if size < 2:  # noqa: PLR2004 - one event is no batch
        msg = f"{where}: max_size={size} makes no batches; the batch size cannot be smaller than 2"
        raise UsageError(msg)
    timeout = _period(given, "timeout", where)
    if timeout < SECOND:
        msg = f"{where}: the timeout of {duration_text(timeout)} is too short; a batch waits for a second at the least"
        raise UsageError(msg)
    text = given["timeout"]
    if DAYS.search(text) if isinstance(text, str) else timeout % DAY == 0:
        msg = (
            f"{where}: the server cannot read the timeout {text!r}: an SDK sends whole days as days, and a batch knows "
            "hours, minutes and seconds; take one that is no multiple of a day, such as a second less"
        )
        raise UsageError(msg)
    condition = given.get("if")
    wanted = None if condition is None else _condition(condition, f"{where}: if_exp")
    return Batch(size, timeout, _key(given.get("key"), where), wanted)


def _throttle(given: Mapping[str, Any], where: str) -> Throttle:
    where = f"{where}: throttle"
    limit = _count(given.get("limit"), f"{where}: limit")
    burst = _count(given.get("burst") or 0, f"{where}: burst")
    return Throttle(limit, _period(given, "period", where), burst, _lenient_key(given.get("key"), where))


def _singleton(given: Mapping[str, Any], where: str) -> Singleton:
    where = f"{where}: singleton"
    if given.get("mode") not in MODES:
        msg = f'{where}: mode={given.get("mode")!r}; say "skip" or "cancel"'
        raise UsageError(msg)
    return Singleton(given["mode"] == "cancel", _lenient_key(given.get("key"), where))


def _priority(given: Mapping[str, Any], where: str) -> Callable[[dict[str, Any], int], int]:
    expression = _compiled(given.get("run"), f"{where}: priority: run")

    def factor(event: dict[str, Any], now_ms: int) -> int:
        try:
            value = expression.evaluate(event, now_ms=now_ms)
        except ExpressionError:
            return 0
        # A number of JSON is a double, which the server does not take for a priority: int(event.data.p) is needed.
        return max(-MOST_PRIORITY, min(MOST_PRIORITY, value)) if type(value) is int else 0

    return factor


def _capacities(given: Any, where: str) -> tuple[Capacity, ...]:
    """A number, one limit, a list of limits, or ``{"fn": [...], "step": [...]}``."""
    where = f"{where}: concurrency"
    runs: list[Any] = []
    if isinstance(given, Mapping) and not {"fn", "step"}.isdisjoint(given):
        runs, given = list(given.get("fn") or ()), list(given.get("step") or ())
    parts = list(given) if isinstance(given, (list, tuple)) else [given]
    if len(parts) > MOST_CAPACITIES or len(runs) > 1:
        msg = f"{where} has {len(parts) + len(runs)} limits; the server takes {MOST_CAPACITIES}, and one for whole runs"
        raise UsageError(msg)
    read = [_capacity(part, where, whole_run=False) for part in parts]
    read += [_capacity(part, where, whole_run=True) for part in runs]
    # A limit of 0 is none; the narrowest limit is looked at first.
    return tuple(sorted((one for one in read if one.limit > 0), key=lambda one: one.limit))


def _capacity(given: Any, where: str, *, whole_run: bool) -> Capacity:
    if not isinstance(given, Mapping):
        given = {"limit": given}
    limit, scope, text = _count(given.get("limit"), f"{where}: limit"), given.get("scope") or "fn", given.get("key")
    if scope not in SCOPES:
        msg = f"{where}: scope={scope!r}; say one of {', '.join(map(repr, SCOPES))}"
        raise UsageError(msg)
    if scope != "fn" and text is None:
        msg = f"{where}: scope={scope!r} needs a key, which names what is shared; write key=\"'database'\""
        raise UsageError(msg)
    return Capacity(limit, scope, text or "", _key(text, where), whole_run)


READERS: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "rateLimit": ("rate_limit", _rate_limit),
    "idempotency": ("rate_limit", _idempotency),
    "debounce": ("debounce", _debounce),
    "batchEvents": ("batch", _batch),
    "throttle": ("throttle", _throttle),
    "singleton": ("singleton", _singleton),
    "priority": ("priority", _priority),
    "concurrency": ("capacities", _capacities),
}
"""How each part of the configuration is read, and into which field of ``Flow``; a later one replaces an earlier."""


# -- values ------------------------------------------------------------------------------------------------------------


def _count(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"{where}={value!r} is not a whole number"
        raise UsageError(msg)
    return value


def _period(given: Mapping[str, Any], name: str, where: str) -> int:
    if given.get(name) is None:
        msg = f"{where} has no {name}, and the server asks for one; write {name}=timedelta(...)"
        raise UsageError(msg)
    return duration(given[name], f"{where}: {name}")


def _compiled(text: object, where: str) -> Expression:
    if not isinstance(text, str):
        msg = f'{where}={text!r} is no expression; write text, such as "event.data.user_id"'
        raise UsageError(msg)
    return compiled(text, where)


def _condition(text: object, where: str) -> Callable[[dict[str, Any], int], bool]:
    expression = _compiled(text, where)
    return lambda event, now_ms: expression.matches(event, now_ms=now_ms)


def _key(text: Any, where: str) -> Key | None:
    """A key that the server compiles when the function is registered."""
    if text is None:
        return None
    expression = _compiled(text, f"{where}: key")

    def read(event: dict[str, Any], now_ms: int) -> Reading:
        from .expressions.values import go_text

        try:
            value = expression.evaluate(event, now_ms=now_ms)
        except ExpressionError as error:
            return Reading("", problem=str(error))
        return Reading(go_text(value), off=value is False)

    return read


def _lenient_key(text: Any, where: str) -> Key | None:
    """A key that the server looks at only when it reads it."""
    try:
        return _key(text, where)
    except ExpressionError as error:
        problem = str(error)
        return lambda event, now_ms: Reading("", problem=problem)  # noqa: ARG005 - the signature of a key
