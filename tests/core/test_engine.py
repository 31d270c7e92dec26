"""The engine as a whole: re-execution, determinism, bounds, stuck runs, and that reading never drives."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_durable import (
    BoundReachedError,
    Cancel,
    Event,
    Limits,
    NonDeterminismError,
    RunFailed,
    RunStatus,
    RunStuck,
    Simulation,
    StepError,
    durable_function,
)
from pytest_durable._core.limits import BACKOFF


def test_nothing_runs_until_time_is_driven():
    """``start``, ``send``, ``signal`` and ``cancel`` put things on the world; reading drives nothing."""
    entered = []

    @durable_function("f", trigger="go")
    async def f(ctx):
        entered.append(ctx.run_id)

    with Simulation() as sim:
        sim.register(f)
        run = sim.start(f)
        sim.send("go")
        sim.signal("nobody waits")
        assert (run.status, run.result, run.steps, run.invocations) == (RunStatus.QUEUED, None, [], 0)
        assert (run.started_at, run.ended_at, run.error, run.waiting_for) == (None, None, None, [])
        assert (len(run.history.facts), entered) == (1, [])
        assert [str(event.outcome) for event in sim.events] == ["it is on its way"]
        sim.settle()
        assert len(entered) == 2


@pytest.mark.parametrize("replay", ["always", "checkpoint"])
@pytest.mark.parametrize("steps", [0, 1, 7])
def test_a_body_is_entered_once_more_than_it_has_steps(steps, replay):
    """With replay always on; in a checkpointing simulation it goes on in place and is entered once."""

    @durable_function("f")
    async def f(ctx):
        return [await ctx.step.run("a", lambda n=n: n) for n in range(steps)]

    with Simulation(replay=replay) as sim:
        run = sim.start(f)
        assert run.wait() == list(range(steps))
        assert run.invocations == (steps + 1 if replay == "always" else 1)


PROGRAMS = st.lists(
    st.sampled_from(["run", "fails once", "fails for good", "sleep", "wait", "event", "body fails"]), max_size=6
)


def program(kinds, *, checkpointing):
    """A function that does these things one after the other, and survives failed steps."""
    tries = {}

    def flaky(name, times):
        tries[name] = tries.get(name, 0) + 1
        if tries[name] <= times:
            raise ValueError(name)
        return [name]

    @durable_function("program", checkpointing=checkpointing, retries=2)
    async def f(ctx):
        out = []
        for number, kind in enumerate(kinds):
            name = f"{kind} {number}"
            if kind == "body fails":
                await ctx.step.run(f"before {name}", lambda: 1)
                flaky(name, 1)
            elif kind == "sleep":
                out.append(await ctx.step.sleep(name, "1h"))
            elif kind == "wait":
                out.append(await ctx.step.wait_for_event(name, event="never", timeout="1d"))
            elif kind == "event":
                out.append(len(await ctx.step.send_event(name, Event("sent", {"n": number}))))
            else:
                times = {"run": 0, "fails once": 1, "fails for good": 99}[kind]
                try:
                    out += await ctx.step.run(name, flaky, name, times)
                except StepError as error:
                    out.append(str(error))
        return out

    return f


@given(PROGRAMS)
def test_going_on_in_place_is_the_same_as_starting_over(kinds):
    """Whatever a function does, ``replay="always"``, ``replay="checkpoint"`` and ``checkpointing=True`` agree."""
    outcomes = []
    for replay, checkpointing in (("always", False), ("checkpoint", False), ("always", True)):
        with Simulation(replay=replay) as sim:
            run = sim.start(program(kinds, checkpointing=checkpointing))
            run.wait()
            steps = [(step, run.step(step).attempts, run.step(step).ended_at) for step in run.steps]
            outcomes.append((run.status, run.result, steps, sim.now, [event.data for event in run.sent_events]))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_first_step_of_a_function_may_fail(checkpointing):
    """A first step that fails once is tried again, also where the body is suspended in place behind nothing."""
    tries = []

    def flaky():
        tries.append(1)
        if len(tries) == 1:
            raise ValueError
        return "second"

    @durable_function("f", checkpointing=checkpointing)
    async def f(ctx):
        return await ctx.step.run("a", flaky)

    with Simulation() as sim:
        assert sim.run(f) == "second"


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_body_that_raises_behind_a_step_is_entered_again(checkpointing):
    """The retry of a body begins at the top, also where the failed invocation had gone on in place."""
    entered = []

    @durable_function("f", checkpointing=checkpointing)
    async def f(ctx):
        entered.append(ctx.attempt)
        value = await ctx.step.run("a", lambda: 1)
        if max(entered) == 0:
            raise ValueError
        return value

    with Simulation() as sim:
        assert sim.run(f) == 1


PROGRAM_TEXT = """
import asyncio
from pytest_durable import Event, ParallelMode, Simulation, durable_function

