"""Loops: ids are used again, and the counter is implicit."""

import pytest

from pytest_durable import Context, ContextSync, Event, durable_function


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_reused_id_counts_its_uses(durable, sync):
    """The first use is plain, the following are ``:1``, ``:2``; each has its own result."""
    calls = []

    def work(n):
        calls.append(n)
        return n * n

    @durable_function("async")
    async def async_body(ctx: Context):
        return [await ctx.step.run("square", work, n) for n in range(4)]

    @durable_function("sync")
    def sync_body(ctx: ContextSync):
        return [ctx.step.run("square", work, n) for n in range(4)]

    run = durable.start(sync_body if sync else async_body)
    assert run.wait() == [0, 1, 4, 9]
    assert run.steps == ["square", "square:1", "square:2", "square:3"]
    assert calls == [0, 1, 2, 3]
    assert [run.step("square", index=n).output for n in range(4)] == [0, 1, 4, 9]
    assert run.step("square:2").id == "square:2"


def test_the_counter_belongs_to_the_id_and_not_to_the_kind_of_step(durable):
    """A sleep and a step with one id share the counter."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.run("a", lambda: 1)
        await ctx.step.sleep("a", "1s")
        await ctx.step.send_event("a", Event("x"))
        await ctx.step.run("b", lambda: 1)

    run = durable.start(f)
    run.wait()
    assert run.steps == ["a", "a:1", "a:2", "b"]
    assert [run.step(step).op for step in run.steps] == ["run", "sleep", "send_event", "run"]


def test_a_loop_over_pages_ends_by_what_a_step_returned(durable):
    """The seed's pagination: as many steps as there are pages."""
    pages = {None: ([1, 2], "p2"), "p2": ([3], "p3"), "p3": ([4], None)}

    @durable_function("import")
    async def importer(ctx: Context):
        cursor, found = None, []
        while True:
            items, cursor = await ctx.step.run("fetch-page", lambda at: pages[at], cursor)
            found += items
            if cursor is None:
                return found

    run = durable.start(importer)
    assert run.wait() == [1, 2, 3, 4]
    assert run.steps == ["fetch-page", "fetch-page:1", "fetch-page:2"]


def test_a_loop_of_sleeps_and_waits(durable):
    """A reminder every day until somebody answers: the fourth wait is answered on the fourth day."""

    @durable_function("remind")
    async def remind(ctx: Context):
        for day in range(7):
            if await ctx.step.wait_for_event("answer", event="answered", timeout="1d") is not None:
                return day
            await ctx.step.run("remind", lambda: 1)
        return None

    run = durable.start(remind)
    durable.send("answered", at="3d 12h")
    assert run.wait() == 3
    assert run.steps == ["answer", "remind", "answer:1", "remind:1", "answer:2", "remind:2", "answer:3"]


def test_an_explicit_counter_never_takes_the_place_of_an_implicit_one(durable):
    """``a:1`` written by the author behind two uses of ``a`` is another step, not the memo of the second."""

    @durable_function("f")
    async def f(ctx: Context):
        first = await ctx.step.run("a", lambda: "first")
        second = await ctx.step.run("a", lambda: "second")
        third = await ctx.step.run("a:1", lambda: "third")
        return [first, second, third]

    run = durable.start(f)
    assert run.wait() == ["first", "second", "third"]
    assert len(set(run.steps)) == 3


def test_an_implicit_counter_never_takes_the_place_of_an_explicit_one(durable):
    """The other way round, and ``index`` still counts the uses."""

    @durable_function("f")
    async def f(ctx: Context):
        explicit = await ctx.step.run("a:1", lambda: "explicit")
        first = await ctx.step.run("a", lambda: "first")
        second = await ctx.step.run("a", lambda: "second")
        return [explicit, first, second]

    run = durable.start(f)
    assert run.wait() == ["explicit", "first", "second"]
    assert run.step("a", index=1).output == "second"


def test_a_failing_use_does_not_touch_the_others(durable):
    """Each use has attempts of its own."""
    tries = []

    def flaky(n):
        tries.append(n)
        if n == 1 and tries.count(1) < 3:
            raise ValueError(n)
        return n

    @durable_function("f")
    async def f(ctx: Context):
        return [await ctx.step.run("a", flaky, n) for n in range(3)]

    run = durable.start(f)
    assert run.wait() == [0, 1, 2]
    assert tries == [0, 1, 1, 1, 2]
    assert [run.step("a", index=n).attempts for n in range(3)] == [1, 3, 1]


def test_a_script_for_one_use_leaves_the_others(durable):
    """``index`` counts from 0."""

    @durable_function("f")
    async def f(ctx: Context):
        return [await ctx.step.run("a", lambda: "real") for _ in range(3)]

    durable.step("a", index=1).returns("scripted")
    assert durable.run(f) == ["real", "scripted", "real"]


def test_the_sum_of_many_steps(durable):
    """Two hundred steps in one run are two hundred and one invocations, each step once."""
    calls = []

    @durable_function("f")
    async def f(ctx: Context):
        return sum([await ctx.step.run("add", lambda n=n: calls.append(n) or n) for n in range(200)])

    run = durable.start(f)
    assert run.wait() == 19_900
    assert (calls, run.invocations) == (list(range(200)), 201)


def test_an_id_that_two_branches_of_a_sync_group_share_has_one_key_for_each(durable):
    """A branch that comes to an id of its sibling later gets the next key, and both keep theirs in every invocation."""
    order = []

    @durable_function("sharing")
    def sharing(ctx):
        def longer():
            ctx.step.run("a", str)
            return ctx.step.run("b", lambda: order.append("longer") or "longer")

        def shorter():
            return ctx.step.run("b", lambda: order.append("shorter") or "shorter")

        return list(ctx.group.parallel([longer, shorter]))

    run = durable.start(sharing)
    assert run.wait() == ["longer", "shorter"]
    assert (order, list(run.steps)) == (["shorter", "longer"], ["a", "b", "b:1"])
