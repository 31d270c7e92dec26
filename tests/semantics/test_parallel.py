"""Steps side by side: gather, groups, their request counts, durations, retries and failures."""

import asyncio

import pytest

from pytest_durable import (
    Event,
    NonRetriableError,
    ParallelMode,
    RunFailed,
    Simulation,
    StepError,
    UsageError,
    durable_function,
)

WAIT, RACE = ParallelMode.WAIT, ParallelMode.RACE
MODES = pytest.mark.parametrize("mode", [WAIT, RACE], ids=["wait", "race"])


class Doubles:
    """Step bodies that say that they ran."""

    def __init__(self):
        self.ran = []

    def __call__(self, name, result=None):
        self.ran.append(name)
        return name if result is None else result

    def fail(self, name):
        self.ran.append(name)
        raise ValueError(name)


@pytest.fixture
def double():
    return Doubles()


def seconds(moment, since):
    return (moment - since).total_seconds()


# -- request counts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 5])
def test_sequential_steps_take_one_invocation_each_and_one_more(durable, double, count):
    """A run of k sequential steps enters its body k+1 times."""

    @durable_function("sequential")
    async def sequential(ctx):
        for number in range(count):
            await ctx.step.run(f"s{number}", double, number)

    run = durable.start(sequential)
    run.wait()
    assert run.invocations == count + 1
    assert double.ran == list(range(count))


@pytest.mark.parametrize("count", [2, 3, 8])
def test_gathered_steps_take_one_plan_one_request_each_and_one_more(durable, double, count):
    """N gathered steps take N+2 invocations, and each body runs once."""

    @durable_function("gathered")
    async def gathered(ctx):
        return await asyncio.gather(*(ctx.step.run(f"s{number}", double, number) for number in range(count)))

    run = durable.start(gathered)
    assert run.wait() == list(range(count))
    assert run.invocations == count + 2
    assert double.ran == list(range(count))


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_group_that_waits_takes_as_many_requests_as_gather(durable, double, count):
    """N steps of a WAIT group take N+2 invocations."""

    @durable_function("grouped")
    async def grouped(ctx):
        branches = [lambda n=number: ctx.step.run(f"s{n}", double, n) for number in range(count)]
        return await ctx.group.parallel(tuple(branches), parallel_mode=WAIT)

    run = durable.start(grouped)
    assert run.wait() == list(range(count))
    assert (run.invocations, double.ran) == (count + 2, list(range(count)))


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_racing_group_enters_the_body_after_each_of_its_steps(durable, double, count):
    """N steps of a RACE group take 2N+1 invocations, and all results are returned."""

    @durable_function("racing")
    async def racing(ctx):
        branches = [lambda n=number: ctx.step.run(f"s{n}", double, n) for number in range(count)]
        return await ctx.group.parallel(tuple(branches), parallel_mode=RACE)

    run = durable.start(racing)
    assert run.wait() == list(range(count))
    assert (run.invocations, double.ran) == (2 * count + 1, list(range(count)))


def test_without_optimised_parallelism_every_completion_enters_the_body(durable, double):
    """With optimize_parallelism=False, N gathered steps take 2N+1 invocations."""

    @durable_function("unoptimised", optimize_parallelism=False)
    async def unoptimised(ctx):
        return await asyncio.gather(*(ctx.step.run(name, double, name) for name in "abc"))

    run = durable.start(unoptimised)
    assert run.wait() == ["a", "b", "c"]
    assert (run.invocations, double.ran) == (7, ["a", "b", "c"])


def chains_async(double, mode, count=2):
    @durable_function("chains")
    async def chains(ctx):
        async def branch(name):
            return [await ctx.step.run(f"{name}{n}", double, f"{name}{n}") for n in range(1, count + 1)]

        return await ctx.group.parallel((lambda: branch("a"), lambda: branch("b")), parallel_mode=mode)

    return chains


def chains_sync(double, mode, count=2):
    @durable_function("chains")
    def chains(ctx):
        def branch(name):
            return [ctx.step.run(f"{name}{n}", double, f"{name}{n}") for n in range(1, count + 1)]

        return ctx.group.parallel((lambda: branch("a"), lambda: branch("b")), parallel_mode=mode)

    return chains


HOSTS = pytest.mark.parametrize("chains", [chains_async, chains_sync], ids=["async", "sync"])


