"""The limits of a run: the error names the limit, the step and the size, and ends the run at once."""

import asyncio

import pytest

from pytest_durable import (
    BoundReachedError,
    Cancel,
    Context,
    ContextSync,
    Event,
    LimitError,
    Limits,
    RunFailed,
    RunSizeError,
    Simulation,
    StepLimitError,
    StepSizeError,
    UsageError,
    durable_function,
)

MEGABYTE = 1024 * 1024


def many(count, sync=False):
    """A function of so many steps."""

    @durable_function("f")
    async def async_body(ctx: Context):
        for _ in range(count):
            await ctx.step.run("a", int)

    @durable_function("f")
    def sync_body(ctx: ContextSync):
        for _ in range(count):
            ctx.step.run("a", int)

    return sync_body if sync else async_body


def returning(value):
    """A function of one step with this result."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.run("big", lambda: value)
        return "done"

    return f


def test_the_limits_are_those_of_the_server():
    """1,000 steps, 4 MB a step, 32 MB a run, 3 MB an event, 5,000 events at once, 366 days."""
    limits = Limits()
    assert (limits.steps, limits.step_bytes, limits.run_bytes) == (1_000, 4 * MEGABYTE, 32 * MEGABYTE)
    assert (limits.event_bytes, limits.events_per_send) == (3 * MEGABYTE, 5_000)
    assert limits.sleep == 366 * 86_400 * 1_000_000


@pytest.mark.parametrize("wrong", [{"steps": -1}, {"run_bytes": 0}, {"sleep": "1y"}, {"event_bytes": True}])
def test_a_limit_is_a_whole_number(wrong):
    """What can limit nothing, or everything, is refused with the name of the limit."""
    ((name, value),) = wrong.items()
    with pytest.raises(UsageError, match=rf"Limits\({name}={value!r}\): a limit is a whole number from 1 on"):
        Limits(**wrong)


@pytest.mark.slow
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_run_may_have_a_thousand_steps(durable, sync):
    """And fails at the next, at once."""
    assert durable.run(many(1_000, sync)) is None
    run = durable.start(many(1_001, sync))
    with pytest.raises(RunFailed, match=r"step 'a:1000' of f is number 1001; a run may have 1,000 steps") as failed:
        run.wait()
    assert isinstance(failed.value.__cause__, StepLimitError)
    assert (len(run.steps), run.invocations) == (1_000, 1_001)


def test_a_loop_without_an_end_meets_the_limit_of_steps():
    """``while True`` over steps ends with a reason."""

    @durable_function("f")
    async def f(ctx: Context):
        while True:
            await ctx.step.sleep("again", "1h")

    with Simulation(limits=Limits(steps=50)) as sim, pytest.raises(RunFailed, match="a run may have 50 steps"):
        sim.run(f)


def test_asking_for_too_many_steps_at_once_meets_the_limit_at_once():
    """Not one of them is executed."""
    calls = []

    @durable_function("f")
    async def f(ctx: Context):
        await asyncio.gather(*[ctx.step.run("a", calls.append, n) for n in range(51)])

    with Simulation(limits=Limits(steps=50)) as sim:
        with pytest.raises(RunFailed, match="number 51; a run may have 50 steps"):
            sim.run(f)
        assert calls == []


def test_the_limit_of_steps_cannot_be_caught():
    """A body that swallows the error is failed all the same."""

    @durable_function("f")
    async def f(ctx: Context):
        try:
            for _ in range(9):
                await ctx.step.run("a", int)
        except LimitError:
            return "swallowed"

    with Simulation(limits=Limits(steps=5)) as sim, pytest.raises(RunFailed, match="a run may have 5 steps"):
        sim.run(f)


@pytest.mark.parametrize(
    ("value", "size"),
    [("x" * 98, 100), (["x" * 96], 100), ({"k": "x" * 90}, 99)],
    ids=["text", "list", "dict"],
)
def test_a_step_may_return_as_much_as_its_limit(value, size):
    """A size is that of the JSON, quotes and all; beyond the limit the run fails at once."""
    with Simulation(limits=Limits(step_bytes=size)) as sim:
        assert sim.run(returning(value)) == "done"
    with Simulation(limits=Limits(step_bytes=size - 2)) as sim:
        with pytest.raises(RunFailed, match=r"step 'big' of f returned .* bytes of JSON") as failed:
            sim.run(returning(value))
        assert isinstance(failed.value.__cause__, StepSizeError)
        assert sim.runs[0].invocations == 1


def test_four_megabytes_and_a_byte_are_too_much(durable):
    """The real limit, at its edge; the function's own result may be larger."""
    assert durable.run(returning("x" * (4 * MEGABYTE - 2))) == "done"
    with pytest.raises(RunFailed, match=r"4,194,305 bytes of JSON; a step may return 4 MB \(4,194,304 bytes\)"):
        durable.run(returning("x" * (4 * MEGABYTE - 1)))

    @durable_function("g")
    async def g(ctx: Context):
        return "x" * (4 * MEGABYTE)

    assert len(durable.run(g)) == 4 * MEGABYTE


