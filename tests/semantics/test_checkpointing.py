"""Going on in place: replay="checkpoint" and checkpointing=True change how often a body is entered, nothing else."""

import asyncio
import contextlib
import gc
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_durable import (
    DurableError,
    NonRetriableError,
    RetryAfterError,
    RunFailed,
    Simulation,
    StepError,
    durable_function,
)

# -- small random programs: a node is a tuple, interpreted by a body -------------------------------------------------

PAUSES = st.sampled_from([0, 1, 7, 60])
LEAVES = st.one_of(
    st.tuples(st.just("run"), st.integers(0, 3), PAUSES),  # fails so often, takes so long each time
    st.tuples(st.just("sleep"), PAUSES),
    st.tuples(st.just("wait"), st.sampled_from(["e0", "e1"]), st.sampled_from([5, 40, 200])),
    st.tuples(st.just("attempt")),
    st.tuples(st.just("raise"), st.integers(0, 1)),
)


def grown(children):
    lists = st.lists(children, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(st.just("seq"), lists), st.tuples(st.just("gather"), lists), st.tuples(st.just("try"), children)
    )


PROGRAMS = st.recursive(LEAVES, grown, max_leaves=7)


class Script:
    """What the steps of one program do; counts their attempts, and how often the body raised."""

    def __init__(self, sim):
        self.sim = sim
        self.tries = {}
        self.raised = {}

    def attempt(self, key, failures, pause):
        self.tries[key] = self.tries.get(key, 0) + 1
        if pause:
            time.sleep(pause)
        if self.tries[key] <= failures:
            raise ValueError(key)
        return key

    def body_raises(self, key, times):
        self.raised[key] = self.raised.get(key, 0) + 1
        if self.raised[key] <= times:
            raise LookupError(key)


async def interpret(ctx, script, node, path):
    kind, rest = node[0], node[1:]
    if kind in {"seq", "gather"}:
        parts = (interpret(ctx, script, child, f"{path}.{number}") for number, child in enumerate(rest[0]))
        return await asyncio.gather(*parts) if kind == "gather" else [await part for part in parts]
    if kind == "try":
        try:
            return await interpret(ctx, script, rest[0], f"{path}t")
        except StepError as error:
            return f"caught {error.message}"
    return await LEAF[kind](ctx, script, path, *rest)


async def leaf_run(ctx, script, path, failures, pause):
    return await ctx.step.run(f"run{path}", script.attempt, path, failures, pause)


async def leaf_sleep(ctx, script, path, pause):
    return await ctx.step.sleep(f"sleep{path}", f"{pause}s")


async def leaf_wait(ctx, script, path, name, timeout):
    event = await ctx.step.wait_for_event(f"wait{path}", event=name, timeout=f"{timeout}s")
    return None if event is None else event.name


async def leaf_attempt(ctx, script, path):
    return ["attempt", ctx.attempt]


async def leaf_raise(ctx, script, path, times):
    script.body_raises(path, times)


LEAF = {"run": leaf_run, "sleep": leaf_sleep, "wait": leaf_wait, "attempt": leaf_attempt, "raise": leaf_raise}


def outcome(program, *, replay="always", checkpointing=False, optimise=True):
    """Everything that a test can see of a run, except how often its body was entered."""
    with Simulation(replay=replay) as sim:
        script = Script(sim)

        @durable_function("program", retries=2, checkpointing=checkpointing, optimize_parallelism=optimise)
        async def program_body(ctx):
            return await interpret(ctx, script, program, "")

        sim.send("e0", {"n": 1}, at="3500ms")
        sim.send("e1", {"n": 2}, at="30500ms")
        run = sim.start(program_body)
        with contextlib.suppress(RunFailed):
            run.wait()
        steps = [run.step(key) for key in run.steps]
        return {
            "status": str(run.status),
            "result": run.result,
            "error": str(run.error),
            "ended": run.ended_at,
            "tries": script.tries,
            "steps": [(s.id, s.op, s.status, s.attempts, s.output, s.started_at, s.ended_at) for s in steps],
        }


@settings(max_examples=150)
@given(program=PROGRAMS, optimise=st.booleans())
def test_checkpointing_changes_no_outcome(program, optimise):
    """A random program has the same outcome, steps, attempts and times, entered again or going on in place."""
    always = outcome(program, optimise=optimise)
    assert outcome(program, replay="checkpoint", optimise=optimise) == always
    assert outcome(program, checkpointing=True, optimise=optimise) == always


@settings(max_examples=50)
@given(program=PROGRAMS)
def test_a_random_program_is_the_same_every_time(program):
    """Two simulations of one program see the same steps at the same times."""
    assert outcome(program) == outcome(program)


# -- a model of time -------------------------------------------------------------------------------------------------

CALM = st.recursive(
    st.one_of(
        st.tuples(st.just("run"), st.just(0), PAUSES),
        st.tuples(st.just("sleep"), PAUSES),
        st.tuples(st.just("wait"), st.sampled_from(["e0", "e1"]), st.sampled_from([5, 40, 200])),
    ),
    grown,
    max_leaves=7,
)
EVENTS = {"e0": 3.5, "e1": 30.5}


