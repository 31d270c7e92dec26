"""Every schedule has a test set up for itself: temporary folders, captured logs, and the instance of a class."""

import pytest

pytest_plugins = ["pytester"]

RACE = """
    import logging
    import pytest
    from pytest_durable import ANYTIME, durable_function

    @durable_function("race")
    async def race(ctx):
        await ctx.step.run("a", lambda: None)
        await ctx.step.run("b", lambda: None)
        await ctx.step.wait_for_event("w", event="go", timeout="1h")

    def scenario(durable):
        run = durable.start(race)
        durable.send("go", {}, at=ANYTIME)
        run.wait()
"""


@pytest.mark.parametrize("explore", ["every", "random", "pct", True])
def test_fixtures_of_pytest_are_set_up_for_every_schedule(pytester, explore):
    """tmp_path, caplog, capsys and monkeypatch serve every schedule, and hold nothing of the one before."""
    pytester.makepyfile(
        RACE
        + f"""
    @pytest.mark.durable(explore={explore!r}, max_schedules=20)
    def test_it(durable, tmp_path, caplog, capsys, monkeypatch):
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "file").write_text("x")
        logging.getLogger("shop").warning("once")
        assert len(caplog.records) == 1
        assert caplog.text.count("once") == 1
        print("said")
        scenario(durable)
        assert capsys.readouterr().out == "said\\n"
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-v")
    result.assert_outcomes(passed=1)
    assert "explored 1 schedule" not in result.stdout.str()


@pytest.mark.parametrize("kind", ["def", "@pytest.mark.asyncio\n        async def"])
def test_a_method_has_an_instance_for_every_schedule(pytester, kind):
    """What one schedule leaves in the instance of a test class, the next one does not see."""
    pytester.makepyfile(
        RACE
        + f"""
    class TestIt:
        seen = 0

        def setup_method(self):
            self.set_up = True

        @pytest.fixture
        def mine(self):
            self.made = True
            return self

        @pytest.mark.durable(explore="every")
        {kind} test_it(self, durable, mine):
            assert self.set_up
            assert mine is self
            assert self.seen == 0
            self.seen += 1
            scenario(durable)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-v")
    result.assert_outcomes(passed=1)
    assert "explored 1 schedule" not in result.stdout.str()


def test_a_failing_schedule_keeps_its_folder(pytester):
    """After a failure in some schedule, teardown and reports work as ever: one failure, no error beside it."""
    pytester.makepyfile(
        RACE
        + """
    @pytest.mark.durable(explore="every")
    def test_it(durable, tmp_path):
        scenario(durable)
        assert durable.schedule.indices.count(0) == len(durable.schedule.indices)
        """
    )
    pytester.makeini("[pytest]\ntmp_path_retention_policy = failed\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)


def test_what_a_test_expects_eventually_fails_in_its_call(pytester):
    """An `eventually` that has not held at the end of a test fails the test itself, explored or not."""
    pytester.makepyfile(
        RACE
        + """
    def test_plain(durable):
        durable.eventually(lambda: False, within="2d")

    @pytest.mark.durable(explore="every")
    def test_explored(durable):
        scenario(durable)
        durable.eventually(lambda: False, within="2d")
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*AssertionError: eventually(*has not held by the end of the test*"] * 2)


def test_a_schedule_may_be_skipped(pytester):
    """pytest.skip in the first schedule skips the test; in a later one it passes over that schedule."""
    pytester.makepyfile(
        RACE
        + """
    @pytest.mark.durable(explore="every")
    def test_all(durable):
        pytest.skip("not here")

    @pytest.mark.durable(explore="every")
    def test_some(durable):
        scenario(durable)
        if any(durable.schedule.indices):
            pytest.skip("not this one")
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-v")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*test_some: explored * schedules *complete: none fails"])


def test_arguments_of_the_marker_go_by_name(pytester):
    """An argument without a name is refused with what to write; explore=False keeps the option away."""
    pytester.makepyfile(
        RACE
        + """
    @pytest.mark.durable("every")
    def test_wrong(durable):
        pass

    @pytest.mark.durable(explore=False)
    def test_plain(durable):
        scenario(durable)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-v", "--durable-explore=every")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*takes its arguments by name; write explore='every'*"])
    result.stdout.no_fnmatch_line("*explored * schedule*")


def test_the_line_that_replays_a_seeded_search_has_the_seed(pytester):
    """A seed of the command line is part of what has to be said again."""
    pytester.makepyfile(
        RACE
        + """
    @pytest.mark.durable(explore="random")
    def test_it(durable):
        scenario(durable)
        assert not any(durable.schedule.indices)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--durable-seed=7")
    (line,) = [line for line in result.outlines if line.startswith("replay: ")]
    nodeid, replay, seed = line.removeprefix("replay: pytest ").replace("'", "").split()
    assert seed == "--durable-seed=7"
    pytester.runpytest_subprocess("-p", "no:cacheprovider", nodeid, replay, seed).assert_outcomes(failed=1)
