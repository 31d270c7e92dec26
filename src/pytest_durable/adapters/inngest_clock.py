"""The clock that the SDK itself looks at, where the process does not show virtual time (``clock="off"``).

The SDK computes the ends of sleeps and retries from ``datetime.datetime.now()``, in three modules.
"""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from inngest._internal import errors
from inngest._internal.step_lib import step_async, step_sync

from .._core.instants import as_datetime

if TYPE_CHECKING:
    from ..clock import Clock

PLACES: tuple[Any, ...] = (errors, step_async, step_sync)
"""The modules of the SDK that look at a clock."""


class VirtualClock:
    """Shows the SDK the time of a simulation; a context manager."""

    def __init__(self, clock: Clock) -> None:
        now = SimpleNamespace(now=lambda: as_datetime(clock.micros))
        self._module = SimpleNamespace(**{**vars(dt), "datetime": now})

    def __enter__(self) -> None:
        self._before = [place.datetime for place in PLACES]
        for place in PLACES:
            place.datetime = self._module

    def __exit__(self, *_: object) -> None:
        for place, before in zip(PLACES, self._before, strict=True):
            place.datetime = before