def test_a_run_may_hold_as_much_as_its_limit():
    """The outputs of all steps together; the message names the step that was too much."""

    @durable_function("f")
    async def f(ctx: Context):
        for _ in range(3):
            await ctx.step.run("part", lambda: "x" * 98)

    with Simulation(limits=Limits(run_bytes=250)) as sim:
        with pytest.raises(RunFailed, match="with step 'part:2' of f the outputs of the run are 300 bytes") as failed:
            sim.run(f)
        assert isinstance(failed.value.__cause__, RunSizeError)


@pytest.mark.parametrize("what", ["its own event", "an event that it waited for", "the result of a child"])
def test_all_that_a_run_holds_counts(what):
    """Its events, what its waits received and what its children returned are state like the outputs of steps."""

    @durable_function("child")
    async def child(ctx: Context):
        return "x" * 500

    @durable_function("f")
    async def f(ctx: Context):
        if what == "an event that it waited for":
            await ctx.step.wait_for_event("wait", event="big", timeout="1h")
        if what == "the result of a child":
            await ctx.step.invoke("call", function=child)
        await ctx.step.run("a", lambda: 1)

    with Simulation(limits=Limits(run_bytes=400)) as sim:
        run = sim.start(f, {"x": "x" * 500} if what == "its own event" else {})
        sim.settle()
        sim.send("big", {"x": "x" * 500})
        with pytest.raises(RunFailed, match="a run may hold"):
            run.wait()


def test_an_event_may_carry_as_much_as_its_limit():
    """Refused where it is sent, with both sizes; in a step with its name."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.send_event("send", Event("big", {"x": "x" * 100}))

    with Simulation(limits=Limits(event_bytes=50)) as sim:
        with pytest.raises(LimitError, match=r"event 'big' is 109 bytes of JSON; 50 are allowed"):
            sim.send("big", {"x": "x" * 100})
        with pytest.raises(RunFailed, match=r"step 'send' of f.*109 bytes"):
            sim.run(f)


def test_as_many_events_at_once_as_the_limit():
    """The message says to send them in several steps."""
    with Simulation(limits=Limits(events_per_send=3)) as sim:
        assert len(sim.send([Event("x")] * 3)) == 3
        with pytest.raises(UsageError, match="4 events at once; 3 are allowed"):
            sim.send([Event("x")] * 4)


def test_a_function_has_ten_triggers_at_the_most():
    """Refused at the decorator, as the server refuses the registration."""
    with pytest.raises(UsageError, match=r"'f'.*10"):
        durable_function("f", trigger=[f"event/{n}" for n in range(11)])(lambda ctx: None)


def test_a_function_is_cancelled_by_five_events_at_the_most():
    """Refused at the decorator."""
    with pytest.raises(UsageError, match=r"'f'.*5"):
        durable_function("f", cancel=[Cancel(event=f"stop/{n}") for n in range(6)])(lambda ctx: None)


def test_a_body_that_turns_without_a_step_ends_at_a_bound():
    """``asyncio.sleep(0)`` for ever is named with its function."""

    @durable_function("spinner")
    async def spinner(ctx: Context):
        while True:
            await asyncio.sleep(0)

    with (
        Simulation(limits=Limits(callbacks_per_invocation=1_000)) as sim,
        pytest.raises((BoundReachedError, RunFailed), match="spinner went through too many turns"),
    ):
        sim.run(spinner)


def test_a_body_that_sleeps_by_itself_for_ever_meets_the_limit_of_steps():
    """Timers of the body are recorded like steps, so a loop of them ends as a loop of steps does."""

    @durable_function("dozer")
    async def dozer(ctx: Context):
        while True:
            await asyncio.sleep(1)

    with Simulation(limits=Limits(steps=20)) as sim:
        run = sim.start(dozer)
        sim.advance("60s")
        assert run.status == "failed"
        assert "20" in run.error.message


def test_limits_belong_to_one_simulation():
    """Another simulation in the same process has its own."""
    with Simulation(limits=Limits(steps=1)) as small, Simulation() as normal:
        assert normal.run(many(2)) is None
        with pytest.raises(RunFailed):
            small.run(many(2))
