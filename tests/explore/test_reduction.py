"""The reduction of the exhaustive search: it finds exactly the outcomes that all orders together have.

`DURABLE_EXAMPLES=1000` makes a long run of it.
"""

import asyncio
import os
from typing import Any, NamedTuple

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pytest_durable import ANYTIME, StepError, between, durable_function
from pytest_durable._core.choices import Replay
from pytest_durable.choosers import Every, Pruned
from pytest_durable.examples import Example, Naming, parse
from pytest_durable.exploration import Explorer, Report
from pytest_durable.samplers import Sampler, derived
from pytest_durable.shares import Share
from pytest_durable.trials import Trial, simulate

KEYS = ("x", "y", None)
EXAMPLES = int(os.environ.get("DURABLE_EXAMPLES", "25"))
GENERATED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
MOST = 150
"""How many schedules the search that leaves nothing out may take; larger programs do not count as examples."""


def steps():
    """A small body: steps that touch a key (or anything), in sequence or side by side, with a wait now and then."""
    step = st.tuples(st.just("run"), st.sampled_from(KEYS))
    failing = st.tuples(st.just("fail"), st.sampled_from(KEYS))
    wait = st.tuples(st.just("wait"), st.sampled_from(("e", "f")))
    send = st.tuples(st.just("send"), st.sampled_from(("e", "f")))
    scripted = st.tuples(st.just("scripted"), st.sampled_from(("one", "two")))
    leaf = st.one_of(step, step, wait, send, failing, scripted)
    return st.lists(st.one_of(leaf, st.tuples(st.just("gather"), st.lists(leaf, min_size=2, max_size=3))),
                    min_size=1, max_size=2)  # fmt: skip


LOGS = {
    "nothing": lambda sim: None,
    "steps": lambda sim: [list(run.steps) for run in sim.runs],
    "sent events": lambda sim: [[event.name for event in run.sent_events] for run in sim.runs],
    "events": lambda sim: [event.name + str(event.data.get("run_id")) for event in sim.events],
    "effects": lambda sim: [effect.key for effect in sim.ledger],
}
"""What a test may look at, each of which shows an order."""


def searched(play, search, most, faults=(), ended=lambda sim: None):
    """The report of a search over schedules of ``play(sim)``, of which none fails; ``ended`` sees each whole one."""

    def execute(chooser):
        sim = simulate(chooser, faults=faults)
        try:
            with sim:
                play(sim)
        except Pruned:
            return Trial(sim, None, pruned=True)
        ended(sim)
        return Trial(sim, None)

    report = Report("every", 1)
    Explorer(execute, search, report, max_schedules=most).run()
    return report


class Executions(NamedTuple):
    """How a scenario is run: under a search, and once."""

    outcomes: Any
    once: Any
    scenario: Any


def execution(programs, sends, faults, look="nothing"):  # noqa: C901 - a small interpreter
    """A scenario of these programs, and what can be seen at its end."""

    def scenario(sim):  # noqa: C901 - as above
        stores = {key: [] for key in KEYS}
        results = []

        def make(number, program):
            async def one(ctx, index, kind, what):
                step_id = f"{kind}{number}{index}"
                if kind == "run":
                    sim.touches(step_id, what) if what else None
                    return await ctx.step.run(step_id, touch, what, step_id)
                if kind == "fail":
                    sim.touches(step_id, what) if what else None
                    try:
                        return await ctx.step.run(step_id, fail, what, step_id)
                    except StepError:
                        return "failed"
                if kind == "scripted":
                    # Both programs, and both uses in one, draw from the same script.
                    return await ctx.step.run(what, touch, None, step_id)
                if kind == "wait":
                    event = await ctx.step.wait_for_event(step_id, event=what, timeout="1m")
                    return event is not None
                return len(await ctx.step.send_event(step_id, event_named(what)))

            @durable_function(f"program-{number}", trigger="start" if number else None, retries=0)
            async def body(ctx):
                seen = []
                for index, (kind, what) in enumerate(program):
                    if kind == "gather":
                        parts = [one(ctx, f"{index}{i}", *part) for i, part in enumerate(what)]
                        seen.append(await asyncio.gather(*parts))
                    else:
                        seen.append(await one(ctx, index, kind, what))
                return seen

            return body

        def touch(key, step_id):
            stores[key].append(step_id)
            sim.ledger.record("touched", step_id)
            return len(stores[key])

        def fail(key, step_id):
            stores[key].append(step_id)
            raise ValueError(step_id)

        for name in ("one", "two"):
            sim.step(name).returns_each(*range(4)).maybe()
        bodies = [make(number, program) for number, program in enumerate(programs)]
        sim.register(*bodies[1:])
        runs = [sim.start(body) for body in bodies]
        for name, at in sends:
            sim.send(name, at=at)
        sim.advance("5m")
        results = sorted(f"{run.function_id} {run.status} {run.result} {run.error}" for run in sim.runs)
        assert len(runs) == len(bodies)
        seen = tuple((key, tuple(store)) for key, store in stores.items())
        return (tuple(results), seen, repr(LOGS[look](sim)))

    def once(chooser):
        with simulate(chooser, faults=faults) as sim:
            seen = scenario(sim)
        return str(sim.schedule), seen, [run.history.to_json() for run in sim.runs]

    def outcomes(search, most=3000):
        seen = set()
        return seen, searched(lambda sim: seen.add(scenario(sim)), search, most, faults)

    return Executions(outcomes, once, scenario)