@HOSTS
def test_two_waiting_chains_go_on_in_lock_step(durable, double, chains):
    """Two WAIT groups of two steps take 7 invocations in the order a1, b1, a2, b2."""
    run = durable.start(chains(double, WAIT))
    assert run.wait() == [["a1", "a2"], ["b1", "b2"]]
    assert run.steps == ["a1", "b1", "a2", "b2"]
    assert double.ran == ["a1", "b1", "a2", "b2"]
    assert run.invocations == 7


@HOSTS
def test_two_racing_chains_run_ahead_of_each_other(durable, double, chains):
    """Two RACE groups of two steps take 9 invocations in the order a1, a2, b1, b2."""
    run = durable.start(chains(double, RACE))
    assert run.wait() == [["a1", "a2"], ["b1", "b2"]]
    assert run.steps == ["a1", "a2", "b1", "b2"]
    assert double.ran == ["a1", "a2", "b1", "b2"]
    assert run.invocations == 9


@HOSTS
@MODES
def test_long_chains_run_every_step_once(durable, double, chains, mode):
    """However long the branches of a group are, every step body runs once and the results are complete."""
    run = durable.start(chains(double, mode, count=4))
    assert run.wait() == [["a1", "a2", "a3", "a4"], ["b1", "b2", "b3", "b4"]]
    assert sorted(double.ran) == sorted(f"{name}{n}" for name in "ab" for n in range(1, 5))


@pytest.mark.parametrize("kind", ["sleep", "wait", "signal"])
def test_parallel_steps_that_nobody_executes_take_no_requests(durable, kind):
    """N parallel sleeps or waits take one invocation to register and one to go on."""

    @durable_function("patient")
    async def patient(ctx):
        make = {
            "sleep": lambda n: ctx.step.sleep(n, "1h"),
            "wait": lambda n: ctx.step.wait_for_event(n, event="never", timeout="1h"),
            "signal": lambda n: ctx.step.wait_for_signal(n, signal=n, timeout="1h", on_conflict="fail"),
        }[kind]
        return await asyncio.gather(*(make(name) for name in "abcd"))

    run = durable.start(patient)
    assert run.wait() == [None] * 4
    assert run.invocations == 2
    assert seconds(run.ended_at, run.started_at) == 3600


def test_a_lone_step_of_a_group_is_planned_all_the_same(durable, double):
    """One step alone in a group takes three invocations: the plan, the step, and the end."""

    @durable_function("lone")
    async def lone(ctx):
        return await ctx.group.parallel((lambda: ctx.step.run("a", double, "a"),))

    @durable_function("lone-sync")
    def lone_sync(ctx):
        return ctx.group.parallel((lambda: ctx.step.run("a", double, "a"),))

    for function in (lone, lone_sync):
        run = durable.start(function)
        assert run.wait() == ["a"]
        assert run.invocations == 3
    assert double.ran == ["a", "a"]


def test_after_a_group_steps_are_executed_where_they_are_found(durable, double):
    """Behind a parallel section a single step costs one invocation again."""

    @durable_function("then")
    async def then(ctx):
        await ctx.group.parallel(tuple(lambda n=name: ctx.step.run(n, double, n) for name in "ab"))
        await ctx.step.run("c", double, "c")
        await ctx.step.run("d", double, "d")

    run = durable.start(then)
    run.wait()
    assert run.invocations == 4 + 2
    assert run.steps == [{"a", "b"}, "c", "d"]


def test_a_hundred_steps_side_by_side(durable, double):
    """A hundred gathered steps run once each, in 102 invocations, and return in the order of the call."""

    @durable_function("hundred")
    async def hundred(ctx):
        return await asyncio.gather(*(ctx.step.run("one", double, number) for number in range(100)))

    run = durable.start(hundred)
    assert run.wait() == list(range(100))
    assert double.ran == list(range(100))
    assert run.invocations == 102


def test_nothing_side_by_side_is_nothing(durable):
    """An empty gather and empty groups return at once, without steps."""

    @durable_function("empty")
    async def empty(ctx):
        return [await asyncio.gather(), await ctx.group.parallel(()), await ctx.group.parallel((), parallel_mode=RACE)]

    @durable_function("empty-sync")
    def empty_sync(ctx):
        return ctx.group.parallel(())

    assert durable.run(empty) == [[], [], []]
    assert durable.run(empty_sync) == []


