"""What Python says of a wrong use of the step API, in the words of whoever wrote the body."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

from ._core.errors import UsageError
from ._core.failing import text_of
from .step import AI, Context, Group, Step
from .step_sync import AISync, ContextSync, GroupSync, StepSync

if TYPE_CHECKING:
    from collections.abc import Callable

PLACES: dict[type, str] = {
    Step: "ctx.step", StepSync: "ctx.step", AI: "ctx.step.ai", AISync: "ctx.step.ai", Group: "ctx.group",
    GroupSync: "ctx.group", Context: "ctx", ContextSync: "ctx",
}  # fmt: skip
"""Where the author finds each part of the API."""

METHODS: dict[str, Callable[..., Any]] = {}
"""The methods of the API, by the names that Python calls them by in its errors."""

for _kind, _place in PLACES.items():
    for _name, _method in vars(_kind).items():
        if inspect.isfunction(_method) and not _name.startswith("_"):
            _method.__qualname__ = f"{_place}.{_name}"
            METHODS[_method.__qualname__] = _method

_CALL = re.compile(r"([\w.]+)\(\) ")
_AWAITABLE = re.compile(r"\b(StepCoroutine|ConvertedStep|WantedStep|StepGroup)\b")


def wrong_call(error: BaseException) -> UsageError | None:
    """The mistake behind what Python raises for a method that is not there, or that is called wrongly."""
    if isinstance(error, AttributeError):
        # Not by a look into the table: a class of the author's may have no hash.
        place = next((place for kind, place in PLACES.items() if kind is type(error.obj)), None)
        if place is None:
            return None
        names = [name for name in dir(error.obj) if not name.startswith("_") and name != "step_class"]
        return UsageError(f"{place} has no {error.name!r}; it has {', '.join(names)}")
    if isinstance(error, TypeError) and (found := _CALL.match(text_of(error))) and (method := METHODS.get(found[1])):
        parts = [_plain(part) for part in inspect.signature(method).parameters.values()]
        return UsageError(f"{error}; it is called as {found[1]}{inspect.Signature(parts[1:])}")
    return None


def _plain(part: inspect.Parameter) -> inspect.Parameter:
    """A parameter without its type; what has a bare object for a default has to be given."""
    return part.replace(annotation=part.empty, default=part.empty if type(part.default) is object else part.default)


def is_about_a_step(error: BaseException) -> bool:
    """Whether an error says that a step was used in place of its result, as if an ``await`` had been forgotten."""
    if isinstance(error, AttributeError):
        return _AWAITABLE.search(type(error.obj).__name__) is not None
    return isinstance(error, TypeError) and _AWAITABLE.search(text_of(error)) is not None
