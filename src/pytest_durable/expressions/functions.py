"""The functions and operators of CEL, the server's own, and its looser way to call them all."""

from __future__ import annotations

import base64
import binascii
import functools
import json
import math
import operator
import re
from collections.abc import Callable
from typing import Any, Final

from .grammar import UInt
from .values import (
    ABSENT,
    FIELDS,
    NAMES,
    NO_VALUE,
    NUMBERS,
    ORDERED,
    ZEROS,
    Duration,
    Failure,
    Missing,
    NoValueError,
    Timestamp,
    TypeName,
    date,
    equal,
    field,
    from_json,
    go_text,
    no_overload,
    quotient,
    to_bool,
    to_bytes,
    to_double,
    to_duration,
    to_text,
    to_timestamp,
    to_whole,
    whole,
)

Function = Callable[..., object]


def _ordering(name: str, compare: Callable[[Any, Any], bool]) -> Function:
    def order(left: Any, right: Any) -> object:
        kind, other = type(left), type(right)
        if (kind is other and kind in ORDERED) or (kind in NUMBERS and other in NUMBERS):
            return compare(left, right)
        return no_overload(name, left, right)

    return order


def _divide(left: Any, right: Any) -> object:
    if type(left) is float:
        if right:
            return left / right
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)
    return whole(type(left), quotient(left, right)) if right else Failure("division by zero")


def _arithmetic(name: str, compute: Callable[[Any, Any], Any]) -> Function:
    def calculate(left: Any, right: Any) -> object:
        kind = type(left)
        if kind is not type(right) or kind not in NUMBERS or (name == "%" and kind is float):
            return no_overload(name, left, right)
        value = compute(left, right)
        return whole(kind, value) if type(value) is int else value

    return calculate


def _add(left: Any, right: Any) -> object:
    kind, other = type(left), type(right)
    if kind is other and kind in (float, str, list, bytes):
        return left + right
    if kind is other and kind in NUMBERS:
        return whole(kind, int(left) + int(right))
    if {kind, other} <= {Timestamp, Duration} and (kind, other) != (Timestamp, Timestamp):
        return (Timestamp if Timestamp in (kind, other) else Duration)(left.ns + right.ns)
    return no_overload("+", left, right)


_subtract_numbers = _arithmetic("-", lambda a, b: a - b if type(a) is float else int(a) - int(b))


def _subtract(left: Any, right: Any) -> object:
    match left, right:
        case (Timestamp(), Timestamp()) | (Duration(), Duration()):
            return Duration(left.ns - right.ns)
        case Timestamp(), Duration():
            return Timestamp(left.ns - right.ns)
    return _subtract_numbers(left, right)


def _negate(value: Any) -> object:
    return -value if type(value) in (int, float) else no_overload("-", value)


def _not(value: object) -> object:
    return not value if type(value) is bool else no_overload("!", value)


def _in(item: object, group: Any) -> object:
    if type(group) is dict:
        return item in group if type(item) is str else any(equal(item, key) for key in group)
    return any(equal(item, other) for other in group) if type(group) is list else no_overload("in", item, group)


def index(group: Any, key: Any) -> object:
    """``group[key]``: a list by a whole number, a map by a key."""
    if type(group) is list and type(key) in NUMBERS and key == int(key):
        return (
            group[int(key)] if 0 <= key < len(group) else Failure(f"index {int(key)} is outside a list of {len(group)}")
        )
    if type(group) is dict:
        found = [value for name, value in group.items() if equal(name, key)]
        return found[0] if found else Failure(f"there is no key {key!r}")
    return no_overload("[]", group, key)


def _size(value: Any) -> object:
    return len(value) if type(value) in (str, bytes, list, dict) else no_overload("size", value)


def _text(name: str, test: Callable[[str, str], bool]) -> Function:
    def check(left: Any, right: Any) -> object:
        return test(left, right) if type(left) is str and type(right) is str else no_overload(name, left, right)

    return check


