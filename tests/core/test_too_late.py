"""What comes for a run or a step that is over changes nothing, and what a script answers comes when it says."""

import asyncio

import pytest

from pytest_durable import (
    Context,
    Event,
    RateLimit,
    RunFailed,
    Simulation,
    Singleton,
    StepError,
    TriggerCron,
    UsageError,
    durable_function,
    explore,
    faults,
)
from pytest_durable._core.answers import Answers
from pytest_durable._core.commands import RUN, Command, Reply, Report
from pytest_durable._core.results import ERROR, VALUE, Result
from pytest_durable._core.runs import Entry, FunctionSpec

EVENT = {"data": {}, "id": "e", "name": "go", "ts": 0}


class Replies:
    """A host that has its replies written down, as an SDK could send them."""

    def __init__(self, *replies):
        self.replies = list(replies)

    def invoke(self, run, target):
        """The next reply."""
        return self.replies.pop(0)

    def drop(self, run):
        """Nothing is kept."""


def command(name):
    """A step."""
    return Command(name, name, 0, RUN)


def served(*replies):
    """The run of a function of an SDK that replies so."""
    with Simulation() as sim:
        run = sim.engine.create(FunctionSpec("f", Replies(*replies), app="app"), [EVENT], "test")
        sim.run_until_idle()
    return run


def whats(run):
    """What happened, without times."""
    return [(what, step) for _, what, step, _ in run.facts if what.startswith(("step.c", "step.f", "run."))]


@pytest.mark.parametrize(
    "second",
    [
        Report(command("b"), Result(VALUE, (None, "1"))),
        Report(command("b"), Result(ERROR, ValueError("no")), final=True),
        Report(command("b"), Result(ERROR, UsageError("no"))),
    ],
    ids=["a value", "a failure", "another misuse"],
)
def test_of_a_reply_nothing_is_recorded_behind_what_fails_the_run(second):
    """A reply may carry several outcomes; the first that fails the run is the last that is heard."""
    run = served(Reply([Report(command("a"), Result(ERROR, UsageError("misused"))), second]))
    assert whats(run) == [("run.queued", ""), ("run.failed", "")]
    assert str(run.failure) == "UsageError: misused"


def test_a_step_that_is_reported_again_keeps_its_first_result():
    """Found once more, or executed once more, it is what it was, and its job is not made a second time."""
    a, b = command("a"), command("b")
    run = served(
        Reply([Report(a, Result(VALUE, (None, "1")))]),
        Reply([Report(a), Report(b, Result(VALUE, (None, "2")))]),
        Reply([Report(a, Result(VALUE, (None, "3"))), Report(b)]),
        Reply(result=(None, "4")),
    )
    assert whats(run)[:3] == [("run.queued", ""), ("step.completed", "a"), ("step.completed", "b")]
    assert run.entries["a"].stored == (None, "1")


def test_a_run_that_its_own_step_replaces_hears_nothing_of_that_step():
    """A singleton that starts itself once more is cancelled in the middle of a step: the effect is there, no record."""
    with Simulation() as sim:

        @durable_function("f", singleton=Singleton(mode="cancel"))
        async def f(ctx):
            await ctx.step.run("again", lambda: len(sim.runs) > 1 or sim.start(f) is not None)
            return "second"

        first = sim.start(f)
        sim.run_until_idle()
        second = sim.runs[1]
        assert (first.status, first.steps) == ("cancelled", [])
        assert (second.result, second.steps) == ("second", ["again"])


def test_a_sleep_that_is_too_long_keeps_its_siblings_from_beginning():
    """A run that fails at a step does not go on to charge, invoke or wait with what was asked for beside it."""
    effects = []

    @durable_function("child")
    async def child(ctx):
        effects.append("child")

    @durable_function("f")
    async def f(ctx):
        await asyncio.gather(
            ctx.step.sleep("a", "9000d"),
            ctx.step.invoke("b", function=child),
            ctx.step.wait_for_event("c", event="never", timeout=None),
            ctx.step.run("d", effects.append, "charge"),
        )

    with Simulation() as sim:
        run = sim.start(f)
        sim.run_until_idle()
        assert run.status == "failed"
        assert (effects, run.waiting_for) == ([], [])


