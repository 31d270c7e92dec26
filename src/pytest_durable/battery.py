"""The checks of the battery, one function each.

A check is a function from a ``Subject`` to a ``Verdict``: what is wrong, what was proved, and what was not reached.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._core import wire
from ._core.choices import First
from ._core.commands import TIMER_OP, WAIT, Raised, Returned
from ._core.errors import BoundReachedError, LimitError, NonDeterminismError, UsageError
from ._core.instants import DAY, HOUR, MINUTE, SECOND, as_datetime, duration_text
from ._core.results import VALUE
from .choosers import Every, Follow, Labelled, Pruned
from .events import Event
from .exploration import Explorer, Report, Trial, difference, simulate, story
from .faults import crash, redelivery
from .invocation import source_of
from .purity import Watch, watching
from .reordering import order_of_sets
from .simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._core.results import Result
    from ._core.runs import Entry, RunState
    from .run import Run

ORDERS = 300
"""How many orders of a function and its surroundings ``wait_ordering`` looks at."""


@dataclass
class Verdict:
    """What a check says.

    Attributes:
        check: its name.
        violations: what is wrong, with the schedule that shows it.
        proved: what was shown, with figures.
        not_reached: what the check could not look at, or "".
    """

    check: str
    violations: list[str] = field(default_factory=list)
    proved: str = ""
    not_reached: str = ""

    def __str__(self) -> str:
        if self.violations:
            return "\n".join(f"{self.check}: {violation}" for violation in self.violations)
        return f"{self.check}: {self.proved or 'nothing to look at'}" + (
            f" (not reached: {self.not_reached})" if self.not_reached else ""
        )


class Subject:
    """A function under check, and how to run it.

    Args:
        function: the function.
        event: what starts it: an event, a dict as the data of one, or None.
        setup: is called with the simulation before each run; it can register functions, write scripts, reset fakes.
        allow: impure calls that are fine, such as "time.time" or "file".
    """

    def __init__(self, function: Any, event: Any, setup: Callable[[Simulation], object] | None,
                 allow: Iterable[str] = ()) -> None:  # fmt: skip
        self.function = function
        self.event = event
        self.setup = setup
        self.allow = tuple(allow)

    def run(self, chooser: Any = None, **settings: Any) -> tuple[Simulation, Run]:
        """Run the function once, to its end or until nothing more is due."""
        with simulate(chooser or First(), **settings) as simulation:
            run = self.go(simulation)
        return simulation, run

    def go(self, simulation: Simulation) -> Run:
        """Set a simulation up and run the function in it."""
        simulation._stage.strict = True  # noqa: SLF001 - checks look into the simulation
        if self.setup is not None:
            self.setup(simulation)
        run = simulation.start(self.function, self.event)
        state = run._state  # noqa: SLF001 - checks look into the run
        simulation.drive_to(lambda: state.ended_at is not None)
        return run

    @functools.cached_property
    def baseline(self) -> tuple[Simulation, Run]:
        """The run in the default order, without faults."""
        return self.run()


def outcome(run: Run) -> tuple[str, str, tuple[str, ...], bool]:
    """What must not change: how a run ended, and the sequence of its steps; not the values that steps may mint.

    The last part says whether its steps ended in the order in which the body asked for them. Where they did not, or
    might not have, they stood side by side, and one that is tried again ends behind its siblings.
    """
    steps = tuple(run.steps)
    in_turn = steps == tuple(run._state.entries)  # noqa: SLF001 - checks look into the run
    return (str(run.status), run.error.name if run.error is not None else "", steps, in_turn)


def keyed(simulation: Simulation) -> dict[tuple[str, str], int]:
    """How often each effect with a key was recorded."""
    return {who: count for who, count in simulation.ledger.counts().items() if who[1] != "None"}


# -- the checks -------------------------------------------------------------------------------------------------------


def replay_determinism(subject: Subject) -> Verdict:
    """Entered with any prefix of the memo, at another time and with other chance, the body asks for the same steps."""
    verdict = Verdict("replay_determinism")
    try:
        simulation, run = subject.baseline
    except NonDeterminismError as error:
        verdict.violations.append(str(error))
        return verdict
    state = run._state  # noqa: SLF001 - checks look into the run
    prefixes = 0
    generator = random.getstate()
    try:
        for limit in range(len(state.stack) + 1):
            for variation in (1, 2):
                random.seed(variation * 7919 + limit)
                simulation._clock.show(simulation.world.now + variation * (DAY + HOUR + MINUTE + SECOND))  # noqa: SLF001
                with simulation.driving:
                    answer, asked = state.spec.host.probe(state, limit)  # type: ignore[attr-defined]
                wrong = _difference(run, limit, answer, asked)
                if wrong:
                    verdict.violations.append(wrong)
                    return verdict
            wrong = order_of_sets(simulation, state, limit)
            if wrong:
                verdict.violations.append(wrong)
                return verdict
            prefixes += 1
    finally:
        random.setstate(generator)
    verdict.proved = f"{prefixes} prefixes of the memo, each entered twice with another clock and other chance"
    return verdict


def _difference(run: Run, limit: int, answer: Any, asked: int) -> str:
    state = run._state  # noqa: SLF001 - checks look into the run
    if isinstance(answer, Raised) and isinstance(answer.error, NonDeterminismError):
        return str(answer.error)
    complete = limit == len(state.stack)
    if complete and asked < len(state.entries):
        lost = list(state.entries)[asked]
        return f"entered with all {limit} recorded steps, the body does not ask for '{lost}' any more"
    if complete and isinstance(answer, Returned) and state.result is not None:
        recorded = run.result
        now = wire.copy(answer.value, f"the result of {run.function_id}")
        if now != recorded:
            return f"with the same memo the body returns {now!r}, and returned {recorded!r} before"
    return ""


def crash_anywhere(subject: Subject) -> Verdict:
    """Whichever commit point the worker dies at, the outcome is the same and keyed effects happen once."""
    verdict = Verdict("crash_anywhere")
    simulation, run = subject.baseline
    if run._state.spec.attempts == 1:  # noqa: SLF001 - checks look into the run
        verdict.not_reached = "the function has retries=0, so a crash ends its run"
        return verdict
    wanted, effects = outcome(run), keyed(simulation)
    points = survived = 0
    for indices in _deviations(subject, [crash()], "the attempt at", "the end of"):
        points += 1
        crashed, again = subject.run(Follow(indices), faults=[crash()])
        wrong = _crash_difference(wanted, effects, outcome(again), keyed(crashed))
        if wrong:
            verdict.violations.append(f"{wrong}\n  {story(crashed)}\n{_at(crashed)}")
        else:
            survived += 1
    verdict.proved = f"{survived} of {points} crash points survived"
    if not points:
        verdict.not_reached = "the run has no step that a worker executes"
    return verdict


def _at(simulation: Simulation) -> str:
    return f"  schedule: {simulation.schedule}"


def _crash_difference(wanted: Any, effects: Any, had: Any, recorded: Any) -> str:
    in_turn = had[3] and wanted[3]
    if had[:2] != wanted[:2] or sorted(had[2]) != sorted(wanted[2]) or (in_turn and had[2] != wanted[2]):
        without = f"{wanted[0]} with {list(wanted[2])} without it"
        return f"the run {had[0]} {had[1]} with the steps {list(had[2])}, and {without}"
    for who in sorted({*effects, *recorded}):
        if recorded.get(who, 0) != effects.get(who, 0):
            had_times, times = recorded.get(who, 0), effects.get(who, 0)
            return f"the effect {who[0]} {who[1]} happened {had_times} times, and {times} without it"
    return ""


def _deviations(subject: Subject, faults: list[Any], *labels: str) -> list[list[int]]:
    """For every choice of these labels in the default order: the schedules that deviate there alone."""
    chooser = Labelled([])
    subject.run(chooser, faults=faults)
    return [
        [0] * position + [index]
        for position, (said, count) in enumerate(chooser.labels)
        if said.startswith(labels)
        for index in range(1, count)
    ]


def impure_body(subject: Subject) -> Verdict:
    """Outside steps the body uses no clock, chance, environment, file or network, and has no effects."""
    verdict = Verdict("impure_body")
    with watching() as watch:
        try:
            simulation, run = subject.run()
        except NonDeterminismError:
            simulation, run = None, None
    for use in _uses(watch, subject.allow):
        verdict.violations.append(
            f"{use}; a replay sees another value. Move it into a step, or allow it with allow=[{use.what!r}]"
        )
    if simulation is not None and run is not None:
        outside: dict[tuple[str, str], list[int]] = {}
        for effect in simulation.ledger.effects:
            if effect.run == run.id and not effect.step:
                outside.setdefault((effect.name, repr(effect.key)), []).append(effect.invocation)
        for (name, key), invocations in outside.items():
            verdict.violations.append(
                f"the effect {name} {key} was recorded {len(invocations)} times outside any step, in "
                f"{run.invocations} invocations of the body; put it into a step"
            )
        verdict.proved = f"{run.invocations} invocations of the body watched"
    return verdict


def _uses(watch: Watch, allow: tuple[str, ...]) -> list[Any]:
    return [use for use in watch.uses if use.what not in allow and use.kind not in allow]


def step_limits(subject: Subject) -> Verdict:
    """The run stays within the limits of steps, bytes of a step and bytes of a run."""
    verdict = Verdict("step_limits")
    simulation, run = subject.baseline
    state, limits = run._state, simulation.engine.limits  # noqa: SLF001 - checks look into the run
    if state.failure is not None and isinstance(state.failure.exception, LimitError):
        verdict.violations.append(str(state.failure))
    sizes = {
        entry.key: wire.store(wire.load(entry.stored), entry.key)[1] for entry in state.stack if entry.op != TIMER_OP
    }
    largest = max(sizes, key=lambda key: sizes[key], default=None)
    big = f", the largest output {sizes[largest]:,} of {limits.step_bytes:,} bytes in '{largest}'" if largest else ""
    verdict.proved = (
        f"{len(state.entries):,} of {limits.steps:,} steps{big}, {state.bytes:,} of {limits.run_bytes:,} bytes"
    )
    return verdict


def wait_ordering(subject: Subject) -> Verdict:
    """In every order of what happens at one instant, an event that a wait is meant for is not lost to it."""
    verdict = Verdict("wait_ordering")
    _, baseline = subject.baseline
    waits = [entry for entry in baseline._state.stack if entry.op == WAIT]  # noqa: SLF001 - checks look into the run
    if not waits and not baseline.waiting_for:
        verdict.not_reached = "the run waits for no event"
        return verdict
    woken: set[str] = {entry.key for entry in waits if entry.stored[1] is not None}
    lost: list[str] = []

    def execute(chooser: Any) -> Trial:
        simulation = simulate(chooser)
        try:
            with simulation:
                run = subject.go(simulation)
        except Pruned:
            return Trial(simulation, None, pruned=True)
        _lost_wakeups(simulation, run, woken, lost)
        return Trial(simulation, None)

    report = Report("every", 0)
    Explorer(execute, Every(), report, max_schedules=ORDERS).run()
    verdict.violations += lost[:3]
    moments = _at_moments(subject, baseline, verdict)
    extent = "all" if report.complete else "the first"
    verdict.proved = f"{extent} {report.schedules} orders of what happens at equal instants, and {moments}"
    return verdict


def _lost_wakeups(simulation: Simulation, run: Run, woken: set[str], lost: list[str]) -> None:
    state = run._state  # noqa: SLF001 - checks look into the run
    for entry in state.stack:
        if entry.op != WAIT or entry.stored[1] is not None or entry.key not in woken or entry.started_at is None:
            continue
        command: Any = entry.command
        for event in simulation.engine.answers.events:
            early = state.queued_at <= event.sent_at <= entry.started_at
            if event.name == command.event and early and command.matches(event.wire, 0) is None:
                lost.append(
                    f"the event {event.name!r} that '{entry.key}' waits for came before the wait was registered, "
                    f"and was lost: {story(simulation)}. Register the wait together with what "
                    "asks for the answer: asyncio.gather(ctx.step.wait_for_event(...), ctx.step.send_event(...))\n"
                    f"{_at(simulation)}"
                )


def _at_moments(subject: Subject, baseline: Run, verdict: Verdict) -> str:
    """The event of each wait, made of the run's own data: before the wait, at it, behind it and at the deadline."""
    done = 0
    skipped = []
    for entry in baseline._state.stack:  # noqa: SLF001 - checks look into the run
        command: Any = entry.command
        if entry.op != WAIT or entry.started_at is None:
            continue
        event = Event(command.event, baseline.event.data)
        wired = {"name": event.name, "data": event.data, "id": "x", "ts": 0, "user": {}}
        if command.matches(wired, 0) is not None:
            skipped.append(entry.key)
            continue
        moments = [entry.started_at, entry.started_at + 1]
        if command.timeout is not None:
            moments += [entry.started_at + command.timeout]
        for moment in moments:
            done += 1
            problem = _with_event(subject, event, moment)
            if problem:
                verdict.violations.append(f"with {event.name!r} at {as_datetime(moment)}: {problem}")
    if skipped:
        verdict.not_reached = f"no event could be made that {', '.join(map(repr, skipped))} accepts"
    return f"{done} moments of an event"


