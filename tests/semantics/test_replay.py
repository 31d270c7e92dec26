"""Re-execution: the body is entered from the top after every step, and must ask for the same steps each time."""

import asyncio
import contextlib

import pytest

from pytest_durable import (
    DurabilityError,
    Limits,
    NonDeterminismError,
    RunFailed,
    Simulation,
    StepError,
    StepLimitError,
    UsageError,
    durable_function,
)


def nothing():
    return None


def took(run):
    return (run.ended_at - run.started_at).total_seconds()


def body_kinds(async_body, sync_body, **options):
    return [durable_function("f-async", **options)(async_body), durable_function("f-sync", **options)(sync_body)]


# -- the body is entered again ---------------------------------------------------------------------------------------


def test_the_body_is_entered_from_the_top_after_every_step(durable):
    """Code between steps runs once for every invocation; step bodies run once for the run."""
    entered, ran = [], []

    async def body(ctx):
        entered.append("top")
        await ctx.step.run("a", ran.append, "a")
        await ctx.step.sleep("b", "1h")
        await ctx.step.run("c", ran.append, "c")

    def body_sync(ctx):
        entered.append("top")
        ctx.step.run("a", ran.append, "a")
        ctx.step.sleep("b", "1h")
        ctx.step.run("c", ran.append, "c")

    for function in body_kinds(body, body_sync):
        entered.clear()
        ran.clear()
        run = durable.start(function)
        run.wait()
        assert (len(entered), run.invocations) == (4, 4)
        assert ran == ["a", "c"]


def test_every_invocation_gets_a_fresh_copy_of_a_result(durable):
    """What a body does to a result is not seen by the next invocation."""

    @durable_function("fresh")
    async def fresh(ctx):
        value = await ctx.step.run("make", lambda: {"list": [1], "pair": (1, 2)})
        value["list"].append(2)
        await ctx.step.run("other", nothing)
        return value

    assert durable.run(fresh) == {"list": [1, 2], "pair": [1, 2]}


def test_every_invocation_gets_a_fresh_copy_of_the_event(durable):
    """What a body does to its event is not seen by the next invocation, nor by the test."""

    @durable_function("fresh")
    async def fresh(ctx):
        ctx.event.data["list"].append(2)
        await ctx.step.run("other", nothing)
        return ctx.event.data["list"]

    data = {"list": [1]}
    run = durable.start(fresh, data)
    assert run.wait() == [1, 2]
    assert data == {"list": [1]}
    assert run.event.data == {"list": [1]}


def test_a_result_crosses_json_also_on_its_first_use(durable):
    """The body never sees the object that a step returned, only what JSON keeps of it."""
    objects = []

    @durable_function("crosses")
    async def crosses(ctx):
        def make():
            objects.append({1: ("x",)})
            return objects[-1]

        value = await ctx.step.run("make", make)
        return [value == {"1": ["x"]}, value is objects[-1]]

    for replay in ("always", "checkpoint"):
        with Simulation(replay=replay) as sim:
            assert sim.run(crosses) == [True, False]


def test_a_memoised_failure_is_raised_in_every_later_invocation(durable):
    """A StepError is replayed with the same name and message, and its step does not run again."""
    ran, seen = [], []

    async def body(ctx):
        try:
            await ctx.step.run("bad", fail)
        except StepError as error:
            seen.append((error.name, error.message, type(error.__cause__).__name__))
        await ctx.step.run("after", nothing)

    def body_sync(ctx):
        try:
            ctx.step.run("bad", fail)
        except StepError as error:
            seen.append((error.name, error.message, type(error.__cause__).__name__))
        ctx.step.run("after", nothing)

    def fail():
        ran.append(1)
        raise LookupError("gone")

    for function in body_kinds(body, body_sync, retries=1):
        ran.clear()
        seen.clear()
        durable.run(function)
        assert ran == [1, 1]
        assert seen == [("LookupError", "gone", "LookupError")] * 2


def test_a_body_that_fails_between_steps_is_tried_again_with_its_memo(durable):
    """An exception of the body costs an attempt; the steps before it are not run again."""
    ran, attempts = [], []

    @durable_function("between", retries=2)
    async def between(ctx):
        await ctx.step.run("a", ran.append, "a")
        attempts.append(ctx.attempt)
        if len(attempts) < 3:
            raise RuntimeError("not yet")
        return "at last"

    run = durable.start(between)
    assert run.wait() == "at last"
    assert ran == ["a"]
    assert attempts == [0, 1, 2]
    assert 45 <= took(run) < 105


