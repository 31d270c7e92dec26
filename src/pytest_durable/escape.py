"""The way out of code that catches everything, in a loop: an exception that is raised outside its ``try``.

What a step raises, such code catches, and asks for the next step; no bound would ever be heard of. But between two
steps it executes lines that no ``try`` of its own covers: the handler itself, or the head of the loop. There it is met
by a trace function, for one line.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from .places import author_of

if TYPE_CHECKING:
    from types import FrameType


class _Before(threading.local):
    """How each thread was traced before; tracing is a matter of threads."""

    def __init__(self) -> None:
        self.functions: list[Any] = []
        self.frames: list[tuple[FrameType, Any]] = []


_before = _Before()


def escape(error: BaseException) -> None:
    """Raise an error at the next line of the author's code that is executed; ``restore`` behind it."""
    caught: set[FrameType] = set()

    def at_a_line(frame: FrameType, event: str, _argument: object) -> Any:
        if event == "exception":
            caught.add(frame)
        elif event == "line" and frame in caught:
            # Where it is caught: an error that is raised there would leave the interpreter with what it handles now.
            caught.discard(frame)
        elif event == "line":
            raise error
        return at_a_line

    if not _before.functions:
        _before.functions.append(sys.gettrace())
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the frames that are to be left
    while frame is not None:
        if author_of(frame).startswith(f"{frame.f_code.co_filename}:"):
            _before.frames.append((frame, frame.f_trace))
            frame.f_trace = at_a_line
        frame = frame.f_back
    sys.settrace(lambda *_: None)


def restore() -> None:
    """Trace as before; what was raised has put an end to all tracing."""
    while _before.frames:
        frame, function = _before.frames.pop()
        frame.f_trace = function
    if _before.functions:
        sys.settrace(_before.functions.pop())
