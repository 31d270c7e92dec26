"""Priority: who goes first among those who wait. Semantics 14.9."""

import asyncio

import pytest

from pytest_durable import Concurrency, Context, Priority, durable_function


def function(log, run):
    """One slot, a step of a second, and a priority."""

    @durable_function("f", trigger="go", concurrency=Concurrency(limit=1), priority=Priority(run=run))
    async def f(ctx: Context):
        log(ctx.event.data["n"])
        await ctx.step.run("a", asyncio.sleep, 10)

    return f


def order(log):
    """The events in the order in which their runs began."""
    return list(dict.fromkeys(n for _, n in log.lines))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("int(event.data.p)", [0, 3, 2, 1]),
        ("-int(event.data.p)", [0, 1, 2, 3]),
        ("event.data.p > 50 ? 100 : 0", [0, 2, 3, 1]),
        ("event.data.p", [0, 1, 2, 3]),
        ("event.data.missing", [0, 1, 2, 3]),
        ("int(event.data.word)", [0, 1, 2, 3]),
        ("0", [0, 1, 2, 3]),
    ],
    ids=["more first", "less first", "two classes", "a JSON number counts 0", "missing", "fails", "none"],
)
def test_who_waits_goes_by_priority_and_then_by_age(durable, log, play, expression, expected):
    """The first has the slot; three more come while it works."""
    durable.register(function(log, expression))
    play("go", *((n, {"n": n, "p": p, "word": "x"}) for n, p in enumerate([0, 10, 60, 120])))
    durable.run_until_idle()
    assert order(log) == expected


def test_a_priority_is_seconds_of_age(durable, log, play):
    """A factor of 5 overtakes a run that is four seconds older, and not one that is six seconds older."""
    durable.register(function(log, "int(event.data.p)"))
    play("go", (0, {"n": 0, "p": 0}), (1, {"n": 1, "p": 0}), (3, {"n": 2, "p": 0}), (7, {"n": 3, "p": 5}))
    durable.run_until_idle()
    assert order(log) == [0, 1, 3, 2]


def test_a_priority_is_half_a_day_at_the_most(durable, log, play):
    """43,200 seconds; the rest does not count."""
    durable.register(function(log, "int(event.data.p)"))
    play("go", (0, {"n": 0, "p": 0}), (1, {"n": 1, "p": 43_200}), (2, {"n": 2, "p": 90_000_000}))
    durable.run_until_idle()
    assert order(log) == [0, 1, 2]


def test_at_one_instant_the_better_one_goes_first(durable, log, play):
    """Nobody has the slot yet: all that arrives at the instant is in the queue before anybody begins."""
    durable.register(function(log, "int(event.data.p)"))
    play("go", *((0, {"n": n, "p": n}) for n in range(4)))
    durable.run_until_idle()
    assert order(log) == [3, 2, 1, 0]


def test_without_a_limit_a_priority_is_an_order_of_starts(durable, log, play):
    """Everybody begins at once, the better one first."""

    @durable_function("g", trigger="go", priority=Priority(run="int(event.data.p)"))
    async def g(ctx: Context):
        log(ctx.event.data["n"])

    durable.register(g)
    play("go", *((0, {"n": n, "p": n}) for n in range(3)))
    durable.settle()
    assert log.lines == [(0, 2), (0, 1), (0, 0)]


def test_who_waits_for_better_ones_says_so(durable, log, play):
    """Until all that arrives at the instant is there, a run waits for its turn."""
    durable.register(function(log, "1"))
    seen = []
    durable.always(lambda: seen.append([run.timeline().splitlines()[-1].strip() for run in durable.runs]) or True)
    play("go", (0, {"n": 0}))
    durable.settle()
    assert ["it is waiting for its turn"] in seen
    assert seen[-1] != ["it is waiting for its turn"]


def test_of_two_queues_that_open_at_one_instant_the_better_request_goes_first(durable):
    """B (older) waits for its key and A for a slot of the function; when both open at once, B begins first."""
    started = {}

    @durable_function(
        "f",
        trigger="go",
        concurrency=[Concurrency(limit=2), Concurrency(limit=1, key="event.data.k")],
        priority=Priority(run="int(event.data.p)"),
    )
    async def f(ctx: Context):
        async def work():
            started[ctx.event.data["n"]] = durable.now.second
            await asyncio.sleep(ctx.event.data["d"])

        await ctx.step.run("s", work)

    durable.register(f)
    jobs = [(0, "C", "c", 100, 10), (50, "X", "b", 0, 1), (100, "Y", "b", 100, 1), (200, "B", "b", 0, 1),
            (300, "A", "a", 0, 1)]  # fmt: skip
    for at, name, key, priority, length in jobs:
        durable.send("go", {"n": name, "k": key, "p": priority, "d": length}, at=at)
    durable.run_until_idle()
    assert started == {"C": 0, "X": 0, "Y": 1, "B": 2, "A": 3}
