"""Examples: schedules by names, which survive an edit that has nothing to do with them, and say so when they do not."""

import asyncio

import pytest

from pytest_durable import ANYTIME, Context, ScheduleError, between, durable_function, explore

EARLIER = ("look-up", "greet")
"""Steps that somebody adds in front of everything."""


async def earlier(ctx, steps):
    for step_id in steps:
        await ctx.step.run(step_id, lambda: None)


def double_charge(*added):
    """A charge without a key: a crash behind it charges twice."""

    def scenario(sim):
        @durable_function("shop")
        async def shop(ctx: Context):
            await earlier(ctx, added)
            await ctx.step.run("charge", sim.ledger.record, "charge", "o-1")
            await ctx.step.run("mail", lambda: None)

        sim.run(shop)
        assert sim.ledger.count("charge") == 1

    return scenario


def overtaking(*added):
    """Three steps side by side, of which the last must not be the first."""

    def scenario(sim):
        effects = []

        @durable_function("trip to", retries=0)
        async def trip(ctx: Context):
            await earlier(ctx, added)
            await asyncio.gather(*(ctx.step.run(name, effects.append, name) for name in ("a flight", "car", "hotel")))

        sim.run(trip)
        assert effects.index("a flight") < effects.index("hotel")

    return scenario


def too_late(*added):
    """An answer that comes behind the end of the wait."""

    def scenario(sim):
        @durable_function("ask")
        async def ask(ctx: Context):
            await earlier(ctx, added)
            await ctx.step.sleep("think", "1h")
            return await ctx.step.wait_for_event("wait", event="answered", timeout="1h") is not None

        sim.send("answered", at=between("90m", "3h"))
        sim.send("other", at="100m")
        assert sim.run(ask)

    return scenario


def second_run(*added):
    """Two runs, of which the second must not look before the first has written."""

    def scenario(sim):
        paid = []

        @durable_function("pay", trigger="due")
        async def pay(ctx: Context):
            await earlier(ctx, added)
            if not await ctx.step.run("look", lambda: len(paid)):
                await ctx.step.run("pay", paid.append, 1)

        sim.register(pay)
        sim.send("due")
        sim.send("due")
        sim.advance("1h")
        assert paid == [1]

    return scenario


def cancelled(*added):
    """A run that must not end between its steps."""

    def scenario(sim):
        done = []

        @durable_function("carry")
        async def carry(ctx: Context):
            await earlier(ctx, added)
            await ctx.step.run("take", done.append, "take")
            await ctx.step.run("put", done.append, "put")

        sim.start(carry)
        sim.advance("1h")
        assert len(done) != 1

    return scenario


SCENARIOS = {
    "crash after step charge of shop": (double_charge, ["crash"]),
    'hold step "a flight" of "trip to" until step hotel of "trip to"': (overtaking, []),
    "move event answered to timeout of wait of ask; hold event answered until timeout of wait of ask": (too_late, []),
    "hold pay goes on after look until step look of pay#2": (second_run, []),
    "cancel carry at carry goes on after take": (cancelled, ["cancellation"]),
}
parameters = pytest.mark.parametrize(
    ("example", "scenario", "faults"), [(text, *rest) for text, rest in SCENARIOS.items()], ids=list(SCENARIOS)
)


@parameters
def test_a_failure_has_an_example(example, scenario, faults):
    """What a search finds is told by the names of what happens, as short as it gets."""
    failure = explore(scenario(), faults=faults).failures[0]
    assert failure.example == example
    assert f"example: {example}" in str(failure)


@parameters
def test_an_example_survives_steps_that_are_added_before(example, scenario, faults):
    """After the edit the example fails as it did, though the schedule is another one."""
    before = explore(scenario(), faults=faults, replay=example)
    after = explore(scenario(*EARLIER), faults=faults, replay=example)
    assert [type(report.failures[0].error) for report in (before, after)] == [AssertionError] * 2
    assert before.schedules == after.schedules == 1


@parameters
def test_examples_come_before_the_search(example, scenario, faults):
    """A pinned example fails in the first schedule, whatever the strategy would have tried first."""
    report = explore(scenario(*EARLIER), "pct", faults, max_schedules=1, examples=[example])
    assert len(report.failures) == 1
    assert report.schedules == 1


def test_an_event_can_be_moved_to_the_end():
    """An event that comes behind everything that is due is moved to the end of its window."""

    def scenario(sim):
        @durable_function("ask")
        async def ask(ctx: Context):
            return await ctx.step.wait_for_event("wait", event="answered", timeout="1h") is not None

        run = sim.start(ask)
        sim.settle()
        sim.send("answered", at=between("10m", "1h"))
        sim.send("other", at="20m")
        assert run.wait()

    (failure,) = explore(scenario).failures
    assert failure.example == "move event answered to the end; hold event answered until timeout of wait of ask"
    assert "event 'answered' arrives at 2025-01-01 01:00:00Z; then wait 'wait' of ask times out before" in failure.story


def test_an_event_may_come_later_than_the_test_looks():
    """A moment that the test does not live to see is told as that."""

    def scenario(sim):
        @durable_function("nap")
        async def nap(ctx: Context):
            await ctx.step.sleep("nap", "1h")

        sim.start(nap)
        sim.send("knock", at=ANYTIME)
        sim.settle()
        assert sim.events

    (failure,) = explore(scenario).failures
    assert failure.story == "default order, except: event 'knock' arrives later than the test looks"


