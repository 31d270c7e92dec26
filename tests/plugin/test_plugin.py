"""The plugin as a user meets it: options, reports, decisions, markers and workers."""

import pytest

pytest_plugins = ["pytester"]

FAILING = """
    from pytest_durable import durable_function

    @durable_function("shop")
    async def shop(ctx):
        await ctx.step.run("charge", lambda: None)
        return await ctx.step.wait_for_event("paid", event="paid", timeout="1h")

    def test_shop(durable):
        durable.run(shop)
        assert False, "<shown & escaped>"
"""
PASSING = FAILING.replace('assert False, "<shown & escaped>"', "pass")


def test_a_failing_test_has_a_page_of_its_own(pytester):
    """--durable-report writes a page with the error, the timeline and the history, and a list of pages."""
    pytester.makepyfile(FAILING)
    pytester.runpytest_subprocess("--durable-report=out").assert_outcomes(failed=1)
    pages = sorted((pytester.path / "out").glob("*.html"))
    assert len(pages) == 2
    page = next(path for path in pages if path.name != "index.html").read_text()
    assert "&lt;shown &amp; escaped&gt;" in page
    for expected in ("durable timeline", "<svg", "history of shop", "charge"):
        assert expected in page


def test_a_page_has_no_colours_of_a_terminal(pytester):
    """What pytest colours for a terminal stands in the page as plain text, on an axis of virtual time."""
    pytester.makepyfile(FAILING)
    pytester.runpytest_subprocess("--durable-report=out", "--color=yes").assert_outcomes(failed=1)
    page = next(path for path in (pytester.path / "out").glob("test*.html")).read_text()
    assert "\x1b" not in page
    assert ">+1h</text>" in page


def test_decisions_name_what_no_test_exercised(pytester):
    """--durable-cov lists the outcomes of every step, and those that are missing."""
    pytester.makepyfile(PASSING)
    result = pytester.runpytest_subprocess("--durable-cov")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*shop: charge*1/3*missing: retried, failed*", "*shop: paid*1/2*missing: answered*"])
    result.stdout.fnmatch_lines(["*durable decisions*40 %*"])


@pytest.mark.parametrize(("least", "code"), [("40", 0), ("41", 1)])
@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["here", "worker"])
def test_too_few_decisions_fail_the_session(pytester, least, code, workers):
    """--durable-cov-fail-under fails a session below the percentage, also where workers ran the tests."""
    pytester.makepyfile(PASSING)
    result = pytester.runpytest_subprocess(f"--durable-cov-fail-under={least}", *workers)
    assert result.ret == code


def test_an_unknown_argument_of_the_marker_is_refused(pytester):
    """The marker says which arguments it has."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.durable(explor="every")
        def test_marked(durable):
            pass
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*has no argument 'explor'*"])


def test_a_bounded_search_never_looks_complete(pytester):
    """A search that hits its budget passes and is named as incomplete in the summary."""
    pytester.makepyfile(
        """
        import asyncio
        import pytest
        from pytest_durable import durable_function

        @pytest.mark.durable(explore="every", max_schedules=2)
        def test_three(durable):
            @durable_function("three")
            async def three(ctx):
                await asyncio.gather(*(ctx.step.run(name, lambda: None) for name in "abc"))

            durable.run(three)
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*durable exploration*", "*explored 2 schedules*incomplete (max_schedules=2)*"])


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("nonsense", "is not a schedule"),
        ("s1.9.00000000", "does not fit this test"),
        ("s1.1.1-1of", "is not a schedule"),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused(pytester, schedule, message):
    """A truncated schedule, or one of another test, says what is wrong and what to do."""
    pytester.makepyfile(PASSING)
    result = pytester.runpytest_subprocess(f"--durable-replay={schedule}")
    assert result.ret == 1
    assert message in result.stdout.str()


def test_a_scenario_that_is_not_deterministic_is_reported_as_that(pytester):
    """State that one execution leaves to the next is found, with the first difference."""
    pytester.makepyfile(
        """
        import asyncio
        import pytest
        from pytest_durable import durable_function

        left = []

        @pytest.mark.durable(explore="every")
        def test_leaks(durable):
            left.append(1)

            @durable_function("leaks")
            async def leaks(ctx):
                await asyncio.gather(*(ctx.step.run(f"s{n}", lambda: None) for n in range(len(left) + 1)))

            durable.run(leaks)
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the scenario is not deterministic*"])