# -- finally, with and except ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("replay", ["always", "checkpoint"])
def test_steps_in_finally_come_after_those_in_try(replay):
    """A step in a finally block starts when the step in the try block has ended, in async and in sync bodies."""

    async def body(ctx):
        try:
            await ctx.step.run("try", nothing)
        finally:
            await ctx.step.run("finally", nothing)

    def body_sync(ctx):
        try:
            ctx.step.run("try", nothing)
        finally:
            ctx.step.run("finally", nothing)

    for function in body_kinds(body, body_sync):
        with Simulation(replay=replay) as sim:
            sim.step("try").takes("10s")
            run = sim.start(function)
            run.wait()
            assert run.steps == ["try", "finally"]
            assert (run.step("finally").started_at - run.started_at).total_seconds() == 10


def test_steps_in_finally_run_also_when_the_try_block_failed(durable):
    """A failed step goes through the finally block, whose step runs once, and the run fails with the first error."""
    ran = []

    def fail():
        ran.append("bad")
        raise ValueError("bad")

    async def body(ctx):
        try:
            await ctx.step.run("bad", fail)
        finally:
            await ctx.step.run("cleanup", ran.append, "cleanup")

    def body_sync(ctx):
        try:
            ctx.step.run("bad", fail)
        finally:
            ctx.step.run("cleanup", ran.append, "cleanup")

    for function in body_kinds(body, body_sync, retries=1):
        ran.clear()
        run = durable.start(function)
        with pytest.raises(RunFailed, match="bad"):
            run.wait()
        assert ran == ["bad", "bad", "cleanup"]
        assert run.steps == ["bad", "cleanup"]


def test_finally_blocks_inside_each_other(durable):
    """Nested finally blocks with steps run from the inside, each step once."""
    ran = []

    async def body(ctx):
        try:
            try:
                await ctx.step.run("a", ran.append, "a")
            finally:
                await ctx.step.run("b", ran.append, "b")
        finally:
            await ctx.step.run("c", ran.append, "c")

    def body_sync(ctx):
        try:
            try:
                ctx.step.run("a", ran.append, "a")
            finally:
                ctx.step.run("b", ran.append, "b")
        finally:
            ctx.step.run("c", ran.append, "c")

    for function in body_kinds(body, body_sync):
        ran.clear()
        run = durable.start(function)
        run.wait()
        assert ran == ["a", "b", "c"]
        assert run.invocations == 4


@pytest.mark.parametrize("replay", ["always", "checkpoint"])
def test_context_managers_with_steps(replay):
    """The exit of a context manager may contain a step; it runs when the block has ended."""
    ran = []

    async def body(ctx):
        @contextlib.asynccontextmanager
        async def held():
            await ctx.step.run("acquire", ran.append, "acquire")
            try:
                yield
            finally:
                await ctx.step.run("release", ran.append, "release")

        async with held():
            await ctx.step.sleep("work", "1h")
        await ctx.step.run("after", ran.append, "after")

    def body_sync(ctx):
        @contextlib.contextmanager
        def held():
            ctx.step.run("acquire", ran.append, "acquire")
            try:
                yield
            finally:
                ctx.step.run("release", ran.append, "release")

        with held():
            ctx.step.sleep("work", "1h")
        ctx.step.run("after", ran.append, "after")

    for function in body_kinds(body, body_sync):
        ran.clear()
        with Simulation(replay=replay) as sim:
            run = sim.start(function)
            run.wait()
            assert run.steps == ["acquire", "work", "release", "after"]
            assert ran == ["acquire", "release", "after"]


def test_async_finally_may_await_asyncio_before_its_step(durable):
    """A finally block that awaits asyncio.sleep and then a step works as it is written."""

    @durable_function("sleeps")
    async def sleeps(ctx):
        try:
            await ctx.step.sleep("work", "1s")
        finally:
            await asyncio.sleep(2)
            await ctx.step.run("cleanup", nothing)

    run = durable.start(sleeps)
    run.wait()
    assert run.steps == ["work", "cleanup"]
    assert took(run) == 3


