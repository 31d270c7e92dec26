"""What a script says of a step that a fault befalls, or that nobody executes."""

from datetime import timedelta

import pytest

from pytest_durable import RunFailed, RunStuck, Simulation, between, durable_function, explore, faults

MINUTE = timedelta(minutes=1)


class Model:
    """An adapter of ``ai.infer``, of which a test needs nothing."""


def one_step(did):
    """A function of one step, which takes note of being executed for real."""

    @durable_function("f")
    async def f(ctx):
        return await ctx.step.run("a", lambda: did.append("real") or "real")

    return f


@pytest.mark.parametrize("fault", [faults.crash("before"), faults.step_error(times=1)], ids=["crash", "error"])
def test_a_fault_before_the_effect_leaves_the_script_to_the_next_attempt(fault):
    """The double of a provider stands for the attempt that reaches it, so the real one is never called."""
    did = []
    with Simulation() as sim:
        sim.faults.add(fault)
        sim.step("a").returns("scripted")
        run = sim.start(one_step(did))
        assert run.wait() == "scripted"
        assert (run.step("a").attempts, did) == (2, [])


def test_a_fault_behind_the_effect_uses_the_script_up():
    """The provider was reached, and is reached again: that is what a fake for all attempts is for."""
    did = []

    def scenario(sim):
        sim.step("a").calls(lambda: did.append("fake") or "fake")
        assert sim.run(one_step(did)) == "fake"

    assert not explore(scenario, faults=["crash"]).failures
    assert set(did) == {"fake"}


@pytest.mark.parametrize("next_to_it", [True, False])
def test_a_crash_behind_a_fake_has_the_effect_of_the_fake(next_to_it):
    """Not that of the real handler, which the test has replaced."""
    did = []
    with Simulation() as sim:
        script = sim.step("a").crashes(when="after")
        if not next_to_it:
            script.crashes(when="before")
        script.calls(lambda: did.append("fake") or "fake")
        assert sim.run(one_step(did)) == "fake"
    assert did == ["fake", "fake"]


@pytest.mark.parametrize("answer", ["returns", "calls"])
def test_the_answer_of_a_model_can_be_lost(answer):
    """The question is asked again, and the script goes on."""
    asked = []

    @durable_function("f")
    async def f(ctx):
        return await ctx.step.ai.infer("ask", adapter=Model(), body={"q": 1})

    with Simulation() as sim:
        script = sim.step("ask").crashes(when="after")
        if answer == "returns":
            script.returns({"a": 2})
        else:
            script.calls(lambda **_: asked.append(1) or {"a": 2})
        run = sim.start(f)
        assert run.wait() == {"a": 2}
        assert run.step("ask").attempts == 2
    assert len(asked) == (0 if answer == "returns" else 2)


@durable_function("waits")
async def waits(ctx):
    return await ctx.step.wait_for_event("w", event="go", timeout="1h") is not None


@durable_function("child")
async def child(ctx):
    return "child"


@durable_function("invokes")
async def invokes(ctx):
    return await ctx.step.invoke("w", function=child)


@durable_function("sleeps")
async def sleeps(ctx):
    await ctx.step.sleep("w", "1h")


@pytest.mark.parametrize(
    ("function", "write", "words"),
    [
        (waits, lambda script: script.takes("5m"), r"\(wait_for_event\) takes until it is answered; say what it gets"),
        (waits, lambda script: script.takes("5m").times_out(), r"\(wait_for_event\) takes until it is answered"),
        (invokes, lambda script: script.takes("5m"), r"\(invoke\) takes until it is answered; say what it gets then"),
        (invokes, lambda script: script.crashes(), r"\(invoke\) is executed by no worker, so it cannot crash"),
        (sleeps, lambda script: script.times_out(), r"\(sleep\) cannot time out; times_out\(\) is for waits"),
    ],
)
def test_what_cannot_happen_to_a_step_that_nobody_executes_is_refused(function, write, words):
    """A script that could only be ignored is a mistake, and named with the step."""
    with Simulation() as sim:
        write(sim.step("w"))
        with pytest.raises(RunFailed, match=rf"step 'w' of {function.id} {words}"):
            sim.run(function)


def test_a_wait_that_a_script_makes_deaf_says_so_when_it_is_stuck():
    """Without a timeout nothing can end it, and the advice to send something would be none."""
    with Simulation() as sim:
        sim.step("w").times_out()
        run = sim.start(invokes)
        with pytest.raises(RunStuck, match="hears nothing but its timeout, as its script says"):
            run.wait()


@pytest.mark.parametrize(("takes", "answered", "minutes"), [("30m", True, 30), ("1h", True, 60), ("2h", False, 60)])
def test_a_scripted_answer_can_come_too_late(takes, answered, minutes):
    """One that takes longer than the wait lasts is not heard, and the wait times out at its own time."""
    with Simulation() as sim:
        since = sim.now
        sim.step("w").takes(takes).returns({})
        assert sim.run(waits) is answered
        assert sim.now - since == minutes * MINUTE


def test_an_event_of_a_chosen_moment_has_the_time_of_its_arrival():
    """Its ``ts`` is when it is received, in every schedule, as that of any event without one."""
    seen = set()

    @durable_function("tells")
    async def tells(ctx):
        event = await ctx.step.wait_for_event("w", event="go", timeout="1h")
        return event.ts

    def scenario(sim):
        sim.advance("1m")
        since = sim.now
        sim.send("go", at=between("10m", "20m"))
        told = sim.run(tells)
        assert told == int(sim.now.timestamp() * 1000)
        seen.add((sim.now - since) // MINUTE)

    assert not explore(scenario).failures
    assert seen == {10, 20}


def test_a_window_that_is_none_is_refused_where_it_is_written():
    """Before any event is sent."""
    with pytest.raises(ValueError, match=r"between\('2h', '1h'\) ends before it begins"):
        between("2h", "1h")
    with pytest.raises(ValueError, match=r"between\('soon', '1h'\): 'soon' is not a duration"):
        between("soon", "1h")