tries = []

def flaky(name):
    tries.append(name)
    if tries.count(name) < 3:
        raise ValueError(name)
    return {"b": 1, "a": {name: len(tries)}}

@durable_function("child", trigger="kid")
async def child(ctx):
    await ctx.step.sleep("nap", "3s")
    return ctx.event.data.get("n")

@durable_function("parent", trigger="go")
async def parent(ctx):
    names = sorted({"x", "y", "z", "w"})
    await asyncio.gather(*[ctx.step.run(name, flaky, name) for name in names])
    done, pending = await asyncio.wait({asyncio.ensure_future(ctx.step.sleep(name, "1s")) for name in names})
    await ctx.step.send_event("kids", [Event("kid", {"n": n}) for n in range(3)])
    await ctx.step.invoke("child", function=child, data={"n": 9})
    await ctx.step.wait_for_event("wait", event="never", timeout="1d")
    return len(done)

with Simulation(seed=SEED) as sim:
    sim.register(parent, child)
    sim.send("go", {"k": 1})
    sim.advance("30d")
    print("".join(run.history.to_json() for run in sim.runs), end="")
"""


def histories(hash_seed, seed):
    """The histories of the program above, from a fresh interpreter."""
    code = PROGRAM_TEXT.replace("SEED", str(seed))
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": hash_seed}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.slow
def test_same_seed_same_bytes_whatever_the_hash_seed():
    """In fresh interpreters with three PYTHONHASHSEEDs the histories of one seed are equal byte for byte."""
    first, *others = [histories(hash_seed, 3) for hash_seed in ("0", "1", "31337")]
    assert len(first) > 5_000
    assert others == [first, first]
    assert histories("0", 4) != first


def test_the_same_seed_gives_the_same_history_in_one_process():
    """Two simulations with one seed are equal byte for byte; another seed has other ids and other jitter."""

    def history(seed):
        @durable_function("f", retries=3)
        async def f(ctx):
            def flaky():
                raise ValueError

            await ctx.step.run("a", flaky)

        with Simulation(seed=seed) as sim:
            run = sim.start(f, {"x": 1})
            with pytest.raises(RunFailed):
                run.wait()
            return run.history.to_json()

    assert history(5) == history(5)
    assert history(5) != history(6)


def test_two_simulations_never_touch():
    """Clocks, runs, events and jitter of two simulations in one process are apart, however they are interleaved."""

    @durable_function("f", trigger="go")
    async def f(ctx):
        await ctx.step.sleep("nap", "1h")
        return datetime.now(UTC).isoformat()

    with Simulation() as one, Simulation(start="2030-06-01T00:00:00Z") as two:
        one.register(f)
        first, second = one.start(f), two.start(f)
        one.advance("30m")
        two.advance("2h")
        assert (first.status, second.status) == ("running", "completed")
        two.send("go")
        two.settle()
        assert (len(one.runs), len(two.runs), one.events) == (1, 1, [])
        one.advance("30m")
        assert (first.result, second.result) == ("2025-01-01T01:00:00+00:00", "2030-06-01T01:00:00+00:00")


def test_events_that_start_each_other_end_at_a_bound():
    """A livelock ends with the named bound, the instant and what happened last."""

    @durable_function("echo", trigger="ping")
    async def echo(ctx):
        await ctx.step.send_event("again", Event("ping"))

    with Simulation(limits=Limits(happenings_per_instant=500)) as sim:
        sim.register(echo)
        sim.send("ping")
        with pytest.raises(
            BoundReachedError, match=r"500 happenings at one instant, at 2025-01-01 00:00:00Z.*echo|ping"
        ):
            sim.advance("1s")


def test_a_function_that_invokes_itself_ends_at_a_bound():
    """Endless recursion of runs is a livelock too."""

    @durable_function("deep")
    async def deep(ctx):
        await ctx.step.invoke("deeper", function=deep)

    with Simulation(limits=Limits(happenings_per_instant=500)) as sim, pytest.raises(BoundReachedError, match="deep"):
        sim.run(deep)


def test_a_storm_over_time_ends_at_a_bound():
    """Events that start each other with a distance in time end at the bound of a drive."""

    @durable_function("storm", trigger="ping")
    async def storm(ctx):
        await ctx.step.sleep("nap", "1s")
        await ctx.step.send_event("again", Event("ping"))

    with Simulation(limits=Limits(happenings_per_drive=500)) as sim:
        sim.register(storm)
        sim.send("ping")
        with pytest.raises(BoundReachedError, match="500 happenings in one drive"):
            sim.run_until_idle()


def test_a_stuck_run_is_an_answer():
    """``wait`` says at once what the run waits for, since when, for which condition, and what to do."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.sleep("nap", "1h")
        await ctx.step.wait_for_event("approval", event="order/approved", timeout=None, if_exp="async.data.ok == true")

    with Simulation() as sim:
        run = sim.start(f)
        sim.advance("3h")
        with pytest.raises(RunStuck) as stuck:
            run.wait()
        assert sim.now == datetime(2025, 1, 1, 3, tzinfo=UTC)
        text = str(stuck.value)
        for part in ("'approval'", "since 2h", "'order/approved'", "async.data.ok == true", "2025-01-01 03:00:00Z",
                     "durable.send", "timeout"):  # fmt: skip
            assert part in text


