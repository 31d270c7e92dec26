"""Scripts, faults, moments and searches that are written wrongly say so at once, with the value and the remedy."""

import asyncio
import time

import pytest

from pytest_durable import (
    ANYTIME,
    DurabilityError,
    DurabilityWarning,
    Event,
    History,
    RunFailed,
    Signal,
    Simulation,
    StepError,
    TriggerCron,
    UsageError,
    between,
    checks,
    durable_function,
    explore,
    faults,
)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda script: script.returns(1, times=0), "times=0 is not a number from 1 on"),
        (lambda script: script.raises("oh no"), r"raises\('oh no'\) needs an exception; use returns"),
        (lambda script: script.calls(3), r"calls\(3\) needs a function; use returns"),
        (lambda script: script.crashes(when="during"), r'crashes\(when=.during.\); say "before" or "after"'),
    ],
    ids=["times", "raises", "calls", "crashes"],
)
def test_a_script_that_cannot_be_meant_is_refused(durable, write, message):
    """Where it is written, by the name of the script."""
    script = durable.step("charge", function="shop", index=1).maybe()
    with pytest.raises(UsageError, match=rf"script for step 'charge'\[1\] of shop: {message}"):
        write(script)


def test_a_script_raises_an_exception_or_a_class_of_them(durable):
    """A class is called without arguments, an instance is raised as it is."""

    @durable_function("f", retries=2)
    async def f(ctx):
        return await ctx.step.run("a", lambda: "real")

    durable.step("a").raises(KeyError).raises(ValueError("no"))
    run = durable.start(f)
    assert run.wait() == "real"
    failed = [rest["error"]["name"] for _, what, _, rest in run.history.facts if what == "attempt.failed"]
    assert failed == ["KeyError", "ValueError"]


def test_a_step_that_is_executed_does_not_time_out(durable):
    """``times_out`` is for waits; on an executed step it fails the run as a mistake of the test."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.run("a", lambda: 1)

    durable.step("a").times_out()
    with pytest.raises(RunFailed, match="is executed, and times_out"):
        durable.run(f)


def test_a_script_may_give_events_and_signals_as_such(durable):
    """An ``Event`` or a ``Signal`` answers a wait as it is; the value of an invocation is its result."""

    @durable_function("child")
    async def child(ctx):
        return "real"

    @durable_function("f")
    async def f(ctx):
        event = await ctx.step.wait_for_event("e", event="x", timeout="1d")
        signal = await ctx.step.wait_for_signal("s", signal="x", timeout="1d", on_conflict="fail")
        return [event.name, event.data, signal.signal, signal.data, await ctx.step.invoke("i", function=child)]

    durable.step("e").returns(Event("other", {"n": 1}))
    durable.step("s").returns(Signal("bell", [2]))
    durable.step("i").returns({"n": 3})
    assert durable.run(f) == ["other", {"n": 1}, "bell", [2], {"n": 3}]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: faults.step_error(rate=2), "rate=2 is not between 0 and 1"),
        (lambda: faults.step_error(times=0), "times=0 is not a number from 1 on"),
        (lambda: faults.crash("during"), 'say "before", "after" or nothing for either'),
        (lambda: Simulation(faults=["crsh"]), "'crsh' is not a fault; there are step_error, "),
    ],
)
def test_a_fault_that_cannot_be_meant_is_refused(make, message):
    """Where it is made."""
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(("rate", "status"), [(0, "completed"), (0.5, "failed")])
def test_a_rate_of_errors_is_any_number_of_them(durable, rate, status):
    """Outside exploration a rate above 0 lets every attempt fail, and 0 none."""

    @durable_function("f", retries=1)
    async def f(ctx):
        await ctx.step.run("a", lambda: 1)

    durable.faults.add(faults.step_error(rate))
    assert [fault.name for fault in durable.faults] == ["step_error"]
    run = durable.start(f)
    durable.run_until_idle()
    assert run.status == status


def test_names_that_are_none_are_refused(durable):
    """A step and a signal are named by text that is not empty, and a window ends behind its beginning."""
    with pytest.raises(UsageError, match="step: '' is not the id of a step"):
        durable.step("")
    with pytest.raises(UsageError, match="signal: 3 is not the name of a signal"):
        durable.signal(3)
    with pytest.raises(UsageError, match=r"between\('2h', '1h'\) ends before it begins"):
        durable.send("x", at=between("2h", "1h"))
    assert repr(ANYTIME) == "ANYTIME"
    with pytest.raises(UsageError, match="'x' is not callable; decorate a function"):
        durable_function("f")("x")


def test_readable_texts_of_what_a_test_looks_at(durable):
    """In an assertion, signals, steps and errors say what they are."""

    @durable_function("f", retries=0)
    async def f(ctx):
        await ctx.step.sleep("nap", 0)
        await ctx.step.run("a", lambda: 1 / 0)

    run = durable.start(f)
    durable.settle()
    assert repr(Signal("bell", 1)) == "Signal(signal='bell', data=1)"
    assert repr(run.step("a")) == "<step 'a' (run): failed after 1 attempts>"
    assert repr(run.error).startswith("<RunError ZeroDivisionError: division by zero")
    assert run.function is f
    assert run.step("nap").input == 0


def test_the_body_of_a_function_can_be_called_as_it_is():
    """A durable function is still its body, for a test of the body alone."""

    @durable_function("f")
    def f(ctx):
        return ctx * 2

    assert f(4) == 8


def test_a_sleep_as_a_handler_takes_virtual_time(durable):
    """``time.sleep`` itself as the handler of a step, taken before the simulation began, takes no real time."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.run("nap", SLEEP, 3600)

    run = durable.start(f)
    run.wait()
    assert (run.ended_at - run.started_at).total_seconds() == 3600


