"""The values of expressions: their types, equality, conversions between them, and dates."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .grammar import UInt

SECOND = 1_000_000_000  # nanoseconds
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A point in time, in nanoseconds since 1970."""

    ns: int


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span of time, in nanoseconds."""

    ns: int


@dataclass(frozen=True, slots=True)
class TypeName:
    """What ``type(x)`` returns."""

    name: str


class Missing:
    """The one value of a path that the event does not have."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a value: most calls turn it into an answer instead of passing it on."""

    problem: str
    unbound: bool = False


class NoValueError(Exception):
    """A call received what a function could not produce: the server abandons the evaluation."""


MISSING: Final = Missing()
NO_VALUE: Final = Failure(
    "a date function was given something that is no date (JSON numbers are doubles: write int(...))"
)
NAMES: Final[dict[type, str]] = {
    bool: "bool", int: "int", UInt: "uint", float: "double", str: "string", bytes: "bytes", type(None): "null_type",
    list: "list", dict: "map", TypeName: "type",
    Timestamp: "google.protobuf.Timestamp", Duration: "google.protobuf.Duration",
}  # fmt: skip
NUMBERS: Final = frozenset((int, UInt, float))
PLAIN: Final = frozenset((str, bool, float, int, UInt, bytes, type(None), Timestamp, Duration, TypeName))
ORDERED: Final = frozenset((str, bool, float, int, UInt, bytes, Timestamp, Duration))
ABSENT: Final = frozenset((Missing, Failure))
ZEROS: Final[dict[type, object]] = {int: 0, UInt: UInt(0), float: 0.0, str: ""}


def from_json(value: object) -> object:
    """A JSON value as CEL sees it: every number is a double."""
    kind = type(value)
    if kind is int:
        try:
            return float(value)  # type: ignore[arg-type]  # narrowed by type(), which mypy does not follow
        except OverflowError:
            return math.inf
    if isinstance(value, dict):
        return {key: from_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [from_json(item) for item in value]
    return value


# --- numbers and equality ---------------------------------------------------------------------------------


def no_overload(name: str, *args: object) -> Failure:
    """The failure of a call for which CEL has no meaning."""
    kinds = ", ".join(NAMES.get(type(arg), "missing") for arg in args)
    return Failure(f"{name} cannot take ({kinds})")


def equal(left: Any, right: Any) -> bool:
    """Equality as in CEL: numbers by value, other types only with themselves."""
    kind, other = type(left), type(right)
    if kind is other and kind in PLAIN:
        return bool(left == right)
    if kind in NUMBERS and other in NUMBERS:
        return bool(left == right)
    if kind is list and other is list:
        return len(left) == len(right) and all(map(equal, left, right))
    if kind is dict and other is dict:
        return len(left) == len(right) and all(key in right and equal(left[key], right[key]) for key in left)
    return False


def whole(kind: type, value: int) -> object:
    """A whole number of this kind, or the failure of one that is out of range."""
    low, high = (0, 2**64) if kind is UInt else (-(2**63), 2**63)
    return kind(value) if low <= value < high else Failure("integer overflow")


def quotient(left: int, right: int) -> int:
    """Whole division towards zero, as CEL divides."""
    # CEL rounds towards zero, Python downwards.
    whole = abs(left) // abs(right)
    return whole if (left < 0) == (right < 0) else -whole


# --- conversions ------------------------------------------------------------------------------------------


def _float_text(value: float) -> str:
    """A double as Go prints it: the shortest digits, with an exponent from a million on."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    if value.is_integer() and 0 < abs(value) < 1_000_000:  # noqa: PLR2004 - most numbers; the long way gives the same
        return str(int(value))
    digits, _, exponent = min(
        (f"{value:.{n}e}" for n in range(17) if float(f"{value:.{n}e}") == value), key=len
    ).partition("e")
    power = int(exponent)
    if not -4 <= power <= 5:  # noqa: PLR2004 - the bounds of %g
        return f"{digits}e{power:+03d}"
    return f"{value:.{max(len(digits.lstrip('-').replace('.', '')) - 1 - power, 0)}f}"


def _duration_text(ns: int) -> str:
    seconds, rest = divmod(abs(ns), SECOND)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{'-' if ns < 0 else ''}{seconds}{fraction}s"


def _timestamp_text(value: Timestamp) -> str:
    moment = EPOCH + timedelta(microseconds=value.ns // 1000)
    fraction = f".{value.ns % SECOND:09d}".rstrip("0") if value.ns % SECOND else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def go_text(value: Any) -> str:  # noqa: PLR0911 - one line per type
    """A value as Go's ``%v`` prints it, which is what adding it to a string appends."""
    match value:
        case None:
            return "NULL_VALUE"
        case bool():
            return "true" if value else "false"
        case float():
            return _float_text(value)
        case list():
            return "[" + " ".join("<nil>" if item is None else go_text(item) for item in value) + "]"
        case dict():
            pairs = sorted((go_text(key), "<nil>" if item is None else go_text(item)) for key, item in value.items())
            return "map[" + " ".join(f"{key}:{item}" for key, item in pairs) + "]"
        case Timestamp():
            return _timestamp_text(value).replace("T", " ").replace("Z", " +0000 UTC")
        case Duration():
            return _duration_text(value.ns)
        case TypeName(name=name):
            return name
        case bytes():
            return "[" + " ".join(map(str, value)) + "]"
    return str(value)


def to_text(value: Any) -> object:
    """``string(value)``."""
    match value:
        case float():
            return _float_text(value)
        case Timestamp():
            return _timestamp_text(value)
        case Duration():
            return _duration_text(value.ns)
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return Failure("the bytes are no UTF-8")
        case str() | bool() | int():
            return value if type(value) is str else go_text(value)
    return no_overload("string", value)


def to_whole(kind: type, value: Any) -> object:
    """What ``int(value)`` and ``uint(value)`` give."""
    match value:
        case bool():
            return no_overload(kind.__name__.lower(), value)
        case float() if math.isfinite(value):
            return whole(kind, int(value))
        case int():
            return whole(kind, int(value))
        case str() if re.fullmatch(r"[+-]?[0-9]+" if kind is int else r"[0-9]+", value):
            return whole(kind, int(value))
        case Timestamp() if kind is int:
            return value.ns // SECOND
        case Duration() if kind is int:
            return value.ns
    return Failure(f"{kind.__name__.lower()}() cannot convert {NAMES.get(type(value), 'it')} {go_text(value)!r}")


def to_double(value: Any) -> object:
    """What ``double(value)`` gives."""
    if type(value) in NUMBERS:
        return float(value)
    if type(value) is str and re.fullmatch(
        r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:inf|nan)", value, re.IGNORECASE
    ):
        return float(value)
    return no_overload("double", value)