@pytest.mark.parametrize("start", ["1970-01-01T00:00:00Z", "2025-01-01T00:00:00Z"])
def test_since_when_is_true_at_any_time(start):
    """The epoch is a moment like any other."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.wait_for_event("approval", event="ok", timeout=None)

    with Simulation(start=start) as sim:
        run = sim.start(f)
        sim.advance("1h")
        with pytest.raises(RunStuck, match="since 1h"):
            run.wait()


def test_a_stuck_run_names_every_wait():
    """A run that waits for several things names each of them: event, signal and invocation."""

    @durable_function("child")
    async def child(ctx):
        await ctx.step.wait_for_event("inner", event="never", timeout=None)

    @durable_function("f")
    async def f(ctx):
        await ctx.group.parallel(
            (
                lambda: ctx.step.wait_for_event("e", event="never", timeout=None),
                lambda: ctx.step.wait_for_signal("s", signal="bell", timeout=None, on_conflict="fail"),
                lambda: ctx.step.invoke("i", function=child),
            )
        )

    with Simulation() as sim:
        run = sim.start(f)
        with pytest.raises(RunStuck) as stuck:
            run.wait()
        assert run.waiting_for == ["e", "s", "i"]
        for part in ("'e' waits", "'never'", "'s' waits", "'bell'", "'i' waits", "end of child"):
            assert part in str(stuck.value)


def test_a_stuck_run_goes_on_when_it_is_helped():
    """``RunStuck`` is an answer, not an end."""

    @durable_function("f")
    async def f(ctx):
        return (await ctx.step.wait_for_event("e", event="help", timeout=None)).data

    with Simulation() as sim:
        run = sim.start(f)
        with pytest.raises(RunStuck):
            run.wait()
        sim.send("help", {"n": 1})
        assert run.wait() == {"n": 1}


def test_a_body_that_asks_for_other_steps_is_reported():
    """Both sequences side by side, with the lines where the steps were asked for."""
    entered = []

    @durable_function("f")
    async def f(ctx):
        entered.append(1)
        await ctx.step.run("first", lambda: 1)
        if len(entered) % 2 == 0:
            await ctx.step.run("left", lambda: 1)
        else:
            await ctx.step.run("right", lambda: 1)

    with Simulation() as sim:
        run = sim.start(f)
        with pytest.raises(NonDeterminismError, match=r"left \(run\) +right \(run\)") as raised:
            sim.settle()
        assert str(raised.value).count("test_engine.py:") == 2
        assert run.status == "failed"
        with pytest.raises(RunFailed, match="asks for other steps"):
            run.wait()


@pytest.mark.parametrize("change", ["kind", "order", "fewer"])
def test_every_kind_of_difference_is_reported(change):
    """Another operation under the same id, another order, and a step that is not asked for any more."""
    entered = []

    @durable_function("f")
    async def f(ctx):
        entered.append(1)
        changed = len(entered) > 2
        if change == "kind" and changed:
            await ctx.step.sleep("a", "1s")
        elif change == "order" and changed:
            await ctx.step.run("b", lambda: 1)
            await ctx.step.run("a", lambda: 1)
        elif change != "fewer" or not changed:
            await ctx.step.run("a", lambda: 1)
            await ctx.step.run("b", lambda: 1)
        return 1

    with Simulation() as sim, pytest.raises((NonDeterminismError, RunFailed), match="asks for other steps"):
        sim.run(f)


def test_a_simulation_that_failed_half_way_still_shows_its_history():
    """The finished steps and the reason stand in the timeline."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.run("a", lambda: {"x": 1})
        await ctx.step.sleep("nap", "soon")

    with Simulation() as sim:
        run = sim.start(f)
        with pytest.raises(RunFailed):
            run.wait()
        assert run.steps == ["a"]
        assert 'a  (run) -> {"x": 1}' in run.timeline()
        assert "'soon' is not a duration" in sim.report()