# -- time --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimise", [True, False])
def test_the_durations_of_parallel_steps_overlap(durable, double, optimise):
    """Parallel steps take as long as the longest; they complete by duration and return by position."""

    @durable_function("overlap", optimize_parallelism=optimise)
    async def overlap(ctx):
        return await asyncio.gather(*(ctx.step.run(name, double, name) for name in "abc"))

    for name, length in (("a", "3s"), ("b", "1s"), ("c", "2s")):
        durable.step(name).takes(length)
    run = durable.start(overlap)
    assert run.wait() == ["a", "b", "c"]
    assert run.steps == ["b", "c", "a"]
    assert {run.step(name).started_at for name in "abc"} == {run.started_at}
    assert [seconds(run.step(name).ended_at, run.started_at) for name in "abc"] == [3, 1, 2]
    assert seconds(run.ended_at, run.started_at) == 3


@HOSTS
@pytest.mark.parametrize(("mode", "second"), [(WAIT, 10), (RACE, 1)], ids=["wait", "race"])
def test_a_waiting_branch_waits_for_its_sibling_and_a_racing_one_does_not(durable, double, chains, mode, second):
    """Behind a step of one second, a WAIT branch goes on after its sibling's ten, a RACE branch at once."""
    durable.step("a1").takes("1s")
    durable.step("b1").takes("10s")
    run = durable.start(chains(double, mode))
    assert run.wait() == [["a1", "a2"], ["b1", "b2"]]
    assert seconds(run.step("a2").started_at, run.started_at) == second
    assert seconds(run.step("b2").started_at, run.started_at) == 10


def test_gather_moves_in_lock_step_unless_parallelism_is_not_optimised(durable, double):
    """gather over chains waits as a WAIT group does; with optimize_parallelism=False it runs ahead."""

    def chained(optimise):
        @durable_function(f"chained-{optimise}", optimize_parallelism=optimise)
        async def chained(ctx):
            async def branch(name, pause):
                await ctx.step.sleep(f"{name}1", pause)
                await ctx.step.run(f"{name}2", double, name)

            await asyncio.gather(branch("a", "1s"), branch("b", "10s"))

        return chained

    starts = []
    for optimise in (True, False):
        run = durable.start(chained(optimise))
        run.wait()
        starts.append(seconds(run.step("a2").started_at, run.started_at))
    assert starts == [10, 1]


def test_waits_register_before_their_sibling_steps_start(durable):
    """An event that a parallel sibling sends answers the wait beside it, whichever was written first."""

    @durable_function("ping")
    async def ping(ctx):
        sent, heard = await asyncio.gather(
            ctx.step.send_event("send", Event("pong", {"n": 1})),
            ctx.step.wait_for_event("hear", event="pong", timeout="1h"),
        )
        return [len(sent), heard is not None and heard.data["n"]]

    run = durable.start(ping)
    assert run.wait() == [1, 1]
    assert run.ended_at == run.started_at


def test_a_retry_of_one_sibling_leaves_the_others_alone(durable, double):
    """Only the step that failed is tried again, after the table's first pause; the group waits for it."""
    failures = []

    @durable_function("flaky")
    async def flaky(ctx):
        def shaky():
            if not failures:
                failures.append(durable.now)
                raise ValueError("first try")
            return ctx.attempt

        return await asyncio.gather(
            ctx.step.run("a", double, "a"), ctx.step.run("shaky", shaky), ctx.step.run("c", double, "c")
        )

    run = durable.start(flaky)
    assert run.wait() == ["a", 1, "c"]
    assert double.ran == ["a", "c"]
    assert [run.step(name).attempts for name in ("a", "shaky", "c")] == [1, 2, 1]
    assert run.steps == ["a", "c", "shaky"]
    assert 15 <= seconds(run.ended_at, run.started_at) < 45
    assert run.invocations == 3 + 2 + 1


@MODES
def test_each_parallel_step_has_attempts_of_its_own(durable, mode):
    """Two siblings that both fail twice use up their own attempts, not each other's."""
    tries = {"a": [], "b": []}

    @durable_function("both", retries=2)
    async def both(ctx):
        def shaky(name):
            tries[name].append(ctx.attempt)
            if len(tries[name]) < 3:
                raise ValueError(name)
            return name

        return await ctx.group.parallel(
            (lambda: ctx.step.run("a", shaky, "a"), lambda: ctx.step.run("b", shaky, "b")), parallel_mode=mode
        )

    assert durable.run(both) == ["a", "b"]
    assert tries == {"a": [0, 1, 2], "b": [0, 1, 2]}


# -- failures ----------------------------------------------------------------------------------------------------------


