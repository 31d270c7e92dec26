"""The limits of the engine and its table of retries, with the numbers of the real server."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import UsageError
from .instants import DAY, HOUR, MINUTE, SECOND

BACKOFF = (15 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE, HOUR,
           2 * HOUR)  # fmt: skip
"""The pause after the n-th failed attempt; the last one serves all further attempts."""

JITTER_MS = 30_000
"""What is added to a pause: whole milliseconds below this, from the seed."""

RETRY_AFTER_LEAST, RETRY_AFTER_MOST = SECOND, DAY
MOST_RETRIES = 20
DEFAULT_RETRIES = 4
IDEMPOTENCY_PERIOD = DAY
"""How long a function does not start twice for one event id."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one run may use. Give another one to a simulation to test what happens beyond.

    Attributes:
        steps: steps of a run.
        step_bytes: JSON of one step's output.
        run_bytes: JSON of all outputs and events of a run.
        event_bytes: JSON of one event's data.
        events_per_send: events in one call.
        sleep: the longest sleep and the longest timeout of ``wait_for_event``, in microseconds.
        happenings_per_instant: what may happen without time passing, before it counts as a livelock.
        happenings_per_drive: what one call of ``advance``, ``wait`` and their like may handle.
        callbacks_per_invocation: turns that the asyncio part of one invocation may take.
    """

    steps: int = 1_000
    step_bytes: int = 4 * 1024 * 1024
    run_bytes: int = 32 * 1024 * 1024
    event_bytes: int = 3 * 1024 * 1024
    events_per_send: int = 5_000
    sleep: int = 366 * DAY
    happenings_per_instant: int = 100_000
    happenings_per_drive: int = 2_000_000
    callbacks_per_invocation: int = 1_000_000

    def __post_init__(self) -> None:
        """Raises UsageError: a limit is no whole number from 1 on."""
        for name in self.__slots__:
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                msg = f"Limits({name}={value!r}): a limit is a whole number from 1 on"
                raise UsageError(msg)


def megabytes(size: int) -> str:
    """A number of bytes for people."""
    return f"{size // (1024 * 1024)} MB ({size:,} bytes)" if size >= 1024 * 1024 else f"{size:,} bytes"