def test_the_table_of_retries():
    """The pauses behind the attempts are those of the real server, in seconds."""
    assert [pause // 1_000_000 for pause in BACKOFF] == [15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200]


def test_a_predicate_that_never_holds_is_a_timeout():
    """``run_until`` gives up when nothing more is due, or when its time is over, and says which."""
    with Simulation() as sim:
        with pytest.raises(TimeoutError, match="nothing more is due"):
            sim.run_until(lambda: False)
        with pytest.raises(TimeoutError, match="within '1h'"):
            sim.run_until(lambda: False, within="1h")
        assert sim.now == datetime(2025, 1, 1, 1, tzinfo=UTC)
        sim.run_until(lambda: True)


def test_what_a_test_does_to_a_run_stays_outside():
    """Events, results and outputs that a test reads are copies: changing them changes no run."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.run("a", lambda: {"list": [1]})
        await ctx.step.sleep("nap", "1h")
        return ctx.event.data

    with Simulation() as sim:
        run = sim.start(f, {"deep": {"n": 1}})
        run.event.data["deep"]["n"] = 2
        sim.settle()
        run.step("a").output["list"].append(2)
        assert run.wait() == {"deep": {"n": 1}}
        run.result["deep"]["n"] = 3
        assert run.result == {"deep": {"n": 1}}
        assert run.step("a").output == {"list": [1]}
        assert run.event.data == {"deep": {"n": 1}}
        assert run.history.events[0]["data"] == {"deep": {"n": 1}}


def test_a_returned_id_is_the_id_of_the_event():
    """Where nobody gave an id, what ``send`` returns finds the event again on the bus."""
    with Simulation() as sim:
        ids = [*sim.send("x"), *sim.send("x")]
        sim.settle()
        assert [event.id for event in sim.events] == ids
        assert len(set(ids)) == 2


def test_a_function_is_not_cancelled_by_the_event_that_starts_it():
    """Cancellation counts from the run on: its own trigger event came before."""

    @durable_function("f", trigger="user/changed", cancel=Cancel(event="user/changed"))
    async def f(ctx):
        await ctx.step.sleep("nap", "1h")
        return "done"

    with Simulation() as sim:
        sim.register(f)
        sim.send("user/changed")
        sim.settle()
        assert sim.runs[0].status == "running"
        sim.send("user/changed")
        sim.settle()
        assert [run.status for run in sim.runs] == ["cancelled", "running"]
