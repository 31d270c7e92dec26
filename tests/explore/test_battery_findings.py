"""The battery, one function for each thing that a check finds, and for each that it cannot look at."""

import sqlite3
from enum import StrEnum
from functools import partial
from itertools import count
from typing import NamedTuple

import pytest

from pytest_durable import (
    DurabilityError,
    Event,
    Limits,
    NonDeterminismError,
    Simulation,
    StepError,
    UsageError,
    battery,
    checks,
    durable_function,
)
from pytest_durable.battery import BATTERY, Subject, Verdict, changed

pytest_plugins = ["pytester"]


def verdict_of(check, function, event=None, setup=None, **options):
    """What one check says, as text."""
    return str(BATTERY[check](Subject(function, event, setup, **options)))


def violations_of(check, function, event=None, setup=None):
    """What is wrong by one check, as text; it is an error if nothing is."""
    with pytest.raises(DurabilityError) as caught:
        checks.check_durable(function, event, setup=setup, only=check)
    return str(caught.value)


# -- replay_determinism -----------------------------------------------------------------------------------------------


def test_a_body_that_asks_for_fewer_steps_with_a_full_memo_is_found():
    """Entered with all that is recorded, the body must ask for all that it asked for."""
    entered = []

    @durable_function("f")
    async def f(ctx):
        entered.append(1)
        if len(entered) < 3:
            await ctx.step.run("a", lambda: 1)

    assert "'a'" in violations_of("replay_determinism", f)


def test_a_result_that_a_replay_computes_anew_is_found():
    """With the same memo the body must return what it returned."""
    numbers = iter(range(100))

    @durable_function("f")
    async def f(ctx):
        await ctx.step.run("a", lambda: 1)
        return next(numbers)

    assert "with the same memo the body returns 1, and returned 0 before" in violations_of("replay_determinism", f)


def test_steps_that_depend_on_how_often_the_body_was_entered_are_found():
    """Where the default order alone shows it, that is the violation."""
    entered = []

    @durable_function("f")
    async def f(ctx):
        entered.append(1)
        await ctx.step.run("a", lambda: 1)
        await ctx.step.run(f"b{len(entered)}", lambda: 1)
        await ctx.step.run("c", lambda: 1)

    for check in ("replay_determinism", "crash_anywhere"):
        assert "asks for other steps" in violations_of(check, f)
    assert "nothing to look at" in verdict_of("impure_body", f)


# -- crash_anywhere ---------------------------------------------------------------------------------------------------


def test_a_function_without_retries_cannot_survive_a_crash():
    """Nothing is proved for it, and the verdict says why."""

    @durable_function("f", retries=0)
    async def f(ctx):
        await ctx.step.run("a", lambda: 1)

    assert "not reached: the function has retries=0" in verdict_of("crash_anywhere", f)


def test_a_function_without_executed_steps_has_its_end_as_crash_point():
    """The worker may be lost behind the last line of any body."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.sleep("nap", "1d")

    assert verdict_of("crash_anywhere", f) == "crash_anywhere: 1 of 1 crash points survived"


def test_another_outcome_behind_a_crash_is_told_with_both():
    """The steps with the crash and without it stand side by side, with the schedule."""
    charged = []

    @durable_function("f")
    async def f(ctx):
        if await ctx.step.run("charge", lambda: charged.append(1) or len(charged)) > 1:
            await ctx.step.run("refund", lambda: 1)

    text = violations_of("crash_anywhere", f, setup=lambda sim: charged.clear())
    assert "with the steps ['charge', 'refund'], and completed with ['charge'] without it" in text
    assert "schedule: s1." in text


def test_an_effect_with_a_key_that_a_crash_repeats_is_counted():
    """A keyed effect happens as often with a crash as without."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.run("charge", lambda: simulations[-1].ledger.record("charge", key="o1"))

    simulations = []
    text = violations_of("crash_anywhere", f, setup=simulations.append)
    assert "the effect charge 'o1' happened 2 times, and 1 without it" in text


# -- the others -------------------------------------------------------------------------------------------------------