def _with_event(subject: Subject, event: Event, moment: int) -> str:
    try:
        with Simulation() as simulation:
            simulation.send(event, at=as_datetime(max(moment, simulation.world.now)))
            run = subject.go(simulation)
            if run.error is not None and isinstance(run.error.exception, LimitError):
                return str(run.error)
    except (NonDeterminismError, BoundReachedError) as error:
        return str(error)
    return ""


def duplicate_delivery(subject: Subject) -> Verdict:
    """The same event twice starts one run; a request that is delivered again has no second effect."""
    verdict = Verdict("duplicate_delivery")
    simulation, run = subject.baseline
    effects = keyed(simulation)
    parts = []
    trigger = next((one.event for one in run._state.spec.triggers if one.event), None)  # noqa: SLF001 - as above
    if trigger is None or trigger.startswith("inngest/"):
        verdict.not_reached = "the function has no event as its trigger"
    else:
        with Simulation() as twice:
            if subject.setup is not None:
                subject.setup(twice)
            twice.register(subject.function)
            for _ in range(2):
                twice.send(Event(run.event.name, run.event.data, "the same id"))
            twice.drive_to(lambda: all(one.ended_at is not None for one in twice.runs) and len(twice.runs) > 0)
        runs = [one for one in twice.runs if one.function_id == run.function_id]
        if len(runs) != 1:
            verdict.violations.append(f"the same event twice started {len(runs)} runs")
        parts.append("the same event twice starts one run")
    delivered = 0
    for indices in _deviations(subject, [redelivery()], "the request of"):
        delivered += 1
        again, _ = subject.run(Follow(indices), faults=[redelivery()])
        if keyed(again) != effects:
            trial, base = Trial(again, None), Trial(simulation, None)
            verdict.violations.append(
                f"a request that was delivered again had effects\n  {story(again)}\n"
                f"{difference(trial, base)}\n{_at(again)}"
            )
    verdict.proved = "; ".join([*parts, f"{delivered} requests delivered again"])
    return verdict