def test_suppress_of_exceptions_does_not_swallow_a_step(durable):
    """contextlib.suppress(Exception) and except Exception around a step leave the engine alone."""

    async def body(ctx):
        with contextlib.suppress(Exception):
            await ctx.step.sleep("a", "1h")
        try:
            return await ctx.step.run("b", lambda: "b")
        except Exception:  # noqa: BLE001 - what careful authors write
            return "swallowed"

    def body_sync(ctx):
        with contextlib.suppress(Exception):
            ctx.step.sleep("a", "1h")
        try:
            return ctx.step.run("b", lambda: "b")
        except Exception:  # noqa: BLE001 - what careful authors write
            return "swallowed"

    for function in body_kinds(body, body_sync):
        run = durable.start(function)
        assert run.wait() == "b"
        assert run.steps == ["a", "b"]


def test_except_base_exception_in_an_async_body_is_harmless(durable):
    """An async body may catch BaseException around a step and return: the run goes on with the step all the same."""
    ran = []

    @durable_function("catches")
    async def catches(ctx):
        try:
            return await ctx.step.run("a", lambda: ran.append(1) or "a")
        except BaseException:  # noqa: BLE001 - the mistake under test
            return "swallowed"

    run = durable.start(catches)
    assert run.wait() == "a"
    assert ran == [1]


def test_except_base_exception_with_another_step_in_an_async_body(durable):
    """A step in the handler of BaseException does not happen when the body is only left for a while."""

    @durable_function("catches")
    async def catches(ctx):
        try:
            return await ctx.step.run("a", lambda: "a")
        except BaseException:  # noqa: BLE001 - the mistake under test
            return await ctx.step.run("handler", lambda: "handler")

    run = durable.start(catches)
    assert run.wait() == "a"
    assert run.steps == ["a"]


def test_an_async_body_that_catches_everything_in_a_loop_does_not_spin(durable):
    """A loop around a bare except is left all the same: it does not turn for ever while the body is suspended."""
    turns = []

    @durable_function("spins")
    async def spins(ctx):
        turns.append(0)
        while turns[-1] < 20_000:
            turns[-1] += 1
            try:
                await ctx.step.run("a", nothing)
                break
            except BaseException:  # noqa: BLE001 - the mistake under test
                continue

    run = durable.start(spins)
    with contextlib.suppress(RunFailed):
        run.wait()
    assert max(turns) < 20_000


def test_a_sync_body_that_swallows_the_interrupt_is_reported(durable):
    """A bare except around a step of a sync body is reported by the step's name, with the remedy, and not retried."""
    ran = []

    @durable_function("swallows")
    def swallows(ctx):
        try:
            ctx.step.run("a", ran.append, 1)
        except BaseException:  # noqa: BLE001 - the mistake under test
            return "swallowed"

    run = durable.start(swallows)
    with pytest.raises(RunFailed, match=r"swallowed the interrupt of step 'a'.*except Exception") as failure:
        run.wait()
    assert isinstance(failure.value.__cause__, UsageError)
    assert ran == [1]


def test_a_sync_body_that_swallows_and_goes_on_is_reported_too(durable):
    """A swallowed interrupt with another step behind it is reported, and does not make the two parallel."""
    ran = []

    @durable_function("swallows")
    def swallows(ctx):
        try:
            ctx.step.run("a", ran.append, "a")
        except BaseException:  # noqa: BLE001 - the mistake under test
            ran.append("swallowed")
        return ctx.step.run("b", ran.append, "b")

    run = durable.start(swallows)
    with pytest.raises(RunFailed, match="swallowed the interrupt of step 'a'"):
        run.wait()
    assert "b" not in ran


# -- errors of the body that end the run -----------------------------------------------------------------------------


def test_a_body_cannot_catch_the_end_of_its_steps(durable):
    """A body that retries every Exception for ever ends at the limit of steps; the loop does not go on behind it."""
    turns = []

    def fail():
        raise ValueError("bad")

    async def body(ctx):
        turns.clear()
        while len(turns) < 1000:
            turns.append(1)
            with contextlib.suppress(Exception):
                await ctx.step.run("try", fail)

    def body_sync(ctx):
        turns.clear()
        while len(turns) < 1000:
            turns.append(1)
            with contextlib.suppress(Exception):
                ctx.step.run("try", fail)

    for function in body_kinds(body, body_sync, retries=0):
        with Simulation(limits=Limits(steps=5)) as sim:
            run = sim.start(function)
            with pytest.raises(RunFailed) as failure:
                run.wait()
            assert isinstance(failure.value.__cause__, StepLimitError)
            assert len(turns) == 6