def test_a_child_that_is_refused_does_not_answer_a_run_that_is_over():
    """The event of an invocation arrives although its caller was cancelled; the caller stays cancelled, unchanged."""

    @durable_function("child", rate_limit=RateLimit(limit=1, period="1h"))
    async def child(ctx):
        return 1

    @durable_function("f")
    async def f(ctx):
        return await ctx.step.invoke("i", function=child)

    with Simulation() as sim:
        assert sim.run(f) == 1
        run = sim.start(f)
        sim.cancel(run)
        sim.settle()
        assert run.status == "cancelled"
        assert [what for _, what, _, _ in run.history.facts][-1] == "run.cancelled"
        with pytest.raises(RunFailed, match="rate limited"):
            sim.run(f)


def test_two_schedules_that_tick_at_one_instant_start_one_run():
    """A tick is known by its instant: the same instant of a second cron of the function starts nothing."""

    @durable_function("f", trigger=[TriggerCron(cron="0 * * * *"), TriggerCron(cron="*/30 * * * *")])
    async def f(ctx):
        return None

    with Simulation() as sim:
        sim.register(f)
        sim.advance("1h")
        assert len(sim.runs) == 2


def test_the_timeout_of_an_invocation_is_over_with_its_answer():
    """A run that goes on behind an answered invocation hears nothing of its timeout."""

    @durable_function("child")
    async def child(ctx):
        return "child"

    @durable_function("f")
    async def f(ctx):
        answer = await ctx.step.invoke("i", function=child, timeout="1h")
        await ctx.step.sleep("nap", "2h")
        return answer

    with Simulation() as sim:
        assert sim.run(f) == "child"


# -- what a script answers --------------------------------------------------------------------------------------------


@durable_function("waits")
async def waits(ctx):
    """Waits for an event, for a signal and for a function."""
    out = []
    for ask in (
        lambda: ctx.step.wait_for_event("event", event="never", timeout="1d"),
        lambda: ctx.step.wait_for_signal("signal", signal="never", timeout="1d", on_conflict="fail"),
        lambda: ctx.step.invoke_by_id("invoke", function_id="none", timeout="1d"),
    ):
        try:
            answer = await ask()
            out.append(getattr(answer, "data", answer))
        except StepError as error:
            out.append(error.name)
    return out


def test_a_scripted_answer_takes_as_long_as_it_says():
    """A wait whose script says ``takes`` is answered so much later, and not before."""
    with Simulation() as sim:
        sim.step("event").takes("2h").returns({"n": 1})
        sim.step("signal").returns("data")
        sim.step("invoke").takes("1h").returns(3)
        run = sim.start(waits)
        sim.advance(7_199_999)
        assert run.steps == []
        sim.advance(1)
        assert run.steps == ["event", "signal"]
        sim.advance("1h")
        event, signal, answer = run.wait()
        assert (event, signal, answer) == ({"n": 1}, "data", 3)


def test_a_script_lets_a_wait_time_out_or_fail():
    """``times_out`` makes any wait deaf until its timeout; ``raises`` fails it as that error."""
    with Simulation() as sim:
        sim.step("event").raises(ValueError("torn"))
        sim.step("signal").times_out()
        sim.step("invoke").times_out()
        run = sim.start(waits)
        sim.signal("never", at="1h")
        assert run.wait() == ["ValueError", None, "InvokeTimeoutError"]
        assert (sim.now - run.started_at).days == 2


def test_a_step_that_no_worker_executes_cannot_crash():
    """A script that crashes a wait is a mistake of the test, and says so."""
    with Simulation() as sim:
        sim.step("event").crashes()
        with pytest.raises(RunFailed, match="is executed by no worker, so it cannot crash"):
            sim.run(waits)


def test_a_script_may_compute_the_answer_of_a_wait():
    """``calls`` answers a step that nobody executes with what the function returns; an invocation gives it its data."""
    with Simulation() as sim:
        sim.step("event").calls(lambda: {"n": 2})
        sim.step("signal").calls(lambda: 1 / 0)
        sim.step("invoke").takes("1h").calls(lambda data: data)
        run = sim.start(waits)
        event, signal, answer = run.wait()
        assert (event, signal, answer) == ({"n": 2}, "ZeroDivisionError", {})


