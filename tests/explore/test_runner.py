"""The runner over all searches: it counts, keeps to its bounds, tells its progress and shrinks what fails."""

import re

import pytest

from pytest_durable import ANYTIME, DurabilityWarning, Event, Simulation, durable_function, explore, faults
from pytest_durable._core.choices import Deviation, Schedule
from pytest_durable.choosers import Follow, NondeterministicScenarioError
from pytest_durable.exploration import EXECUTIONS_PER_SCHEDULE, SHRINK_EXECUTIONS, Explorer, Report
from pytest_durable.trials import Trial


class Counting:
    """A search without an end; every execution is a repetition, or none is."""

    complete = False

    def __init__(self, *, pruned):
        self.is_pruned = pruned
        self.pruned = 0

    def next(self):
        """The default order."""
        return Follow(())

    def done(self, *, pruned, looked):
        """Count."""
        self.pruned += pruned


def trial(indices, error=None, *, options=3, pruned=False):
    """An execution in which these options were taken."""
    made = Trial(None, error, pruned=pruned)
    made.schedule = Schedule((options,) * len(indices), tuple(indices))
    made.deviations = [
        Deviation(position, "label", index, f"option {index}", "option 0")
        for position, index in enumerate(indices)
        if index
    ]
    return made


def failing(rule, length=8):
    """Runs a scenario that fails by a rule over the options that were taken, and counts."""
    executed = []

    def execute(chooser):
        executed.append(1)
        indices = [chooser.choose("label", range(9)) for _ in range(length)]
        if not rule(indices):
            return trial(indices)
        return trial(indices, ERROR)

    return execute, executed


ERROR = AssertionError("no")


def explorer(execute, search=None, **options):
    """A runner."""
    options.setdefault("max_schedules", 5)
    return Explorer(execute, search or Counting(pruned=False), Report("mine", 1), **options)


def test_a_search_of_repetitions_ends():
    """However small the budget, repetitions are bounded by it too, and the report says so."""
    runner = explorer(lambda chooser: trial([0], pruned=True), Counting(pruned=True))
    runner.run()
    assert runner.report.schedules == 0
    assert runner.report.pruned == 5 * EXECUTIONS_PER_SCHEDULE
    assert runner.report.stopped == "100 executions, most of them repetitions"


def test_progress_is_told_after_every_execution():
    """With the report so far and the number of repetitions."""
    told = []
    runner = explorer(
        lambda chooser: trial([0]), progress=lambda report, pruned: told.append((report.schedules, pruned))
    )
    runner.run()
    assert told == [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]
    assert runner.report.stopped == "max_schedules=5"


@pytest.mark.parametrize(
    ("rule", "smallest"),
    [
        (lambda taken: taken[3], [0, 0, 0, 1, 0, 0, 0, 0]),
        (lambda taken: taken[1] and taken[6], [0, 1, 0, 0, 0, 0, 1, 0]),
        (lambda taken: taken[2] >= 2, [0, 0, 2, 0, 0, 0, 0, 0]),
        (lambda taken: sum(map(bool, taken)) >= 5, None),
    ],
    ids=["one", "two", "an option", "any five"],
)
def test_a_failure_shrinks_to_what_it_needs(rule, smallest):
    """What the failure does not need goes back to the default, and what it needs to the option nearest to it."""
    execute, _ = failing(rule)
    found = explorer(execute).shrink(trial([3] * 8, ERROR))
    if smallest is None:
        assert sum(map(bool, found.schedule.indices)) == 5
        assert max(found.schedule.indices) == 1
    else:
        assert list(found.schedule.indices) == smallest


def test_shrinking_is_bounded():
    """A failure with very many deviations is shrunk as far as the bound reaches."""
    execute, executed = failing(lambda taken: sum(map(bool, taken)) >= 150, length=200)
    found = explorer(execute).shrink(trial([8] * 200, ERROR, options=9))
    assert len(executed) == SHRINK_EXECUTIONS
    assert found.error is ERROR


def test_a_choice_that_is_not_made_any_more_cannot_be_lowered():
    """Where a smaller option makes the execution shorter, the rest stays as it is."""

    def execute(chooser):
        first = chooser.choose("label", range(9))
        if not first:
            return trial([0])
        indices = [first, *([chooser.choose("label", range(9))] if first > 2 else [])]
        return trial(indices, ERROR if len(indices) == 1 or indices[1] else None)

    found = explorer(execute).shrink(trial([3, 4], ERROR))
    assert list(found.schedule.indices) == [1]


# -- faults about nothing ---------------------------------------------------------------------------------------------


@durable_function("shop")
async def shop(ctx):
    """Two steps and an event."""
    await ctx.step.run("charge", lambda: None)
    await ctx.step.send_event("tell", Event("told"))


ABOUT_NOTHING = [
    (faults.crash(step="chrge"), r"faults\.crash\(step='chrge'\) is about nothing .* are 'charge', 'tell'"),
    (faults.crash(function="shopp"), r"faults\.crash\(function='shopp'\) is about nothing .* 'charge', 'tell'"),
    (faults.drop_event(event="tld"), r"faults\.drop_event\(event='tld'\) is about nothing .* are .*'told'"),
]


