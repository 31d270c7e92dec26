"""How fast schedules are explored: how many in a second, what one costs over a plain run, and exhaustive searches."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any

import programs
from measuring import (
    INFO,
    MISSED,
    OK,
    Row,
    cpu_clock,
    factor,
    judged,
    judged_at_least,
    least,
    plain,
    seconds,
    skipped,
)

from pytest_durable import Simulation

SCHEDULES_A_SECOND = 2_000
OVER_A_PLAIN_RUN = 2.0
OVER_PEERS = 10.0
RACE = "a race of three steps and a wait"


def explorer() -> Callable[..., Any] | None:
    """``explore``, or None while it is not finished."""
    try:
        from pytest_durable import explore

        explore(programs.race, "random", max_schedules=1)
    except (ImportError, NotImplementedError):
        return None
    return explore


def plain_race() -> None:
    """The race once, without a search."""
    with Simulation() as simulation:
        programs.race(simulation)


def sampling(explore: Callable[..., Any], schedules: int) -> Callable[[], object]:
    """A search that samples so many schedules of the race."""

    def search() -> None:
        report = explore(programs.race, "random", max_schedules=schedules)
        if report.failures or report.schedules != schedules:
            message = f"the race is correct, and the search says: {report}"
            raise AssertionError(message)

    return search


def rows(*, repeats: int, schedules: int) -> list[Row]:
    """The targets of exploration."""
    explore = explorer()
    if explore is None:
        return [skipped("exploration", "pytest_durable.explore is not finished")]
    one, many = least([plain(plain_race, schedules // 4), plain(sampling(explore, schedules))], repeats)
    each = many / schedules
    return [
        judged_at_least(f"schedules a second, {RACE}", 1 / each, SCHEDULES_A_SECOND, lambda value: f"{value:,.0f}"),
        judged("a schedule of it, over a plain run of it", each / one, OVER_A_PLAIN_RUN, factor)._replace(
            measured=f"{factor(each / one)}  ({seconds(each)} / {seconds(one)})"
        ),
        exhaustive(explore, 8, independent=True, most=1.0, wanted=1),
        exhaustive(explore, 6, independent=False, most=2.0, wanted=720),
    ]


def exhaustive(explore: Callable[..., Any], steps: int, *, independent: bool, most: float, wanted: int) -> Row:
    """A complete search of parallel steps."""
    scenario = programs.side_by_side(steps, independent=independent)
    best, report = float("inf"), None
    for _ in range(2):
        gc.collect()
        began = cpu_clock()
        report = explore(scenario, "every")
        best = min(best, cpu_clock() - began)
    kind = "independent" if independent else "conflicting"
    holds = report is not None and report.complete and not report.failures and report.schedules == wanted
    said = f"{report.schedules} schedules, {'complete' if report.complete else 'INCOMPLETE'}" if report else ""
    verdict = OK if holds and best <= most else MISSED
    what = f"every order of {steps} {kind} parallel steps ({wanted} needed)"
    return Row(what, f"{seconds(best)}  ({said})", f"<= {seconds(most)}, complete", verdict)


# -- peers that permute asyncio ----------------------------------------------------------------------------------------


def simloop_search(schedules: int) -> Callable[[], object]:
    """Search with simloop, on the nearest equivalent of the race."""
    import simloop

    def search() -> None:
        if simloop.explore(programs.race_with_asyncio, range(schedules)) is not None:
            message = "simloop finds a failure in a correct program"
            raise AssertionError(message)

    return search


def simloom_search(schedules: int) -> Callable[[], object]:
    """Search with simloom, on the nearest equivalent of the race."""
    import simloom

    def search() -> None:
        exploration = simloom.explore(programs.race_with_asyncio, runs=schedules)
        if exploration.failures:
            message = f"simloom finds failures in a correct program: {exploration.failures}"
            raise AssertionError(message)

    return search


PEERS = {"simloop": simloop_search, "simloom": simloom_search}


def peers(*, repeats: int, schedules: int, names: Sequence[str] = tuple(PEERS)) -> list[Row]:
    """Schedules a second against simloop and simloom, on the nearest equivalent program.

    simloop collects garbage in every run, which costs more the more modules are imported; the second row for each
    peer is measured with everything frozen beforehand, which is the kindest it can have, and has no target.
    """
    explore = explorer()
    result = []
    for name in names:
        make = PEERS[name]
        what = f"schedules a second over {name}'s, {RACE}"
        target = f">= {factor(OVER_PEERS)}"
        if explore is None:
            result.append(skipped(what, "pytest_durable.explore is not finished", target))
            continue
        try:
            theirs = make(schedules)
        except ImportError as error:
            result.append(skipped(what, f"{name} cannot be imported here: {error} (it needs Python 3.12)", target))
            continue
        ours = sampling(explore, schedules)
        mine, other = least([plain(ours), plain(theirs)], repeats)
        row = judged_at_least(what, other / mine, OVER_PEERS, factor)
        rate = f"({schedules / mine:,.0f} / {schedules / other:,.0f} a second)"
        result.append(row._replace(measured=f"{row.measured}  {rate}"))
        gc.collect()
        gc.freeze()
        try:
            mine, other = least([plain(ours), plain(theirs)], repeats)
        finally:
            gc.unfreeze()
        rate = f"({schedules / mine:,.0f} / {schedules / other:,.0f} a second)"
        result.append(Row("  the same, with the heap frozen beforehand", f"{factor(other / mine)}  {rate}", "", INFO))
    return result
