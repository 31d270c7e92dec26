"""What the test looks at counts: the search leaves out no order that a log, a monitor or a predicate shows."""

import asyncio

import pytest

from pytest_durable import durable_function, explore, touches


@touches()
def nothing():
    """Promises to touch nothing."""


@durable_function("pair")
async def pair(ctx):
    """Two steps side by side, which are known to be independent."""
    await asyncio.gather(ctx.step.run("a", nothing), ctx.step.run("b", nothing))


@durable_function("other")
async def other(ctx):
    """One step, of another run."""
    await ctx.step.run("c", nothing)


def steps(sim):
    run = sim.start(pair)
    run.wait()
    assert run.steps == ["a", "b"]


def a_timeline(sim):
    run = sim.start(pair)
    run.wait()
    text = run.timeline()
    assert text.index("a") < text.rindex("b")
    assert run.history.facts[-3][2] == "a"


def events(sim):
    one, two = sim.start(pair), sim.start(other)
    sim.advance("1m")
    finished = [event.data["run_id"] for event in sim.events if event.name == "inngest/function.finished"]
    assert finished == [one.id, two.id]


def effects(sim):
    def mark(key):
        return touches(key)(lambda: sim.ledger.record("marked", key))

    @durable_function("marks")
    async def marks(ctx):
        await asyncio.gather(ctx.step.run("a", mark("a")), ctx.step.run("b", mark("b")))

    sim.run(marks)
    assert [effect.key for effect in sim.ledger] == ["a", "b"]


def a_monitor(sim):
    run = sim.start(pair)
    sim.always(lambda: run.steps != ["b"])
    run.wait()


def a_predicate(sim):
    run = sim.start(pair)
    sim.run_until(lambda: len(run.steps) == 1)
    assert run.steps == ["a"]


def a_script_of_two_runs(sim):
    sim.step("c").returns_each(1, 2)

    @durable_function("uses")
    async def uses(ctx):
        return await ctx.step.run("c", nothing)

    one, two = sim.start(uses), sim.start(uses)
    sim.advance("1m")
    assert (one.result, two.result) == (1, 2)


SCENARIOS = [steps, a_timeline, events, effects, a_monitor, a_predicate, a_script_of_two_runs]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.__name__ for scenario in SCENARIOS])
def test_an_order_that_the_test_looks_at_is_explored(scenario):
    """A search that ends complete has found the order under which this scenario fails."""
    report = explore(scenario)
    assert report.complete
    assert report.schedules == report.distinct
    assert [type(failure.error) for failure in report.failures] == [AssertionError]


def test_an_order_that_nobody_looks_at_is_left_out():
    """The same pair of steps needs one schedule where the test looks at the result alone."""

    def scenario(sim):
        assert sim.run(pair) is None

    report = explore(scenario)
    assert (report.complete, report.schedules, report.failures) == (True, 1, [])


def test_a_run_that_is_cancelled_lets_go_of_its_signal():
    """Whether another run finds the signal taken depends on what comes first, and both are explored."""

    def waits(name):
        @durable_function(name, trigger=f"begin-{name}", retries=0)
        async def body(ctx):
            await ctx.step.wait_for_signal("w", signal="s", timeout="1h", on_conflict="fail")

        return body

    ends = set()

    def scenario(sim):
        sim.register(waits("late"))
        first = sim.start(waits("first"))
        sim.advance("1m")
        sim.send("begin-late")
        sim.cancel(first)
        sim.advance("2h")
        ends.add(str(sim.runs[1].status.value))

    assert explore(scenario).complete
    assert ends == {"completed", "failed"}
