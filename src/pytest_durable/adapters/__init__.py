"""Which kind of function is it? Native ones are known here; an adapter for an SDK is imported only if it is needed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .._core.errors import UsageError
from ..functions import DurableFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core.runs import FunctionSpec

HOSTS: list[Callable[[object], FunctionSpec | None]] = []
"""Adapters of third parties: each is given a function and answers with its spec, or None if it is not its kind."""


def ready() -> None:
    """Import the adapters of the SDKs that this process has imported, each once."""
    if "inngest" in sys.modules and not _imported:
        _imported.append("inngest")
        from .inngest import spec_for

        HOSTS.append(spec_for)


_imported: list[str] = []


def spec_of(function: object, where: str) -> FunctionSpec:
    """What the engine knows of a function.

    Raises:
        UsageError: no adapter knows it; the message says what is known.
    """
    if isinstance(function, DurableFunction):
        return function.spec
    ready()
    for host in HOSTS:
        spec = host(function)
        if spec is not None:
            return spec
    if isinstance(function, str):
        msg = f"{where}: {function!r} is text; give the function itself"
    else:
        msg = (
            f"{where}: {function!r} ({type(function).__module__}.{type(function).__qualname__}) is no durable "
            "function; "
            "decorate it with @durable_function(...), or install the adapter of its SDK"
        )
    raise UsageError(msg)