def test_a_failing_sibling_fails_the_gather_after_all_have_settled(durable, double):
    """gather raises the StepError of the failed step; what its siblings did is recorded."""

    @durable_function("fails", retries=0)
    async def fails(ctx):
        try:
            await asyncio.gather(ctx.step.run("bad", double.fail, "bad"), ctx.step.sleep("slow", "1h"))
        except StepError as error:
            return [error.name, error.message]

    run = durable.start(fails)
    assert run.wait() == ["ValueError", "bad"]
    assert run.step("bad").status == "failed"
    assert run.steps == ["bad", "slow"]
    assert double.ran == ["bad"]


def test_an_uncaught_failure_of_a_sibling_fails_the_run_without_retries(durable, double):
    """The run fails at once with the sibling's error, and no body runs twice."""

    @durable_function("fails", retries=1)
    async def fails(ctx):
        await asyncio.gather(ctx.step.run("a", double, "a"), ctx.step.run("bad", double.fail, "bad"))

    run = durable.start(fails)
    with pytest.raises(RunFailed, match="ValueError: bad"):
        run.wait()
    assert double.ran == ["a", "bad", "bad"]
    assert run.ended_at == run.step("bad").ended_at


@HOSTS
def test_a_sibling_that_is_retried_still_runs_when_another_has_failed_for_good(durable, chains, double):
    """In a WAIT group a failed step does not keep its sibling from its own retries, whichever comes first."""

    @durable_function("mixed", retries=1)
    async def mixed(ctx):
        def shaky():
            double.ran.append("shaky")
            if double.ran.count("shaky") < 2:
                raise ValueError("once")
            return "fine"

        try:
            await ctx.group.parallel(
                (lambda: ctx.step.run("bad", double.fail, "bad"), lambda: ctx.step.run("shaky", shaky))
            )
        except StepError as error:
            return error.message

    durable.step("bad").takes("1s").raises(ValueError("bad"), times=2)
    durable.step("shaky").takes("2m").maybe()
    run = durable.start(mixed)
    assert run.wait() == "bad"
    assert run.step("shaky").output == "fine"


def test_return_exceptions_gives_errors_in_their_places(durable, double):
    """With return_exceptions=True a StepError stands where the result would stand."""

    @durable_function("places", retries=0)
    async def places(ctx):
        results = await asyncio.gather(
            ctx.step.run("a", double, "a"),
            ctx.step.run("bad", double.fail, "bad"),
            ctx.step.run("c", double, "c"),
            return_exceptions=True,
        )
        return [type(result).__name__ for result in results]

    assert durable.run(places) == ["str", "StepError", "str"]


def test_a_sync_group_raises_the_failure_after_all_have_settled(durable, double):
    """A sync WAIT group raises the StepError of the first failed branch; the others have run once."""

    @durable_function("sync", retries=0)
    def sync(ctx):
        try:
            ctx.group.parallel(
                (
                    lambda: ctx.step.run("bad", double.fail, "bad"),
                    lambda: ctx.step.run("b", double, "b"),
                    lambda: ctx.step.sleep("slow", "1m"),
                )
            )
        except StepError as error:
            return error.message

    run = durable.start(sync)
    assert run.wait() == "bad"
    assert double.ran == ["bad", "b"]
    assert run.steps == ["bad", "b", "slow"]


def test_a_branch_may_recover_from_its_own_failure(durable, double):
    """A branch that catches its StepError goes on with a step of its own."""

    @durable_function("recovers", retries=0)
    async def recovers(ctx):
        async def branch():
            try:
                return await ctx.step.run("bad", double.fail, "bad")
            except StepError:
                return await ctx.step.run("instead", double, "instead")

        return await asyncio.gather(branch(), ctx.step.run("a", double, "a"))

    run = durable.start(recovers)
    assert run.wait() == ["instead", "a"]
    assert run.steps == [{"bad", "a"}, "instead"]


# -- shapes ------------------------------------------------------------------------------------------------------------


def test_a_reused_id_is_counted_in_the_order_of_the_call(durable):
    """Gathered steps with one id become a, a:1, a:2 by position, also when they complete the other way round."""

    @durable_function("reused")
    async def reused(ctx):
        return await asyncio.gather(*(ctx.step.run("a", lambda n=n: n) for n in range(3)))

    durable.step("a", index=0).takes("3s")
    durable.step("a", index=1).takes("2s")
    durable.step("a", index=2).takes("1s")
    run = durable.start(reused)
    assert run.wait() == [0, 1, 2]
    assert run.steps == ["a:2", "a:1", "a"]
    assert [run.step("a", index=n).output for n in range(3)] == [0, 1, 2]


