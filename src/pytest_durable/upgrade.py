"""Today's code against yesterday's history: would the runs that are in flight survive the deploy?"""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from ._core.commands import RUN, SLEEP, Raised, wire_kind
from ._core.errors import DurabilityError
from ._core.runs import Entry, Failure, RunState
from .simulation import Simulation

if TYPE_CHECKING:
    from .history import History

MOST_INSERTED = 10
"""How many steps in front of a lost one are looked behind."""


def replay(function: Any, history: History) -> None:
    """Enter today's code with the recorded steps of a run, finished or not.

    A difference is a step that the history needs and today's code does not ask for, or asks for in another kind or
    order. Steps that are added behind the last recorded one are none.

    Args:
        function: today's function.
        history: of a run of yesterday's function of the same id.

    Raises:
        DurabilityError: a run in this state would not survive; both sequences side by side, and the likely rename.
    """
    with Simulation(clock="off") as simulation:
        spec = simulation.engine.surroundings.spec_of(function, "checks.replay")
        if spec.id != history.function:
            msg = f"the history is one of {history.function!r}, and the function is {spec.id!r}; compare like with like"
            raise DurabilityError(msg)
        run, before = rebuilt(history, spec, simulation)
        with simulation.driving:
            answer, _ = spec.host.probe(run, len(run.stack))
        now = [(entry.key, entry.op) for entry in run.entries.values()]
        lost = missing(before, now)
        if lost is not None:
            steps = [step for together in before for step in together]
            inserted = _inserted(history, spec, simulation, lost)
            raise DurabilityError(_explain(history, steps, now, lost, inserted))
        woken = None if isinstance(answer, Raised) else _behind_sleeps(history, spec, simulation)
    ended_badly = any(what in {"run.failed", "run.cancelled"} for _, what, _, _ in history.facts)
    if isinstance(answer, Raised) and not ended_badly:
        msg = (
            f"today's {history.function} raises {type(answer.error).__name__}: {answer.error} when it is entered with "
            f"the {len(run.stack)} recorded steps of the run {history.run}"
        )
        raise DurabilityError(msg) from answer.error
    if woken is not None and not ended_badly:
        slept, error = woken
        msg = (
            f"today's {history.function} raises {type(error).__name__}: {error} as soon as the sleep '{slept}' of the "
            f"run {history.run} is over, in which it is now"
        )
        raise DurabilityError(msg) from error


def rebuilt(history: History, spec: Any, simulation: Simulation) -> tuple[RunState, list[list[tuple[str, str]]]]:
    """The state of the run as the history tells it, and its steps in the order in which they were asked for.

    Steps that one invocation asked for together, side by side, are one list: they have no order among themselves.
    """
    run = RunState(history.run, spec, history.events, simulation.world.now)
    run.surroundings = simulation.engine.surroundings
    run.started_at = simulation.world.now
    run.recalled = recalled = {}
    asked: list[list[tuple[str, str]]] = []
    before = ""
    for at, what, key, rest in history.facts:
        if what == "step.asked":
            if before != "step.asked":
                asked.append([])
            asked[-1].append((key, rest["op"]))
            recalled[key] = Entry(key, rest["id"], rest["index"], rest["op"], None)
        elif what in {"step.completed", "step.failed"}:
            entry = recalled[key]
            if what == "step.completed":
                entry.stored = _stored(rest["output"])
            else:
                entry.failure = Failure(rest["error"]["name"], rest["error"]["message"], kind=rest["kind"])
            run.record(entry, at)
        before = what
    return run, asked


def _inserted(history: History, spec: Any, simulation: Simulation, lost: tuple[str, str]) -> list[str]:
    """The steps that today's code asks for first, if it asks for the lost one behind them; [] if it does not."""
    inserted: list[str] = []
    for _ in range(MOST_INSERTED):
        run, before = rebuilt(history, spec, simulation)
        recorded = {key for together in before for key, _ in together}
        for key in inserted:
            # Nobody knows what such a step would return; None shows what comes behind it, if the body can do with that.
            entry = Entry(key, key, 0, RUN, None)
            run.recalled = {**run.recalled, key: entry}
            entry.stored = _stored(None)
            run.record(entry, simulation.world.now)
        with simulation.driving:
            spec.host.probe(run, len(run.stack))
        asked = list(run.entries)
        if lost[0] in asked:
            return inserted
        fresh = [key for key in asked if key not in recorded and key not in inserted]
        if not fresh:
            return []
        inserted += fresh
    return []


def _behind_sleeps(history: History, spec: Any, simulation: Simulation) -> tuple[str, BaseException] | None:
    """The sleep in which the run is, and what today's code raises behind it; None if there is neither."""
    run, _ = rebuilt(history, spec, simulation)
    asleep = [entry for entry in run.recalled.values() if entry.op == SLEEP and not entry.done]
    for entry in asleep:
        entry.stored = _stored(None)
        run.record(entry, simulation.world.now)
    if not asleep:
        return None
    with simulation.driving:
        answer, _ = spec.host.probe(run, len(run.stack))
    return (asleep[0].key, answer.error) if isinstance(answer, Raised) else None


def _stored(output: Any) -> Any:
    import json

    return (None, json.dumps(output))


def missing(before: list[list[tuple[str, str]]], now: list[tuple[str, str]]) -> tuple[str, str] | None:
    """The first step of ``before`` that ``now`` does not have, or not behind the steps asked for earlier."""
    places = {(key, wire_kind(op)): position for position, (key, op) in enumerate(now)}
    reached = -1
    for together in before:
        found = [places.get((key, wire_kind(op)), -1) for key, op in together]
        for step, place in zip(together, found, strict=True):
            if place <= reached:
                return step
        reached = max(found)
    return None


def _explain(
    history: History,
    before: list[tuple[str, str]],
    now: list[tuple[str, str]],
    lost: tuple[str, str],
    inserted: list[str],
) -> str:
    left, right = [f"{key} ({op})" for key, op in before], [f"{key} ({op})" for key, op in now]
    width = max([len("history"), *map(len, left)])
    rows = [f"  {'history':<{width}}   today"]
    for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        for offset in range(max(b - a, d - c)):
            one = left[a + offset] if a + offset < b else ""
            other = right[c + offset] if c + offset < d else ""
            mark = " " if tag == "equal" else "-" if not other else "+" if not one else "!"
            rows.append(f"{mark} {one:<{width}}   {other}".rstrip())
    key, op = lost
    recorded = {step for step, _ in before}
    fresh = [step for step, kind in now if step not in recorded and kind == op]
    rename = max(fresh, key=lambda step: SequenceMatcher(None, step, key).ratio(), default=None)
    hint = f" It looks as if it was renamed to '{rename}'." if rename is not None else ""
    if inserted:
        names = ", ".join(f"'{step}'" for step in inserted)
        hint = f" It asks for {names} first, which was put in before it."
    if any(step == key for step, _ in now):
        hint = " Today's code asks for it in another order or as another kind of step."
    return (
        f"runs of {history.function} that are in flight would not survive: today's code does not ask for the step "
        f"'{key}' ({op}), which the history has.{hint}\n" + "\n".join(rows) + "\n"
        "Keep the ids of steps that running functions have passed; give new work new ids behind them, or a new function"
    )