def test_the_default_order_is_an_example_too():
    """A scenario that always fails has the default order as its example, and that replays it."""

    def scenario(sim):
        raise AssertionError(sim.now)

    failure = explore(scenario).failures[0]
    assert failure.example == "default order"
    assert len(explore(scenario, replay="default order").failures) == 1


def test_the_second_attempt_has_a_number():
    """What happens once more under one name has a number behind it."""

    def scenario(sim):
        @durable_function("shop", retries=2)
        async def shop(ctx: Context):
            await ctx.step.run("charge", sim.ledger.record, "charge")

        sim.run(shop)
        assert sim.ledger.count("charge") < 3

    report = explore(scenario, faults=["lost_ack"], max_faults=2)
    (failure,) = report.failures
    assert failure.example == "lose the answer of step charge of shop; lose the answer of step charge of shop (2)"
    assert failure.story.endswith("at attempt 2")


@pytest.mark.parametrize(
    ("example", "faults", "message"),
    [
        (
            "crash after step chrge of shop",
            ["crash"],
            "step chrge of shop' does not occur in it. Is 'crash after step charge of shop' meant?.*: crash before",
        ),
        ("crash after step charge of shop", [], "no fault is an option in this test.*faults="),
        (
            "hold step x of shop until event paid",
            [],
            "'step x of shop' does not occur.*the happenings are: shop starts",
        ),
        ("move event paid to the end", [], "'event paid' does not occur"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(example, faults, message):
    """An example that passes without having met its names says which one, and what names there are."""

    def passes(sim):
        @durable_function("shop")
        async def shop(ctx: Context):
            await ctx.step.run("charge", lambda: None)

        sim.run(shop)

    for arguments in ({"replay": example}, {"examples": [example]}):
        with pytest.raises(ScheduleError, match=message):
            explore(passes, faults=faults, **arguments)


@pytest.mark.parametrize(
    "text",
    ["hold a", "hold a until", "move a b", "crash now", "; ;", 'crash after step "x of y', "hold until b c", "a b"],
)
def test_what_is_no_example_is_refused(text):
    """Text of another form says what is missing."""
    with pytest.raises(ScheduleError, match="is not a schedule, or only a part of one, and not an example"):
        explore(double_charge(), replay=text)


PINNED = """
    import asyncio
    import pytest
    from pytest_durable import durable_function

    @durable_function("shop")
    async def shop(ctx):
        {added}
        await ctx.step.run("charge", ctx.event.data["ledger"], "charge")

    @pytest.mark.durable({arguments})
    def test_shop(durable):
        count = []

        @durable_function("shop")
        async def shop(ctx):
            {added}
            await ctx.step.run("charge", count.append, 1)

        durable.run(shop)
        assert len(count) == 1, "charged twice"
"""
CRASH = "crash after step charge of shop"


def pinned(pytester, arguments, *options, added="pass"):
    pytester.makepyfile(PINNED.format(arguments=arguments, added=added))
    return pytester.runpytest_subprocess(*options)


def test_a_pinned_example_fails_a_test_that_is_not_explored(pytester):
    """The marker runs its examples first, and then the test as ever."""
    result = pinned(pytester, f'examples=["{CRASH}"], faults=["crash"]', added='await ctx.step.run("new", lambda: 1)')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*charged twice*",
            "default order, except: crash after step 'charge' *",
            f"explored 1 schedule *, until the example '{CRASH}' failed, for at most 1 fault*",
            f"pin it: @pytest.mark.durable(examples=['{CRASH}'])",
        ]
    )


def test_an_example_that_passes_leaves_the_test_as_it_is(pytester):
    """Where nothing fails, the examples and the default order were run."""
    result = pinned(pytester, 'examples=["crash before step charge of shop"], faults=["crash"]', "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*explored 2 schedules (2 distinct*none fails; 1 of 1 crash points survived"])
    assert "incomplete" not in result.stdout.str()


def test_an_example_comes_before_the_search_of_the_marker(pytester):
    """With a strategy the search goes on behind the examples."""
    example = "crash before step charge of shop"
    result = pinned(pytester, f'examples=["{example}"], faults=["crash"], explore="every"')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["explored 5 schedules *, until one failed*"])


def test_an_example_whose_names_are_gone_fails_the_test(pytester):
    """A pin that pins nothing any more is not passed over."""
    result = pinned(pytester, 'examples=["crash after step pay of shop"], faults=["crash"]')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ScheduleError: the example 'crash after step pay of shop' does not fit this test*"])


@pytest.mark.parametrize("explored", ["", ', explore="every"'])
def test_the_option_takes_an_example_too(pytester, explored):
    """--durable-replay runs the test under an example, and shows what it shows for a schedule."""
    result = pinned(pytester, f'faults=["crash"]{explored}', f"--durable-replay={CRASH}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*charged twice*", "default order, except: crash after step 'charge' *"])


def test_examples_must_be_texts(pytester):
    """A lone text in place of a list is refused with the remedy."""
    result = pinned(pytester, f'examples="{CRASH}"')
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*examples='{CRASH}' is not a list; write examples=*"])