def to_bool(value: Any) -> object:
    """What ``bool(value)`` gives."""
    words = {
        **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
        **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
    }
    if type(value) is bool:
        return value
    return words.get(value, no_overload("bool", value)) if type(value) is str else no_overload("bool", value)


def to_bytes(value: Any) -> object:
    """What ``bytes(value)`` gives."""
    return value.encode() if type(value) is str else value if type(value) is bytes else no_overload("bytes", value)


def to_timestamp(value: Any) -> object:
    """What ``timestamp(value)`` gives."""
    if type(value) is Timestamp:
        return value
    if type(value) is int:
        return Timestamp(value * SECOND)
    found = _rfc3339(value) if type(value) is str else None
    return no_overload("timestamp", value) if found is None else found


_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "ms": 1_000_000, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
_LONG_UNITS = {**_UNITS, "d": 86_400 * SECOND, "w": 604_800 * SECOND}


def _nanoseconds(text: str, units: dict[str, int]) -> int | None:
    found = re.fullmatch(r"([+-]?)((?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|ms|[smhdw]))+)", text)
    if found is None:
        return 0 if text == "0" else None
    total = 0
    for amount, unit in re.findall(r"([0-9.]+)([a-zµ]+)", found[2]):
        if unit not in units:
            return None
        whole, _, fraction = amount.partition(".")
        total += int(whole or "0") * units[unit] + int(fraction or "0") * units[unit] // 10 ** len(fraction)
    return -total if found[1] == "-" else total


def to_duration(value: Any) -> object:
    """What ``duration(value)`` gives."""
    if type(value) is Duration:
        return value
    if type(value) is int:
        return Duration(value)
    ns = _nanoseconds(value, _UNITS) if type(value) is str else None
    return no_overload("duration", value) if ns is None else Duration(ns)


