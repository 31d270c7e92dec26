"""Data into lines: the timeline of a run. Nothing is printed here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ._core.instants import duration_text, instant_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._core.runs import Entry, RunState

WIDEST = 60
"""How much of a value a timeline shows."""


REASONS = {"run.cancelled": "cancelled: {reason}", "invoke.refused": "{key}  nobody will answer: {reason}"}
"""Facts that consist of a reason."""


def timeline(run: RunState) -> str:
    """What happened in a run, one line for each step, in order of completion, with virtual times from its start."""
    start = run.started_at if run.started_at is not None else run.queued_at
    event = run.events[0]["name"] if run.events else "nothing"
    if len(run.events) > 1:
        event += f" ({len(run.events)} events)"
    lines = [f"{run.name} for {event}, from {instant_text(start)}"]
    rows = [(_offset(at, start), what) for at, what in _rows(run)]
    width = max([0, *(len(offset) for offset, _ in rows)])
    lines += [f"  {offset:>{width}}  {what}" for offset, what in rows]
    lines += [f"  finding: {finding}" for finding in run.findings]
    return "\n".join(lines)


def _offset(at: int, start: int) -> str:
    return "+" + duration_text(max(0, at - start))


def _rows(run: RunState) -> list[tuple[int, str]]:
    rows: list[tuple[int, str]] = []
    for at, what, key, rest in run.facts:
        entry = run.entries.get(key)
        text = _fact_text(what, key, rest, entry)
        if text:
            rows.append((at, text))
    rows += [
        (entry.started_at, f"{entry.key}  ({entry.op}) under way since then")
        for entry in run.unsettled
        if entry.started_at is not None
    ]
    if run.ended_at is None:
        rows.append((max([at for at, _ in rows] + [run.queued_at]), f"{run.status}"))
    return rows


def _fact_text(what: str, key: str, rest: Any, entry: Entry | None) -> str:
    if what == "step.completed":
        took = ""
        if entry is not None and entry.started_at is not None and entry.ended_at != entry.started_at:
            took = f" after {duration_text((entry.ended_at or 0) - entry.started_at)}"
        tries = f", attempt {entry.attempts}" if entry is not None and entry.attempts > 1 else ""
        return f"{key}  ({rest['op']}{tries}){took} -> {short(rest['output'])}"
    if what == "step.failed":
        return f"{key}  ({rest['op']}) failed for good: {_error(rest['error'])}"
    if what == "attempt.failed":
        return f"{key}  attempt {rest['attempt'] + 1} failed: {_error(rest['error'])}"
    if what == "body.failed":
        return f"the body raised {_error(rest)}"
    if what == "run.completed":
        return f"completed -> {short(rest['result'])}"
    if what == "run.failed":
        return f"failed: {_error(rest['error'])}"
    return REASONS.get(what, "").format(key=key, **rest)


def _error(error: dict[str, Any]) -> str:
    text = f"{error['name']}: {error['message']}" if error.get("message") else str(error["name"])
    return text.split("\n", 1)[0]


def short(value: Any) -> str:
    """A value in at most WIDEST characters."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= WIDEST else text[: WIDEST - 3] + "..."


def timelines(runs: Sequence[RunState], most: int = 20) -> str:
    """The timelines of several runs, the failed ones never left out."""
    shown = (
        list(runs) if len(runs) <= most else [run for run in runs if run.status == "failed"][:most] or list(runs)[:most]
    )
    text = "\n".join(timeline(run) for run in shown)
    return text if len(shown) == len(runs) else f"{text}\n... and {len(runs) - len(shown)} more runs"
