"""Measures the engine against its floor, its limits and its peers; ``nox -s bench`` runs it, ``-- --peers`` with peers.

    python benchmarks/run.py [--peers] [--quick] [--strict]

All that is compared is measured in one process and in turn, in CPU time of this process unless a row says wall time,
and the least of several repeats counts. On a shared machine the ratios mean more than the times.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path

import floor
import peers
import programs
import queueing
import sdk
import searching
from measuring import (
    INFO,
    MISSED,
    OK,
    Candidate,
    Row,
    factor,
    judged,
    least,
    megabytes,
    plain,
    seconds,
    table,
)

from pytest_durable import DurableFunction, RunStatus, Simulation

SIZES = (10, 100, 1_000)
TIMES = {10: 60, 100: 6, 1_000: 1}
"""How often one repeat runs a program of so many steps."""

MOST_OVER_FLOOR = 6.0
GROWTH_SLACK = 1.1
"""What noise may add to a ratio between two sizes before it counts as growth."""


def inside(function: DurableFunction) -> Callable[[], AbstractContextManager[Callable[[], object]]]:
    """A context with a new simulation, giving the work of one run in it."""

    @contextmanager
    def prepared() -> Iterator[Callable[[], object]]:
        with Simulation() as simulation:
            yield lambda: simulation.run(function)

    return prepared


def fresh(function: DurableFunction) -> Callable[[], object]:
    """The work of one run in a simulation of its own."""

    def work() -> None:
        with Simulation() as simulation:
            simulation.run(function)

    return work


def over_floor(repeats: int) -> list[Row]:
    """The engine against the floor, on the same bodies, replay always on."""
    rows = []
    for name, program in (
        ("sequential steps", programs.sequential),
        ("uses of one id", programs.loop),
        ("steps with dicts for results", programs.rows),
    ):
        ratios = []
        for size in SIZES:
            body = program(size)
            function = programs.durable(f"{name} {size}", body)
            if function.body is not body:
                message = "the engine must run the very function that the floor runs"
                raise AssertionError(message)
            low, high = least(
                [plain(lambda b=body: floor.drive(b), TIMES[size]), Candidate(inside(function), TIMES[size])], repeats
            )
            ratios.append(high / low)
            what = f"engine / floor, {size:,} {name}"
            row = judged(what, high / low, MOST_OVER_FLOOR, factor)
            if program is programs.rows:
                # The floor hands out one dict again and again; a copy for every replay is no work of an engine.
                row = row._replace(target="", verdict=INFO)
            rows.append(row._replace(measured=f"{row.measured}  ({seconds(high)} / {seconds(low)})"))
        worst = max(later / earlier for earlier, later in pairwise(ratios))
        what = f"growth of that ratio, worst of 10 to 100 and 100 to 1,000 {name}"
        rows.append(Row(what, factor(worst), "<= 1 x, and noise", OK if worst <= GROWTH_SLACK else MISSED))
    return rows


def runs_and_simulations(repeats: int) -> list[Row]:
    """Single runs, many runs, and simulations without any."""
    napping = programs.durable("napping", programs.napping(10))

    def thousand() -> None:
        with Simulation() as simulation:
            runs = [simulation.start(napping) for _ in range(1_000)]
            simulation.run_until_idle()
            if any(run.status != RunStatus.COMPLETED for run in runs):
                message = "a run did not end"
                raise AssertionError(message)

    def empty() -> None:
        with Simulation():
            pass

    one, new = least([plain(fresh(napping), 40), plain(empty, 100)], repeats)
    (many,) = least([plain(thousand)], max(2, repeats // 3))
    return [
        judged("10 steps and an hour of sleep, in a simulation of its own", one, 1e-3, seconds),
        judged("1,000 such runs in one simulation", many, 0.6, seconds),
        judged("a new simulation, entered and left", new, 1e-3, seconds),
    ]


# -- in other processes ------------------------------------------------------------------------------------------------


def sleepers(runs: int) -> int:
    """Bytes of memory at the peak, with so many sleeping runs in one simulation. Run in a process of its own."""
    nap = programs.durable("nap", programs.napping(2))
    with Simulation() as simulation:
        started = [simulation.start(nap) for _ in range(runs)]
        simulation.settle()
        if any(run.status != RunStatus.RUNNING for run in started):
            message = "a run does not sleep"
            raise AssertionError(message)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory() -> Row:
    """10,000 sleeping runs."""
    empty, full = (
        int(subprocess.check_output([sys.executable, __file__, "--sleepers", str(runs)], text=True))
        for runs in (0, 10_000)
    )
    row = judged("10,000 sleeping runs in one simulation, peak of the process", full, 2**30, megabytes)
    each = (full - empty) / 10_000 / 1024
    return row._replace(measured=f"{row.measured}  ({each:.1f} KiB a run, {megabytes(empty)} without any)")


def child_seconds(command: list[str], folder: str) -> float:
    """CPU seconds of another process, in which pytest loads no plugin that is not named."""
    alone = {**os.environ, "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, env=alone)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def imports(pairs: int) -> list[Row]:
    """What the plugin costs a suite that does not use it, over bare pytest: the import alone, and a whole session."""
    python = sys.executable
    session = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_one.py"]
    compared = {
        "the import of the plugin, over that of pytest": (
            [python, "-c", "import pytest, _pytest.config"],
            [python, "-c", "import pytest, _pytest.config, pytest_durable.plugin"],
        ),
        "a session of one test with the plugin, over one without": (session, [*session, "-p", "pytest_durable.plugin"]),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_one.py").write_text("def test_one():\n    pass\n")
        for what, (bare, loaded) in compared.items():
            child_seconds(bare, folder)
            child_seconds(loaded, folder)
            measured = [(child_seconds(bare, folder), child_seconds(loaded, folder)) for _ in range(pairs)]
            cost = max(0.0, statistics.median(more - less for less, more in measured))
            row = judged(what, cost, 0.06, seconds)
            base = statistics.median(less for less, _ in measured)
            rows.append(row._replace(measured=f"{row.measured}  (on {seconds(base)})"))
    return rows


# -- all of it ---------------------------------------------------------------------------------------------------------


def measured(*, quick: bool, with_peers: bool) -> Iterator[list[Row]]:
    """All rows, group by group."""
    repeats = 3 if quick else 9
    yield over_floor(repeats)
    yield runs_and_simulations(repeats)
    yield [memory()]
    yield imports(3 if quick else 9)
    yield searching.rows(repeats=max(2, repeats // 3), schedules=200 if quick else 1_000)
    yield sdk.rows(repeats=max(2, repeats // 3))
    yield queueing.rows(events=1_000 if quick else 10_000)
    if with_peers:
        yield peers.rows(repeats=2 if quick else 4)
        yield searching.peers(repeats=max(2, repeats // 3), schedules=50 if quick else 200)


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="also measure released packages that do the same work")
    parser.add_argument("--quick", action="store_true", help="few repeats, for a first look")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--sleepers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", choices=["peers", "quick", "strict", []], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sleepers is not None:
        print(sleepers(options.sleepers))
        return 0
    rows: list[Row] = []
    for group in measured(quick=options.quick or "quick" in options.words,
                          with_peers=options.peers or "peers" in options.words):  # fmt: skip
        rows += group
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} processors")
    print(table(rows))
    missed = sum(row.verdict == MISSED for row in rows)
    print(f"\n{missed} missed" if missed else "\nno target is missed")
    return 1 if missed and (options.strict or "strict" in options.words) else 0


if __name__ == "__main__":
    sys.exit(main())
