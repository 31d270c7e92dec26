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
