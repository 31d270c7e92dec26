"""Files for failing tests: one page for each, with all that the terminal shows and the histories of its runs."""

from __future__ import annotations

import hashlib
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ._core.instants import duration_text, instant_text
from .history import History

if TYPE_CHECKING:
    import pytest

    from ._core.runs import RunState
    from .explored import Turns

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { white-space: pre-wrap; overflow-wrap: anywhere }
pre { padding: .75rem 1rem; border: 1px solid #8886; border-radius: .4rem; font-size: 13px }
h2 { margin: 1.5rem 0 .25rem } .bar { fill: #3b82f6 } .failed { fill: #dc2626 } .wait { fill: #9ca3af }
svg text { fill: currentColor; font: 12px system-ui, sans-serif } .lost { fill: #f59e0b }
svg line { stroke: #8884 } small { opacity: .7 }
"""
ROW, LEFT, COLUMN = 22, 180, 110
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
"""Colours, which a terminal asks pytest to put into its reports."""

KEY = (
    '<p><small><svg width="10" height="10"><rect class="bar" width="10" height="10"/></svg> done &nbsp;'
    '<svg width="10" height="10"><rect class="wait" width="10" height="10"/></svg> under way &nbsp;'
    '<svg width="10" height="10"><rect class="failed" width="10" height="10"/></svg> failed for good &nbsp;'
    '<svg width="10" height="10"><rect class="lost" width="10" height="10"/></svg> a failed attempt</small></p>'
)


def write(folder: str, nodeid: str, turns: Turns, report: pytest.TestReport) -> None:
    """Write the page of a failing test, and the list of all pages in the folder."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    page = _page(nodeid, turns, report)
    (path / f"{file_name(nodeid)}.html").write_text(page, encoding="utf-8", errors="backslashreplace")
    pages = sorted(one.name for one in path.glob("*.html") if one.name != "index.html")
    links = "".join(f'<li><a href="{escape(name)}">{escape(name.removesuffix(".html"))}</a></li>' for name in pages)
    index = _document("Failing durable tests", f"<h1>Failing durable tests</h1><ul>{links}</ul>")
    (path / "index.html").write_text(index, encoding="utf-8", errors="backslashreplace")


def file_name(nodeid: str) -> str:
    """A safe file name that no other test has."""
    digest = hashlib.blake2b(nodeid.encode(), digest_size=4).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', nodeid)[:80].strip('-')}-{digest}"


def _document(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><body>{body}</body></html>\n"
    )


def _page(nodeid: str, turns: Turns, report: pytest.TestReport) -> str:
    parts = [f"<h1>{escape(nodeid)}</h1>", f"<h2>error</h2><pre>{_plain(report.longreprtext)}</pre>"]
    parts += [
        f"<h2>{escape(title)}</h2><pre>{_plain(text)}</pre>"
        for title, text in report.sections
        if title.startswith("durable")
    ]
    simulation = turns.simulation
    if simulation is not None:
        parts += [_chart(run) for run in simulation.engine.runs]
        answers = simulation.engine.answers
        events = "\n".join(f"{instant_text(one.sent_at)}  {one.name}: {one.outcome}" for one in answers.events)
        effects = "\n".join(
            f"{effect.name} {effect.key!r} by {effect.step or 'no step'}" for effect in simulation.ledger.effects
        )
        parts.append(f"<h2>events</h2><pre>{escape(events) or 'none'}</pre>")
        parts.append(f"<h2>ledger</h2><pre>{escape(effects) or 'nothing was recorded'}</pre>")
        for run in simulation.engine.runs:
            history = History(run.spec.id, run.id, run.events, run.facts).to_json()
            parts.append(
                f"<details><summary>history of {escape(run.name)}</summary><pre>{escape(history)}</pre></details>"
            )
    return _document(nodeid, "".join(parts))


def _plain(text: str) -> str:
    return escape(ESCAPES.sub("", text))


def _chart(run: RunState) -> str:
    """The steps of a run as bars; every instant at which something happened is one column, so weeks hide no step."""
    entries = [entry for entry in run.entries.values() if entry.started_at is not None]
    failed = [(at, key) for at, what, key, _ in run.facts if what == "attempt.failed"]
    known = {at for entry in entries for at in (entry.started_at, entry.ended_at) if at is not None}
    instants = sorted(known.union(at for at, _ in failed))
    places = {at: LEFT + index * COLUMN for index, at in enumerate(instants)}
    width, height = LEFT + (len(instants) + 1) * COLUMN, (len(entries) + 1) * ROW + 8
    begun = run.started_at if run.started_at is not None else run.queued_at
    rows = [
        f'<line x1="{place}" x2="{place}" y1="{ROW - 6}" y2="{height}"/>'
        f'<text x="{place + 2}" y="12">+{escape(duration_text(max(0, at - begun)))}</text>'
        for at, place in places.items()
    ]
    for number, entry in enumerate(entries, 1):
        top = number * ROW + 4
        begin = places[entry.started_at or 0]
        end = places[entry.ended_at] if entry.ended_at is not None else width
        kind = "failed" if entry.failure is not None else "bar" if entry.done else "wait"
        rows.append(
            f'<text x="0" y="{top + 12}">{escape(entry.key[:26])}</text>'
            f'<rect class="{kind}" x="{begin}" y="{top}" width="{max(6, end - begin)}" height="{ROW - 8}" rx="3">'
            f"<title>{escape(f'{entry.key} ({entry.op}), {entry.attempts} attempts')}</title></rect>"
        )
        rows += [
            f'<rect class="lost" x="{places[at]}" y="{top}" width="6" height="{ROW - 8}">'
            "<title>a failed attempt</title></rect>"
            for at, key in failed
            if key == entry.key
        ]
    chart = f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">{"".join(rows)}</svg>'
    return f'<h2>{escape(run.name)}: {escape(run.status)}</h2>{KEY}<div style="overflow-x:auto">{chart}</div>'
