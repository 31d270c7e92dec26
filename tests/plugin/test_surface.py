"""What the marker, the options, the hooks and the assertions of pytest do with durable tests."""

import pytest

from pytest_durable import Simulation, StepError, UsageError, durable_function, explore
from pytest_durable.choosers import Every, Once, Pipeline, Singles, search_for
from pytest_durable.decisions import Decisions
from pytest_durable.samplers import Sampling
from pytest_durable.settings import Settings, parse
from pytest_durable.shares import Share
from pytest_durable.steplog import StepLog, explain
from pytest_durable.touching import touches
from pytest_durable.trials import Trial

# -- settings ---------------------------------------------------------------------------------------------------------


def test_options_win_over_the_marker():
    """Strategy and budget of the command line replace those of the marker; its seed is for tests without one."""
    marker = {"explore": "every", "max_schedules": 5, "seed": 1}
    options = {"explore": "pct", "schedules": "7", "seed": "9"}
    settings = parse(marker, options)
    assert (settings.explore, settings.budget, settings.simulation) == ("pct", 7, {"seed": 1})
    assert parse({}, options).simulation == {"seed": 9}
    assert parse({}, {"replay": "s1"}).schedule == "s1"


@pytest.mark.parametrize(("text", "strategy"), [("all", True), ("TRUE", True), ("1", True), ("random", "random")])
def test_all_strategies_have_a_name_on_the_command_line(text, strategy):
    """``--durable-explore=all`` is ``explore=True`` of the marker."""
    assert parse({}, {"explore": text}).explore == strategy


