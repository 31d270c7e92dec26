"""The checks of the battery, one function each.

A check is a function from a ``Subject`` to a ``Verdict``: what is wrong, what was proved, and what was not reached.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from . import events
from ._core import wire
from ._core.choices import First
from ._core.commands import TIMER_OP, Raised, Returned
from ._core.errors import BoundReachedError, LimitError, NonDeterminismError, UsageError
from ._core.instants import DAY, HOUR, MINUTE, SECOND, as_datetime, duration_text
from ._core.results import VALUE, at_the_end
from .deliveries import crash_anywhere, duplicate_delivery, wait_ordering
from .invocation import source_of
from .purity import Watch, watching
from .reordering import order_of_sets
from .subjects import Subject, Verdict
from .trials import simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core.results import Result
    from ._core.runs import Entry, RunState
    from .run import Run
    from .simulation import Simulation


MOST_PREFIXES = 300
"""How many prefixes of the memo a body is entered with, evenly spread."""


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
    simulation.ledger.muted = True
    try:
        whole = len(state.stack)
        for limit in sorted({number * whole // MOST_PREFIXES for number in range(MOST_PREFIXES + 1)}):
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
        simulation.ledger.muted = False
    wrong = _in_place(subject, run)
    if wrong:
        verdict.violations.append(wrong)
        return verdict
    verdict.proved = f"{prefixes} prefixes of the memo, each entered twice with another clock and other chance"
    return verdict


def _in_place(subject: Subject, run: Run) -> str:
    """How a run that goes on in place ends otherwise, with the same results of steps; "" if it does not."""
    if run.error is not None or run.ended_at is None:
        return ""
    with simulate(First(), replay="checkpoint") as other:
        again = _with_results_of(subject, run, other)
    state, there = run._state, again._state  # noqa: SLF001 - checks look into the run
    if there.failure is None and (state.result is None or there.result is None or run.result == again.result):
        return ""
    ended = f"it returns {again.result!r}" if there.failure is None else f"it fails with {there.failure}"
    return (
        f"entered anew behind every step the body returns {run.result!r}, and where it goes on in place {ended}: the "
        "outcome lives in a variable that a handler changes, which is lost whenever the body is entered anew. Let the "
        "step return what it computes, and use what it returns"
    )


def _with_results_of(subject: Subject, run: Run, simulation: Simulation) -> Run:
    """Run the function once more, with the recorded results of a run in place of those of its steps."""
    recorded = {entry.key: entry for entry in run._state.stack}  # noqa: SLF001 - checks look into the run
    stage = simulation._stage  # noqa: SLF001 - the check puts recorded results in place of steps
    attempt = stage.attempt

    def remembered(state: RunState, entry: Entry) -> Result:
        known = recorded.get(entry.key)

        def as_recorded(result: Result) -> Result:
            if known is not None and known.done and known.failure is None and state.spec.id == run.function_id:
                result.payload, result.kind = wire.load(known.stored), VALUE
            return result

        return at_the_end(attempt(state, entry), as_recorded)

    stage.attempt = remembered  # type: ignore[method-assign, assignment]  # as above
    return subject.go(simulation)


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


def impure_body(subject: Subject) -> Verdict:
    """Outside steps the body uses no clock, chance, environment, file or network, and has no effects."""
    verdict = Verdict("impure_body")
    with watching() as watch:
        try:
            simulation, run = subject.run(replay=subject.replay)
        except NonDeterminismError:
            simulation, run = None, None
    for use in _uses(watch, subject.allow):
        again = "does it again" if use.kind in {"network", "process"} else "sees another value"
        verdict.violations.append(
            f"{use}; a replay {again}. Move it into a step, or allow it with allow=[{use.what!r}]"
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


def json_fidelity(subject: Subject) -> Verdict:
    """What steps and functions return, send and invoke with is the same behind its way over JSON."""
    verdict = Verdict("json_fidelity")
    seen: dict[str, str] = {}
    count = 0

    def look(who: str, value: Any, verb: str = "returns") -> None:
        nonlocal count
        count += 1
        found = changed(value, "")
        if found and who not in seen:
            seen[who] = f"{who} {verb} {found}"

    with (
        simulate(First(), replay=subject.replay) as simulation,
        events.watching(lambda who, data: look(who, data, "sends")),
    ):
        stage = simulation._stage  # noqa: SLF001 - the check looks at results before they cross the wire
        attempt = stage.attempt

        def looking(run: RunState, entry: Entry) -> Result:
            def look_at(result: Result) -> Result:
                if result.kind == VALUE:
                    look(f"step '{entry.key}' of {run.spec.id}", result.payload)
                return result

            return at_the_end(attempt(run, entry), look_at)

        stage.attempt = looking  # type: ignore[method-assign]
        stage.returned = lambda run, value: look(run.spec.id, value)  # type: ignore[method-assign]  # as above
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
        waits = "; ".join(simulation.describe_wait(entry) for entry in state.unsettled)
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
    later = as_datetime(simulation.world.now + 40 * DAY + HOUR + SECOND)
    with simulate(First(), start=later, seed=12345, replay=subject.replay) as other:
        again = _with_results_of(subject, run, other)
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


def sdk_hazards(subject: Subject) -> Verdict:
    """The SDK did nothing in the run that nobody wants and its server does not notice."""
    verdict = Verdict("sdk_hazards")
    _, run = subject.baseline
    if not run._state.spec.remote:  # noqa: SLF001 - checks look into the run
        verdict.not_reached = "a native function has none of them"
        return verdict
    verdict.violations += run.findings
    verdict.proved = f"nothing was found in {run.invocations} requests"
    return verdict


BATTERY: dict[str, Callable[[Subject], Verdict]] = {
    check.__name__: check
    for check in (terminates, replay_determinism, impure_body, crash_anywhere, duplicate_delivery, wait_ordering,
                  json_fidelity, id_stability, step_limits, sdk_hazards)
}  # fmt: skip
"""The checks by name, in the order in which they run."""
