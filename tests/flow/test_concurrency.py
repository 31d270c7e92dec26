"""Concurrency: how many requests are under way at once. Semantics 14.8."""

import asyncio

import pytest

from pytest_durable import Cancel, Concurrency, Context, RunStuck, Simulation, durable_function
from pytest_durable._core.runs import FunctionSpec, Trigger
from pytest_durable.flow_config import flow_of
from pytest_durable.host import NativeHost


def working(log, fn_id, *limits, steps=("a",), seconds=1, **options):
    """A function whose steps take time, and that logs the begin of each with its n."""

    @durable_function(fn_id, trigger="go", concurrency=list(limits), **options)
    async def body(ctx: Context):
        async def work(name):
            log(fn_id, name, ctx.event.data["n"])
            await asyncio.sleep(seconds)

        for name in steps:
            await ctx.step.run(name, work, name)

    return body


def ends(durable, log):
    """When each run ended, in seconds."""
    return [(run.ended_at - log.start).total_seconds() for run in durable.runs]


def at_once(play, count=4):
    """Events at one instant."""
    play("go", *((0, {"n": n, "k": n % 2}) for n in range(count)))


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([Concurrency(limit=1)], [1, 2, 3, 4]),
        ([Concurrency(limit=2)], [1, 1, 2, 2]),
        ([Concurrency(limit=1, key="event.data.k")], [1, 1, 2, 2]),
        ([Concurrency(limit=1, scope="env", key="'x'")], [1, 2, 3, 4]),
        ([Concurrency(limit=0)], [1, 1, 1, 1]),
        ([Concurrency(limit=3), Concurrency(limit=1, key="event.data.k")], [1, 1, 2, 2]),
        ([Concurrency(limit=1, key="event.data.missing")], [1, 2, 3, 4]),
        ([Concurrency(limit=1, key="int('x')")], [1, 2, 3, 4]),
        ([], [1, 1, 1, 1]),
    ],
    ids=["one", "two", "keyed", "env", "zero is none", "both", "missing key", "key that fails", "none"],
)
def test_how_many_steps_are_under_way(durable, log, play, limits, expected):
    """Four events at once, a step of one second: when the four runs end."""
    durable.register(working(log, "f", *limits))
    at_once(play)
    durable.run_until_idle()
    assert ends(durable, log) == expected


def test_who_sleeps_or_waits_holds_no_slot(durable, log, play):
    """Four sleeps of three seconds side by side, with one slot."""

    @durable_function("sleepers", trigger="go", concurrency=Concurrency(limit=1))
    async def sleepers(ctx: Context):
        await ctx.step.sleep("nap", "3s")
        await ctx.step.wait_for_event("w", event="never", timeout="2s")

    durable.register(sleepers)
    at_once(play)
    durable.advance("1m")
    assert ends(durable, log) == [5, 5, 5, 5]


def test_who_is_tried_again_later_holds_no_slot(durable, log):
    """Between two attempts the slot is free."""
    f = working(log, "f", Concurrency(limit=1))
    durable.step("a").raises(ValueError("no"))
    first, second = durable.start(f, {"n": 0}), durable.start(f, {"n": 1})
    durable.run_until_idle()
    assert (second.ended_at - log.start).total_seconds() == 1
    assert first.step("a").attempts == 2


def test_an_older_run_goes_on_before_a_younger_one_begins(durable, log, play):
    """The queue is in order of age, so with one slot the runs end one after the other."""
    durable.register(working(log, "f", Concurrency(limit=1), steps=("a", "b")))
    play("go", (0, {"n": 0}), (0.5, {"n": 1}))
    durable.run_until_idle()
    assert log.lines == [(0, "f", "a", 0), (1, "f", "b", 0), (2, "f", "a", 1), (3, "f", "b", 1)]


def test_who_has_slept_long_stands_at_its_own_time(durable, log, play):
    """Behind a sleep of more than two seconds a request has no claim from the age of its run."""

    @durable_function("f", trigger="go", concurrency=Concurrency(limit=1))
    async def f(ctx: Context):
        n = ctx.event.data["n"]
        if n == 0:
            await ctx.step.sleep("nap", "10s")
        await ctx.step.run("a", lambda: log("a", n))
        await ctx.step.run("b", asyncio.sleep, 5)

    durable.register(f)
    play("go", (0, {"n": 0}), (6, {"n": 1}), (7, {"n": 2}))
    durable.run_until_idle()
    assert log.lines == [(6, "a", 1), (11, "a", 2), (16, "a", 0)]


def test_the_parallel_steps_of_one_run_share_the_slots(durable, log):
    """Three steps of a second, two slots: they end after 1, 1 and 2 seconds."""

    @durable_function("f", concurrency=Concurrency(limit=2))
    async def f(ctx: Context):
        await asyncio.gather(*(ctx.step.run(name, asyncio.sleep, 1) for name in "abc"))

    run = durable.start(f)
    run.wait()
    assert [(run.step(name).ended_at - log.start).total_seconds() for name in "abc"] == [1, 1, 2]


def test_functions_share_what_has_a_wider_scope(durable, log, play):
    """The same key in scope env or account is one counter for all functions; in scope fn it is not."""
    env = Concurrency(limit=1, scope="env", key="'db'")
    durable.register(working(log, "f", env), working(log, "g", env))
    play("go", (0, {"n": 0}))
    durable.run_until_idle()
    assert ends(durable, log) == [1, 2]

    with Simulation() as sim:
        own = Concurrency(limit=1, scope="fn", key="'db'")
        sim.register(working(log, "f", own), working(log, "g", own))
        sim.send("go", {"n": 0})
        sim.run_until_idle()
        assert [run.ended_at.second for run in sim.runs] == [1, 1]


