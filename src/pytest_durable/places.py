"""Where code comes from: the author's own, the standard library, an installed package, or this one."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

HOME = str(Path(__file__).parent)
"""Where this package is."""

LIBRARY = tuple(
    path
    for path in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(Path(os.__file__).parent)}
    if path
)
"""Where the standard library is."""


SDKS = frozenset({"inngest"})
"""Packages that call a body and are called by it, wherever they are installed."""


def of_library(path: str) -> bool:
    """Whether a file belongs to the standard library."""
    return (path.startswith(LIBRARY) and "site-packages" not in path) or path.startswith("<frozen")


def author_of(frame: FrameType | None) -> str:
    """The line of the author that called, through the standard library alone; "" if a package stands between."""
    while frame is not None:
        path = frame.f_code.co_filename
        if not of_library(path):
            package = str(frame.f_globals.get("__name__", "")).split(".", maxsplit=1)[0]
            foreign = path.startswith(HOME) or "site-packages" in path or package in SDKS
            return "" if foreign else f"{path}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
