"""JSON as the real server hands it back (RFC 8785): keys sorted, ``2.0`` is ``2``, and numbers are doubles."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from .wire import HALF, Stored

EXACT = 2**53
"""Whole numbers up to this size are doubles as they stand."""

PLAIN = 10**21
"""Doubles from this size on are written with an exponent, and read as fractions."""


class NotJSONError(ValueError):
    """NaN or an infinity: Python writes them, and nobody else reads them."""


BEYOND = (float("inf"), float("-inf"))
"""What a number becomes that no double holds."""


def canonical(value: object) -> Stored:
    """A value after its way to the server and back.

    Raises:
        NotJSONError: it holds NaN or an infinity.
        TypeError, ValueError: JSON cannot carry it at all.
    """
    kind = type(value)
    if kind is str:
        return (_whole_characters(value), None)  # type: ignore[arg-type]  # a string
    if value is None or kind is bool or (kind is int and -EXACT <= value <= EXACT):  # type: ignore[operator]  # an int
        return (value, None)
    parsed = _read(json.dumps(value))
    if isinstance(parsed, (dict, list)):
        return (None, _sorted(parsed))
    return (parsed, None)


def canonical_text(value: object) -> str:
    """The JSON text of a value after its way to the server and back.

    Raises:
        NotJSONError: it holds NaN or an infinity.
    """
    return _sorted(_read(json.dumps(value)))


def canonical_event(event: dict[str, Any]) -> str:
    """The same of an event in its wire form, whose keys are texts."""
    text = _sorted(event)
    return text if _ODD.search(text) is None else canonical_text(event)


def _whole_characters(text: str) -> str:
    """A string as the server reads it: halves of surrogate pairs are no characters, and replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _read(text: str) -> Any:
    if HALF in text:
        text = json.dumps(json.loads(text), ensure_ascii=False)
        text = json.dumps(json.loads(_whole_characters(text)))
    return _decode(text)


def _refuse(name: str) -> NoReturn:
    raise NotJSONError(name)


def _whole(text: str) -> int | float:
    number = int(text)
    return number if -EXACT <= number <= EXACT else _double(text)


def _double(text: str) -> int | float:
    """The number that a double of this text is written as: its shortest digits, with zeros behind them."""
    number = float(text)
    if number in BEYOND:
        _refuse(text)
    if not number.is_integer() or abs(number) >= PLAIN:
        return number
    if abs(number) <= EXACT:
        return int(number)
    mantissa, _, exponent = repr(number).partition("e")
    digits, _, fraction = mantissa.partition(".")
    if not exponent:
        return int(number)
    zeros = int(exponent) - len(fraction)
    return int(f"{digits}{fraction}{'0' * zeros}")


_ODD = re.compile(r"[0-9](?:[.e]|[0-9]{15})|NaN|Infinity|\\ud")
"""What may be another number, or another text, over there."""

_sorted = json.JSONEncoder(sort_keys=True).encode
_decode = json.JSONDecoder(parse_float=_double, parse_int=_whole, parse_constant=_refuse).decode