def json_fidelity(subject: Subject) -> Verdict:
    """What steps and the function return is the same behind its way over JSON."""
    verdict = Verdict("json_fidelity")
    seen: dict[str, str] = {}
    count = 0

    def look(who: str, value: Any) -> None:
        nonlocal count
        count += 1
        found = changed(value, "")
        if found and who not in seen:
            seen[who] = f"{who} returns {found}"

    with simulate(First()) as simulation:
        stage = simulation._stage  # noqa: SLF001 - the check looks at results before they cross the wire
        attempt = stage.attempt

        def looking(run: RunState, entry: Entry) -> Result:
            result = attempt(run, entry)
            if result.kind == VALUE:
                look(f"step '{entry.key}' of {run.spec.id}", result.payload)
            return result

        stage.attempt = looking  # type: ignore[method-assign]
        run = subject.go(simulation)
    if isinstance(getattr(run._state.failure, "exception", None), UsageError):  # noqa: SLF001 - as above
        seen["result"] = str(run.error)
    verdict.violations += seen.values()
    verdict.proved = f"{count} outputs are the same behind JSON"
    return verdict


def changed(value: Any, place: str) -> str:
    """What JSON changes in a value, in words; "" if nothing."""
    where = f" at {place.lstrip('.')}" if place else ""
    if isinstance(value, dict):
        for key, part in value.items():
            if type(key) is not str:
                return f"a dict with the key {key!r} ({type(key).__name__}){where}, which becomes text; use text"
            if found := changed(part, f"{place}.{key}"):
                return found
        return "" if type(value) is dict else f"a {type(value).__name__}{where}, which becomes a dict"
    if isinstance(value, tuple):
        return f"a {type(value).__name__}{where}, which becomes a list; return a list"
    if isinstance(value, list):
        return next((found for i, part in enumerate(value) if (found := changed(part, f"{place}[{i}]"))), "")
    plain = (str, int, float, bool, type(None))
    if type(value) in plain or not isinstance(value, plain):
        return ""
    return f"a {type(value).__name__}{where}, which becomes a {type(value).__mro__[1].__name__}"