SLEEP = time.sleep


# -- histories --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "this is not a history"),
        ("[]", "this is not a history"),
        ('{"format": "x"}', "this is not a history"),
        (
            '{"format": "other 9", "function": "f", "run": "r", "events": [], "facts": []}',
            "the format 'other 9', and 'pytest-durable history 1' is read here; record it again",
        ),
    ],
)
def test_a_file_that_is_no_history_is_refused(tmp_path, text, message):
    """By what is wrong, and with how a history is written."""
    path = tmp_path / "history.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        History.load(path)


def test_a_history_is_compared_with_its_own_function_only(durable):
    """A history of another function is refused, and a body that raises today is told with how far it came."""

    @durable_function("f", retries=0)
    async def f(ctx):
        try:
            await ctx.step.run("a", lambda: 1 / 0)
        except StepError:
            return await ctx.step.run("b", lambda: 2)

    @durable_function("other")
    async def other(ctx):
        return None

    @durable_function("f")
    async def broken(ctx):
        try:
            await ctx.step.run("a", lambda: 1)
        except StepError:
            await ctx.step.run("b", lambda: 2)
            raise RuntimeError("today") from None

    run = durable.start(f)
    run.wait()
    checks.replay(f, run.history)
    with pytest.raises(DurabilityError, match="the history is one of 'f', and the function is 'other'"):
        checks.replay(other, run.history)
    with pytest.raises(DurabilityError, match="today's f raises RuntimeError: today when it is entered with the 2"):
        checks.replay(broken, run.history)
    assert run.history == History.from_json(run.history.to_json())
    assert run.history != 3


# -- cron -------------------------------------------------------------------------------------------------------------


def test_a_zone_that_does_not_exist_is_refused():
    """At the decorator, with how to write one."""
    with pytest.raises(UsageError, match="names a time zone that does not exist; write five fields"):
        durable_function("f", trigger=[TriggerCron(cron="TZ=Mars/Base 0 9 * * *")])


def test_a_cron_that_never_ticks_starts_nothing(durable):
    """The 31st of February is a valid schedule without a tick."""

    @durable_function("f", trigger=TriggerCron(cron="0 0 31 2 *"))
    async def f(ctx):
        return None

    durable.register(f)
    durable.advance("365d")
    assert durable.runs == []


# -- searches ---------------------------------------------------------------------------------------------------------


def orders(sim, count=3):
    """A run with parallel steps, and the order in which they came."""
    done = []

    @durable_function("f")
    async def f(ctx):
        await asyncio.gather(*(ctx.step.run(name, done.append, name) for name in "abcdefgh"[:count]))

    sim.run(f)
    return "".join(done)