def test_a_sync_group_with_a_reused_id_keeps_the_results_apart(durable):
    """Two sync branches that use one id twice each get their own results or are refused, never each other's."""

    @durable_function("reused")
    def reused(ctx):
        def branch(name):
            return [ctx.step.run("x", lambda: f"{name}1"), ctx.step.run("x", lambda: f"{name}2")]

        return ctx.group.parallel((lambda: branch("a"), lambda: branch("b")))

    run = durable.start(reused)
    try:
        result = run.wait()
    except RunFailed as error:
        assert "x:1" in str(error)  # noqa: PT017 - both answers are honest
    else:
        assert result == [["a1", "a2"], ["b1", "b2"]]


def test_nested_gathers_flatten(durable, double):
    """gather in gather plans all steps at once and keeps the nesting of the results."""

    @durable_function("nested")
    async def nested(ctx):
        def two(first, second):
            return asyncio.gather(ctx.step.run(first, double, first), ctx.step.run(second, double, second))

        return await asyncio.gather(two("a", "b"), two("c", "d"))

    run = durable.start(nested)
    assert run.wait() == [["a", "b"], ["c", "d"]]
    assert run.invocations == 6
    assert double.ran == ["a", "b", "c", "d"]


def test_nested_groups_flatten_in_async_and_in_sync_bodies(durable, double):
    """A group in a group plans all steps at once, as the SDK does."""

    @durable_function("nested")
    async def nested(ctx):
        def pair(first, second):
            return lambda: ctx.group.parallel(
                (lambda: ctx.step.run(first, double, first), lambda: ctx.step.run(second, double, second))
            )

        return await ctx.group.parallel((pair("a", "b"), pair("c", "d")))

    @durable_function("nested-sync")
    def nested_sync(ctx):
        def pair(first, second):
            return lambda: ctx.group.parallel(
                (lambda: ctx.step.run(first, double, first), lambda: ctx.step.run(second, double, second))
            )

        return ctx.group.parallel((pair("a", "b"), pair("c", "d")))

    for function in (nested, nested_sync):
        run = durable.start(function)
        assert run.wait() == [["a", "b"], ["c", "d"]]
        assert run.invocations == 6
    assert double.ran == ["a", "b", "c", "d"] * 2


def test_a_race_inside_a_waiting_group_runs_ahead(durable, double):
    """The inner group's mode counts for its own steps."""

    @durable_function("inner-race")
    async def inner_race(ctx):
        async def chain(name):
            await ctx.step.run(f"{name}1", double, f"{name}1")
            await ctx.step.run(f"{name}2", double, f"{name}2")

        async def inner():
            await ctx.group.parallel((lambda: chain("a"), lambda: chain("b")), parallel_mode=RACE)

        await ctx.group.parallel((inner, lambda: ctx.step.sleep("slow", "1h")))

    run = durable.start(inner_race)
    run.wait()
    assert run.steps == ["a1", "a2", "b1", "b2", "slow"]
    assert seconds(run.step("b2").ended_at, run.started_at) == 0


@MODES
def test_mixed_kinds_side_by_side(durable, double, mode):
    """Steps, sleeps, waits and invocations of one group all settle, at their own times."""

    @durable_function("child")
    async def child(ctx):
        await ctx.step.sleep("nap", "5m")
        return "child"

    @durable_function("mixed")
    async def mixed(ctx):
        result = await ctx.group.parallel(
            (
                lambda: ctx.step.run("run", double, "run"),
                lambda: ctx.step.sleep("sleep", "10m"),
                lambda: ctx.step.wait_for_event("wait", event="answer", timeout="1h"),
                lambda: ctx.step.invoke("invoke", function=child),
            ),
            parallel_mode=mode,
        )
        return [result[0], result[1], result[2].data["n"], result[3]]

    durable.send("answer", {"n": 7}, at="1m")
    run = durable.start(mixed)
    assert run.wait() == ["run", None, 7, "child"]
    assert run.steps == ["run", "wait", "invoke", "sleep"]
    assert seconds(run.ended_at, run.started_at) == 600


def test_a_branch_without_steps_is_just_awaited(durable, double):
    """A branch may be plain async code; it costs no request and its result has its place."""

    @durable_function("plain")
    async def plain(ctx):
        async def nothing():
            return "nothing"

        return await ctx.group.parallel((nothing, lambda: ctx.step.run("a", double, "a")))

    run = durable.start(plain)
    assert run.wait() == ["nothing", "a"]
    assert run.invocations == 3


