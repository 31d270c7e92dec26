"""What a simulation cannot see is refused by name: threads of a durable function, and the sockets of an explored test.

Nothing orders a thread but the machine, and nothing makes a peer behind a socket answer the same way twice. Packages
that keep threads for themselves are left alone; what counts is whether the author's own code starts one.
"""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import clock as clocks
from ._core.errors import UsageError
from .places import author_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

ALLOWED = ("sockets", "threads")
"""What a test may say it uses on purpose."""

real_start = threading.Thread.start

CALLS = ("connect", "connect_ex", "sendto")
"""The methods of a socket that reach somebody else."""


def start_in_a_drive(thread: threading.Thread) -> None:
    """``Thread.start`` while time is driven."""
    clock = clocks.driven()
    actor = clock.actor() if clock is not None and clock.actor is not None and not clock.threads else ""
    place = author_of(sys._getframe(1)) if actor else ""  # noqa: SLF001 - the line that starts it
    if place and clock is not None:
        msg = (
            f"{actor} starts a thread ({thread.name!r}, at {place}), which has no virtual time, and no place in the "
            "order of what happens; call the work directly, or await asyncio.to_thread(work) in an async handler, "
            'which runs it here and now. If whoever starts it waits for its end, say so: allow=["threads"]'
        )
        raise clock.refused(msg)
    real_start(thread)


def start_in_a_search(thread: threading.Thread) -> None:
    """``Thread.start`` in an explored test, outside any drive."""
    place = author_of(sys._getframe(1))  # noqa: SLF001 - as above
    if place:
        raise UsageError(_refusal(f"starts a thread ({thread.name!r}, at {place})", "threads"))
    real_start(thread)


def _refusal(what: str, allowed: str) -> str:
    return (
        f"an explored test {what}. No schedule decides when that is done, so what one schedule shows may not be what "
        "the next one shows, nor what a replay shows. Put a fake in its place, or leave exploration away; if it makes "
        f'no difference, say so: allow=["{allowed}"]'
    )


def _guarded(name: str) -> Callable[..., Any]:
    real = getattr(socket.socket, name)

    def reach(_self: socket.socket, *args: Any) -> Any:
        raise UsageError(_refusal(f"touches a real socket ({name} to {args[-1]!r})", "sockets"))

    reach.__name__ = name
    reach.__doc__ = real.__doc__
    return reach


def allowed(allow: Iterable[str]) -> tuple[str, ...]:
    """What a test says that it uses on purpose.

    Raises:
        UsageError: there is nothing of that name to allow.
    """
    names = (allow,) if isinstance(allow, str) else tuple(allow)
    if unknown := [name for name in names if name not in ALLOWED]:
        msg = f"allow={unknown!r}: what can be allowed is {' and '.join(map(repr, ALLOWED))}"
        raise UsageError(msg)
    return names


@contextmanager
def closed(allow: Collection[str]) -> Iterator[None]:
    """While one schedule of a search is run: what no schedule decides is refused."""
    guards: dict[tuple[type, str], Any] = {}
    if "threads" not in allow:
        guards[threading.Thread, "start"] = start_in_a_search
    if "sockets" not in allow:
        guards.update({(socket.socket, name): _guarded(name) for name in CALLS})
    before = {(owner, name): owner.__dict__.get(name) for owner, name in guards}
    for (owner, name), guard in guards.items():
        setattr(owner, name, guard)
    try:
        yield
    finally:
        for (owner, name), method in before.items():
            if method is None:
                delattr(owner, name)
            else:
                setattr(owner, name, method)