@pytest.mark.parametrize("value", [0, -1, True, "9"])
def test_a_budget_is_a_number(value):
    """Of schedules, from 1 on."""
    with pytest.raises(UsageError, match=r"max_schedules=.* is not a number from 1 on"):
        explore(orders, max_schedules=value)


@pytest.mark.parametrize("wrong", [5, None, "orders"])
def test_a_scenario_is_a_function(wrong):
    """What cannot be called explores nothing, and is no failing schedule either."""
    with pytest.raises(UsageError, match=r"explore\(.*\): give a function that takes a simulation"):
        explore(wrong)


def test_a_strategy_is_one_of_the_table():
    """The message lists them."""
    with pytest.raises(UsageError, match="'evry' is not a strategy of exploration; say one of 'every', "):
        explore(orders, "evry")


def test_all_strategies_in_turn_find_what_needs_an_order():
    """``True`` goes through the default order, single deviations, all orders and samples; each is deterministic."""

    def scenario(sim):
        assert orders(sim, 4) != "cabd"

    first, second = (explore(scenario, True, max_schedules=60) for _ in range(2))
    assert str(first) == str(second)
    assert first.failures
    assert repr(first) == f"<Report: {first}>"
    assert repr(first.failures[0]) == f"<Failure AssertionError under {first.failures[0].schedule}>"


def test_a_long_search_samples_at_last():
    """With too many orders for half the budget, the rest of it is drawn."""
    report = explore(lambda sim: orders(sim, 7), True, max_schedules=40)
    assert (report.schedules, report.complete) == (40, False)
    assert report.distinct > 30


def test_a_search_ends_with_its_time():
    """``max_seconds`` is real time; the report names the bound."""
    report = explore(orders, max_seconds=1e-9)
    assert (report.schedules, report.stopped) == (0, "max_seconds=1e-09")


def test_a_failure_is_lowered_to_the_option_next_to_the_default():
    """Of several options of one choice that fail alike, the report shows the first."""

    def scenario(sim):
        assert orders(sim, 4)[0] in "ab"

    (failure,) = explore(scenario, "random", max_schedules=40, seed=3).failures
    assert failure.story == "default order, except: step 'c' of f runs before step 'a' of f runs"


def test_a_replayed_schedule_that_fails_is_reported():
    """``replay=`` runs one schedule, and its failure is the only one of the report."""

    def scenario(sim):
        assert orders(sim) == "abc"

    schedule = explore(scenario).failures[0].schedule
    report = explore(scenario, replay=schedule)
    assert (report.schedules, len(report.failures), report.stopped) == (1, 1, "one schedule was replayed")
    assert explore(orders, replay=schedule).failures == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Simulation(limits=5), r"limits=5; write limits=Limits"),
        (lambda: Simulation(max_faults=-1), "max_faults=-1 is not a whole number from 0 on"),
        (lambda: Simulation().run_until(5), "5 is no predicate"),
        (lambda: Simulation().on_wait(5), "on_wait: 5 is not the id of a step"),
        (lambda: durable_function("f", timeouts=5), r"function 'f': timeouts=5; write timeouts=Timeouts"),
    ],
)
def test_a_value_of_a_wrong_kind_is_refused_where_it_is_given(wrong, words):
    """By its name and value, with what to write."""
    with pytest.raises(UsageError, match=words):
        wrong()


def test_a_reaction_to_a_wait_that_never_came_is_said():
    """A typing error in on_wait would otherwise look like an event that does not come."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.wait_for_event("approval", event="approved", timeout="1h")

    def play():
        with Simulation() as sim:
            sim.on_wait("aproval").send("approved")
            sim.on_wait("approved").send("approved")
            sim.run(f)

    with pytest.warns(DurabilityWarning, match=r"on_wait\('aproval'\): no wait of that name"):
        play()


def test_a_sleep_takes_as_long_as_it_says():
    """A script that says how long a sleep takes is refused by name."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.sleep("nap", "1h")

    with Simulation() as sim:
        sim.step("nap").takes("5m")
        with pytest.raises(RunFailed, match=r"step 'nap' of f \(sleep\) takes as long as it says"):
            sim.run(f)
