"""The world of a test: clock, event bus, runs and what the test says about them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

from . import adapters, monitors
from ._core.choices import Schedule
from ._core.engine import Engine
from ._core.errors import DurabilityWarning, UnusedScriptError, UsageError
from ._core.happenings import LOG_OF_EFFECTS, LOG_OF_STEPS
from ._core.instants import Duration, as_datetime, duration, instant, instant_text, later
from ._core.limits import Limits
from ._core.world import World
from .clock import Clock, adopt_sleep, start_instant
from .driving import OVER, Drive, Over, collect_as_before, collect_seldom
from .events import Event
from .faults import Fault, Faults, about_nothing
from .fence import allowed
from .invocation import Surroundings
from .ledger import Ledger
from .posting import Posting
from .report import timelines
from .run import Run
from .scripts import Reaction, Script
from .stage import TestStage
from .ticking import schedule_tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from ._core.choices import Chooser, Observer
    from ._core.runs import Entry, FunctionSpec, RunState

REPLAY_MODES = ("always", "checkpoint")


class Simulation(Posting):
    """A world in virtual time.

    Nothing runs until time is driven: ``start``, ``send``, ``signal`` and ``cancel`` put things on the world at the
    present instant; ``advance``, ``run_until``, ``settle`` and ``run.wait()`` let them happen.

    Args:
        start: the first instant, an aware datetime; the moment at which freezegun or time-machine froze the process,
            or 2025-01-01T00:00Z.
        seed: decides the jitter of retries, and the ids.
        replay: "always" enters the body from the top after every step; "checkpoint" goes on in place.
        limits: other limits than the server's.
        clock: what shows virtual time to the process: "time-machine", "freezegun" or "off".
        faults: faults, or their names, to begin with.
        max_faults: how many of them may happen in one schedule, under exploration.
        allow: "threads" if steps start threads and wait for them; "sockets" is for explored tests.
        chooser: who chooses among what may happen; the default order unless given.

    Attributes:
        ledger: what test doubles did to the outside world.
        faults: the faults of this simulation.
    """

    def __init__(
        self,
        *,
        start: datetime | str | None = None,
        seed: int = 0,
        replay: str = "always",
        limits: Limits | None = None,
        clock: str | None = None,
        faults: Iterable[str | Fault] = (),
        max_faults: int = 1,
        allow: Iterable[str] = (),
        chooser: Chooser | None = None,
        observer: Observer | None = None,
    ) -> None:
        if replay not in REPLAY_MODES:
            msg = f'replay={replay!r}; say "always" or "checkpoint"'
            raise UsageError(msg)
        if not isinstance(seed, int) or isinstance(seed, bool):
            msg = f"seed={seed!r} is not a whole number"
            raise UsageError(msg)
        if limits is not None and not isinstance(limits, Limits):
            msg = f"limits={limits!r}; write limits=Limits(steps=100)"
            raise UsageError(msg)
        if not isinstance(max_faults, int) or isinstance(max_faults, bool) or max_faults < 0:
            msg = f"max_faults={max_faults!r} is not a whole number from 0 on"
            raise UsageError(msg)
        if isinstance(faults, str):
            msg = f"faults={faults!r} is not a list; write faults=[{faults!r}]"
            raise UsageError(msg)
        limits = limits or Limits()
        micros = start_instant(start)
        self._clock = Clock(micros, clock)
        self._clock.threads = "threads" in allowed(allow)
        self.world = World(
            micros,
            chooser,
            observer=observer,
            on_time=self._clock.show,
            per_instant=limits.happenings_per_instant,
            per_drive=limits.happenings_per_drive,
        )
        self.ledger = Ledger()
        exploring = chooser is not None or observer is not None
        self.faults = Faults(faults, exploring=exploring, budget=max_faults)
        self._stage = TestStage(self.world, self._clock, self.ledger, self.faults)
        self.engine = Engine(self.world, self._stage, seed=seed, limits=limits)
        self._stage.engine = self.engine
        self._stage.react = self._react
        self.engine.checkpoint = replay == "checkpoint"
        self.engine.surroundings = Surroundings(limits, self.engine.known, self._spec_of, lambda: self.world.now,
                                                self._stage)  # fmt: skip
        self._functions: dict[FunctionSpec, Any] = {}
        self._runs: dict[str, Run] = {}
        self._sent = 0
        self._entered = False
        self._looked: set[str] = set()
        self._expected: list[Callable[[], None]] = []
        self.driving: Drive | Over = Drive(self._clock, self._begin)
        self._inherits = start is None

    # -- entering and leaving -----------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        adapters.ready()
        adopt_sleep()
        self._clock.enter()
        collect_seldom()
        self._entered = True
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()
        if error is None:
            self.check_monitors()
        if error is None and not self.faults.exploring:
            # Under exploration a script may serve another schedule than this one; the explorer judges them together.
            self.check_use()

    def close(self) -> None:
        """Show real time again, and let go of bodies that are under way."""
        if self._entered:
            self._entered = False
            collect_as_before()
            self._clock.leave()
        self._stage.close()
        self.engine.attempts.close()
        for run in self.engine.runs:
            if run.live is not None:
                run.spec.host.drop(run)

    def retire(self) -> None:
        """Let go of what only driving needs, so that memory is free at once; what happened can be read as before."""
        engine, stage, world = self.engine, self._stage, self.world
        del (
            engine.answers.engine,
            engine.attempts.engine,
            engine.remote.engine,
            stage.engine,
            stage.react,
            self.ledger.where,
        )
        engine.surroundings = self._clock.receive = self._clock.actor = self._clock.misused = world.current = None
        for run in engine.runs:
            run.surroundings = None
        world.forget()
        self._runs.clear()
        self._expected.clear()
        self.driving = OVER

    def check_monitors(self) -> None:
        """Check that all that was to hold eventually has held.

        Raises:
            AssertionError: something has not.
        """
        for check in self._expected:
            check()

    def check_use(self) -> None:
        """Check that every script was used, and warn of findings and of faults that are about nothing.

        Raises:
            UnusedScriptError: one was not, and did not say ``maybe()``.
        """
        unused = self.unused_scripts()
        if unused:
            asked = sorted({entry.id for run in self.engine.runs for entry in run.entries.values()})
            msg = (
                f"{', '.join(map(repr, unused))}: no step has used it; the steps that were asked for are "
                f"{', '.join(map(repr, asked)) or 'none'}. Correct the id, or add .maybe() if the step is optional"
            )
            raise UnusedScriptError(msg)
        found = dict.fromkeys(f"{run.spec.id}: {finding}" for run in self.engine.runs for finding in run.findings)
        idly = (reaction for reaction in self._stage.reactions if reaction.parts and not reaction.used)
        idle = [f"{reaction!r}: no wait of that name has come up; correct the name" for reaction in idly]
        for line in [*self.idle_faults(), *idle, *found]:
            warnings.warn(line, DurabilityWarning, stacklevel=3)

    def idle_faults(self) -> list[str]:
        """What to say of faults that are about a step, a function or an event of which there was none."""
        steps = (entry.id for run in self.engine.runs for entry in run.entries.values())
        return about_nothing(self.faults, steps, (event.name for event in self.engine.answers.events))

    def scripts(self) -> list[Script]:
        """All scripts that the test wrote."""
        return list(self._stage.scripts)

    def unused_scripts(self) -> list[Script]:
        """The scripts that no step has used and that did not say ``maybe()``."""
        return self._stage.scripts.unused()

    # -- time ---------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The present instant: an aware datetime in UTC. Inside a step it includes what the step has slept."""
        if self._inherits:
            self._begin()
        return as_datetime(self._clock.micros)

    def advance(self, length: Duration) -> None:
        """Let this much time pass, stopping at every due thing in order; what is due at the end is done too."""
        self._begin()
        self._advance_to(later(self.world.now, duration(length, "advance"), "advance"))

    def advance_to(self, moment: datetime | str) -> None:
        """Let time pass up to a moment, as ``advance``.

        Raises:
            UsageError: the moment is in the past.
        """
        until = instant(moment, "advance_to")
        if until < self.world.now:
            msg = f"advance_to({moment!r}) goes back from {instant_text(self.world.now)}; time only goes forward"
            raise UsageError(msg)
        self._advance_to(until)

    def _advance_to(self, until: int) -> None:
        with self.driving:
            self.world.drive(until, _never)
            self.world.move_to(until)

    def settle(self) -> None:
        """Do all that is due now; no time passes."""
        self._advance_to(self.world.now)

    def run_until(self, predicate: Callable[[], object], *, within: Duration | None = None) -> None:
        """Let time pass until the predicate holds; the clock stays where it became true.

        Raises:
            TimeoutError: it does not hold within that time, or never because nothing more is due.
        """
        if not callable(predicate):
            msg = f"run_until: {predicate!r} is no predicate; give a function, such as lambda: run.waiting_for"
            raise UsageError(msg)
        limit = None if within is None else self.world.now + duration(within, "run_until: within")
        with self.driving:
            if self.world.drive(limit, lambda: bool(predicate()), steady=False):
                return
            if limit is not None:
                self.world.move_to(limit)
        reason = "and nothing more is due" if within is None else f"within {within!r}"
        msg = f"run_until: the predicate does not hold, {reason}; it is {instant_text(self.world.now)}"
        raise TimeoutError(msg)

    def run_until_idle(self) -> None:
        """Go through sleeps, retries and scheduled events, until only unanswered waits are left."""
        with self.driving:
            self.world.drive(None, _never, idle=True)

    def drive_to(self, done: Callable[[], bool]) -> bool:
        """Let time pass until ``done()`` or until nothing more is due; whether it is done."""
        if done():
            return True
        with self.driving:
            return self.world.drive(None, done)

    # -- functions and runs -------------------------------------------------------------------------------------------

    def _spec_of(self, function: object, where: str) -> FunctionSpec:
        if self._inherits:
            self._begin()
        spec = adapters.spec_of(function, where)
        self._functions.setdefault(spec, function)
        self._know(spec)
        return spec

    def _know(self, spec: FunctionSpec) -> None:
        self.engine.known[spec.id] = spec
        if spec.on_failure is not None:
            self._functions.setdefault(spec.on_failure, spec.on_failure.source)
            self.engine.answers.listeners.functions[spec.on_failure.id] = spec.on_failure

    def function_of(self, spec: FunctionSpec) -> Any:
        """The function as it was given."""
        return self._functions.get(spec)

    def register(self, *functions: Any) -> None:
        """Let functions react to events and cron ticks. Lists of functions are taken too.

        Raises:
            UsageError: no function, or two with one id; nothing is registered then.
        """
        self._begin()
        flat: list[Any] = []
        for function in functions:
            flat += list(function) if isinstance(function, (list, tuple)) else [function]
        listeners = self.engine.answers.listeners.functions
        specs: dict[str, FunctionSpec] = {}
        for function in flat:
            spec = adapters.spec_of(function, "register")
            other = specs.get(spec.id) or listeners.get(spec.id)
            if other is not None and other is not spec:
                msg = f"register: two functions have the id {spec.id!r}; give each its own"
                raise UsageError(msg)
            specs[spec.id] = spec
            self._functions.setdefault(spec, function)
        for spec in specs.values():
            fresh = spec.id not in listeners
            listeners[spec.id] = spec
            self._know(spec)
            for number, trigger in enumerate(spec.triggers):
                if fresh and trigger.cron is not None:
                    schedule_tick(self.engine, spec, trigger, number, self.world.now)

    def start(self, function: Any, event: Event | Mapping[str, Any] | Sequence[Event] | None = None) -> Run:
        """Create a run, for an event, for a dict as the data of one, or for a list of events as a batch.

        It begins when time is driven. What would drop or gather its event does not stand in its way; a singleton, a
        throttle and limits of concurrency do.

        Raises:
            UsageError: it is no durable function, or the event is none.
        """
        spec = self._spec_of(function, "start")
        if event is None or isinstance(event, dict):
            named = next((trigger.event for trigger in spec.triggers if trigger.event), "durable/start")
            plain = not named.startswith("inngest/") and "*" not in named
            event = Event(named if plain else "durable/start", event)
        self._sent += 1
        given = self._wired(event, f"start({spec.id})")
        return self._run(self.engine.answers.start(spec, given, f"start {self._sent}"))

    def run(self, function: Any, event: Event | Mapping[str, Any] | Sequence[Event] | None = None) -> Any:
        """``start(...).wait()``: the result of the run."""
        __tracebackhide__ = True
        return self.start(function, event).wait()

    def _run(self, state: RunState) -> Run:
        run = self._runs.get(state.id)
        if run is None:
            run = self._runs[state.id] = Run(self, state)
        return run

    @property
    def runs(self) -> list[Run]:
        """Every run that was created, in order, runs of ``on_failure`` among them."""
        return [self._run(state) for state in self.engine.runs]

    def describe_wait(self, entry: Entry) -> str:
        """A waiting step in words."""
        return self.engine.answers.describe_wait(entry, self.world.now)

    # -- scripts ------------------------------------------------------------------------------------------------------

    def step(self, step_id: str, *, function: Any = None, index: int | None = None) -> Script:
        """A new script for a step; several for one step are consumed one after the other.

        Args:
            step_id: the id that the author wrote.
            function: only in this function.
            index: only this use of a reused id, from 0.
        """
        if not isinstance(step_id, str) or not step_id:
            msg = f"step: {step_id!r} is not the id of a step"
            raise UsageError(msg)
        function_id = getattr(function, "id", function)
        if function_id is not None and not isinstance(function_id, str):
            msg = f"step({step_id!r}): function={function!r} is no durable function, nor the id of one"
            raise UsageError(msg)
        if index is not None and (not isinstance(index, int) or isinstance(index, bool) or index < 0):
            msg = f"step({step_id!r}): index={index!r} is not a number of a use of the id, from 0 on"
            raise UsageError(msg)
        return self._stage.scripts.add(Script(step_id, function_id, index))

    def on_wait(self, name: str) -> Reaction:
        """What happens whenever a run waits: by the step's id, or the name of its event or signal."""
        if not isinstance(name, str) or not name:
            msg = f"on_wait: {name!r} is not the id of a step, nor the name of an event or a signal"
            raise UsageError(msg)
        reaction = Reaction(name)
        self._stage.reactions.append(reaction)
        return reaction

    def touches(self, step_id: str, *keys: str) -> None:
        """Promise that the handler of a step touches nothing but these keys; see ``pytest_durable.touches``."""
        self._stage.isolated[step_id] = keys

    # -- looking ------------------------------------------------------------------------------------------------------

    @property
    def schedule(self) -> Schedule:
        """The choices so far."""
        return self.world.choices.schedule()

    @property
    def looked(self) -> frozenset[str]:
        """The logs that somebody has looked at."""
        return frozenset(self._looked | {LOG_OF_EFFECTS} if self.ledger.was_read else self._looked)

    @property
    def ticks(self) -> int:
        """How often cron has ticked."""
        return self.engine.answers.ticks

    def report(self) -> str:
        """The timelines of all runs, as text."""
        self.look(LOG_OF_STEPS)
        return timelines(self.engine.runs)

    def always(self, predicate: Callable[[], object]) -> None:
        """From now on the predicate must hold after every happening; otherwise the drive fails there."""
        monitors.watch(self.world, predicate, "always", holds=True)

    def never(self, predicate: Callable[[], object]) -> None:
        """From now on the predicate must not hold after any happening; otherwise the drive fails there."""
        monitors.watch(self.world, predicate, "never", holds=False)

    def eventually(self, predicate: Callable[[], object], *, within: Duration) -> None:
        """The predicate must hold at some moment within that time, and before the test ends; otherwise it fails."""
        self._begin()
        self._expected.append(monitors.eventually(self.world, predicate, within))

    def __repr__(self) -> str:
        return f"<Simulation at {instant_text(self.world.now)} with {len(self.engine.runs)} runs>"


def _never() -> bool:
    return False