def _matches(text: Any, pattern: Any) -> object:
    if type(text) is not str or type(pattern) is not str:
        return no_overload("matches", text, pattern)
    try:
        return re.search(pattern, text) is not None
    except re.error as error:
        return Failure(f"the pattern {pattern!r} is wrong: {error}")


def _decode(value: Any) -> object:
    try:
        return base64.b64decode(value if type(value) is str else "", validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _json_parse(value: Any) -> object:
    try:
        found = json.loads(value if type(value) is str else "")
    except ValueError:
        found = {}
    return from_json(found) if isinstance(found, dict) else {}


def _case(change: Callable[[str], str]) -> Function:
    return lambda value: change(value if type(value) is str else "")


STANDARD: Final[dict[str, Function]] = {
    "==": equal, "!=": lambda left, right: not equal(left, right),
    "<": _ordering("<", operator.lt), "<=": _ordering("<=", operator.le),
    ">": _ordering(">", operator.gt), ">=": _ordering(">=", operator.ge),
    "+": _add, "-": _subtract, "*": _arithmetic("*", lambda a, b: a * b if type(a) is float else int(a) * int(b)),
    "/": _arithmetic("/", _divide),
    "%": _arithmetic("%", lambda a, b: int(a) - int(b) * quotient(a, b) if b else Failure("modulus by zero")),
    "!": _not, "-_": _negate, "in": _in, "[]": index, "size": _size, "matches": _matches,
    "contains": _text("contains", operator.contains), "startsWith": _text("startsWith", str.startswith),
    "endsWith": _text("endsWith", str.endswith), "int": functools.partial(to_whole, int),
    "uint": functools.partial(to_whole, UInt), "double": to_double, "bool": to_bool, "string": to_text,
    "bytes": to_bytes, "timestamp": to_timestamp, "duration": to_duration, "dyn": lambda value: value,
    "type": lambda value: TypeName(NAMES[type(value)]), "lowercase": _case(str.lower), "uppercase": _case(str.upper),
    "b64decode": _decode, "json_parse": _json_parse, "date": date,
    **{name: functools.partial(field, name) for name in FIELDS},
}  # fmt: skip


# --- calls -----------------------------------------------------------------------------------------------


def strict_call(_name: str, call: Function, args: tuple[object, ...]) -> object:
    """A call as standard CEL makes it: what is missing or failed passes through."""
    for arg in args:
        if type(arg) in ABSENT:
            return arg
    return call(*args)


def loose_call(name: str, call: Function, args: tuple[object, ...]) -> object:
    """A call as the server makes it for matching: it always tries to come to an answer."""
    for arg in args:
        if type(arg) in ABSENT:
            return _without(name, args)
    value = call(*args)
    if type(value) is Failure and value is not NO_VALUE and len(args) == 2:  # noqa: PLR2004 - a pair of operands
        return _coerced(name, call, args, value)
    return value


def _coerced(name: str, call: Function, args: tuple[Any, ...], value: Failure) -> object:
    left, right = args
    kind, other = type(left), type(right)
    if kind is other:
        return value
    if name == "+":
        return go_text(left) + go_text(right)
    if name in ("<", "<=", ">", ">=") and None in (left, right):
        # Null stands for the zero of the other side.
        return call(ZEROS.get(other) if left is None else left, ZEROS.get(kind) if right is None else right)
    return value


def _without(name: str, args: tuple[object, ...]) -> object:
    """The answer of a call of which an argument is missing or failed: the server's table for absent values."""
    for arg in args:
        if arg is NO_VALUE:
            raise NoValueError(NO_VALUE.problem)
        if type(arg) is Failure and arg.unbound:
            return arg
    match name:
        case "==":
            return None in args
        case "!=":
            return None not in args
        case "<" | "<=":
            return type(args[0]) in ABSENT
        case ">" | ">=":
            return type(args[0]) not in ABSENT
        case "+":
            return next((arg for arg in args if type(arg) is not Missing), False)
        case "size":
            return 0
    return False