def model(node, now):
    """When a node ends that begins at `now`, where branches do not wait for each other."""
    kind = node[0]
    if kind == "run":
        return now + node[2]
    if kind == "sleep":
        return now + node[1]
    if kind == "wait":
        at = EVENTS[node[1]]
        return at if now < at <= now + node[2] else now + node[2]
    if kind == "try":
        return model(node[1], now)
    if kind == "gather":
        return max(model(child, now) for child in node[1])
    for child in node[1]:
        now = model(child, now)
    return now


@settings(max_examples=150)
@given(program=CALM, replay=st.sampled_from(["always", "checkpoint"]))
def test_the_time_of_a_program_is_that_of_a_simple_model(program, replay):
    """Without optimised parallelism a run takes what its steps take: sums in sequence, the longest side by side."""
    seen = outcome(program, replay=replay, optimise=False)
    assert seen["status"] == "completed"
    with Simulation() as sim:
        assert (seen["ended"] - sim.now).total_seconds() == model(program, 0)


# -- examples --------------------------------------------------------------------------------------------------------

IN_PLACE = pytest.mark.parametrize(
    ("replay", "checkpointing"), [("checkpoint", False), ("always", True)], ids=["simulation", "function"]
)


@IN_PLACE
def test_a_checkpointing_body_is_entered_once(replay, checkpointing):
    """Steps, sleeps and waits in sequence continue in place: one invocation, each line once."""
    lines = []

    @durable_function("once", checkpointing=checkpointing)
    async def once(ctx):
        lines.append("top")
        await ctx.step.run("a", lambda: 1)
        lines.append("between")
        await ctx.step.sleep("b", "1h")
        await ctx.step.wait_for_event("c", event="never", timeout="1h")
        lines.append("end")

    with Simulation(replay=replay) as sim:
        run = sim.start(once)
        run.wait()
        assert lines == ["top", "between", "end"]
        assert run.invocations == 1
        assert run.steps == ["a", "b", "c"]


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("failures", [1, 2])
def test_a_failed_attempt_is_tried_again_also_in_place(before, failures):
    """A step that fails is retried under checkpointing as without, also when it is the first of its run."""
    tries = []

    @durable_function("fails")
    async def fails(ctx):
        def shaky():
            tries.append(ctx.attempt)
            if len(tries) <= failures:
                raise ValueError("again")
            return "fine"

        for number in range(before):
            await ctx.step.run(f"before-{number}", lambda: None)
        return await ctx.step.run("shaky", shaky)

    ends = []
    for replay in ("always", "checkpoint"):
        tries.clear()
        with Simulation(replay=replay) as sim:
            run = sim.start(fails)
            assert run.wait() == "fine"
            assert tries == list(range(failures + 1))
            assert run.step("shaky").attempts == failures + 1
            ends.append(run.ended_at)
    assert ends[0] == ends[1]


def test_the_attempt_is_reset_behind_a_step_that_was_retried():
    """ctx.attempt behind a step that needed two attempts is 0, in place as well."""
    tries = []

    @durable_function("resets")
    async def resets(ctx):
        def shaky():
            tries.append(1)
            if len(tries) < 2:
                raise ValueError("again")

        await ctx.step.run("first", lambda: None)
        await ctx.step.run("shaky", shaky)
        seen = ctx.attempt
        return [seen, await ctx.step.run("after", lambda: ctx.attempt)]

    for replay in ("always", "checkpoint"):
        tries.clear()
        with Simulation(replay=replay) as sim:
            assert sim.run(resets) == [0, 0]


def test_the_attempt_is_reset_behind_a_body_that_was_retried():
    """ctx.attempt is 0 in the result of a body that was tried again and slept since, in place as well."""
    entered = []

    @durable_function("resets")
    async def resets(ctx):
        first = ctx.attempt
        entered.append(1)
        if len(entered) == 1:
            raise ValueError("once")
        await ctx.step.sleep("nap", "1s")
        return [first, ctx.attempt]

    for replay in ("always", "checkpoint"):
        entered.clear()
        with Simulation(replay=replay) as sim:
            assert sim.run(resets) == [0, 0]


@pytest.mark.parametrize("error", [NonRetriableError("no"), RetryAfterError("later", 5000), ValueError("bad")])
def test_every_kind_of_error_is_the_same_in_place(error):
    """Non-retriable errors, errors with a moment and ordinary ones end a checkpointing run as any other."""

    def run_it(replay):
        @durable_function("errs", retries=1)
        async def errs(ctx):
            def fail():
                raise error

            await ctx.step.run("a", lambda: None)
            try:
                await ctx.step.run("bad", fail)
            except StepError as caught:
                return [caught.name, caught.message]

        with Simulation(replay=replay) as sim:
            run = sim.start(errs)
            return run.wait(), run.step("bad").attempts, run.ended_at, list(run.steps)

    assert run_it("checkpoint") == run_it("always")


