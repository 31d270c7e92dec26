"""Exceptions as facts: what is kept of one, and whether it is worth another try."""

from __future__ import annotations

import traceback

from .errors import DurableError, LimitError, StepError, UsageError
from .runs import Failure


def text_of(error: BaseException) -> str:
    """The text of an exception, also of one that cannot say it."""
    try:
        return str(error)
    except Exception as another:  # noqa: BLE001 - the code of an author's class, which is not to take the run along
        return f"(its text cannot be read: __str__ raises {type(another).__name__})"


def failure_of(error: BaseException) -> Failure:
    """An exception as a fact."""
    name = getattr(error, "name", None) if isinstance(error, DurableError) else None
    message = getattr(error, "message", None) if isinstance(error, DurableError) else None
    kind = "step" if is_retriable(error) else "non_retriable"
    stack = "".join(traceback.format_exception(error)) if error.__traceback__ is not None else None
    return Failure(
        name if isinstance(name, str) else type(error).__name__,
        message if isinstance(message, str) else text_of(error),
        kind=kind,
        stack=stack,
        exception=error,
    )


MOST_CAUSES = 100
"""How many exceptions behind one are looked at."""


def mistake_in(error: BaseException | None) -> UsageError | LimitError | None:
    """The author's mistake behind an exception: what it is, is a group of, or was raised from; None if there is none.

    Code between may have made another error of it, which says less: a client that wraps what its transport raises.
    What is behind the error of a step, such as an invocation, was a mistake somewhere else.
    """
    found = [error]
    for one in found:
        if isinstance(one, (UsageError, LimitError)):
            return one
        if one is None or isinstance(one, StepError) or len(found) > MOST_CAUSES:
            continue
        found += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        found += (one.__cause__, None if one.__suppress_context__ else one.__context__)
    return None


def is_retriable(error: BaseException) -> bool:
    """Whether to try again; a group of errors is, if all that it holds are."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_retriable(one) for one in error.exceptions)
    return bool(getattr(error, "is_retriable", True))
