"""Exploration: run a scenario under many schedules, report what failed, and make the failing story small."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

from _pytest.outcomes import Failed

from ._core.errors import DurabilityWarning, ScheduleError, UsageError
from .choosers import OUTSIDE, Follow, NondeterministicScenarioError, Pruned, search_for
from .examples import Pinned, example_of, replaying
from .faults import CRASHES, Injection, about_nothing
from .fence import allowed, closed
from .trials import Trial, difference, first_difference, simulate, told_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .choosers import Search
    from .faults import Fault
    from .simulation import Simulation

MAX_SCHEDULES = 10_000
EXECUTIONS_PER_SCHEDULE = 20
"""How many executions may be left early as repetitions, for each schedule of the budget."""

SHRINK_EXECUTIONS = 300
FAILURES_KEPT = 10
FOUND = "a failure was found"
real_clock = time.perf_counter
FAILING: tuple[type[BaseException], ...] = (Exception, Failed)
"""What fails a scenario: any exception, and what ``pytest.fail`` raises."""

ENDING: tuple[type[BaseException], ...] = (*FAILING, Pruned)
"""What ends an execution: a failure, or that it is left early."""


class Failure:
    """A schedule under which the scenario fails, made as small as it gets.

    Attributes:
        schedule: one line of text that replays it.
        example: the same by names, for ``examples=[...]``; "" if names do not say enough.
        error: the exception.
        story: what differs from the default order, in words.
        timeline: what happened.
        difference: the effects that a passing schedule has more or less often.
    """

    def __init__(self, trial: Trial, passing: Trial | None, example: str = "") -> None:
        self.error = trial.error
        self.schedule = str(trial.schedule)
        self.example = example
        self.story = trial.story
        self.timeline = trial.report
        self.difference = difference(trial, passing)

    def __str__(self) -> str:
        lines = [f"{type(self.error).__name__}: {self.error}", f"schedule: {self.story}"]
        if self.difference:
            lines.append(self.difference)
        lines.append(f"replay: {self.schedule}")
        return "\n".join([*lines, f"example: {self.example}"] if self.example else lines)

    def __repr__(self) -> str:
        return f"<Failure {type(self.error).__name__} under {self.schedule}>"


class Report:
    """What an exploration found.

    Attributes:
        strategy: what was asked for.
        complete: every schedule of the model was tried: within ``max_faults``, and for the moments and ties that the
            simulation knows. A bound that stopped the search is named by ``stopped``.
        schedules: how many schedules were run to their end.
        distinct: how many of these were different.
        pruned: how many executions were left early, as they could only repeat another order.
        failures: the failing schedules, one for each kind of failure.
        stopped: the bound that ended the search early, or "".
        with_faults: faults were options in some schedule.
        failed_example: the pinned example that failed last, or "".
        crashes: the crash points that were tried with no other fault beside them, and whether all schedules with that
            crash passed.
        remarks: what to say beside: of faults that are about nothing, and what an SDK did that nobody wants.
    """

    def __init__(self, strategy: object, max_faults: int) -> None:
        self.strategy = strategy
        self.max_faults = max_faults
        self.complete = False
        self.schedules = 0
        self.distinct = 0
        self.pruned = 0
        self.failures: list[Failure] = []
        self.stopped = ""
        self.with_faults = False
        self.failed_example = ""
        self.crashes: dict[tuple[str, str, str, int], bool] = {}
        self.remarks: list[str] = []
        self.seconds = 0.0

    def __str__(self) -> str:
        count = f"explored {self.schedules} schedule{'s' * (self.schedules != 1)}"
        details = f"{self.distinct} distinct, {self.pruned} left early as repetitions"
        if self.stopped == FOUND:
            what = f"the example {self.failed_example!r}" if self.failed_example else "one"
            return f"{count} ({details}), until {what} failed{self.bounds}"
        word = "complete" if self.complete else f"incomplete ({self.stopped or 'sampling never is'})"
        found = f"{len(self.failures)} failing" if self.failures else "none fails"
        parts = [f"{count} ({details}), {word}{self.bounds}: {found}"]
        if self.crashes:
            parts.append(f"{sum(self.crashes.values())} of {len(self.crashes)} crash points survived")
        return "; ".join([*parts, *self.remarks])

    @property
    def bounds(self) -> str:
        """For which faults the report speaks, in words."""
        faults = f", for at most {self.max_faults} fault{'s' * (self.max_faults != 1)} in one schedule"
        return faults if self.with_faults else ""

    def warn(self) -> None:
        """Say what had no effect and probably should."""
        for line in self.remarks:
            warnings.warn(line, DurabilityWarning, stacklevel=3)

    def __repr__(self) -> str:
        return f"<Report: {self}>"


class Explorer:
    """One runner over all searches: it counts, keeps to the budget, and shrinks what fails.

    Args:
        execute: runs the scenario once, under a chooser.
        search: what to try next.
        report: where to count.
        max_schedules, max_seconds: the budget.
        progress: is told after every execution what was found so far, and how many executions were left early.
    """

    def __init__(
        self,
        execute: Callable[[Any], Trial],
        search: Search,
        report: Report,
        *,
        max_schedules: int,
        max_seconds: float | None = None,
        progress: Callable[[Report, int], None] | None = None,
    ) -> None:
        self.execute = execute
        self.search = search
        self.report = report
        self.max_schedules = max_schedules
        self.max_seconds = max_seconds
        self.progress = progress
        self.passing: Trial | None = None
        self.spent: Trial | None = None
        self.seen: dict[str, Any] = {}
        self.faults: dict[str, Fault] = {}
        self.findings: dict[str, None] = {}
        self.names: tuple[set[str], set[str]] = (set(), set())

    def run(self, *, stop_at_first: bool = False) -> Trial | None:
        """Search. Returns the last failing trial, shrunk, or None."""
        report, search = self.report, self.search
        began, executions = real_clock(), 0
        found: Trial | None = None
        kinds: set[tuple[str, str, int]] = set()
        while True:
            executions += 1
            report.stopped = self._bound(executions, real_clock() - began)
            chooser = None if report.stopped else search.next()
            if chooser is None:
                break
            trial = self.execute(chooser)
            if self.spent is not None:
                self.spent.retire()
            self.spent = trial if trial.error is None else None
            if hasattr(chooser, "is_foreign") and chooser.is_foreign():
                trial.pruned = True
            search.done(pruned=trial.pruned, looked=trial.looked)
            self._count(trial)
            if trial.error is None or trial.pruned:
                if hasattr(chooser, "finish"):
                    # A pinned example that passes must have said something about this test.
                    chooser.finish()
                continue
            report.failed_example = getattr(chooser, "text", "")
            if isinstance(trial.error, NondeterministicScenarioError):
                report.failures.append(Failure(trial, None))
                report.stopped, found = "the scenario is not deterministic", trial
                break
            again = self.execute(Follow(trial.schedule.indices))
            if again.identity() != trial.identity():
                trial.error = self._flaky(trial, again)
                report.failures.append(Failure(trial, None))
                report.stopped, found = "the scenario is not deterministic", trial
                break
            kind = trial.identity()
            if kind not in kinds and len(kinds) < FAILURES_KEPT:
                kinds.add(kind)
                found = self.shrink(trial)
                example = example_of(found.schedule.indices, self.execute, found.identity())
                report.failures.append(Failure(found, self.passing, example))
            if stop_at_first:
                report.stopped = FOUND
                break
        report.complete = search.complete and not report.stopped
        report.remarks = [*about_nothing(self.faults.values(), *self.names), *self.findings]
        report.pruned = search.pruned
        report.distinct = len(self.seen)
        report.seconds = real_clock() - began
        return found

    def _flaky(self, trial: Trial, again: Trial) -> NondeterministicScenarioError:
        ends = "passes" if again.error is None else f"fails with {type(again.error).__name__}: {again.error}"
        told = (
            f"it fails under the schedule {trial.schedule} with {type(trial.error).__name__}: {trial.error}; and "
            f"{ends} when it is run under it again: {first_difference(trial.report, again.report)}"
        )
        error = NondeterministicScenarioError(f"the scenario is not deterministic: {told}\n{OUTSIDE}")
        error.__cause__ = trial.error
        return error

    def _count(self, trial: Trial) -> None:
        self.report.with_faults = self.report.with_faults or trial.with_faults
        self._meet(trial)
        injected = [one.taken for one in trial.deviations if isinstance(one.taken, Injection)]
        if len(injected) == 1 and injected[0].verdict in CRASHES and not trial.pruned:
            crashes, point = self.report.crashes, injected[0].point
            crashes[point] = crashes.get(point, True) and trial.error is None
        if not trial.pruned:
            self.report.schedules += 1
            self._compare(trial)
            if trial.error is None:
                self.passing = trial
        if self.progress is not None:
            self.progress(self.report, self.search.pruned)

    def _compare(self, trial: Trial) -> None:
        """Under a schedule that was run before, the same must have happened."""
        text, end = str(trial.schedule), trial.end()
        before = self.seen.setdefault(text, end)
        if before != end and trial.error is None:
            ways = f"{told_ends(before)}\n  {told_ends(end)}"
            told = f"under one schedule ({text}) its runs ended in two ways:\n  {ways}"
            trial.error = NondeterministicScenarioError(f"the scenario is not deterministic: {told}\n{OUTSIDE}")

    def _meet(self, trial: Trial) -> None:
        """Take note of which faults were about something, and of findings."""
        self.findings.update(dict.fromkeys(trial.findings()))
        idle = False
        for fault in trial.faults:
            kept = self.faults.setdefault(repr(fault), fault)
            kept.met = kept.met or fault.met
            idle = idle or not kept.met
        if idle:
            for known, met in zip(self.names, trial.names(), strict=True):
                known.update(met)

    def _bound(self, executions: int, seconds: float) -> str:
        if self.search.complete:
            return ""
        if self.report.schedules >= self.max_schedules:
            return f"max_schedules={self.max_schedules}"
        if executions > self.max_schedules * EXECUTIONS_PER_SCHEDULE:
            return f"{executions - 1:,} executions, most of them repetitions"
        if self.max_seconds is not None and seconds > self.max_seconds:
            return f"max_seconds={self.max_seconds}"
        return ""

    # -- shrinking ----------------------------------------------------------------------------------------------------

    def shrink(self, trial: Trial) -> Trial:
        """The smallest schedule that fails in the same way: each deviation is taken back, alone and with others."""
        wanted, best, left = trial.identity(), trial, SHRINK_EXECUTIONS
        size = max(1, len(best.deviations) // 2)
        while size and left > 0:
            start, smaller = 0, False
            while start < len(best.deviations) and left > 0:
                left -= 1
                candidate = self._without(best, start, size)
                if candidate.error is not None and not candidate.pruned and candidate.identity() == wanted:
                    best, smaller = candidate, True
                else:
                    start += size
            size = size if smaller and size > 1 else size // 2
        return self._lower(best, wanted, left)

    def _without(self, trial: Trial, start: int, size: int) -> Trial:
        indices = list(trial.schedule.indices)
        for deviation in trial.deviations[start : start + size]:
            indices[deviation.position] = 0
        return self.execute(Follow(indices))

    def _lower(self, best: Trial, wanted: tuple[str, str, int], left: int) -> Trial:
        """Of several deviations at one choice, the one nearest to the default."""
        for deviation in list(best.deviations):
            for option in range(1, deviation.option):
                if left <= 0:
                    return best
                left -= 1
                indices = list(best.schedule.indices)
                if deviation.position >= len(indices):
                    return best
                indices[deviation.position] = option
                candidate = self.execute(Follow(indices))
                if (
                    candidate.error is not None
                    and candidate.identity() == wanted
                    and len(candidate.deviations) <= len(best.deviations)
                ):
                    best = candidate
                    break
        return best


def _check(max_schedules: object, max_seconds: object, faults: object) -> None:
    if not isinstance(max_schedules, int) or isinstance(max_schedules, bool) or max_schedules < 1:
        msg = f"max_schedules={max_schedules!r} is not a number from 1 on"
        raise UsageError(msg)
    if max_seconds is not None and not (isinstance(max_seconds, (int, float)) and max_seconds > 0):
        msg = f"max_seconds={max_seconds!r} is not a number above 0"
        raise UsageError(msg)
    if isinstance(faults, str):
        msg = f"faults={faults!r} is not a list; write faults=[{faults!r}]"
        raise UsageError(msg)


def explore(
    scenario: Callable[[Simulation], object],
    strategy: str | bool = "every",  # noqa: FBT001 - True is a strategy
    faults: Iterable[str | Fault] = (),
    max_schedules: int = MAX_SCHEDULES,
    seed: int = 0,
    *,
    max_faults: int = 1,
    max_seconds: float | None = None,
    replay: str | None = None,
    examples: Iterable[str] = (),
    **settings: Any,
) -> Report:
    """Run a scenario under many schedules; failures are collected, not raised.

    Args:
        scenario: a function of one simulation; it is called afresh for every schedule.
        strategy: "every" (all schedules, with sound reduction), "random", "pct", or True for all of these in turn.
        faults: faults or their names; each injection is a choice.
        max_schedules: how many schedules to run at most.
        seed: of the sampling strategies, and of the simulations.
        max_faults: how many faults may happen in one schedule.
        max_seconds: how long to search at most, in real seconds.
        replay: the text of a schedule, or an example; only that one is run.
        examples: schedules by names, which are run first; see the guide "replay a schedule".
        settings: further arguments of ``Simulation``.

    Returns:
        A report: ``complete``, ``schedules``, ``failures`` and more.

    Raises:
        UsageError: no scenario, no such strategy or fault, or a budget that is no number from 1 on.
        ScheduleError: ``replay`` or an example does not fit the scenario.
    """
    if not callable(scenario):
        msg = f"explore({scenario!r}): give a function that takes a simulation and runs what is to be explored"
        raise UsageError(msg)
    _check(max_schedules, max_seconds, faults)
    wanted = list(faults)
    settings = {"seed": seed, "faults": wanted, "max_faults": max_faults, **settings}
    allow = allowed(settings.get("allow", ()))

    def execute(chooser: Any) -> Trial:
        sim = simulate(chooser, **settings)
        try:
            with sim, closed(allow):
                scenario(sim)
        except Pruned:
            return Trial(sim, None, pruned=True)
        except FAILING as error:
            return Trial(sim, error)
        return Trial(sim, None)

    report = Report(strategy, max_faults)
    if replay is not None:
        chooser = replaying(replay)
        trial = execute(chooser)
        if isinstance(trial.error, ScheduleError):
            raise trial.error
        if trial.error is None or not hasattr(chooser, "rules"):
            chooser.finish()
        report.schedules = report.distinct = 1
        report.stopped = "one schedule was replayed"
        if trial.error is not None:
            report.failures.append(Failure(trial, None))
        return report
    search = Pinned(list(examples), search_for(strategy, seed, max_schedules))
    Explorer(execute, search, report, max_schedules=max_schedules, max_seconds=max_seconds).run()
    report.warn()
    return report