def test_a_body_error_enters_the_body_again_also_in_place():
    """An exception of the body itself is retried from the top, with the memo."""
    ran, entered = [], []

    @durable_function("raises")
    async def raises(ctx):
        entered.append(1)
        await ctx.step.run("a", ran.append, 1)
        if len(entered) < 2:
            raise ValueError("once")
        return "fine"

    with Simulation(replay="checkpoint") as sim:
        run = sim.start(raises)
        assert run.wait() == "fine"
    assert (ran, len(entered)) == ([1], 2)
    assert 15 <= (run.ended_at - run.started_at).total_seconds() < 45


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_loses_what_was_in_place(when):
    """A crashed worker enters the body again, from the top and with the memo."""
    entered = []

    @durable_function("crashes")
    async def crashes(ctx):
        entered.append(1)
        await ctx.step.run("a", lambda: None)
        return await ctx.step.run("b", lambda: "b")

    with Simulation(replay="checkpoint") as sim:
        sim.step("b").crashes(when)
        run = sim.start(crashes)
        assert run.wait() == "b"
        assert run.step("b").attempts == 2
        assert run.steps == ["a", "b"]
    assert len(entered) in {2, 3}


def test_parallel_steps_of_a_checkpointing_body_run_once():
    """A parallel section enters the body again; its steps run once, and what follows goes on."""
    ran = []

    @durable_function("parallel", checkpointing=True)
    async def parallel(ctx):
        await ctx.step.run("first", ran.append, "first")
        await asyncio.gather(*(ctx.step.run(name, ran.append, name) for name in "abc"))
        await ctx.step.run("last", ran.append, "last")

    with Simulation() as sim:
        run = sim.start(parallel)
        run.wait()
        assert ran == ["first", "a", "b", "c", "last"]
        assert run.steps == ["first", {"a", "b", "c"}, "last"]


def test_a_timeout_strikes_in_place_as_it_does_on_replay():
    """asyncio.timeout around the steps of a checkpointing body strikes at the same instant."""

    @durable_function("deadline")
    async def deadline(ctx):
        number = 0
        try:
            async with asyncio.timeout(25):
                while number < 10:
                    await asyncio.gather(ctx.step.sleep("tick", "10s"))
                    number += 1
        except TimeoutError:
            return number

    outcomes = []
    for replay in ("always", "checkpoint"):
        with Simulation(replay=replay) as sim:
            run = sim.start(deadline)
            outcomes.append((run.wait(), (run.ended_at - run.started_at).total_seconds(), list(run.steps)))
    assert outcomes == [(2, 25, ["tick", "tick:1"])] * 2


def test_a_difference_in_place_is_reported_when_the_body_is_entered_again():
    """Checkpointing hides no nondeterminism from the invocation that replays."""
    entered = []

    @durable_function("differs")
    async def differs(ctx):
        entered.append(1)
        await ctx.step.run(f"a{len(entered)}", lambda: None)
        raise ValueError("enter again")

    with Simulation(replay="checkpoint") as sim:
        run = sim.start(differs)
        with pytest.raises(RunFailed, match="asks for other steps"):
            run.wait()


def test_a_cancelled_checkpointing_run_closes_its_body():
    """Cancelling a run that is suspended in place ends its body quietly; its finally blocks have run."""
    closed = []

    @durable_function("cancelled")
    async def cancelled(ctx):
        try:
            await ctx.step.sleep("long", "1d")
        finally:
            closed.append(1)

    with Simulation(replay="checkpoint") as sim:
        run = sim.start(cancelled)
        sim.advance("1h")
        sim.cancel(run)
        sim.settle()
        assert run.status == "cancelled"
        assert closed == [1]


def test_a_simulation_that_is_dropped_with_bodies_in_place_is_quiet():
    """A simulation that nobody closes leaves no warning behind, also when its bodies have steps in finally blocks."""

    @durable_function("dropped")
    async def dropped(ctx):
        try:
            await ctx.step.sleep("long", "1d")
        finally:
            await ctx.step.run("cleanup", lambda: None)

    sim = Simulation(replay="checkpoint")
    sim.start(dropped)
    sim.advance("1h")
    del sim
    gc.collect()


def test_sync_bodies_are_entered_again_whatever_checkpointing_says():
    """A sync body cannot be suspended: with checkpointing it has the same outcome as without."""
    ran = []

    @durable_function("sync", checkpointing=True)
    def sync(ctx):
        ctx.step.run("a", ran.append, "a")
        ctx.step.sleep("nap", "1h")
        return ctx.step.run("b", lambda: ran.append("b") or "b")

    with Simulation(replay="checkpoint") as sim:
        run = sim.start(sync)
        assert run.wait() == "b"
        assert ran == ["a", "b"]


def test_other_words_for_replay_are_refused():
    """replay= knows "always" and "checkpoint"; anything else is refused by its value."""
    with pytest.raises(DurableError, match="'sometimes'"):
        Simulation(replay="sometimes")
