"""One exploration spread over several items: together they try everything, and only then is it called complete."""

import pytest

from pytest_durable.sharding import whole
from pytest_durable.shares import Share

SEARCH = """
    import asyncio
    import pytest
    from pytest_durable import durable_function

    class TestAll:
        @pytest.mark.parametrize("steps", [4], ids=["four"])
        @pytest.mark.durable(explore={strategy!r})
        def test_orders(self, durable, steps, request):
            effects = []

            @durable_function("many")
            async def many(ctx):
                names = "abcd"[:steps]
                await asyncio.gather(*(ctx.step.run(name, effects.append, name) for name in names))

            durable.run(many)
            with open(request.config.rootpath / "seen.txt", "a") as file:
                file.write("".join(effects) + "\\n")
            assert effects != {forbidden!r}, "the forbidden order"

    def test_plain(durable):
        assert durable.runs == []
"""


def run(pytester, *options, strategy="every", forbidden=()):
    pytester.makepyfile(SEARCH.format(strategy=strategy, forbidden=list(forbidden)))
    return pytester.runpytest_subprocess(*options)


def seen(pytester):
    return (pytester.path / "seen.txt").read_text().split()


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["here", "workers"])
def test_shards_together_try_every_order_once(pytester, workers):
    """Three items try the 24 orders between them, here and in workers, and the summary adds them up."""
    result = run(pytester, "--durable-shards=3", "-v", *workers)
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*::test_orders?four?: explored 24 schedules in 3 shards, complete: none fails"])
    assert len(seen(pytester)) == len(set(seen(pytester))) == 24


def test_shards_of_samples_are_those_of_the_whole(pytester):
    """Samples are dealt out like cards, so two shards have the same orders as no shards."""
    run(pytester, "--durable-schedules=10", strategy="random").assert_outcomes(passed=2)
    alone = seen(pytester)
    (pytester.path / "seen.txt").unlink()
    run(pytester, "--durable-shards=2", "--durable-schedules=10", strategy="random").assert_outcomes(passed=3)
    assert sorted(seen(pytester)) == sorted(alone)
    assert len(alone) == 10


def test_a_shard_fails_with_a_line_that_replays_the_test(pytester):
    """The failing order belongs to one shard; its replay line names the test, and works without the option."""
    result = run(pytester, "--durable-shards=3", forbidden="dcba")
    result.assert_outcomes(failed=1, passed=3)
    (line,) = [line for line in result.outlines if line.startswith("replay: ")]
    assert "::TestAll::test_orders[four]' --durable-replay=s1." in line
    result.stdout.fnmatch_lines(["*schedules in 3 shards, incomplete (shard *: a failure was found): shard * fails"])

    replayed = run(pytester, line.split()[-1], "--durable-shards=3", "-k", "orders", forbidden="dcba")
    replayed.assert_outcomes(failed=1, deselected=1)
    replayed.stdout.fnmatch_lines(["*the forbidden order*"])


def test_shards_that_did_not_run_make_the_search_incomplete(pytester):
    """One shard alone, or one that reached its budget, never looks like all of the search."""
    result = run(pytester, "--durable-shards=3", "-k", "shard-2-of-3")
    result.stdout.fnmatch_lines(["*in 3 shards, incomplete (shard 1 was not run; shard 3 was not run): none fails"])

    result = run(pytester, "--durable-shards=3", "--durable-schedules=6")
    result.stdout.fnmatch_lines(["*explored 6 schedules in 3 shards, incomplete (shard 1: max_schedules=2; *"])


def test_last_failed_finds_the_shard_again(pytester):
    """--lf runs the one shard that failed."""
    run(pytester, "--durable-shards=3", forbidden="dcba").assert_outcomes(failed=1, passed=3)
    run(pytester, "--durable-shards=3", "--lf", forbidden="dcba").assert_outcomes(failed=1)


def test_what_is_not_explored_is_not_split(pytester):
    """Plain tests, one schedule, Hypothesis and one shard are one item as ever."""
    pytester.makepyfile(
        """
        import pytest
        from hypothesis import given
        from pytest_durable import durable_function
        from pytest_durable.strategies import simulations

        @pytest.mark.durable(examples=["default order"])
        def test_examples(durable):
            pass

        @given(sim=simulations())
        def test_hypothesis(sim):
            pass

        @pytest.mark.durable(explor="every")
        def test_unknown(durable):
            pass
        """
    )
    result = pytester.runpytest_subprocess("--durable-shards=3")
    result.assert_outcomes(passed=2, errors=1)
    run(pytester, "--durable-shards=1").assert_outcomes(passed=2)


def test_a_small_search_counts_once(pytester):
    """Where there are fewer schedules than shards need, each counts, and fails, in one of them."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_durable import durable_function

        @pytest.mark.durable(explore="every", faults=["crash"])
        def test_small(durable):
            count = []

            @durable_function("shop")
            async def shop(ctx):
                await ctx.step.run("charge", count.append, 1)

            durable.run(shop)
            if "fail" in __file__:
                assert len(count) == 1
        """
    )
    result = pytester.runpytest_subprocess("--durable-shards=5", "-v")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["*explored 4 schedules in 5 shards, complete, for at most 1 fault*: none fails"])

    path = next(pytester.path.glob("test_*.py"))
    path.rename(path.with_name("test_fail.py"))
    pytester.runpytest_subprocess("--durable-shards=5", "-p", "no:cacheprovider").assert_outcomes(passed=4, failed=1)


@pytest.mark.parametrize("value", ["0", "many", "-1"])
def test_a_number_of_shards_is_needed(pytester, value):
    """Anything but a number from 1 on is refused at collection."""
    result = run(pytester, f"--durable-shards={value}")
    assert result.ret != 0
    assert f"--durable-shards='{value}' is not a whole number from 1 on" in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("nodeid", ["t.py::test[{}]", "t.py::test[a-{}]", "t.py::test[{}-a]", "t.py::test[a-{}-b]"])
def test_the_share_is_taken_out_of_an_id(nodeid):
    """Wherever pytest puts the parameter, the id of the test is what is left."""
    expected = nodeid.replace("[{}]", "").replace("-{}", "").replace("{}-", "")
    assert whole(nodeid.format(Share(1, 4))) == expected
