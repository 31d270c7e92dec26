"""Checks of what a platform may do to a run: crash its worker, deliver twice, and bring events in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._core.choices import First
from ._core.commands import WAIT
from ._core.errors import BoundReachedError, LimitError, NonDeterminismError
from ._core.instants import as_datetime
from .choosers import Every, Follow, Pruned
from .events import Event
from .exploration import Explorer, Report
from .faults import Injection, crash, redelivery
from .report import short
from .simulation import Simulation
from .subjects import Ending, Subject, Verdict, at, deviations, ending, keyed, shape
from .trials import Trial, difference, simulate, story

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .run import Run

ORDERS = 300
"""How many orders of a function and its surroundings ``wait_ordering`` looks at."""

WORK = 3_000_000
"""How many steps a check that runs a function many times may replay in all."""

LEAST_POINTS = 10
"""How many crash points, or requests that are delivered again, are tried in any case."""


def crash_anywhere(subject: Subject) -> Verdict:
    """Whichever commit point the worker dies at, the outcome is the same and keyed effects happen once."""
    verdict = Verdict("crash_anywhere")
    _, run = subject.baseline
    if run._state.spec.attempts == 1:  # noqa: SLF001 - checks look into the run
        verdict.not_reached = "the function has retries=0, so a crash ends its run"
        return verdict
    wanted, effects = ending(run), subject.effects
    if run.error is not None:
        verdict.not_reached = f"the run fails without any crash ({run.error.name}), see terminates"
        return verdict
    points = survived = 0
    schedules, left = spread(deviations(subject, [crash()], "the attempt at", "the end of"), run)
    for indices in schedules:
        crashed, again = subject.run(Follow(indices), faults=[crash()])
        if _befell_the_last_attempt(crashed, run):
            continue
        points += 1
        wrong = _difference(wanted, effects, ending(again), keyed(crashed))
        if wrong:
            verdict.violations.append(f"{wrong}\n  {story(crashed)}\n{at(crashed)}")
        else:
            survived += 1
    verdict.proved = f"{survived} of {points} crash points survived"
    if not points:
        verdict.not_reached = "the run has no step that a worker executes"
    elif left:
        verdict.not_reached = f"{left} other crash points of a long run; explore(..., faults=['crash']) tries all"
    return verdict


def _befell_the_last_attempt(crashed: Simulation, run: Run) -> bool:
    """Whether a crash befell an attempt behind which there is none, which nobody can survive."""
    taken = [one.taken for one in crashed.world.choices.deviations if isinstance(one.taken, Injection)]
    return any(injection.attempt >= run._state.spec.attempts for injection in taken)  # noqa: SLF001 - as above


def spread(schedules: list[list[int]], run: Run) -> tuple[list[list[int]], int]:
    """As many of these schedules as a check can run in a few seconds, evenly spread, and how many are left out.

    A run of n steps is entered n times with up to n steps to replay, so its cost grows with the square.
    """
    most = max(LEAST_POINTS, WORK // max(1, len(run.steps)) ** 2)
    if len(schedules) <= most:
        return schedules, 0
    chosen = [schedules[number * (len(schedules) - 1) // (most - 1)] for number in range(most)]
    return chosen, len(schedules) - most


def _difference(wanted: Ending, effects: Any, had: Ending, recorded: Any) -> str:
    """What is otherwise than in the default order, in words: how the run ended, its steps, or a keyed effect."""
    in_turn, steps = had.in_turn and wanted.in_turn, had.steps
    ends = had[:2] != wanted[:2]
    if ends or sorted(steps) != sorted(wanted.steps) or (in_turn and steps != wanted.steps):
        without = f"{wanted.status} with {list(wanted.steps)} without it"
        ended = " ".join(filter(None, had[:2]))
        return f"the run {ended} with the steps {list(steps)}, and {without}"
    if shape(had.result) != shape(wanted.result):
        return f"the run returned {short(had.result)}, and {short(wanted.result)} without it"
    for who in sorted({*effects, *recorded}):
        if recorded.get(who, 0) != effects.get(who, 0):
            had_times, times = recorded.get(who, 0), effects.get(who, 0)
            return f"the effect {who[0]} {who[1]} happened {had_times} times, and {times} without it"
    return ""


def wait_ordering(subject: Subject) -> Verdict:
    """In every order of what happens at one instant, an event that a wait is meant for is not lost to it."""
    verdict = Verdict("wait_ordering")
    _, baseline = subject.baseline
    waits = [entry for entry in baseline._state.stack if entry.op == WAIT]  # noqa: SLF001 - checks look into the run
    if not waits and not baseline.waiting_for:
        verdict.not_reached = "the run waits for no event"
        return verdict
    lost: list[str] = []

    def execute(chooser: Any) -> Trial:
        simulation = simulate(chooser)
        try:
            with simulation:
                run = subject.go(simulation)
        except Pruned:
            return Trial(simulation, None, pruned=True)
        _lost_wakeups(simulation, run, lost)
        return Trial(simulation, None)

    report = Report("every", 0)
    Explorer(execute, Every(), report, max_schedules=ORDERS).run()
    verdict.violations += lost[:3]
    moments = _at_moments(subject, baseline, verdict)
    extent = "all" if report.complete else "the first"
    verdict.proved = f"{extent} {report.schedules} orders of what happens at equal instants, and {moments}"
    return verdict


def _lost_wakeups(simulation: Simulation, run: Run, lost: list[str]) -> None:
    """Events that a wait was meant for, came during the run and before the wait, and woke nothing in it."""
    state = run._state  # noqa: SLF001 - checks look into the run
    triggers = {event["id"] for event in state.events}
    for entry in [*state.stack, *state.pending.values()]:
        if entry.op != WAIT or (entry.done and entry.stored[1] is not None) or entry.started_at is None:
            continue
        command: Any = entry.command
        for event in simulation.engine.answers.events:
            early = state.queued_at <= event.sent_at <= entry.started_at
            if event.name != command.event or not early or event.wire["id"] in triggers:
                continue
            used = any(woken.startswith(f"{state.spec.id} at ") for woken in event.outcome.woke)
            if not used and command.matches(event.wire, 0) is None:
                lost.append(
                    f"the event {event.name!r} that '{entry.key}' waits for came before the wait was registered, "
                    f"and was lost: {story(simulation)}. Register the wait together with what "
                    "asks for the answer: asyncio.gather(ctx.step.wait_for_event(...), ctx.step.send_event(...))\n"
                    f"{at(simulation)}"
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
        queued = baseline._state.queued_at  # noqa: SLF001 - as above
        moments = [queued] if queued < entry.started_at else []
        moments += [entry.started_at, entry.started_at + 1]
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
        with simulate(First()) as simulation:
            simulation.send(event, at=as_datetime(max(moment, simulation.world.now)))
            run = subject.go(simulation)
            if run.error is not None and isinstance(run.error.exception, LimitError):
                return str(run.error)
    except (NonDeterminismError, BoundReachedError) as error:
        return str(error)
    return ""


class AtOnce(Follow):
    """Lets what is delivered again arrive before anything else happens."""

    def choose(self, label: str, options: Sequence[object]) -> int:
        """The next index; a second delivery where there is one."""
        index = super().choose(label, options)
        kinds = [getattr(option, "kind", "") for option in options]
        return kinds.index("again") if "again" in kinds else index


def duplicate_delivery(subject: Subject) -> Verdict:
    """The same event twice starts one run; a request that is delivered again has no effect and changes no outcome."""
    verdict = Verdict("duplicate_delivery")
    _, run = subject.baseline
    wanted, effects = ending(run), subject.effects
    parts = []
    trigger = next((one.event for one in run._state.spec.triggers if one.event), None)  # noqa: SLF001 - as above
    if trigger is None or trigger.startswith("inngest/"):
        verdict.not_reached = "the function has no event as its trigger"
    else:
        with simulate(First()) as twice:
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
    if run.error is not None:
        verdict.proved = "; ".join(parts)
        failed = f"the run fails anyway ({run.error.name}), see terminates"
        verdict.not_reached = f"requests that are delivered again: {failed}"
        return verdict
    delivered = 0
    schedules, left = spread(deviations(subject, [redelivery()], "the request of"), run)
    for chooser in [follow(indices) for indices in schedules for follow in (Follow, AtOnce)]:
        delivered += 1
        again, other = subject.run(chooser, faults=[redelivery()])
        recorded = keyed(again)
        if recorded != effects:
            what = f"had effects\n{difference(Trial(again, None), subject.trial)}"
        elif wrong := _difference(wanted, effects, ending(other), recorded):
            what = f"changed the run: {wrong}"
        else:
            continue
        told = f"a request that was delivered again {what}\n  {story(again)}\n{at(again)}"
        if told not in verdict.violations:
            verdict.violations.append(told)
    verdict.proved = "; ".join([*parts, f"{delivered} times a request was delivered again, at once and late"])
    if left:
        missed = [verdict.not_reached, f"{left} other requests of a long run"]
        verdict.not_reached = "; ".join(filter(None, missed))
    return verdict