def test_a_body_cannot_catch_the_report_of_its_nondeterminism(durable):
    """except Exception around a step does not hide that the steps differ."""
    entered = []

    @durable_function("hides")
    async def hides(ctx):
        entered.append(1)
        with contextlib.suppress(Exception):
            await ctx.step.run("a" if len(entered) == 1 else "b", nothing)
        await ctx.step.run("c", nothing)

    run = durable.start(hides)
    with pytest.raises(NonDeterminismError):
        durable.run_until_idle()
    assert run.status == "failed"


# -- steps that nobody awaits ----------------------------------------------------------------------------------------


def test_a_step_that_nobody_awaits_is_reported_with_its_line(durable):
    """A step without await fails the run at once and is named with file and line."""
    ran = []

    @durable_function("forgets")
    async def forgets(ctx):
        ctx.step.run("forgotten", ran.append, 1)
        return "done"

    run = durable.start(forgets)
    with pytest.raises(RunFailed, match=r"'forgotten' of forgets.*never awaited.*test_replay\.py:\d+") as failure:
        run.wait()
    assert isinstance(failure.value.__cause__, UsageError)
    assert ran == []


def test_a_step_that_nobody_awaits_is_reported_behind_other_steps(durable):
    """The report comes however many steps stand around the forgotten one."""

    @durable_function("forgets")
    async def forgets(ctx):
        await ctx.step.run("a", nothing)
        ctx.step.sleep("forgotten", "1h")
        await ctx.step.run("b", nothing)
        return "done"

    run = durable.start(forgets)
    with pytest.raises(RunFailed, match=r"'forgotten' of forgets.*never awaited"):
        run.wait()


def test_a_step_may_be_called_early_and_awaited_late(durable):
    """A step happens when it is awaited; calling it only fixes its id."""

    @durable_function("late")
    async def late(ctx):
        first = ctx.step.run("x", lambda: "first")
        second = ctx.step.run("x", lambda: "second")
        await ctx.step.run("between", nothing)
        return [await second, await first]

    run = durable.start(late)
    assert run.wait() == ["second", "first"]
    assert run.steps == ["between", "x:1", "x"]


def test_a_step_after_the_end_of_its_run_is_refused(durable):
    """A context that outlives its run refuses steps, by the names of step and function."""
    contexts = []

    async def body(ctx):
        contexts.append(ctx)
        await ctx.step.run("a", nothing)

    def body_sync(ctx):
        contexts.append(ctx)
        ctx.step.run("a", nothing)

    for function in body_kinds(body, body_sync):
        durable.run(function)
        with pytest.raises(UsageError, match=rf"'late' of {function.id}.*completed"):
            contexts[-1].step.run("late", nothing)


# -- bodies whose steps differ ---------------------------------------------------------------------------------------


def differing(durable, first, second):
    """Run a body whose steps are `first` in its first invocations and `second` once "a" is recorded."""
    entered = []

    @durable_function("differs")
    async def differs(ctx):
        entered.append(1)
        for kind, step_id in first if len(entered) < 3 else second:
            if kind == "run":
                await ctx.step.run(step_id, nothing)
            else:
                await ctx.step.sleep(step_id, "1h")

    run = durable.start(differs)
    with pytest.raises(NonDeterminismError) as failure:
        durable.run_until_idle()
    assert run.status == "failed"
    assert isinstance(failure.value, DurabilityError)
    with pytest.raises(RunFailed) as again:
        run.wait()
    assert again.value.__cause__ is failure.value
    return str(failure.value)


AB = [("run", "a"), ("run", "b"), ("run", "c")]


@pytest.mark.parametrize(
    ("second", "shown"),
    [
        ([("run", "a"), ("run", "renamed"), ("run", "c")], ["b (run)", "renamed (run)"]),
        ([("run", "b"), ("run", "a"), ("run", "c")], ["a (run)", "b (run)"]),
        ([("run", "a")], ["b (run)", "(the body ended)"]),
        ([("run", "a"), ("sleep", "b"), ("run", "c")], ["b (run)", "b (sleep)"]),
        ([("run", "new"), ("run", "a"), ("run", "b"), ("run", "c")], ["a (run)", "new (run)"]),
    ],
    ids=["renamed", "reordered", "missing", "other-kind", "inserted"],
)
def test_a_body_whose_steps_differ_is_reported_at_once(durable, second, shown):
    """Renamed, reordered, missing, changed and inserted steps fail the drive, with both sequences and the lines."""
    message = differing(durable, AB, second)
    assert "the body of differs" in message
    assert "earlier invocation" in message
    assert "this invocation" in message
    (marked,) = [line for line in message.splitlines() if line.startswith("!")]
    assert all(text in marked for text in shown)
    assert marked.index(shown[0]) < marked.rindex(shown[1])
    assert "asked for before at" in message
    assert "test_replay.py:" in message