def test_a_run_over_a_limit_is_found():
    """A step that returns too much is a violation of the limits, and the run does not end well."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.run("big", lambda: "x" * (Limits().step_bytes + 1))

    assert "a step may return 4 MB" in violations_of("step_limits", f)
    assert "without any fault the run fails" in violations_of("terminates", f)


def test_a_storm_does_not_end(monkeypatch):
    """A function that starts itself without a distance in time is told as that, not as an error of the check."""

    @durable_function("f", trigger="again")
    async def f(ctx):
        await ctx.step.send_event("again", Event("again"))
        await ctx.step.wait_for_event("never", event="never", timeout=None)

    monkeypatch.setattr(battery, "simulate", partial(battery.simulate, limits=Limits(happenings_per_instant=500)))
    text = violations_of("terminates", f, setup=lambda sim: sim.register(f))
    assert "happenings at one instant" in text
    text = violations_of("step_limits", f, setup=lambda sim: sim.register(f))
    assert "happenings at one instant" in text


def test_a_run_that_is_stuck_is_found():
    """What it waits for, and what to do, stand in the violation."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.wait_for_event("approval", event="ok", timeout=None)

    assert "the run never ends: 'approval' waits since" in violations_of("terminates", f)


def test_a_wait_for_no_event_is_not_reached():
    """Without a wait there is no order of event and wait to look at."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.sleep("nap", "1d")

    assert "not reached: the run waits for no event" in verdict_of("wait_ordering", f)


def test_an_event_that_cannot_be_made_is_said():
    """A condition that the run's own data does not fulfil leaves the wait out of the moments, by name."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.wait_for_event("w", event="ok", timeout="1h", if_exp="async.data.n == 7")
        await ctx.step.wait_for_event("any", event="ok", timeout="1h")

    text = verdict_of("wait_ordering", f)
    assert "not reached: no event could be made that 'w' accepts" in text
    assert "4 moments of an event" in text


def test_an_event_at_a_moment_that_breaks_the_function_is_found():
    """The event of a wait, made of the run's own data, meets the body at its deadline and before."""
    big = "x" * (Limits().step_bytes + 1)

    @durable_function("f")
    async def f(ctx):
        if await ctx.step.wait_for_event("w", event="ok", timeout="1h") is not None:
            await ctx.step.run("big", lambda: big)

    assert "with 'ok' at 2025-01-01 00:00:00+00:00: " in violations_of("wait_ordering", f)


def test_a_body_that_an_event_makes_impure_is_found():
    """A sequence of steps that changes only where the event comes is found at that moment."""
    entered = []

    @durable_function("f")
    async def f(ctx):
        if await ctx.step.wait_for_event("w", event="ok", timeout="1h") is not None:
            entered.append(1)
            await ctx.step.run(f"a{len(entered)}", lambda: 1)
            await ctx.step.run("b", lambda: 1)

    assert "asks for other steps" in violations_of("wait_ordering", f)


@pytest.mark.parametrize("always", [False, True])
def test_an_event_that_is_lost_to_a_wait_is_found(always):
    """An answer that comes before the wait is registered, in some order or in every one, is told with what to write."""

    @durable_function("answers", trigger="ask")
    async def answers(ctx):
        await ctx.step.send_event("answer", Event("answer"))

    @durable_function("f")
    async def f(ctx):
        await ctx.step.send_event("ask", Event("ask"))
        if always:
            await ctx.step.sleep("a moment", "1m")
        return await ctx.step.wait_for_event("w", event="answer", timeout="1h") is not None

    text = violations_of("wait_ordering", f, setup=lambda sim: sim.register(answers))
    assert "'answer' that 'w' waits for came before the wait was registered" in text


def test_a_second_run_for_one_event_is_found():
    """The same event twice must start one run; a setup that starts one more of its own shows it."""

    @durable_function("f", trigger="go")
    async def f(ctx):
        await ctx.step.sleep("nap", "1h")

    text = violations_of("duplicate_delivery", f, setup=lambda sim: sim.start(f))
    assert "the same event twice started 2 runs" in text


