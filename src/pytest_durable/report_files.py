"""Files for failing tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write(folder: str, nodeid: str, turns: Any, report: Any) -> None:
    """Write the timeline and the schedule of a failing test."""
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in nodeid)
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join(f"{title}\n{body}" for title, body in report.sections)
    (path / f"{name}.txt").write_text(text, encoding="utf-8")
