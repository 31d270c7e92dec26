"""Flow control under exploration: what is a choice, what is not, and that the reduction leaves nothing out."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_durable import (
    Batch,
    Concurrency,
    Context,
    Debounce,
    Priority,
    RateLimit,
    Simulation,
    Singleton,
    Throttle,
    checks,
    durable_function,
    explore,
)
from pytest_durable._core.choices import Replay
from pytest_durable.choosers import Every, Pruned

FLOWS = {
    "one slot": {"concurrency": Concurrency(limit=1)},
    "two slots": {"concurrency": Concurrency(limit=2)},
    "a slot for each key": {"concurrency": [Concurrency(limit=2), Concurrency(limit=1, key="event.data.k")]},
    "throttle": {"throttle": Throttle(limit=1, period="2s", burst=0)},
    "priority": {"concurrency": Concurrency(limit=1), "priority": Priority(run="int(event.data.n)")},
    "rate limit": {"rate_limit": RateLimit(limit=1, period="2s")},
    "skip": {"singleton": Singleton(mode="skip")},
    "cancel": {"singleton": Singleton(mode="cancel")},
    "debounce": {"debounce": Debounce(period="2s", key="event.data.k")},
    "batch": {"batch_events": Batch(max_size=2, timeout="2s")},
}


def scenario_of(flow, events, second_takes, *, promise=True):
    """Runs of two steps, the second of which may take time; and what can be seen at the end."""

    def scenario(sim):
        order = []

        @durable_function("f", trigger="go", retries=0, **FLOWS[flow])
        async def f(ctx: Context):
            n = [event.data["n"] for event in ctx.events]
            await ctx.step.run("a", lambda: None)
            await ctx.step.run("b", asyncio.sleep, second_takes)
            return n

        if promise:
            sim.touches("a")
            sim.touches("b")
        sim.register(f)
        for n, at in enumerate(events):
            sim.send("go", {"n": n, "k": n % 2}, at=f"{at}s")
        sim.advance("1m")
        order += [(run.result, str(run.status), str(run.started_at), str(run.ended_at)) for run in sim.runs]
        return tuple(sorted(map(str, order)))

    return scenario


def outcomes(scenario, *, reduce):
    """What all schedules can lead to, and how many were run to their end."""
    search, found, count = Every(reduce=reduce), {}, 0
    for _ in range(20_000):
        chooser = search.next()
        if chooser is None:
            return set(found), count
        pruned = False
        with Simulation(chooser=None, observer=chooser) as sim:
            try:
                found[scenario(sim)] = None
                count += 1
            except Pruned:
                pruned = True
        search.done(pruned=pruned, looked=frozenset())
    pytest.fail("too many schedules for a test")


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("events", [(0, 0), (0, 2), (0, 1, 2)], ids=str)
def test_the_reduction_leaves_no_outcome_out(flow, events):
    """With every kind of flow control the reduced search finds what all orders together have."""
    scenario = scenario_of(flow, events, 1)
    full, many = outcomes(scenario, reduce=False)
    reduced, few = outcomes(scenario, reduce=True)
    assert reduced == full
    assert few <= many


@settings(max_examples=30)
@given(st.sampled_from(sorted(FLOWS)), st.lists(st.integers(0, 2), min_size=2, max_size=2), st.integers(0, 2))
def test_the_reduction_leaves_no_outcome_out_of_drawn_scenarios(flow, events, takes):
    """The same for events and durations that Hypothesis draws."""
    scenario = scenario_of(flow, sorted(events), takes)
    assert outcomes(scenario, reduce=True)[0] == outcomes(scenario, reduce=False)[0]


@pytest.mark.parametrize("flow", FLOWS)
def test_what_happens_is_decided_by_the_schedule(flow):
    """The same schedule gives the same histories, byte for byte."""
    scenario = scenario_of(flow, (0, 0, 1), 1)

    def histories(chooser):
        with Simulation(chooser=chooser) as sim:
            scenario(sim)
            return str(sim.schedule), [run.history.to_json() for run in sim.runs]

    schedule, first = histories(None)
    assert histories(Replay(schedule)) == (schedule, first)
    assert histories(None) == (schedule, first)


@pytest.mark.parametrize("flow", FLOWS)
def test_one_event_alone_is_no_choice(flow):
    """Turns, ends of debounces and batches are choices only where something else is due."""
    with Simulation() as sim:
        scenario_of(flow, (0,), 1)(sim)
        assert sim.schedule.counts == ()


def test_who_of_two_equal_ones_has_the_slot_is_a_choice():
    """Three runs at one instant and one slot: they have it in every order."""
    seen = {}

    def scenario(sim):
        @durable_function("f", trigger="go", concurrency=Concurrency(limit=1))
        async def f(ctx: Context):
            await ctx.step.run("a", asyncio.sleep, 1)

        runs = [sim.start(f, {"n": n}) for n in range(3)]
        sim.run_until_idle()
        seen[tuple(run.step("a").started_at.second for run in runs)] = None

    assert explore(scenario).complete
    assert sorted(seen) == [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


def test_a_failure_behind_a_queue_is_told_in_words():
    """The story of a schedule names the turns."""

    def scenario(sim):
        ended = []

        @durable_function("f", trigger="go", concurrency=Concurrency(limit=1))
        async def f(ctx: Context):
            await ctx.step.run("a", asyncio.sleep, 1)
            ended.append(ctx.event.data["n"])

        for n in range(2):
            sim.start(f, {"n": n})
        sim.run_until_idle()
        assert list(dict.fromkeys(ended)) == [0, 1]

    report = explore(scenario, max_schedules=100)
    assert report.failures
    assert "starts (step 'a') before f (" in str(report.failures[0])


@pytest.mark.parametrize("flow", FLOWS)
def test_the_battery_goes_through_every_kind(flow):
    """The checks start runs by name, which no gate drops, and find nothing in a sound function."""

    @durable_function("sound", trigger="go", **FLOWS[flow])
    async def sound(ctx: Context):
        await ctx.step.run("a", lambda: 1)
        await ctx.step.sleep("nap", "1h")
        return await ctx.step.run("b", lambda: 2)

    checks.check_durable(sound, {"n": 1, "k": 1})