@pytest.mark.parametrize(("fault", "words"), ABOUT_NOTHING)
def test_a_search_warns_of_a_fault_that_is_about_nothing(fault, words):
    """A fault whose step, function or event never came up is named in a warning and in the report, with what did."""
    with pytest.warns(DurabilityWarning, match=words):
        report = explore(lambda sim: sim.run(shop), faults=[fault, faults.lost_ack(step="charge")])
    assert report.complete
    assert re.search(words, str(report))
    assert "lost_ack" not in str(report)


@pytest.mark.parametrize(("fault", "words"), ABOUT_NOTHING)
def test_a_plain_simulation_warns_of_a_fault_that_is_about_nothing(fault, words):
    """The same at the exit of a simulation without a search."""
    with pytest.warns(DurabilityWarning, match=words), Simulation(faults=[fault]) as sim:
        sim.advance("1h" if sim.run(shop) is None else 0)


def test_a_fault_that_comes_up_in_one_schedule_alone_is_no_mistake():
    """A step that only some schedules reach is a step."""

    @durable_function("late")
    async def late(ctx):
        if await ctx.step.wait_for_event("w", event="go", timeout="1h") is None:
            await ctx.step.run("remind", lambda: None)

    def scenario(sim):
        sim.send("go", {}, at="1h")
        sim.run(late)

    report = explore(scenario, faults=[faults.crash(step="remind")])
    assert (report.complete, report.remarks) == (True, [])


def test_a_cancellation_can_be_narrowed_to_a_step():
    """cancellation(step=...) befalls a run right behind that step, or right before it if it is planned."""
    ends = set()

    def scenario(sim):
        run = sim.start(shop)
        sim.advance("1h")
        ends.add((str(run.status.value), tuple(run.steps)))

    assert explore(scenario, faults=[faults.cancellation(step="charge")]).complete
    assert ends == {("completed", ("charge", "tell")), ("cancelled", ("charge",))}


def test_a_search_with_crashes_counts_the_points_that_were_survived():
    """Each point at which a worker may die is counted once, however many schedules go through it."""

    def charging(sim):
        @durable_function("charging")
        async def charging(ctx):
            await ctx.step.run("charge", sim.ledger.record, "charge", "order-1")
            await ctx.step.run("mail", lambda: None)

        sim.send("other", {}, at=ANYTIME)
        sim.run(charging)
        assert sim.ledger.count("charge") == 1

    report = explore(charging, faults=["crash"])
    assert sum(report.crashes.values()) == len(report.crashes) - 1 == 4
    assert str(report).endswith("; 4 of 5 crash points survived")


# -- scenarios that are not deterministic -----------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["every", "random", "pct", True])
def test_an_assertion_that_fails_now_and_then_is_no_failure_of_a_schedule(strategy):
    """A failure that its own schedule does not repeat is told as that, with the first difference."""
    counted = []

    def scenario(sim):
        counted.append(1)
        sim.step("charge").returns(len(counted))
        assert sim.run(shop) is None
        assert len(counted) != 1

    report = explore(scenario, strategy, faults=["crash"], max_schedules=50)
    assert not report.complete
    assert report.stopped == "the scenario is not deterministic"
    with pytest.raises(
        NondeterministicScenarioError, match=r"(?s)AssertionError.*passes when it is run under it again"
    ):
        raise report.failures[-1].error


def test_the_first_difference_of_two_executions_is_told():
    """Where the timelines differ, their first line that differs is shown from both."""
    counted = []

    def scenario(sim):
        counted.append(1)
        sim.step("charge").takes("1m" if len(counted) == 1 else "2m")
        sim.run(shop)
        assert len(counted) > 1

    report = explore(scenario)
    with pytest.raises(NondeterministicScenarioError, match=r"(?s)first difference is\n.*\+1m .*\nand then\n.*\+2m "):
        raise report.failures[0].error


@pytest.mark.parametrize("strategy", ["random", "pct"])
def test_one_schedule_with_two_results_is_told_though_nothing_fails(strategy):
    """A sampler that draws a schedule for the second time compares what came of it."""
    counted = []

    @durable_function("counts")
    async def counts(ctx):
        return await ctx.step.run("count", lambda: len(counted))

    def scenario(sim):
        counted.append(1)
        sim.run(counts)

    report = explore(scenario, strategy, max_schedules=50)
    with pytest.raises(NondeterministicScenarioError, match=r"(?s)two ways:.*counts completed with 1 .*with 2 "):
        raise report.failures[0].error


# -- monitors that are not done ---------------------------------------------------------------------------------------


def test_what_is_to_hold_eventually_must_hold_before_the_end():
    """A run that ends early does not make an `eventually` true; what to do about it is said."""

    def scenario(sim):
        sim.eventually(lambda: False, within="2d")
        sim.run(shop)

    with (
        pytest.raises(AssertionError, match=r"has not held by the end of the test.*durable\.advance\('2d'\)"),
        Simulation() as sim,
    ):
        scenario(sim)
    assert len(explore(scenario).failures) == 1


def test_what_has_held_once_is_done():
    """An `eventually` that held while time was driven is no failure later."""
    with Simulation() as sim:
        run = sim.start(shop)
        sim.eventually(lambda: run.steps == ["charge"], within="2d")
        run.wait()
