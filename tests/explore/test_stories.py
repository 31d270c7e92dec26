"""How a failing schedule is told: who, which event, when, and nothing that is not the case."""

import asyncio

from pytest_durable import Context, Event, between, durable_function, explore, faults


@durable_function("shop", trigger="order/placed")
async def shop(ctx: Context):
    await ctx.step.run("charge", lambda: 1)
    await ctx.step.send_event("tell", Event("order/paid"))


def story_of(scenario, **arguments):
    return explore(scenario, **arguments).failures[0].story


def loses_nothing(sim):
    sim.register(shop)
    sim.send("order/placed", at="10m")
    sim.advance("1h")
    assert not [event for event in sim.events if "lost" in str(event.outcome)]


def test_a_fault_of_an_event_says_which():
    """An event of the test has its moment, one of a run has its sender."""
    for event, sender in (("order/placed", "the test"), ("order/paid", "shop")):
        story = story_of(loses_nothing, faults=[faults.drop_event(event=event)])
        assert story == (f"default order, except: event '{event}' (sent by {sender} for 2025-01-01 00:10:00Z) is lost")


def test_a_fault_of_a_step_says_which_run_where_there_are_several():
    """The run is named if its function has more than one run, and left out if it has one."""

    def crashes(runs):
        def scenario(sim):
            started = [sim.start(shop) for _ in range(runs)]
            sim.advance("1h")
            assert all(run.step("charge").attempts == 1 for run in started)

        return story_of(scenario, faults=["lost_ack"])

    assert crashes(1) == "default order, except: the answer of step 'charge' is lost before it is recorded"
    assert crashes(2).startswith(
        "default order, except: the answer of step 'charge' is lost before it is recorded (shop ("
    )


def test_a_late_event_is_told_once_with_its_moment():
    """However many instants it passed over, what counts is when it came."""

    def scenario(sim):
        @durable_function("ask")
        async def ask(ctx: Context):
            for _ in range(3):
                await ctx.step.sleep("nap", "1h")
            return await ctx.step.wait_for_event("knock", event="knock", timeout="1h")

        sim.send("knock", at=between("0s", "5h"))
        assert sim.run(ask) is None

    story = story_of(scenario)
    assert story.startswith("default order, except: event 'knock' arrives at 2025-01-01 03:00:00Z; then ")
    assert "later" not in story


def test_one_that_several_overtake_is_named_once():
    """A chain of happenings before one and the same is one part of the story."""

    def scenario(sim):
        effects = []

        @durable_function("many")
        async def many(ctx: Context):
            await asyncio.gather(*(ctx.step.run(name, effects.append, name) for name in "abc"))

        sim.run(many)
        assert effects[2] != "a"

    assert story_of(scenario) == (
        "default order, except: step 'b' of many runs, step 'c' of many runs before step 'a' of many runs"
    )


def test_a_report_speaks_of_faults_only_where_there_are_some():
    """Without faults there is no bound on faults, and a search that found something is not called incomplete."""
    assert "fault" not in str(explore(lambda sim: sim.run(shop)))
    assert str(explore(lambda sim: sim.run(shop), faults=["crash"])).endswith(
        "complete, for at most 1 fault in one schedule: none fails; 5 of 5 crash points survived"
    )


def test_the_summary_does_not_repeat_a_failure(pytester):
    """A failing test shows its search once; only searches that passed and were cut short are in the summary."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.durable(explore="every")
        def test_fails(durable):
            assert False
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    assert result.stdout.str().count("explored 1 schedule (") == 1
    assert "incomplete" not in result.stdout.str()
