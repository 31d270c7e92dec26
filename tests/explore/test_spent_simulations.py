"""The simulation of an earlier schedule: it can be read and not driven, and its memory is free at once."""

import gc
import weakref

import pytest

from pytest_durable import Event, UsageError, durable_function, explore


@durable_function("parcel", trigger="order/placed")
async def parcel(ctx):
    """Two steps, a wait that an event answers, and one that nobody answers."""
    await ctx.step.run("pack", lambda: {"boxes": 2})
    await ctx.step.wait_for_event("pickup", event="parcel/picked.up", timeout="1d")
    return await ctx.step.run("bill", lambda: 7)


def scenario(sim):
    """One run to its end, and one that still waits."""
    run = sim.start(parcel)
    sim.register(parcel)
    sim.send("parcel/picked.up", at="1h")
    run.wait()
    sim.send(Event("order/placed"))
    sim.settle()


def test_what_happened_under_an_earlier_schedule_can_still_be_read():
    """A test may keep simulations and runs, and look at all of them when the search is over."""
    kept = []

    def keeping(sim):
        scenario(sim)
        kept.append((sim, sim.runs, sim.report(), [str(event) for event in sim.events]))

    explore(keeping, "random", max_schedules=3)
    assert len(kept) == 3
    for sim, runs, report, events in kept:
        assert (sim.report(), [str(event) for event in sim.events]) == (report, events)
        assert [str(run.status) for run in runs] == [str(run.status) for run in sim.runs] == ["completed", "running"]
        assert (runs[0].result, runs[0].history) == (7, sim.runs[0].history)
        assert "pickup" in runs[1].timeline()


def test_an_earlier_schedule_cannot_be_driven():
    """Whoever tries is told that it is over."""
    kept = []

    def keeping(sim):
        scenario(sim)
        kept.append(sim)

    explore(keeping, "random", max_schedules=2)
    with pytest.raises(UsageError, match="an earlier schedule of a search"):
        kept[0].advance("1d")


def test_an_earlier_schedule_is_no_work_for_the_garbage_collector():
    """Long searches need the memory of two simulations: that of the last schedule, and that of this one."""
    alive = []

    def watched(sim):
        scenario(sim)
        alive.append(weakref.ref(sim))
        assert sum(one() is not None for one in alive) <= 2

    gc.collect()
    gc.disable()
    try:
        report = explore(watched, "random", max_schedules=5)
    finally:
        gc.enable()
    assert report.failures == []