def test_a_sleep_that_a_script_answers_is_over_at_once():
    """Whatever the value, a sleep gives nothing."""

    @durable_function("f")
    async def f(ctx):
        return await ctx.step.sleep("nap", "1d")

    with Simulation() as sim:
        sim.step("nap").returns("ignored")
        run = sim.start(f)
        assert run.wait() is None
        assert run.ended_at == run.started_at


def test_a_late_event_arrives_later_and_once():
    """``delay_event`` lets an event arrive that much later, at an instant of its own."""
    with Simulation() as sim:
        sim.faults.add(faults.delay_event("2h", event="slow"))
        sim.send("slow")
        sim.settle()
        assert "it is on its way" in str(sim.events[0].outcome)
        sim.advance("2h")
        assert [str(event.outcome) for event in sim.events] == ["event 'slow' is late"]


def test_a_reordered_event_arrives_behind_the_next_one():
    """``reorder_event`` swaps an event with the one that comes next; without one it arrives when its time is over."""
    arrived = []

    @durable_function("listens", trigger=["first", "second"])
    async def listens(ctx: Context):
        arrived.append(ctx.event.name)

    with Simulation() as sim:
        sim.register(listens)
        sim.faults.add(faults.reorder_event("2h", event="first"))
        sim.timeline({"0s": Event("first"), "1h": Event("second"), "90m": Event("first")})
        sim.advance("1h")
        assert arrived == ["second", "first"]
        sim.advance("1h")
        assert arrived == ["second", "first", "first"]
    with Simulation() as sim:
        sim.faults.add(faults.reorder_event("2h"))
        sim.send("alone")
        sim.advance("119m")
        assert "it is on its way" in str(sim.events[0].outcome)
        sim.advance("1m")
        assert [str(event.outcome) for event in sim.events] == ["event 'alone' arrives behind the next one"]


def test_reordered_events_are_found_by_a_search():
    """A function that takes the last of two updates is told from one that takes the newest."""

    def scenario(sim):
        @durable_function("last")
        async def last(ctx):
            for use in range(2):
                update = await ctx.step.wait_for_event(f"update-{use}", event="updated", timeout="1d")
            return update.data["version"]

        run = sim.start(last)
        sim.timeline({"1h": Event("updated", {"version": 1}), "2h": Event("updated", {"version": 2})})
        assert run.wait() == 2

    assert explore(scenario).failures == []
    (failure,) = explore(scenario, faults=["reorder_event"]).failures
    assert failure.story == (
        "default order, except: event 'updated' (sent by the test for 2025-01-01 01:00:00Z) arrives behind the next one"
    )


def test_a_step_that_a_worker_executes_is_under_way():
    """Of what a run waits for, a step that nobody else answers is said to be under way, and since when."""
    entry = Entry("a", "a", 0, RUN, None)
    assert Answers.describe_wait(entry, 0).startswith(
        "'a' (run) has been under way from now, and waits for something of"
    )
    entry.started_at = 0
    assert Answers.describe_wait(entry, 3_600_000_000).startswith("'a' (run) has been under way since 1h, and waits")


def test_an_event_and_its_outcome_are_readable():
    """In an assertion an event of the bus says its name, and its outcome what became of it."""
    with Simulation() as sim:
        sim.send("news", {"n": 1})
        sim.settle()
        (event,) = sim.events
        assert repr(event.outcome) == "<Outcome: nobody listened>"
        assert repr(sim.engine.answers.events[0]) == "<news at 2025-01-01 00:00:00Z: nobody listened>"
        assert repr(event) == "<event 'news' {\"n\": 1}: nobody listened>"


def test_a_fault_narrowed_to_an_event_leaves_others_alone():
    """``drop_event(event=)`` drops that event once, and no other."""
    with Simulation() as sim:
        sim.faults.add(faults.drop_event(event="lost"))
        sim.send([Event("lost"), Event("kept")])
        sim.settle()
        assert [str(event.outcome) for event in sim.events if event.name == "kept"] == ["nobody listened"]
        assert ["lost" in str(event.outcome) for event in sim.events if event.name == "lost"] == [True]


def test_a_step_whose_place_is_unknown_adds_no_note():
    """A step of an SDK may have no source; its error stays as it is."""
    error = ValueError("x")
    assert Entry("a", "a", 0, RUN, None).placed(error) is error
    assert not hasattr(error, "__notes__")