def test_the_report_of_a_difference_names_both_source_lines(durable):
    """Where two different calls ask for the step, both lines are named."""
    entered = []

    @durable_function("lines")
    async def lines(ctx):
        entered.append(1)
        if len(entered) == 1:
            await ctx.step.run("old", nothing)
        else:
            await ctx.step.run("new", nothing)

    durable.start(lines)
    with pytest.raises(NonDeterminismError) as failure:
        durable.run_until_idle()
    first = lines.body.__code__.co_firstlineno
    assert f"asked for before at {__file__}:{first + 4}" in str(failure.value)
    assert f"asked for now at {__file__}:{first + 6}" in str(failure.value)


def test_sync_bodies_whose_steps_differ_are_reported(durable):
    """A sync body is held to the same rule."""
    entered = []

    @durable_function("differs")
    def differs(ctx):
        entered.append(1)
        ctx.step.run("a" if len(entered) == 1 else "b", nothing)

    durable.start(differs)
    with pytest.raises(NonDeterminismError, match=r"a \(run\)\s+b \(run\)"):
        durable.run_until_idle()


def test_parallel_bodies_whose_steps_differ_are_reported(durable):
    """A group whose members change between the plan and the requests is reported with both sequences."""
    entered = []

    @durable_function("differs")
    async def differs(ctx):
        entered.append(1)
        second = "b" if len(entered) == 1 else "c"
        await asyncio.gather(ctx.step.run("a", nothing), ctx.step.run(second, nothing))

    durable.start(differs)
    with pytest.raises(NonDeterminismError, match=r"! b \(run\)\s+c \(run\)"):
        durable.run_until_idle()


def test_a_planned_step_that_is_not_asked_for_again_is_reported_with_both_sequences(durable):
    """A step that vanishes between its plan and its request is named, with what was asked for before and now."""
    entered = []

    @durable_function("vanishes")
    async def vanishes(ctx):
        entered.append(1)
        names = ["a", "b"] if len(entered) < 3 else ["a"]
        await asyncio.gather(*(ctx.step.run(name, nothing) for name in names))

    durable.start(vanishes)
    with pytest.raises(NonDeterminismError) as failure:
        durable.run_until_idle()
    message = str(failure.value)
    assert "'b'" in message or "b (run)" in message
    assert "earlier invocation" in message
    assert "test_replay.py:" in message


def test_steps_that_depend_only_on_results_are_no_difference(durable):
    """Branching on a step's result, on the event and on counters of the body is deterministic, and is let alone."""

    @durable_function("branches")
    async def branches(ctx):
        total = 0
        for number in range(ctx.event.data["n"]):
            value = await ctx.step.run("draw", lambda n=number: n * n)
            if value % 2:
                await ctx.step.sleep(f"odd-{number}", "1m")
            total += value
        return total

    run = durable.start(branches, {"n": 5})
    assert run.wait() == 30
    assert run.steps == ["draw", "draw:1", "odd-1", "draw:2", "draw:3", "odd-3", "draw:4"]


def test_a_difference_in_one_run_does_not_hinder_the_others(durable):
    """After the report the simulation goes on: other runs can be driven to their ends."""
    entered = []

    @durable_function("differs")
    async def differs(ctx):
        entered.append(1)
        await ctx.step.run("a" if len(entered) == 1 else "b", nothing)

    @durable_function("fine")
    async def fine(ctx):
        await ctx.step.sleep("nap", "1h")
        return "fine"

    durable.start(differs)
    other = durable.start(fine)
    with pytest.raises(NonDeterminismError):
        durable.run_until_idle()
    assert other.wait() == "fine"


def test_reused_ids_and_explicit_ones_never_share_a_memo(durable):
    """An id that looks like a counted one gets a key of its own, and every step runs once."""
    ran = []

    @durable_function("counted")
    async def counted(ctx):
        return [await ctx.step.run(step_id, lambda n=n: ran.append(n) or n) for n, step_id in enumerate(IDS)]

    run = durable.start(counted)
    assert run.wait() == [0, 1, 2, 3, 4]
    assert ran == [0, 1, 2, 3, 4]
    assert len(set(run.steps)) == 5


IDS = ("a", "a", "a:1", "a", "a:1")
