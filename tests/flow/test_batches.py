"""Batches: one run for several events. Semantics 14.5."""

import pytest

from pytest_durable import Batch, Context, Event, Timeouts, UsageError, durable_function


def function(log, timeouts=None, **options):
    """A function that logs the events of its batch."""

    @durable_function("f", trigger="go", batch_events=Batch(**options), timeouts=timeouts)
    async def f(ctx: Context):
        log("f", [event.data["n"] for event in ctx.events])
        await ctx.step.run("a", lambda: None)
        return ctx.event.data["n"]

    return f


def five(play):
    """Five events, one every 0.8 s."""
    play("go", *((i * 0.8, {"n": i, "k": "x" if i % 2 else "y"}) for i in range(5)))


def runs_of(durable):
    """The events of each run."""
    return [[event.data["n"] for event in run.events] for run in durable.runs]


def test_a_full_batch_runs_at_once_and_the_rest_when_its_time_is_over(durable, log, play):
    """Three at 1.6 s; the two that are left 4 s after the first of them, at 6.4 s."""
    durable.register(function(log, max_size=3, timeout="4s"))
    five(play)
    durable.run_until_idle()
    assert log.lines == [(1.6, "f", [0, 1, 2]), (1.6, "f", [0, 1, 2]), (6.4, "f", [3, 4]), (6.4, "f", [3, 4])]
    assert runs_of(durable) == [[0, 1, 2], [3, 4]]
    assert [run.result for run in durable.runs] == [0, 3]
    assert [run.event.data["n"] for run in durable.runs] == [0, 3]
    assert "for go (3 events), from 2025-01-01 00:00:01.6Z" in durable.runs[0].timeline()


def test_a_key_makes_a_batch_for_each_value(durable, log, play):
    """Pairs of x and of y, and one that stays alone."""
    durable.register(function(log, max_size=2, timeout="4s", key="event.data.k"))
    five(play)
    durable.run_until_idle()
    assert runs_of(durable) == [[0, 2], [1, 3], [4]]
    assert [run.started_at.second + run.started_at.microsecond / 1e6 for run in durable.runs] == [1.6, 2.4, 7.2]


def test_what_is_not_wanted_in_a_batch_runs_alone(durable, log, play):
    """``if_exp`` must be exactly true; all else is an ordinary run at once."""
    durable.register(function(log, max_size=9, timeout="4s", if_exp="event.data.together"))
    together = [True, False, True, "yes", None]
    play("go", *((0, {"n": n, "together": value}) for n, value in enumerate(together)))
    durable.settle()
    assert runs_of(durable) == [[1], [3], [4]]
    durable.run_until_idle()
    assert runs_of(durable) == [[1], [3], [4], [0, 2]]


def test_a_batch_does_not_know_event_ids(durable, log, play):
    """a, c, a is a batch of three, as on the real server."""
    durable.register(function(log, max_size=3, timeout="4s"))
    play("go", (0, {"n": 0}, "a"), (1, {"n": 1}, "c"), (2, {"n": 2}, "a"))
    durable.run_until_idle()
    assert runs_of(durable) == [[0, 1, 2]]


def test_a_batch_ignores_a_future_ts_and_the_start_timeout(durable, log):
    """It begins when it is full or its time is over, and no timer waits for its start."""
    durable.register(function(log, Timeouts(start="1s"), max_size=3, timeout="4s"))
    durable.send(Event("go", {"n": 0}, ts=int(durable.now.timestamp() * 1000) + 60_000))
    durable.run_until_idle()
    assert log.of("f") == [4, 4]
    assert durable.runs[0].status == "completed"


def test_ten_megabytes_are_a_full_batch(durable, log):
    """However few events they are."""
    durable.register(function(log, max_size=50, timeout="4s"))
    for n in range(5):
        durable.send("go", {"n": n, "text": "x" * 2_700_000})
    durable.settle()
    assert runs_of(durable) == [[0, 1, 2, 3]]


def test_each_event_says_where_it_is(durable, log, play, outcomes):
    """In which batch, as which of how many, and until when; later, which place it had."""
    durable.register(function(log, max_size=3, timeout="4s"))
    play("go", (0, {"n": 0}), (1, {"n": 1}))
    durable.advance("1s")
    assert outcomes("go") == [
        "batched for f (1 of 3) until 2025-01-01 00:00:04Z",
        "batched for f (2 of 3) until 2025-01-01 00:00:04Z",
    ]
    durable.run_until_idle()
    assert outcomes("go") == ["started f; batched for f (1 of 2)", "started f; batched for f (2 of 2)"]


def test_a_key_that_fails_drops_the_event(durable, log, play, outcomes):
    """It is in no batch, and says why."""
    durable.register(function(log, max_size=3, timeout="4s", key="int(event.data.k)"))
    play("go", (0, {"n": 0, "k": "a"}))
    durable.run_until_idle()
    assert durable.runs == []
    assert "did not start f: the key of its batch fails" in outcomes("go")[0]


def test_the_end_of_a_batch_is_announced_once(durable, log, play):
    """One finished event, with the first event and all of them."""
    durable.register(function(log, max_size=3, timeout="4s"))
    play("go", *((0, {"n": n}) for n in range(3)))
    durable.run_until_idle()
    (finished,) = [event for event in durable.events if event.name == "inngest/function.finished"]
    assert finished.data["event"]["data"] == {"n": 0}
    assert [event["data"]["n"] for event in finished.data["events"]] == [0, 1, 2]


@pytest.mark.parametrize("option", ["throttle", "rate_limit"])
def test_a_rate_limit_does_not_touch_batches_and_a_throttle_does(durable, log, play, option):
    """Rate limits are for events, and a batch passes them by; a throttle delays its run."""
    from pytest_durable import RateLimit, Throttle

    limit = {"throttle": Throttle(limit=1, period="1m", burst=0), "rate_limit": RateLimit(limit=1, period="1m")}

    @durable_function("g", trigger="go", batch_events=Batch(max_size=2, timeout="4s"), **{option: limit[option]})
    async def g(ctx: Context):
        log("g", len(ctx.events))

    durable.register(g)
    play("go", *((n, {"n": n}) for n in range(4)))
    durable.run_until_idle()
    assert log.lines == [(1, "g", 2), (61 if option == "throttle" else 3, "g", 2)]


def test_a_batch_can_be_started_by_name(durable, log):
    """A list of events is a batch, whatever its size; an empty one is refused."""
    f = function(log, max_size=2, timeout="4s")
    assert durable.run(f, [Event("go", {"n": n}) for n in range(3)]) == 0
    assert log.lines == [(0, "f", [0, 1, 2]), (0, "f", [0, 1, 2])]
    assert len({event.id for event in durable.runs[0].events}) == 3
    with pytest.raises(UsageError, match="an empty list starts nothing"):
        durable.start(f, [])