def test_a_result_of_another_shape_is_found():
    """What a run returns may be minted anew, but a list with a part missing is another result."""
    minted = count()

    @durable_function("f", trigger="go")
    async def f(ctx):
        entered.append(1)
        await ctx.step.run("a", lambda: 1)
        await ctx.step.sleep("nap", "1h")
        return {"minted": next(minted), "all": [1] * len(entered)}

    entered = []
    text = violations_of("duplicate_delivery", f, setup=lambda _: entered.clear())
    assert "a request that was delivered again changed the run: the run returned" in text
    assert '"all": [1, 1, 1]} without it' in text


def test_an_effect_outside_steps_is_repeated_by_a_second_delivery():
    """A request that is delivered again enters the body again; what stands outside steps happens again."""

    @durable_function("f")
    async def f(ctx):
        simulations[-1].ledger.record("mail", key="m1")
        await ctx.step.run("a", lambda: 1)

    simulations = []
    text = violations_of("duplicate_delivery", f, setup=simulations.append)
    assert "a request that was delivered again had effects" in text
    assert "mail 'm1': 3 times, and 2 times" in text
    assert "mail 'm1' was recorded 2 times outside any step" in violations_of(
        "impure_body", f, setup=simulations.append
    )


class Word(StrEnum):
    """A text with a type of its own."""

    YES = "yes"


class Pair(NamedTuple):
    """A tuple with names."""

    left: int
    right: int


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"a": {1: 2}}, "a dict with the key 1 (int) at a, which becomes text; use text"),
        ({"a": [1, (2,)]}, "a tuple at a[1], which becomes a list; return a list"),
        (Pair(1, 2), "a Pair, which becomes a list; return a list"),
        ([Word.YES], "a Word at [0], which becomes a StrEnum"),
        (type("Bag", (dict,), {})(), "a Bag, which becomes a dict"),
        ({"a": [1, "b", None, 2.5, True]}, ""),
        (..., ""),
    ],
    ids=str,
)
def test_what_json_changes_is_named_with_its_place(value, found):
    """The first part of a value that comes back as another type; what JSON refuses is an error elsewhere."""
    assert changed(value, "") == found


def test_a_value_that_json_refuses_is_a_finding_of_fidelity():
    """The result that fails the run is told with the rest; a step that fails as its author wants is none."""

    @durable_function("f")
    async def f(ctx):
        try:
            await ctx.step.run("fails", lambda: 1 / 0)
        except StepError:
            await ctx.step.run("tuple", lambda: (1,))
        return object()

    text = violations_of("json_fidelity", f)
    assert "step 'tuple' of f returns a tuple" in text
    assert "JSON cannot carry <object object" in text


# -- the battery as a whole -------------------------------------------------------------------------------------------


@durable_function("fine", trigger="go")
async def fine(ctx):
    """A durable function without a flaw."""
    a = await ctx.step.run("a", lambda: 1)
    await ctx.step.wait_for_event("w", event="ok", timeout="1h")
    return a + 2


def test_a_durable_function_passes_every_check():
    """Each check says what it proved, in the order of the battery."""
    verdicts = checks.check_durable(fine)
    assert [verdict.check for verdict in verdicts] == list(BATTERY)
    assert all(verdict.proved and not verdict.violations for verdict in verdicts[:-1])
    assert str(verdicts[-1]) == "sdk_hazards: nothing to look at (not reached: a native function has none of them)"


def test_unknown_checks_are_refused():
    """``only`` and ``skip`` name checks of the battery; the message lists them."""
    for argument in ("only", "skip"):
        with pytest.raises(UsageError, match=rf"{argument}='terminate' is not a check; there are terminates, "):
            checks.check_durable(fine, **{argument: "terminate"})
    kept = checks.check_durable(fine, skip=[name for name in BATTERY if name != "terminates"])
    assert [verdict.check for verdict in kept] == ["terminates"]


