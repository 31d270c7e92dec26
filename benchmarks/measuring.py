"""Clocks, repeats and the table. What is compared is measured in turn, in one process, and the least time counts."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

# Bound before any simulation shows virtual time: these are the real clocks.
cpu_clock = time.process_time
wall_clock = time.perf_counter

OK, MISSED, INFO, SKIPPED = "ok", "MISSED", "", "skipped"


class Row(NamedTuple):
    """One line of the table: what was measured, what came out, what is asked for, and whether that holds."""

    what: str
    measured: str
    target: str
    verdict: str


class Candidate(NamedTuple):
    """Something to measure: a context that prepares it and gives the work, and how often one repeat does the work."""

    prepared: Callable[[], AbstractContextManager[Callable[[], object]]]
    times: int = 1


def plain(work: Callable[[], object], times: int = 1) -> Candidate:
    """Work that needs no preparation."""
    return Candidate(lambda: nullcontext(work), times)


def least(candidates: Sequence[Candidate], repeats: int, clock: Callable[[], float] = cpu_clock) -> list[float]:
    """The least seconds that each candidate's work took, once.

    The candidates take turns, so that what else the machine does strikes all of them. Preparation and one warming
    round are not counted; the garbage of the one before is collected first, and the collector stays on.
    """
    best = [float("inf")] * len(candidates)
    for _ in range(repeats):
        for index, candidate in enumerate(candidates):
            with candidate.prepared() as work:
                work()
                gc.collect()
                began = clock()
                for _ in range(candidate.times):
                    work()
                best[index] = min(best[index], (clock() - began) / candidate.times)
    return best


def judged(what: str, measured: float, most: float, unit: Callable[[float], str]) -> Row:
    """A row for a number that must not be above its target."""
    return Row(what, unit(measured), f"<= {unit(most)}", OK if measured <= most else MISSED)


def judged_at_least(what: str, measured: float, wanted: float, unit: Callable[[float], str]) -> Row:
    """A row for a number that must not be below its target."""
    return Row(what, unit(measured), f">= {unit(wanted)}", OK if measured >= wanted else MISSED)


def skipped(what: str, why: str, target: str = "") -> Row:
    """A row for what could not be measured here."""
    return Row(what, why, target, SKIPPED)


def seconds(value: float) -> str:
    """Seconds for people."""
    if value < 1e-3:
        return f"{value * 1e6:,.0f} us"
    return f"{value * 1e3:,.2f} ms" if value < 1 else f"{value:,.2f} s"


def factor(value: float) -> str:
    """A ratio for people."""
    return f"{value:,.2f} x" if value < 100 else f"{value:,.0f} x"


def count(value: float) -> str:
    """A number without a fraction."""
    return f"{value:,.0f}"


def megabytes(value: float) -> str:
    """Bytes for people."""
    return f"{value / 2**20:,.0f} MiB"


def table(rows: Sequence[Row]) -> str:
    """The rows as text."""
    head = Row("what", "measured", "target", "verdict")
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(3)]
    lines = []
    for line in (head, *rows):
        cells = [line[column].ljust(widths[column]) for column in range(3)]
        lines.append("  ".join([*cells, line.verdict]).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)
