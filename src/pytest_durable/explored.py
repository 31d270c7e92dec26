"""One pytest item under many schedules: function-scoped fixtures are set up afresh for each, wider ones are kept."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any

from _pytest.logging import caplog_handler_key
from _pytest.outcomes import Skipped

from ._core.choices import First
from ._core.errors import UnusedScriptError
from .choosers import Follow, NondeterministicScenarioError, Once, Pruned, search_for
from .examples import DEFAULT, Pinned, replaying
from .exploration import FAILING, Explorer, Report
from .fence import allowed, closed
from .progress import progress_of
from .sharding import whole
from .trials import Trial, simulate, story

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import pytest

    from .settings import Settings
    from .simulation import Simulation


class Turns:
    """The executions of one item: which chooser is next, and the simulation of the present one.

    Attributes:
        simulation: the simulation of the latest execution.
        report: what the exploration found; None without one.
        schedule, example: the failing schedule, as text and by names.
    """

    def __init__(self, item: pytest.Item, settings: Settings) -> None:
        self.item = item
        self.settings = settings
        self.simulation: Simulation | None = None
        self.report: Report | None = None
        self.schedule = ""
        self.example = ""
        self.difference = ""
        self.scripts: dict[str, bool] = {}
        self.chooser: Any = None
        self._search: Any = None
        if settings.schedule is not None:
            self.chooser = replaying(settings.schedule)
        elif settings.explore or settings.examples:
            seed = settings.simulation.get("seed", 0)
            self.report = Report(settings.explore or "examples", settings.max_faults)
            share = settings.share
            search = search_for(settings.explore, seed, settings.budget, share) if settings.explore else Once()
            self._search = Pinned(settings.examples if share is None or not share.number else (), search)
            self.chooser = self._search.next()

    @property
    def exploring(self) -> bool:
        """Whether this item is run under more than one schedule."""
        return self._search is not None

    def open(self) -> Simulation:
        """A new simulation for the present execution."""
        settings = self.settings
        arguments: dict[str, Any] = {"faults": settings.faults, "max_faults": settings.max_faults}
        arguments.update(settings.simulation)
        if self.chooser is None and settings.faults and not self.exploring:
            # A fault of the marker is an option of exploration; a plain run of the test takes the default order.
            self.simulation = simulate(First(), **arguments)
        elif self.chooser is None:
            self.simulation = simulate(None, **arguments)
        else:
            self.simulation = simulate(self.chooser, **arguments)
        return self.simulation

    def closed(self, simulation: Simulation, *, failed: bool) -> None:
        """Take note that the simulation of an execution is over; without exploration its scripts are judged now."""
        if not self.exploring:
            if not failed:
                simulation.check_use()
            return
        unused = {repr(script) for script in simulation.unused_scripts()}
        for script in simulation.scripts():
            self.scripts[repr(script)] = self.scripts.get(repr(script), False) or repr(script) not in unused

    # -- executions ---------------------------------------------------------------------------------------------------

    def fence(self) -> AbstractContextManager[None]:
        """While a schedule is run: what no schedule decides is refused."""
        return closed(allowed(self.settings.simulation.get("allow", ())))

    def trial(self, run: Callable[[], object]) -> Trial:
        """Run the test function once and see how it ended."""
        try:
            with self.fence():
                run()
            if self.simulation is not None:
                self.simulation.check_monitors()
        except Skipped:
            # Of this schedule; the test as a whole is skipped in its first one.
            return Trial(self.simulation, None)
        except Pruned:
            return Trial(self.simulation, None, pruned=True)
        except FAILING as error:
            return Trial(self.simulation, error)
        return Trial(self.simulation, None)

    def again(self, chooser: Any) -> Trial:
        """Tear the function-scoped fixtures down, set them up afresh, and run the test under another chooser."""
        self.reset(chooser)
        return self.trial(self.item.runtest)

    def reset(self, chooser: Any) -> None:
        """Set the item up for another execution."""
        item: Any = self.item
        state = item.session._setupstate  # noqa: SLF001 - pytest has no public way to set one item up again
        # Fixtures such as tmp_path take away, at their end, what the reports of the phases have left for them.
        left = dict(item.stash._storage)  # noqa: SLF001 - as above
        state.teardown_exact(copy.copy(item))
        item.stash._storage = {**left, **item.stash._storage}  # noqa: SLF001 - as above
        if getattr(inspect.unwrap(item.obj), "__self__", None) is not None and item.cls is not None:
            # Each test has an instance of its class for itself, and so has each schedule. Before 8.2 pytest keeps none.
            vars(item).pop("_instance", None)
            item._obj = None  # noqa: SLF001 - as above
        if (log := item.stash.get(caplog_handler_key, None)) is not None:
            log.clear()
        item._initrequest()  # noqa: SLF001 - as above
        self.chooser = chooser
        state.setup(item)

    def explore(self, first: Trial) -> None:
        """Go on behind the first execution; raises what the smallest failing schedule raises."""
        report, settings = self.report, self.settings
        assert report is not None, "this is our bug: an item without exploration is explored"
        search = HandedOut(self._search, self.chooser)
        trials = iter([first])

        def execute(chooser: Any) -> Trial:
            return next(trials, None) or self.again(chooser)

        explorer = Explorer(execute, search, report, max_schedules=settings.budget, max_seconds=settings.max_seconds,
                            progress=progress_of(self.item, settings.budget))  # fmt: skip
        found = explorer.run(stop_at_first=True)
        if found is None:
            self._judge_scripts()
            if settings.share is None:
                report.warn()
            return
        failure = report.failures[-1]
        self.schedule, self.example, self.difference = failure.schedule, failure.example, failure.difference
        if isinstance(found.error, NondeterministicScenarioError):
            raise found.error
        self.reset(Follow(found.schedule.indices))
        self.item.runtest()
        msg = (
            f"the test failed under the schedule {failure.schedule} with {type(found.error).__name__}: {found.error}; "
            "and passes when it is run under it again. Something outside the simulation decides; set it up afresh "
            "in a function-scoped fixture"
        )
        raise NondeterministicScenarioError(msg) from found.error

    def _judge_scripts(self) -> None:
        unused = [name for name, used in self.scripts.items() if not used]
        if unused and self.settings.share is None:
            # A script may serve a schedule that is another share's.
            msg = f"{', '.join(unused)}: no step has used it in any schedule; correct the id, or add .maybe()"
            raise UnusedScriptError(msg)

    def found(self, *, failed: bool) -> dict[str, Any]:
        """What the exploration found, in plain values that cross between processes."""
        report, share = self.report, self.settings.share
        assert report is not None, "this is our bug: an item without exploration has found something"
        return {
            "text": str(report),
            "complete": report.complete or not self.settings.explore,
            "stopped": report.stopped,
            "schedules": report.schedules,
            "bounds": report.bounds,
            "failed": failed,
            "share": list(share) if share is not None else None,
        }

    def tell(self) -> str:
        """The failing schedule for people, and the line that replays it."""
        simulation = self.simulation
        if simulation is None:
            return "no schedule was begun"
        schedule = self.schedule or str(simulation.schedule)
        lines = [story(simulation)]
        if self.difference:
            lines.append(self.difference)
        if self.report is not None:
            lines.append(str(self.report))
        seed = f" --durable-seed={self.settings.seed}" if self.settings.seed is not None else ""
        lines.append(f"replay: pytest '{whole(self.item.nodeid)}' --durable-replay={schedule}{seed}")
        if self.example not in {"", DEFAULT}:
            lines.append(f"pin it: @pytest.mark.durable(examples=[{self.example!r}])")
        return "\n".join(lines)


class HandedOut:
    """A search whose first chooser has been handed out already."""

    def __init__(self, search: Any, first: Any) -> None:
        self.search = search
        self.first = first

    @property
    def complete(self) -> bool:
        """As the search."""
        return bool(self.search.complete)

    @property
    def pruned(self) -> int:
        """As the search."""
        return int(self.search.pruned)

    def next(self) -> Any:
        """The first chooser once more, and then those of the search."""
        first, self.first = self.first, None
        return first if first is not None else self.search.next()

    def done(self, *, pruned: bool, looked: frozenset[str]) -> None:
        """As the search."""
        self.search.done(pruned=pruned, looked=looked)