CASES = """
    import pytest
    from pytest_durable import checks, durable_function

    @durable_function("fine")
    async def fine(ctx):
        await ctx.step.run("a", lambda: 1)

    cases = []

    @checks.durable_cases(fine, only=["terminates", "step_limits"])
    def test_cases_are_items(verdict):
        cases.append(verdict.check)
        assert not verdict.violations

    @checks.durable_cases(fine, only="terminates")
    def test_cases_may_ignore_the_verdict():
        cases.append("called")

    class TestCases:
        @pytest.fixture
        def word(self):
            return "word"

        @pytest.mark.parametrize("number", [1, 2])
        @checks.durable_cases(fine, only=["terminates", "step_limits"])
        def test_cases_take_fixtures_and_parameters(self, verdict, word, number, request):
            assert (verdict.violations, word) == ([], "word")
            assert str(number) in request.node.name

        @pytest.mark.asyncio
        @checks.durable_cases(fine, only=["terminates"])
        async def test_cases_may_be_async(self, verdict):
            assert verdict.check == "terminates"
            cases.append("async")

    def test_they_were_run():
        assert cases == ["terminates", "step_limits", "called", "async"]
"""


def test_cases_are_tests_like_any_other(pytester):
    """One item for each check, called with its verdict if it takes one: functions, methods, async, with fixtures."""
    pytester.makepyfile(CASES)
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly").assert_outcomes(passed=9)


def test_an_error_of_determinism_is_the_verdict_of_any_check(monkeypatch):
    """A check that a body breaks says that, and the others go on."""

    def breaks(subject):
        raise NonDeterminismError("asks for other steps")

    monkeypatch.setitem(BATTERY, "terminates", breaks)
    with pytest.raises(DurabilityError, match="fine has 1 violation of durability:\nterminates: asks for other steps"):
        checks.check_durable(fine)


def test_a_verdict_without_anything_says_so():
    """Nothing wrong and nothing proved."""
    assert str(Verdict("c")) == "c: nothing to look at"
    assert str(Verdict("c", not_reached="no step")) == "c: nothing to look at (not reached: no step)"


def test_the_checks_leave_nothing_behind():
    """Behind the battery a simulation is as before it."""
    checks.check_durable(fine)
    with Simulation() as sim:
        assert sim.run(fine) == 3


# -- what this battery sees since ------------------------------------------------------------------------------------


def test_an_event_that_an_earlier_wait_took_is_not_lost_to_a_later_one():
    """A loop that waits for the next event of a name takes each once; the last wait, which times out, has lost none."""

    @durable_function("f", trigger="item")
    async def f(ctx):
        taken = 0
        while await ctx.step.wait_for_event("w", event="item", timeout="1h"):
            taken += 1
        return taken

    verdict_of("wait_ordering", f, setup=lambda sim: sim.send("item", {}, at="5m"))


def test_what_functions_return_is_looked_at_too():
    """Results of the function and of one that it invokes are compared with what is behind JSON."""

    @durable_function("child")
    async def child(ctx):
        return {1: "one"}

    @durable_function("f")
    async def f(ctx):
        await ctx.step.invoke("child", function=child)
        return ("a", "b")

    text = violations_of("json_fidelity", f)
    assert "f returns a tuple" in text
    assert "child returns a dict with the key 1 (int)" in text


def test_a_function_that_fails_anyway_has_no_crash_points():
    """Where the run fails without a crash, only `terminates` has something to say."""

    def fail():
        raise ValueError

    @durable_function("f", retries=1)
    async def f(ctx):
        await ctx.step.run("a", fail)

    assert "not reached: the run fails without any crash (ValueError)" in verdict_of("crash_anywhere", f)


def test_effects_of_a_body_are_counted_in_its_own_run_alone():
    """What a body records when a check enters it once more is not compared with other runs."""
    simulations = []

    @durable_function("f")
    async def f(ctx):
        simulations[-1].ledger.record("look", key="k")
        await ctx.step.run("a", lambda: 1)

    checked = checks.check_durable(f, setup=simulations.append, only=["replay_determinism", "step_limits"])
    assert [verdict.violations for verdict in checked] == [[], []]
    assert "3 times, and 2 without it" in violations_of("crash_anywhere", f, setup=simulations.append)
    with pytest.raises(DurabilityError, match="3 times, and 2 without it"):
        checks.check_durable(f, setup=simulations.append, only=["replay_determinism", "crash_anywhere"])