def _zone(name: str) -> tzinfo | None:
    signed = re.fullmatch(r"([+-]?)(\d{1,2}):(\d\d)", name)
    if signed:
        offset = timedelta(hours=int(signed[2]), minutes=int(signed[3]))
        return timezone(-offset if signed[1] == "-" else offset)
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return None


FIELDS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda t: t.year,
    "getMonth": lambda t: t.month - 1,
    "getDayOfYear": lambda t: t.timetuple().tm_yday - 1,
    "getDayOfMonth": lambda t: t.day - 1,
    "getDate": lambda t: t.day,
    "getDayOfWeek": lambda t: t.isoweekday() % 7,
    "getHours": lambda t: t.hour,
    "getMinutes": lambda t: t.minute,
    "getSeconds": lambda t: t.second,
    "getMilliseconds": lambda t: t.microsecond // 1000,
}
_SPANS = {"getHours": 3600 * SECOND, "getMinutes": 60 * SECOND, "getSeconds": SECOND, "getMilliseconds": 1_000_000}


def field(name: str, value: Any, zone: Any = "UTC") -> object:
    """A part of a timestamp or duration, such as its hours, in a time zone."""
    if type(value) is Timestamp and type(zone) is str:
        place = _zone(zone)
        if place is None:
            return Failure(f"{name}: there is no time zone {zone!r}")
        return FIELDS[name]((EPOCH + timedelta(microseconds=value.ns // 1000)).astimezone(place))
    if type(value) is Duration and name in _SPANS:
        # Of a span, milliseconds are the part below one second; the others count the whole span.
        ns = value.ns - quotient(value.ns, SECOND) * SECOND if name == "getMilliseconds" else value.ns
        return quotient(ns, _SPANS[name])
    return no_overload(name, value)


# --- dates ------------------------------------------------------------------------------------------------


def _rfc3339(text: str) -> Timestamp | None:
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text)
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(found[1] + found[3])
    except ValueError:
        return None
    return Timestamp((moment - EPOCH) // timedelta(seconds=1) * SECOND + int((found[2] or "0")[:9].ljust(9, "0")))


# The layouts of the server's date(), besides RFC 3339. Zone names other than UTC and GMT count as UTC there too.
_LAYOUTS = (
    "%Y-%m-%dT%H:%M:%S", "%a, %d %b %Y %H:%M:%S", "%d %b %y %H:%M", "%d %b %y %H:%M %z", "%A, %d-%b-%y %H:%M:%S",
    "%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y", "%Y-%m-%d", "%Y-%m-%d %H:%M:%S %z",
)  # fmt: skip
_ZONE_NAME = re.compile(r" (?:[A-Z]{3,4})(?= \d{4}$|$)")
_SECONDS_BELOW, _MILLISECONDS_BELOW, _YEAR_2000 = 9_999_999_999, 9_999_999_999_999, 946_684_800


def date(value: Any) -> object:
    """What ``date(value)`` gives: a timestamp of text or of seconds, milliseconds or nanoseconds."""
    if type(value) is int:
        unit = SECOND if value < _SECONDS_BELOW else 1_000_000 if value < _MILLISECONDS_BELOW else 1
        return NO_VALUE if value < _YEAR_2000 else Timestamp(value * unit)
    if type(value) is not str:
        return NO_VALUE
    exact = _rfc3339(value)
    if exact is not None:
        return exact
    for layout in _LAYOUTS:
        try:
            moment = datetime.strptime(_ZONE_NAME.sub("", value), layout)  # noqa: DTZ007 - the zone follows below
        except ValueError:
            continue
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)
        return Timestamp((moment - EPOCH) // timedelta(microseconds=1) * 1000)
    return NO_VALUE


def shift(now_ms: int, sign: int, span: Any) -> object:
    """``now_plus(span)``, or with sign -1 ``now_minus(span)``."""
    ns = _nanoseconds(span, _LONG_UNITS) if type(span) is str else None
    return NO_VALUE if ns is None else Timestamp(now_ms * 1_000_000 + sign * ns)


def truthy(value: object) -> bool:
    """Whether a value counts as true in ``&&``, ``||`` and ``?:``; empty lists and maps do."""
    kind = type(value)
    if kind in ABSENT or value is None:
        return False
    return bool(value) if kind in (bool, str, int, UInt, float) else True