def terminates(subject: Subject) -> Verdict:
    """The run comes to an end by itself, within the bounds."""
    verdict = Verdict("terminates")
    try:
        simulation, run = subject.baseline
    except BoundReachedError as error:
        verdict.violations.append(str(error))
        return verdict
    state = run._state  # noqa: SLF001 - checks look into the run
    if state.ended_at is None:
        waits = "; ".join(simulation.describe_wait(entry) for entry in state.pending.values())
        verdict.violations.append(f"the run never ends: {waits}. Give the wait a timeout, or answer it in setup")
    elif run.error is not None:
        verdict.violations.append(
            f"without any fault the run fails: {run.error}. Give check_durable the event and the setup that it needs"
        )
    else:
        length = duration_text(state.ended_at - (state.started_at or state.ended_at))
        verdict.proved = f"the run {run.status} after {length} and {run.invocations} invocations"
    return verdict


def id_stability(subject: Subject) -> Verdict:
    """At another time, in another run and with the same results of steps, the body asks for steps of the same ids."""
    verdict = Verdict("id_stability")
    simulation, run = subject.baseline
    recorded = {entry.key: entry for entry in run._state.stack}  # noqa: SLF001 - checks look into the run
    later = as_datetime(simulation.world.now + 40 * DAY + HOUR + SECOND)
    with simulate(First(), start=later, seed=12345) as other:
        stage = other._stage  # noqa: SLF001 - the check puts recorded results in place of steps
        attempt = stage.attempt

        def remembered(state: RunState, entry: Entry) -> Result:
            known = recorded.get(entry.key)
            result = attempt(state, entry)
            if known is not None and known.done and known.failure is None and state.spec.id == run.function_id:
                result.payload, result.kind = wire.load(known.stored), VALUE
            return result

        stage.attempt = remembered  # type: ignore[method-assign, assignment]
        again = subject.go(other)
    had, has = list(run._state.entries), list(again._state.entries)  # noqa: SLF001 - as above
    position = next((i for i, (one, two) in enumerate(zip(had, has, strict=False)) if one != two), None)
    if position is not None:
        source = source_of(run._state, had[position])  # noqa: SLF001 - as above
        verdict.violations.append(
            f"with the same results of steps, step {position + 1} is '{had[position]}' in one run and "
            f"'{has[position]}' in another, at {source}; an id must not contain the time, a run id or chance"
        )
    verdict.proved = f"{len(had)} ids are the same in another run"
    return verdict


BATTERY: dict[str, Callable[[Subject], Verdict]] = {
    check.__name__: check
    for check in (terminates, replay_determinism, impure_body, crash_anywhere, duplicate_delivery, wait_ordering,
                  json_fidelity, id_stability, step_limits)
}  # fmt: skip
"""The checks by name, in the order in which they run."""