def test_a_key_is_read_once(durable, log, play):
    """At the creation of the run, for its first event."""
    durable.register(working(log, "f", Concurrency(limit=1, key="event.data.k")))
    play("go", (0, {"n": 0, "k": "x"}), (0, {"n": 1, "k": "x"}), (0, {"n": 2, "k": "y"}))
    durable.run_until_idle()
    assert ends(durable, log) == [1, 2, 1]


def test_a_cancelled_run_gives_its_slot_back(durable, log, play):
    """What was in flight goes on and is not heard of any more; the next one begins at once."""
    durable.register(working(log, "f", Concurrency(limit=1), seconds=60, cancel=Cancel(event="stop")))
    play("go", (0, {"n": 0}))
    play("stop", (10, {}))
    play("go", (5, {"n": 1}))
    durable.advance("10s")
    assert log.lines == [(0, "f", "a", 0)]
    assert [run.status for run in durable.runs] == ["cancelled", "cancelled"]
    play("go", (0, {"n": 2}))
    durable.run_until_idle()
    assert log.lines[-1] == (10, "f", "a", 2)


def test_a_run_that_is_cancelled_in_the_queue_has_no_turn(durable, log, play):
    """The one behind it has."""
    durable.register(working(log, "f", Concurrency(limit=1)))
    at_once(play, 3)
    durable.settle()
    durable.cancel(durable.runs[1])
    durable.run_until_idle()
    assert [n for *_, n in log.lines] == [0, 2]
    assert ends(durable, log) == [1, 0, 2]


def test_a_failing_run_gives_its_slot_back(durable, log):
    """Whatever way a request ends, its slot is free."""

    @durable_function("f", retries=0, concurrency=Concurrency(limit=1))
    async def f(ctx: Context):
        await ctx.step.run("a", asyncio.sleep, 1)
        if ctx.event.data["n"] == 0:
            raise ValueError("no")

    runs = [durable.start(f, {"n": n}) for n in range(2)]
    durable.run_until_idle()
    assert [run.status for run in runs] == ["failed", "completed"]


def test_a_step_that_ends_its_run_gives_its_slot_back(durable, log):
    """A result that JSON cannot carry fails the run when the step ends."""

    @durable_function("f", concurrency=Concurrency(limit=1))
    async def f(ctx: Context):
        async def work():
            await asyncio.sleep(1)
            return object() if ctx.event.data["n"] == 0 else None

        await ctx.step.run("a", work)

    runs = [durable.start(f, {"n": n}) for n in range(2)]
    durable.run_until_idle()
    assert [run.status for run in runs] == ["failed", "completed"]
    assert ends(durable, log) == [1, 2]


def test_a_parent_does_not_block_its_child(durable):
    """The request that invokes is over when the child begins, so one shared slot is enough."""
    shared = Concurrency(limit=1, scope="account", key="'one'")

    @durable_function("child", concurrency=shared)
    async def child(ctx: Context):
        return await ctx.step.run("a", lambda: "done")

    @durable_function("parent", concurrency=shared)
    async def parent(ctx: Context):
        return await ctx.step.invoke("call", function=child)

    assert durable.run(parent) == "done"


# -- whole runs: the newer form of the configuration ------------------------------------------------------------------


def registered(durable, body, config):
    """A function with the configuration of an SDK."""
    spec = FunctionSpec("f", NativeHost(body), triggers=[Trigger("go")], flow=flow_of(config))
    durable.engine.answers.listeners.functions["f"] = spec
    return spec


def test_a_slot_for_a_whole_run_is_held_until_its_end(durable, log, play):
    """``{"fn": [...]}`` counts live runs, sleeping ones among them."""

    async def body(ctx):
        log("f", ctx.event.data["n"])
        await ctx.step.sleep("nap", "3s")

    registered(durable, body, {"concurrency": {"fn": [{"limit": 1}]}})
    at_once(play, 3)
    durable.run_until_idle()
    assert ends(durable, log) == [3, 6, 9]


def test_a_run_that_waits_for_a_slot_is_stuck_by_name(durable, play):
    """The report says for which slot, and who holds it."""

    async def body(ctx):
        await ctx.step.wait_for_event("w", event="never", timeout=None)

    registered(durable, body, {"concurrency": {"fn": [{"limit": 1, "key": "event.data.k"}], "step": []}})
    play("go", (0, {"k": "x"}), (0, {"k": "x"}))
    durable.run_until_idle()
    first, second = durable.runs
    with pytest.raises(RunStuck) as stuck:
        second.wait()
    holder = f"held by the run of f ({first.id[-6:]})"
    assert f"it is waiting for 1 of 1 slots of concurrency key 'x', {holder}" in str(stuck.value)
    durable.cancel(first)
    durable.settle()
    assert second.status == "running"


def test_a_run_that_waits_for_a_slot_says_so_before_it_is_stuck(durable, log, play):
    """The timeline of a run in a queue ends with what it waits for."""
    durable.register(working(log, "f", Concurrency(limit=1), steps=("a", "b")))
    at_once(play, 2)
    durable.settle()
    first, second = durable.runs
    assert "it is waiting for 1 of 1 slots of the concurrency of f, held by the run of f (" in second.timeline()
    assert "it is waiting for 1 of" not in first.timeline()
