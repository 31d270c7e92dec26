"""Steps that are gathered need no tasks, and nobody can tell: the stock ``asyncio.gather`` gives the same."""

import asyncio
from asyncio import gather as stock_gather
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_durable import Simulation, durable_function, explore

LEAF = st.one_of(
    st.tuples(st.just("run"), st.sampled_from(["ok", "fails", "slow"])),
    st.tuples(st.just("sleep"), st.sampled_from([1, 2, 60])),
    st.tuples(st.just("wait"), st.integers(1, 3)),
)
TREE = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.tuples(st.just("gather"), st.lists(inner, min_size=1, max_size=3), st.booleans()),
        st.tuples(st.just("then"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("beside"), inner, LEAF),
        st.tuples(st.just("limit"), st.integers(1, 3), inner),
    ),
    max_leaves=6,
)


def fail():
    """A handler that fails for good."""
    message = "no"
    raise ValueError(message)


def perform(ctx, tree, gather):
    """An awaitable of what the tree says; a step itself where it says one step."""
    kind = tree[0]
    if kind == "run":
        return ctx.step.run("s", fail if tree[1] == "fails" else asyncio.sleep if tree[1] == "slow" else str, 1)
    if kind == "sleep":
        return ctx.step.sleep("n", timedelta(seconds=tree[1]))
    if kind == "wait":
        return ctx.step.wait_for_event("w", event="go", timeout=timedelta(seconds=tree[1]))
    return composed(ctx, tree, gather)


async def composed(ctx, tree, gather):
    """Several awaitables in one."""
    kind = tree[0]
    if kind == "gather":
        found = await gather(*[perform(ctx, one, gather) for one in tree[1]], return_exceptions=tree[2])
        return [str(one) for one in found]
    if kind == "then":
        return [await perform(ctx, one, gather) for one in tree[1]]
    if kind == "beside":
        both = gather(perform(ctx, tree[1], gather), perform(ctx, tree[2], gather))
        await ctx.step.run("between", str)
        return await both
    try:
        return await asyncio.wait_for(perform(ctx, tree[2], gather), tree[1])
    except TimeoutError:
        return "late"


def told(tree, how, seed):
    """The histories of the program under some schedules, and those schedules."""
    histories = []

    @durable_function("program", retries=1)
    async def program(ctx):
        return str(await perform(ctx, tree, asyncio.gather if how == "ours" else stock_gather))

    def scenario(sim):
        run = sim.start(program)
        sim.send("go", at="1500ms")
        sim.run_until_idle()
        sim.advance("1h")
        histories.append((sim.schedule, run.history.to_json()))

    explore(scenario, "random", max_schedules=4, seed=seed)
    return histories


@settings(max_examples=80, deadline=None)
@given(TREE, st.integers(0, 3))
@example(("limit", 1, ("gather", [("sleep", 2), ("run", "slow")], True)), 0)
@example(("gather", [("run", "fails"), ("sleep", 2), ("run", "ok")], False), 1)
@example(("beside", ("run", "fails"), ("wait", 1)), 2)
@example(("then", [("gather", [("run", "ok"), ("gather", [("run", "ok"), ("wait", 2)], False)], False)]), 3)
@example(("then", [("limit", 1, ("gather", [("run", "fails"), ("sleep", 60)], False)), ("sleep", 60)]), 0)
@example(("gather", [("gather", [("run", "fails"), ("run", "fails")], False), ("sleep", 60)], True), 0)
def test_gathered_steps_are_as_with_asyncios_own_gather(tree, seed):
    """The same choices, the same order, the same facts; with failures, timeouts and groups in groups."""
    assert told(tree, "ours", seed) == told(tree, "stock", seed)


@pytest.mark.parametrize("how", ["twice", "mixed"])
def test_what_is_not_only_fresh_steps_is_left_to_asyncio(durable, how):
    """A step that is given twice, and anything that is no step, gather as ever."""

    @durable_function("group")
    async def group(ctx):
        one = ctx.step.run("one", lambda: 1)
        return await asyncio.gather(one, one if how == "twice" else asyncio.sleep(0, 3))

    assert durable.run(group) == {"twice": [1, 1], "mixed": [1, 3]}[how]


def test_a_gathered_group_that_is_cancelled_before_it_began_asks_for_nothing(durable):
    """As tasks that are cancelled before their first turn."""

    @durable_function("given-up")
    async def given_up(ctx):
        group = asyncio.gather(ctx.step.run("one", str), ctx.step.run("two", str))
        assert group.cancel()
        assert not group.cancel()
        try:
            await group
        except asyncio.CancelledError:
            return "given up"

    with pytest.raises(Exception, match="never awaited"):
        durable.run(given_up)


def test_gather_is_asyncios_own_again_after_a_drive():
    """Outside a drive asyncio is as it was."""
    with Simulation() as sim:
        sim.settle()
        assert asyncio.gather is stock_gather