def event_named(name):
    from pytest_durable import Event

    return Event(name)


worlds = {
    "programs": st.lists(steps(), min_size=1, max_size=2),
    "sends": st.lists(st.tuples(st.sampled_from(("e", "f", "start")), st.sampled_from((0, 60_000))), max_size=2),
    "faults": st.sampled_from(((), ("lost_ack",))),
}


@GENERATED
@given(look=st.sampled_from(list(LOGS)), **worlds)
def test_the_reduced_search_finds_the_outcomes_of_all_orders(programs, sends, faults, look):
    """For small programs the outcomes under sleep sets, with whatever the test looks at, are those of all orders."""
    outcomes, _, _ = execution(programs, sends, faults, look)
    everything, unreduced = outcomes(Every(reduce=False), most=MOST)
    assume(unreduced.complete)
    found, reduced = outcomes(Every())
    assert reduced.complete
    assert found == everything
    # A search that learns that the test looks at a log begins anew.
    assert reduced.schedules <= unreduced.schedules + (look != "nothing")


@GENERATED
@given(seed=st.integers(0, 1000), **worlds)
def test_the_same_schedule_gives_the_same_history(programs, sends, faults, seed):
    """A drawn schedule and its replay from text have the same histories, byte for byte, and the same outcome."""
    _, once, _ = execution(programs, sends, faults)
    drawn = once(Sampler(derived(seed, "histories")))
    replay = Replay(drawn[0])
    assert once(replay) == drawn
    replay.finish()


@GENERATED
@given(
    seed=st.integers(0, 1000),
    late=st.lists(st.tuples(st.sampled_from(("e", "f")), st.sampled_from((ANYTIME, between(0, 60_000)))), max_size=2),
    faults=st.sampled_from(((), ("lost_ack", "crash"), ("duplicate_event", "cancellation", "redelivery", "slow_step"))),
    programs=worlds["programs"],
    sends=worlds["sends"],
)
def test_the_names_of_a_schedule_say_all_of_it(programs, sends, late, faults, seed):
    """The rules that a drawn schedule is turned into, as text, lead to that schedule and to its histories."""
    _, once, _ = execution(programs, sends + late, faults)
    naming = Naming(Sampler(derived(seed, "names")))
    drawn = once(naming)
    text = "; ".join(map(str, naming.rules)) or "default order"
    example = Example(parse(text), text)
    assert once(example) == drawn
    example.finish()


@GENERATED
@given(of=st.integers(2, 4), **worlds)
def test_all_shares_together_find_the_outcomes_of_all_orders(programs, sends, faults, of):
    """Each share is complete for its own; together they reach every outcome and, unreduced, each schedule once."""
    outcomes, _, _ = execution(programs, sends, faults)
    everything, unreduced = outcomes(Every(reduce=False), most=MOST)
    assume(unreduced.complete)
    found, schedules = set(), 0
    for number in range(of):
        for search in (Every(), Every(reduce=False)):
            search.take(Share(number, of))
            seen, report = outcomes(search)
            assert report.complete
            found |= seen if search.reduce else set()
        schedules += report.schedules
    assert found == everything
    assert schedules == unreduced.schedules


@GENERATED
@given(**{**worlds, "faults": st.sampled_from(((), ("redelivery",), ("crash", "cancellation"), ("duplicate_event",)))})
def test_a_schedule_of_the_exhaustive_search_replays_to_the_same_history(programs, sends, faults):
    """What `every` has seen under a schedule is what the text of that schedule leads to."""
    _, once, scenario = execution(programs, sends, faults)
    seen = {}

    def keep(sim):
        seen[str(sim.schedule)] = [run.history.to_json() for run in sim.runs]

    searched(scenario, Every(), 15, faults, ended=keep)
    for text, histories in seen.items():
        assert once(Replay(text))[2] == histories


@GENERATED
@given(
    waiters=st.lists(
        st.tuples(st.sampled_from(("fail", "replace")), st.sampled_from((0, 1, 2))), min_size=2, max_size=3
    ),
    signals=st.lists(st.sampled_from((0, 1, 2)), max_size=1),
)
def test_orders_of_signals_their_waits_and_timeouts_are_all_explored(waiters, signals):
    """Runs that wait for one signal, each from its own minute on and for a minute, in every order of what meets."""

    def scenario(sim):
        def waits(number, conflict):
            @durable_function(f"waits-{number}", trigger=f"begin-{number}", retries=0)
            async def body(ctx):
                found = await ctx.step.wait_for_signal("w", signal="s", timeout="1m", on_conflict=conflict)
                return found is not None

            return body

        for number, (conflict, begins) in enumerate(waiters):
            sim.register(waits(number, conflict))
            sim.send(f"begin-{number}", at=f"{begins}m")
        for minute in signals:
            sim.signal("s", at=f"{minute}m")
        sim.advance("5m")
        return tuple((run.function_id, str(run.status.value), run.result) for run in sim.runs)

    def outcomes(search):
        seen = set()
        report = searched(lambda sim: seen.add(scenario(sim)), search, MOST)
        return seen, report.complete

    everything, complete = outcomes(Every(reduce=False))
    assume(complete)
    assert outcomes(Every()) == (everything, True)