def test_a_database_in_a_body_is_impure():
    """sqlite3.connect outside a step is named with its line."""

    @durable_function("f")
    async def f(ctx):
        sqlite3.connect(":memory:").close()
        await ctx.step.run("a", lambda: 1)

    assert "database: sqlite3.connect at" in violations_of("impure_body", f)


def kept():
    """What a helper of the body keeps."""
    return {"a", "b"}


def test_a_result_that_lives_in_a_variable_is_found():
    """What a handler puts into a variable of the body is lost when the body is entered anew."""

    @durable_function("f")
    async def f(ctx):
        total = []
        await ctx.step.run("a", lambda: total.append(3))
        await ctx.step.run("b", lambda: total.append(4))
        return sum(total)

    text = violations_of("replay_determinism", f)
    assert "entered anew behind every step the body returns 0, and where it goes on in place it returns 7" in text


def test_values_that_a_step_mints_are_no_difference():
    """Steps may return something else each time; the body that hands it on is deterministic."""
    minted = iter(range(100))

    @durable_function("f")
    async def f(ctx):
        return [await ctx.step.run("a", lambda: next(minted)), await ctx.step.run("b", lambda: next(minted))]

    assert "prefixes of the memo" in verdict_of("replay_determinism", f)


async def of_keys(ctx):
    """Steps in the order of a set that keys give."""
    for name in {"a": 1, "b": 2, "c": 3}.keys() - {"c"}:
        await ctx.step.run(name, lambda: 1)


async def of_operations(ctx):
    """Steps in the order of what two sets have in common."""
    await ctx.step.run("-".join(set("abc") & set("ab")), lambda: 1)


async def of_a_helper(ctx):
    """Steps in the order of a set that a helper makes."""
    for name in kept():
        await ctx.step.run(name, lambda: 1)


@pytest.mark.parametrize("body", [of_keys, of_operations, of_a_helper], ids=lambda body: body.__name__)
def test_steps_in_the_order_of_a_set_of_whatever_origin_are_found(body):
    """Sets of dict keys, of set operations and of helpers of the same module are turned round, too."""
    assert "sets in another order" in violations_of("replay_determinism", durable_function("f")(body))


def test_hash_in_a_body_is_impure():
    """What hash() gives for text differs from process to process."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.run("even" if hash("ada") % 2 else "odd", lambda: 1)

    assert "chance: hash at" in violations_of("impure_body", f)


def test_what_steps_send_is_looked_at_too():
    """The data of events and of invocations is compared with what is behind JSON."""

    @durable_function("child")
    async def child(ctx):
        return 1

    @durable_function("f")
    async def f(ctx):
        await ctx.step.send_event("send", Event("sent", {"seats": {1: "a"}}))
        await ctx.step.invoke("call", function=child, data={"pair": (1, 2)})

    text = violations_of("json_fidelity", f)
    assert "step 'send' of f sends a dict with the key 1 (int) at seats" in text
    assert "step 'call' of f sends a tuple at pair" in text


@pytest.mark.parametrize("steps", [300, 1100])
def test_a_long_run_is_checked_at_points_that_are_evenly_spread(steps):
    """The checks of a run of many steps say how much they left out, and one beyond the limit is found in seconds."""

    @durable_function("long")
    async def long(ctx):
        for number in range(steps):
            await ctx.step.run(f"s{number}", lambda: None)

    if steps == 300:
        text = verdict_of("crash_anywhere", long)
        assert "33 of 33 crash points survived (not reached: 568 other crash points of a long run" in text
        assert "other requests" in verdict_of("duplicate_delivery", long)
    else:
        assert "the run fails anyway" in verdict_of("duplicate_delivery", long)
        assert "is number 1001" in violations_of("step_limits", long)
