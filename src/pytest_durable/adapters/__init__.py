"""Which kind of function is it? Native ones are known here; an adapter for an SDK is imported only if it is needed."""

from __future__ import annotations

import re
import sys
import warnings
from importlib import metadata
from typing import TYPE_CHECKING

from .._core.errors import UsageError
from ..arrivals import when_imported
from ..functions import DurableFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core.runs import FunctionSpec

HOSTS: list[Callable[[object], FunctionSpec | None]] = []
"""Adapters of third parties: each is given a function and answers with its spec, or None if it is not its kind."""


SDKS = {"inngest": "functions of the Inngest Python SDK, with the extra pytest-durable[inngest]"}
"""What the adapters of this package know, by the name of the SDK's package."""

TESTED = {"inngest": ("0.5.0", "0.5.19")}
"""The first and the last version of each SDK that the tests have been run with."""


def ready() -> None:
    """Import the adapters of the SDKs that this process has imported, each once; of others, when they are imported.

    A test may import the application that it tests behind the first simulation; what that sends goes into the
    simulation all the same.
    """
    if not _imported:
        when_imported("inngest", _adapt)


def _adapt() -> None:
    if not hasattr(sys.modules["inngest"], "Inngest"):
        return  # Somebody's own module of that name.
    version = metadata.version("inngest")
    _imported["inngest"] = version
    if _numbers(version) < _numbers(TESTED["inngest"][0]):
        HOSTS.append(_too_old)
        return
    from .inngest import spec_for

    HOSTS.append(spec_for)


_imported: dict[str, str] = {}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _too_old(function: object) -> FunctionSpec | None:
    if type(function).__module__.partition(".")[0] == "inngest":
        msg = (
            f"the installed inngest {_imported['inngest']} is older than {TESTED['inngest'][0]}, the first version "
            "that the adapter knows; pip install 'inngest>=0.5'"
        )
        raise UsageError(msg)
    return None


def _judge_version(name: str) -> None:
    """Say once that a version is newer than any that was tested."""
    version = _imported.get(name)
    if version is None or name in _judged:
        return
    _judged.append(name)
    last = TESTED[name][1]
    if _numbers(version) > _numbers(last):
        warnings.warn(
            f"the installed {name} {version} is newer than {last}, the last version that this pytest-durable was "
            "tested with; what it changed may not be simulated. Look for a newer pytest-durable",
            UserWarning,
            stacklevel=4,
        )


_judged: list[str] = []


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
            _judge_version(type(function).__module__.partition(".")[0])
            return spec
    if isinstance(function, str):
        msg = f"{where}: {function!r} is text; give the function itself"
    else:
        msg = (
            f"{where}: {function!r} ({type(function).__module__}.{type(function).__qualname__}) is no durable "
            "function; decorate it with @durable_function(...), or give a function that an adapter knows: "
            + "; ".join([*SDKS.values(), *(f"those of {host.__module__}" for host in HOSTS if _is_foreign(host))])
        )
    raise UsageError(msg)


def _is_foreign(host: Callable[[object], FunctionSpec | None]) -> bool:
    return not host.__module__.startswith(__name__)
