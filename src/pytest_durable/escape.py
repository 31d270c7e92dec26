"""The way out of code that catches everything, in a loop: an exception that is raised outside its ``try``.

What a step raises, such code catches, and asks for the next step; no bound would ever be heard of. But between two
steps it executes lines that no ``try`` of its own covers: the handler itself, or the head of the loop. There it is met
by a trace function, for one line.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .places import author_of

if TYPE_CHECKING:
    from types import FrameType

_before: list[Any] = []


def escape(error: BaseException) -> None:
    """Raise an error at the next line of the author's code that is executed; ``restore`` behind it."""

    def at_a_line(_frame: FrameType, event: str, _argument: object) -> Any:
        if event != "line":
            return at_a_line
        raise error

    if not _before:
        _before.append(sys.gettrace())
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the frames that are to be left
    while frame is not None:
        if author_of(frame).startswith(f"{frame.f_code.co_filename}:"):
            frame.f_trace = at_a_line
        frame = frame.f_back
    sys.settrace(lambda *_: None)


def restore() -> None:
    """Trace as before; what was raised has put an end to all tracing."""
    if _before:
        sys.settrace(_before.pop())