def test_a_race_body_goes_on_behind_the_first_of_two_branches(durable):
    """With FIRST_COMPLETED and optimize_parallelism=False the body goes on when the first step is done."""

    @durable_function("first", optimize_parallelism=False)
    async def first(ctx):
        tasks = [asyncio.create_task(ctx.step.sleep("fast", "1s")), asyncio.create_task(ctx.step.sleep("slow", "1h"))]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return [len(done), len(pending), tasks[0] in done]

    run = durable.start(first)
    assert run.wait() == [1, 1, True]
    assert seconds(run.ended_at, run.started_at) == 1


def test_a_race_settles_when_all_settle_with_optimised_parallelism(durable):
    """With optimised parallelism FIRST_COMPLETED returns when all have settled, with the first to complete."""

    @durable_function("first")
    async def first(ctx):
        tasks = [asyncio.create_task(ctx.step.sleep("slow", "1h")), asyncio.create_task(ctx.step.sleep("fast", "1s"))]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return [tasks.index(task) for task in done]

    run = durable.start(first)
    assert run.wait() == [1]
    assert seconds(run.ended_at, run.started_at) == 3600


# -- misuse ------------------------------------------------------------------------------------------------------------


def test_steps_in_place_of_callables_are_refused_at_once(durable, double):
    """A group is given callables; a step that was called already is a UsageError that says what to write."""

    @durable_function("called")
    async def called(ctx):
        await ctx.group.parallel((ctx.step.run("a", double, "a"), ctx.step.run("b", double, "b")))

    run = durable.start(called)
    with pytest.raises(RunFailed, match="lambda") as failure:
        run.wait()
    assert isinstance(failure.value.__cause__, UsageError)
    assert run.invocations == 1
    assert double.ran == []


@pytest.mark.parametrize("mode", ["race", None, 1])
def test_a_mode_that_is_none_is_refused_at_once(durable, double, mode):
    """parallel_mode takes a ParallelMode; anything else is a UsageError that names the value."""

    @durable_function("moded")
    async def moded(ctx):
        await ctx.group.parallel((lambda: ctx.step.run("a", double, "a"),), parallel_mode=mode)

    @durable_function("moded-sync")
    def moded_sync(ctx):
        ctx.group.parallel((lambda: ctx.step.run("a", double, "a"),), parallel_mode=mode)

    for function in (moded, moded_sync):
        run = durable.start(function)
        with pytest.raises(RunFailed, match="ParallelMode") as failure:
            run.wait()
        assert isinstance(failure.value.__cause__, UsageError)
        assert run.invocations == 1


@HOSTS
@MODES
@pytest.mark.parametrize("seed", [0, 1])
def test_the_history_of_a_parallel_run_is_the_same_every_time(double, chains, mode, seed):
    """Two simulations of one seed write the same bytes."""

    def history():
        with Simulation(seed=seed) as sim:
            sim.step("a1").takes("3s").raises(ValueError("x")).takes("2s")
            run = sim.start(chains(double, mode))
            run.wait()
            return run.history.to_json()

    assert history() == history()


def test_sync_groups_one_behind_the_other_are_two_groups(durable):
    """A group begins its own branches, also where no step stands between it and the one before, or in a branch."""
    charged = []

    @durable_function("rounds")
    def rounds(ctx):
        def pair(number):
            return ctx.group.parallel(
                (
                    lambda: ctx.step.run("a", lambda: charged.append(number) or number),
                    lambda: ctx.step.run("b", lambda: number),
                )
            )

        nested = ctx.group.parallel((lambda: [*pair(3), *pair(4)], lambda: ctx.step.run("c", lambda: 5)))
        return [pair(number) for number in range(3)] + [list(nested)]

    run = durable.start(rounds)
    assert run.wait() == [[0, 0], [1, 1], [2, 2], [[3, 3, 4, 4], 5]]
    assert sorted(charged) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("mode", list(ParallelMode))
@pytest.mark.parametrize("optimise", [True, False])
def test_a_sync_group_may_fail_while_a_branch_before_waits(durable, mode, optimise):
    """The failure of a later branch is the failure of the group; the body may catch it and end."""

    def broken():
        message = "no"
        raise NonRetriableError(message)

    @durable_function("caught", optimize_parallelism=optimise)
    def caught(ctx):
        try:
            ctx.group.parallel(
                (lambda: ctx.step.sleep("nap", "1h"), lambda: ctx.step.run("broken", broken)), parallel_mode=mode
            )
        except StepError:
            return ctx.step.run("after", lambda: "caught")

    assert durable.run(caught) == "caught"
