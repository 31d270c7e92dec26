"""JSON as the wire of the simulation: what leaves a step or a function crosses it once, and comes back as a copy."""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring_ascii
from typing import Any

from .errors import SerializationError

Stored = tuple[Any, str | None]
"""A value that crossed the wire: ``(scalar, None)``, or ``(None, text)`` for what has parts that could be changed.

For a dict or a list of scalars it is ``(value, text)``: a copy of it is as good as a reading of the text, and faster.
"""

SCALARS = frozenset({str, int, float, bool, type(None)})
"""The types whose values cannot be changed, and are the same behind the wire."""

KEYS = frozenset({str})

HALF = "\\ud"
"""What the halves of surrogate pairs begin with in JSON; two of them come back as one character."""

_encode = json.JSONEncoder(allow_nan=False).encode
_decoder: Any = json.JSONDecoder()
_scan = _decoder.scan_once
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
WIDEST = 60
"""How much of a value a message shows."""

NULL = len("null")

SMALL = 10**18
"""Whole numbers below this need no way over the wire to be known to survive it."""


def store(value: object, who: str, *parts: str) -> tuple[Stored, int]:
    """Send a value over the wire.

    Tuples become lists and keys become text, as in any JSON.

    Args:
        value: what a step or a function returned.
        who: whose value it is, for the message; with ``{}`` in it for each of the parts.
        parts: put into ``who`` only for a message, as there are many values and few messages.

    Returns:
        The stored value and its size in bytes.

    Raises:
        SerializationError: JSON cannot carry it; the message names ``who``, the place and the type.
    """
    kind = type(value)
    if kind is str:
        text = encode_basestring_ascii(value)  # type: ignore[arg-type]  # it is a str
        return (parse(text) if HALF in text else value, None), len(text)
    if value is None or kind is bool or (kind is int and -SMALL < value < SMALL):  # type: ignore[operator]  # an int
        return (value, None), len(repr(value))
    try:
        text = _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise SerializationError(_explain(value, who.format(*parts) if parts else who, error)) from None
    return (value.copy() if _is_flat(value) and HALF not in text else None, text), len(text)  # type: ignore[attr-defined]  # a dict or list


def _is_flat(value: object) -> bool:
    kind = type(value)
    if kind is dict:
        return KEYS.issuperset(map(type, value)) and SCALARS.issuperset(map(type, value.values()))  # type: ignore[attr-defined, call-overload]  # a dict
    return kind is list and SCALARS.issuperset(map(type, value))  # type: ignore[call-overload]  # a list


def size(stored: Stored) -> int:
    """How many bytes of JSON a stored value has."""
    value, text = stored
    if text is not None:
        return len(text)
    return NULL if value is None else len(_encode(value))


def load(stored: Stored) -> Any:
    """A fresh copy of a stored value: changing it changes no memo."""
    value, text = stored
    if text is None:
        return value
    return parse(text) if value is None else value.copy()


def parse(text: str) -> Any:
    """What a text that this module (or another encoder of the standard library) wrote stands for."""
    # What ``json.loads`` does behind its checks of the text; there is one of these for every replay of a step.
    return _scan(text, 0)[0]


def copy(value: object, who: str) -> Any:
    """A value after a round trip over the wire.

    Raises:
        SerializationError: as ``store``.
    """
    return load(store(value, who)[0])


def _explain(value: object, who: str, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"{who}: the value is nested too deeply for JSON; return a flatter one"
    place, found = _culprit(value, "", 0) or ("", value)
    if isinstance(error, ValueError) and "integer string conversion" in str(error):
        return f"{who}: a whole number is too long for JSON; return it as text"
    if isinstance(error, ValueError) and "ircular" in str(error):
        return f"{who}: the value contains itself, which JSON cannot carry; return a plain tree"
    # Where it lies in memory differs from process to process.
    shown = _ADDRESS.sub("", repr(found))
    shown = shown if len(shown) <= WIDEST else shown[: WIDEST - 3] + "..."
    where = f" at {place.lstrip('.')}" if place else ""
    if isinstance(found, float):
        return f"{who}: JSON has no {shown} (float){where}; return None or a text in its place"
    if place.endswith("(key)"):
        return f"{who}: {shown} ({type(found).__name__}) cannot be a key in JSON{where}; use text"
    return (
        f"{who}: JSON cannot carry {shown} ({type(found).__name__}){where}; "
        "return text, numbers, lists and dicts, for example value.isoformat() or str(value)"
    )


def _culprit(value: object, place: str, depth: int) -> tuple[str, object] | None:
    """The first part of a value that JSON refuses, with its place."""
    if depth > 50:  # noqa: PLR2004 - deep enough for any message
        return place, value
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, (str, int, float, bool, type(None))) or key != key:  # noqa: PLR0124 - NaN
                return f"{place}.(key)", key
            if found := _culprit(part, f"{place}.{key}", depth + 1):
                return found
        return None
    if isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            if found := _culprit(part, f"{place}[{index}]", depth + 1):
                return found
        return None
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124 - NaN
        return place, value
    return None if isinstance(value, (str, int, float, bool, type(None))) else (place, value)