@pytest.mark.parametrize(
    ("marker", "options", "message"),
    [
        ({"max_schedules": "many"}, {}, "max_schedules='many' is not a whole number from 1 on"),
        ({"max_schedules": True}, {}, "max_schedules=True is not a whole number"),
        ({"max_schedules": 0}, {}, "max_schedules=0 is not a whole number from 1 on"),
        ({"max_faults": -1}, {}, "max_faults=-1 is not a whole number from 0 on"),
        ({}, {"schedules": "0"}, "--durable-schedules='0' is not a whole number from 1 on"),
        ({}, {"seed": "x"}, "--durable-seed='x' is not a whole number from 0 on"),
        ({"faults": "crash"}, {}, r"faults='crash' is not a list; write faults=\['crash'\]"),
        ({"fault": []}, {}, "has no argument 'fault'; it has start, seed,"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(marker, options, message):
    """By its name, its value and what it may be."""
    with pytest.raises(UsageError, match=message):
        parse(marker, options)


@pytest.mark.parametrize(
    ("settings", "budget"),
    [
        (Settings(explore="every"), 10_000),
        (Settings(explore="pct"), 200),
        (Settings(explore=True), 1_000),
        (Settings(explore="pct", share=Share(0, 3)), 67),
        (Settings(max_schedules=4), 4),
    ],
)
def test_the_budget_depends_on_the_strategy_unless_it_is_given(settings, budget):
    """Exhaustive search may run long, sampling is short, and shares share it."""
    assert settings.budget == budget


# -- steps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "equal"),
    [
        (["a", "b", "c", "d"], True),
        (["a", {"c", "b"}, "d"], True),
        (["a", ..., "d"], True),
        ([..., "d"], True),
        (["a", ...], True),
        ([...], True),
        (("a", frozenset("bc"), ...), True),
        (["a", {"b", "d"}, "c"], False),
        (["a", "b"], False),
        (["a", {"b", "c", "d", "e"}], False),
        (["a", ..., "e"], False),
        ([], False),
    ],
)
def test_steps_are_equal_to_a_pattern(pattern, equal):
    """A set is any order, ``...`` is any steps, and nothing else is left out."""
    steps = StepLog(["a", "b", "c", "d"])
    assert (steps == pattern) is equal
    assert (steps != pattern) is not equal


def test_steps_are_equal_to_lists_only():
    """Anything else is not equal, as of any list."""
    assert StepLog(["a"]) != "a"
    assert not StepLog(["a"]) == {"a"}  # noqa: SIM201 - both operators are the subject


def test_a_difference_of_steps_is_aligned():
    """What is only there, only expected, or another one has a mark of its own."""
    assert explain(["a", "b", "x", "d"], ["a", {"c", "b"}, ..., "d", "e"]) == [
        "the steps of the run are not as expected",
        "  steps   expected",
        "  'a'     'a'",
        "! 'b'     {'b', 'c'} in any order",
        "! 'x'     ...",
        "  'd'     'd'",
        "+         'e'",
    ]
    assert explain(["a"], [])[-1] == "- 'a'"


def test_a_failing_comparison_shows_the_difference(pytester):
    """pytest's own output has the aligned rows, whichever side the run is on; other comparisons are left to pytest."""
    pytester.makepyfile(
        """
        from pytest_durable import durable_function

        @durable_function("f")
        async def f(ctx):
            await ctx.step.run("a", lambda: 1)

        def test_left(durable):
            run = durable.start(f)
            run.wait()
            assert run.steps == ["b"]

        def test_right(durable):
            run = durable.start(f)
            run.wait()
            assert ["a", "c"] == run.steps

        def test_other(durable):
            assert [1] == [2]
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*the steps of the run are not as expected*", "*! 'a' *'b'*", "*+ *'c'*"])


# -- decisions --------------------------------------------------------------------------------------------------------


def test_every_kind_of_step_has_its_outcomes():
    """Which outcomes a step can have depends on its kind, its timeout and the retries; a timer of the body has none."""
    import asyncio

    @durable_function("child")
    async def child(ctx):
        await ctx.step.sleep("nap", "1h")

    @durable_function("f", retries=0)
    async def f(ctx):
        try:
            async with asyncio.timeout(60):
                await ctx.step.wait_for_event("e", event="x", timeout=None)
        except TimeoutError:
            pass
        for index in range(2):
            try:
                await ctx.step.invoke("i", function=child, timeout="1s" if index else None)
            except StepError:
                await ctx.step.wait_for_signal("s", signal="x", timeout="1d", on_conflict="fail")
        await ctx.step.run("fails", lambda: 1 / 0)

    decisions = Decisions()
    with Simulation() as sim:
        run = sim.start(f)
        sim.run_until_idle()
        sim.advance("2d")
        decisions.add(sim)
        decisions.add(sim)
        assert run.status == "failed"
    assert {name: (row["possible"], row["seen"]) for name, row in decisions.table.items()} == {
        "f: e": (["answered"], []),
        "f: i": (["returned", "failed"], ["returned"]),
        "f: s": (["answered", "timed out"], ["timed out"]),
        "f: fails": (["succeeded", "failed"], ["failed"]),
        "child: nap": (["passed"], ["passed"]),
    }
    assert Decisions().percentage() == 100


# -- hooks and options ------------------------------------------------------------------------------------------------


def test_third_parties_add_to_every_port(pytester):
    """Hosts, faults, strategies and checks of a conftest are found by their names in the tests beside it."""
    pytester.makeconftest(
        """
        from pytest_durable.battery import Verdict
        from pytest_durable.choosers import Every
        from pytest_durable.faults import crash
        from pytest_durable import adapters, durable_function

        @durable_function("text")
        async def text(ctx):
            return await ctx.step.run("a", lambda: 1)

        def host(function):
            return adapters.spec_of(text, "host") if function == "my engine" else None

        def pytest_durable_hosts():
            return [host]

        def pytest_durable_faults():
            return {"my_crash": lambda: crash("before")}

        def pytest_durable_strategies():
            return {"mine": lambda seed, budget: Every()}

        def pytest_durable_checks():
            return {"my_check": lambda subject: Verdict("my_check", proved="all")}
        """
    )
    pytester.makepyfile(
        """
        import pytest
        from pytest_durable import checks

        @pytest.mark.durable(explore="mine", faults=["my_crash"])
        def test_mine(durable):
            assert durable.run("my engine") == 1
            assert [str(one) for one in checks.check_durable("my engine", only="my_check")] == ["my_check: all"]
        """
    )
    result = pytester.runpytest_subprocess("-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*explored 2 schedules*complete*at most 1 fault*"])


@pytest.mark.parametrize("backend", ["off", "time-machine"])
def test_the_clock_of_a_suite_is_an_ini_key(pytester, backend):
    """``durable_clock`` says what shows virtual time; the marker of a test wins."""
    pytester.makeini(f"[pytest]\ndurable_clock = {backend}")
    pytester.makepyfile(
        f"""
        import datetime
        import pytest

        def test_suite(durable):
            assert (datetime.datetime.now(datetime.UTC) == durable.now) is {backend != "off"}

        @pytest.mark.durable(clock="time-machine")
        def test_own(durable):
            assert datetime.datetime.now(datetime.UTC) == durable.now
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def test_a_percentage_is_a_number(pytester):
    """``--durable-cov-fail-under`` says what is wrong with another value."""
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess("--durable-cov-fail-under=most")
    assert result.ret != 0
    assert "--durable-cov-fail-under='most' is not a number" in result.stdout.str() + result.stderr.str()


def test_hypothesis_draws_what_the_marker_would_explore(pytester):
    """A test of Hypothesis that uses the fixture is one execution for each example; the strategy is left out."""
    pytester.makepyfile(
        """
        import pytest
        from hypothesis import HealthCheck, given, settings, strategies as st

        @pytest.mark.durable(explore="every")
        @settings(max_examples=3, database=None, suppress_health_check=list(HealthCheck))
        @given(number=st.integers())
        def test_drawn(durable, number):
            durable.settle()
        """
    )
    result = pytester.runpytest_subprocess("-v")
    result.assert_outcomes(passed=1)
    assert "explored" not in result.stdout.str()


def test_a_schedule_is_replayed_by_its_text(pytester):
    """``--durable-replay`` runs the one schedule; a failure under it has the section with the line that replays it."""
    pytester.makepyfile(
        """
        import asyncio
        from pytest_durable import durable_function

        def test_order(durable):
            seen = []

            @durable_function("f")
            async def f(ctx):
                await asyncio.gather(ctx.step.run("a", seen.append, 1), ctx.step.run("b", seen.append, 2))

            durable.run(f)
            assert seen == [1, 2]
        """
    )
    found = pytester.runpytest_subprocess("--durable-explore=every")
    found.assert_outcomes(failed=1)
    (line,) = [line for line in found.stdout.lines if line.startswith("replay: ")]
    schedule = line.rpartition("=")[2]
    again = pytester.runpytest_subprocess(f"--durable-replay={schedule}")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*durable schedule*", f"replay: *{schedule}"])
    example = next(line for line in found.stdout.lines if line.startswith("pin it: "))
    assert "step b of f" in example


def test_a_passing_schedule_is_a_passing_test(pytester):
    """A replay that passes passes, and one that names what does not occur fails."""
    pytester.makepyfile("def test_nothing(durable): durable.settle()")
    pytester.runpytest_subprocess("--durable-replay=default order").assert_outcomes(passed=1)
    pytester.runpytest_subprocess("--durable-replay=drop event x").assert_outcomes(failed=1)


@pytest.mark.parametrize(("script", "outcome"), [("b", "failed"), ("a", "passed")])
def test_a_script_that_no_schedule_uses_fails_the_explored_test(pytester, script, outcome):
    """A script counts as used if one schedule used it."""
    pytester.makepyfile(
        f"""
        import pytest
        from pytest_durable import durable_function

        @durable_function("f")
        async def f(ctx):
            await ctx.step.run("a", lambda: 1)

        @pytest.mark.durable(explore="every", faults=["crash"])
        def test_scripted(durable):
            durable.step("{script}").returns(2)
            durable.run(f)
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(**{outcome: 1})
    assert ("no step has used it in any schedule" in result.stdout.str()) is (outcome == "failed")


def test_a_failure_that_does_not_come_again_is_told_as_that(pytester):
    """What fails once under a schedule and passes under it again is decided outside the simulation."""
    pytester.makepyfile(
        """
        import pytest

        entered = []

        @pytest.mark.durable(explore="every")
        def test_flaky(durable):
            entered.append(1)
            assert len(entered) > 1
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*passes when it is run under it again*"])


def test_faults_of_the_marker_are_options_of_exploration_only(pytester):
    """Without exploration a test with faults runs in the default order, and none of them happens."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_durable import durable_function

        @durable_function("f", retries=0)
        async def f(ctx):
            return await ctx.step.run("a", lambda: 1)

        @pytest.mark.durable(faults=["step_error"])
        def test_plain(durable):
            assert durable.run(f) == 1
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_setup_that_fails_before_any_run_shows_no_timeline(pytester):
    """A failing fixture that comes before the simulation is reported as it is, with its page."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def broken():
            raise RuntimeError("no database")

        @pytest.mark.durable(explore="every")
        def test_never(broken, durable):
            pass
        """
    )
    result = pytester.runpytest_subprocess("--durable-report=out")
    result.assert_outcomes(errors=1)
    assert "durable timeline" not in result.stdout.str()


def test_a_report_that_cannot_be_written_is_refused_before_any_test(pytester):
    """Where the folder is to be stands a file; nothing is run, and nothing is lost."""
    pytester.makefile(".txt", out="a file")
    pytester.makepyfile("def test_it(durable): pass")
    result = pytester.runpytest_subprocess("--durable-report=out.txt")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--durable-report=out.txt: out.txt is a file; name a folder" in result.stderr.str()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("--durable-explore=evry", "'evry' is not a strategy of exploration; say one of"),
        ("--durable-schedules=abc", "--durable-schedules='abc' is not a whole number from 1 on"),
        ("--durable-seed=x", "--durable-seed='x' is not a whole number from 0 on"),
        ("--durable-cov-fail-under=abc", "--durable-cov-fail-under='abc' is not a number"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_before_any_test(pytester, given, words):
    """Once, as pytest refuses its own, and not by every test."""
    pytester.makepyfile("def test_it(durable): pass")
    result = pytester.runpytest_subprocess(given)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in result.stderr.str()
    assert "test_it" not in result.stdout.str()


def test_a_strategy_of_a_conftest_can_be_named_on_the_command_line(pytester):
    """What a conftest of a subfolder adds is there when options are judged."""
    pytester.makepyfile(
        **{
            "sub/conftest": """
                from pytest_durable import choosers

                def pytest_durable_strategies():
                    return {"mine": choosers.STRATEGIES["every"]}
            """,
            "sub/test_it": """
                from pytest_durable import durable_function

                @durable_function("f")
                async def f(ctx):
                    return await ctx.step.run("a", lambda: 1)

                def test_it(durable):
                    assert durable.run(f) == 1
            """,
        }
    )
    pytester.runpytest_subprocess("--durable-explore=mine").assert_outcomes(passed=1)


def test_a_report_writes_any_text(pytester):
    """Half of a surrogate pair, as file names have them, is escaped, and the session goes on."""
    pytester.makepyfile(
        """
        from pytest_durable import durable_function

        @durable_function("f")
        async def f(ctx):
            return await ctx.step.run("a", lambda: "\\ud800")

        def test_it(durable):
            assert durable.run(f) == "another"

        def test_behind(durable):
            pass
        """
    )
    pytester.runpytest_subprocess("--durable-report=out").assert_outcomes(failed=1, passed=1)
    (page,) = (one for one in (pytester.path / "out").glob("*.html") if one.name != "index.html")
    assert r"\ud800" in page.read_text(encoding="utf-8")


# -- searches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [True, "every", "pct", "random"])
def test_every_strategy_can_be_shared(strategy):
    """A share of a search is a search, and all shares together run the default order at least once."""
    searches = [search_for(strategy, 0, 12, Share(number, 3)) for number in range(3)]
    assert all(search.next() is not None for search in searches)


def test_a_strategy_that_cannot_be_shared_is_refused(monkeypatch):
    """A search of a third party without ``take`` runs as a whole only."""
    from pytest_durable import choosers

    monkeypatch.setitem(choosers.STRATEGIES, "whole", lambda seed, budget: object())
    with pytest.raises(UsageError, match=r"'whole' cannot be spread over shards: its search has no take\(share\)"):
        search_for("whole", 0, 1, Share(0, 2))


def test_the_searches_take_their_shares():
    """Singles by number, samples by number, all orders by their beginning; once has nothing to share."""
    share = Share(1, 3)
    pipeline, singles, sampling, once = Pipeline(0, 8), Singles(), Sampling(("random",), 0), Once()
    for search in (pipeline, singles, sampling, once):
        search.take(share)
    assert pipeline.every.share == share
    assert (sampling.number, sampling.step) == (1, 3)
    assert once.next() is not None
    assert Every().share is None


def test_steps_that_touch_nothing_in_common_have_one_order():
    """Of handlers that promise by ``touches``, only those with a common key are tried in both orders."""

    def scenario(sim):
        import asyncio

        @durable_function("f")
        async def f(ctx):
            await asyncio.gather(*(ctx.step.run(name, handler) for name, handler in handlers.items()))

        sim.run(f)

    common = touches("stock")(lambda: 1)
    handlers = {"a": touches("mail")(lambda: 1), "b": touches("bank")(lambda: 1)}
    assert explore(scenario).schedules == 1
    handlers = {"a": common, "b": common}
    assert explore(scenario).schedules == 2


def test_a_trial_without_a_simulation_is_empty():
    """Where an execution failed before its simulation began, there is nothing to tell."""
    trial = Trial(None, None)
    assert (trial.report, trial.story, trial.with_faults, trial.identity()) == ("", "", False, ("", "", 0))
