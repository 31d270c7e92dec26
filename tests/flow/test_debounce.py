"""Debounce: one run, for the last event, once no event has come for the period. Semantics 14.4."""

import pytest

from pytest_durable import Context, Debounce, Event, Simulation, durable_function, explore
from pytest_durable._core.runs import FunctionSpec, Trigger
from pytest_durable.flow_config import flow_of
from pytest_durable.host import NativeHost


def function(log, **options):
    """A function that logs the n of its event, and how many events it was given."""

    @durable_function("f", trigger="go", debounce=Debounce(**options))
    async def f(ctx: Context):
        log("f", ctx.event.data["n"], len(ctx.events))

    return f


def test_a_native_debounce_ends_exactly_at_its_period(durable, log, play):
    """Events at 0, 4 and 9 with a period of 10 s: one run at 19 s, with the third."""
    durable.register(function(log, period="10s"))
    play("go", (0, {"n": 0}), (4, {"n": 1}), (9, {"n": 2}))
    durable.run_until_idle()
    assert log.lines == [(19, "f", 2, 1)]


def test_a_timeout_bounds_the_delay(durable, log, play):
    """The same with a timeout of 15 s: the run begins at 15 s."""
    durable.register(function(log, period="10s", timeout="15s"))
    play("go", (0, {"n": 0}), (4, {"n": 1}), (9, {"n": 2}))
    durable.run_until_idle()
    assert log.lines == [(15, "f", 2, 1)]


def test_a_timeout_that_is_shorter_than_the_period(durable, log, play):
    """It bounds the first event too."""
    durable.register(function(log, period="10s", timeout="4s"))
    play("go", (0, {"n": 0}), (3, {"n": 1}))
    durable.run_until_idle()
    assert log.lines == [(4, "f", 1, 1)]


@pytest.mark.parametrize(("timeout", "at"), [(None, 20.05), ("15s", 16.05)])
def test_the_real_server_takes_a_second_more(log, timeout, at):
    """Appendix C 4, for the configuration of an SDK: 9 + 10 + 1.05 s, and 9 + 6 + 1.05 s with the timeout."""
    durable = log.durable

    async def body(ctx):
        log("f", ctx.event.data["n"])

    config = {"debounce": {"period": "10s", "timeout": timeout}}
    spec = FunctionSpec("f", NativeHost(body), triggers=[Trigger("go")], flow=flow_of(config))
    durable.engine.answers.listeners.functions["f"] = spec
    for seconds, n in [(0, 0), (4, 1), (9, 2)]:
        durable.send("go", {"n": n}, at=seconds * 1000)
    durable.run_until_idle()
    assert log.lines == [(at, "f", 2)]


def test_an_event_behind_the_period_and_before_the_run_opens_another(log):
    """On the real server: what comes in the last 1.05 s does not reach the run that is about to begin."""
    durable = log.durable

    async def body(ctx):
        log("f", ctx.event.data["n"])

    spec = FunctionSpec("f", NativeHost(body), triggers=[Trigger("go")], flow=flow_of({"debounce": {"period": "10s"}}))
    durable.engine.answers.listeners.functions["f"] = spec
    durable.send("go", {"n": 0})
    durable.send("go", {"n": 1}, at=10_500)
    durable.run_until_idle()
    assert log.lines == [(11.05, "f", 0), (21.55, "f", 1)]


def test_a_key_separates(durable, log, play):
    """One debounce for each value."""
    durable.register(function(log, period="3s", key="event.data.k"))
    play("go", (0, {"n": 0, "k": "x"}), (1, {"n": 1, "k": "y"}), (2, {"n": 2, "k": "x"}), (3.5, {"n": 3, "k": "x"}))
    durable.run_until_idle()
    assert log.lines == [(4, "f", 1, 1), (6.5, "f", 3, 1)]


def test_keys_that_have_no_value_share_one(durable, log, play):
    """A missing field counts as false, and what fails counts as invalid: one debounce for all of either."""
    durable.register(function(log, period="3s", key="int(event.data.k)"))
    play("go", (0, {"n": 0, "k": "a"}), (1, {"n": 1, "k": "b"}), (2, {"n": 2, "k": "7"}))
    durable.run_until_idle()
    assert log.lines == [(4, "f", 1, 1), (5, "f", 2, 1)]


def test_an_older_ts_is_ignored(durable, log, outcomes):
    """An event with an earlier ts than the one that is held neither replaces it nor delays the run."""
    durable.register(function(log, period="10s"))
    now = int(durable.now.timestamp() * 1000)
    durable.send(Event("go", {"n": 0}, ts=now))
    durable.settle()
    durable.advance("5s")
    durable.send(Event("go", {"n": 1}, ts=now - 1))
    durable.run_until_idle()
    assert log.lines == [(10, "f", 0, 1)]
    assert "debounced: an event with a later ts, 2025-01-01 00:00:00Z, is held" in outcomes("go")[1]


def test_a_future_ts_delays_the_run_further(durable, log):
    """The run is created when the debounce ends, and begins at the ts of its event."""
    durable.register(function(log, period="10s"))
    durable.send(Event("go", {"n": 0}, ts=int(durable.now.timestamp() * 1000) + 60_000))
    durable.advance("30s")
    assert [run.status for run in durable.runs] == ["queued"]
    durable.run_until_idle()
    assert log.lines == [(60, "f", 0, 1)]


def test_each_event_says_what_became_of_it(durable, log, play, outcomes):
    """Held until when, then replaced by which, and in the end who started the run."""
    durable.register(function(log, period="10s"))
    play("go", (0, {"n": 0}), (4, {"n": 1}))
    durable.settle()
    assert outcomes("go") == ["debounced for f until 2025-01-01 00:00:10Z"]
    durable.advance("4s")
    replaced = "did not start f: debounced: replaced by the event of 2025-01-01 00:00:04Z"
    assert outcomes("go") == [replaced, "debounced for f until 2025-01-01 00:00:14Z"]
    durable.run_until_idle()
    assert outcomes("go") == [replaced, "started f"]


def test_an_event_id_that_was_there_before_starts_again(durable, log, play):
    """The run is known by the sending of its event, not by the id that the sender gave."""
    durable.register(function(log, period="1s"))
    play("go", (0, {"n": 0}, "same"), (60, {"n": 1}, "same"))
    durable.run_until_idle()
    assert log.lines == [(1, "f", 0, 1), (61, "f", 1, 1)]


def test_a_pending_debounce_cannot_be_cancelled(durable, log, play):
    """There is no run yet, so a cancelling event finds nothing."""
    from pytest_durable import Cancel

    @durable_function("g", trigger="go", debounce=Debounce(period="10s"), cancel=Cancel(event="stop"))
    async def g(ctx: Context):
        log("g")

    durable.register(g)
    play("go", (0, {}))
    play("stop", (5, {}))
    durable.run_until_idle()
    assert log.lines == [(10, "g")]


def test_an_event_at_the_end_itself_is_in_time_or_opens_another():
    """An event at the very instant at which a debounce ends: both are explored, and the default is in time."""

    def scenario(sim):
        runs = []

        @durable_function("f", trigger="go", debounce=Debounce(period="10s"))
        async def f(ctx: Context):
            runs.append(ctx.event.data["n"])

        sim.register(f)
        sim.send("go", {"n": 0})
        sim.send("go", {"n": 1}, at="10s")
        sim.run_until_idle()
        seen.append(runs)

    seen = []
    with Simulation() as sim:
        scenario(sim)
    assert seen == [[1]]
    seen.clear()
    assert explore(scenario).complete
    assert sorted(map(tuple, seen)) == [(0, 1), (1,)]
