"""Singleton: one live run at a time. Semantics 14.6."""

import pytest

from pytest_durable import Context, RunCancelled, Singleton, durable_function


def function(log, mode, key=None, **options):
    """A run of three seconds, that logs its beginning and its end."""

    @durable_function("f", trigger="go", singleton=Singleton(mode=mode, key=key), **options)
    async def f(ctx: Context):
        n = ctx.event.data["n"]
        await ctx.step.run("a", log, "begin", n)
        await ctx.step.sleep("nap", "3s")
        await ctx.step.run("b", log, "end", n)
        return n

    return f


FOUR = [(0, {"n": 0, "k": "x"}), (1, {"n": 1, "k": "y"}), (2, {"n": 2, "k": "x"}), (7, {"n": 3, "k": "x"})]


@pytest.mark.parametrize(
    ("mode", "key", "begun", "ended"),
    [
        ("skip", None, [0, 3], [0, 3]),
        ("cancel", None, [0, 1, 2, 3], [2, 3]),
        ("skip", "event.data.k", [0, 1, 3], [0, 1, 3]),
        ("cancel", "event.data.k", [0, 1, 2, 3], [1, 2, 3]),
        ("skip", "event.data.missing", [0, 1, 2, 3], [0, 1, 2, 3]),
    ],
)
def test_what_the_real_server_does(durable, log, play, mode, key, begun, ended):
    """Events at 0, 1, 2 and 7 s: who begins and who ends, as recorded."""
    durable.register(function(log, mode, key))
    play("go", *FOUR)
    durable.run_until_idle()
    assert [n for _, what, n in log.lines if what == "begin"] == begun
    assert [n for _, what, n in log.lines if what == "end"] == ended


def test_a_skipped_event_names_the_run_that_is_live(durable, log, play, outcomes):
    """No run; the outcome says which one is in the way."""
    durable.register(function(log, "skip", "event.data.k"))
    play("go", *FOUR[::2])
    durable.run_until_idle()
    live = f"the run of f ({durable.runs[0].id[-6:]}) is live (key 'x')"
    assert outcomes("go")[1] == f"did not start f: singleton: {live}"
    assert len(durable.runs) == 1


def test_a_cancelled_run_says_why_and_is_announced(durable, log, play, outcomes):
    """The old run ends as cancelled, with its events, and the new event says whom it cancelled."""
    durable.register(function(log, "cancel"))
    play("go", *FOUR[:2])
    durable.run_until_idle()
    old, new = durable.runs
    assert (old.status, new.status) == ("cancelled", "completed")
    assert "a newer run of f, which is a singleton, takes its place" in old.timeline()
    assert outcomes("go")[1] == "started f; cancelled f"
    names = [event.name for event in durable.events]
    assert names.count("inngest/function.cancelled") == 1
    assert log.lines == [(0, "begin", 0), (1, "begin", 1), (4, "end", 1)]


def test_a_run_that_has_not_begun_is_live(durable, log, play):
    """Its event has a future ts, and the lock is taken when the run is created."""
    from pytest_durable import Event

    durable.register(function(log, "skip"))
    durable.send(Event("go", {"n": 0}, ts=int(durable.now.timestamp() * 1000) + 10_000))
    play("go", (1, {"n": 1}))
    durable.run_until_idle()
    assert log.lines == [(10, "begin", 0), (13, "end", 0)]


def test_a_waiting_run_is_live(durable, log, play):
    """Waiting is being alive; the lock is free at the end of the run."""

    @durable_function("w", trigger="go", singleton=Singleton(mode="skip"))
    async def w(ctx: Context):
        await ctx.step.wait_for_event("answer", event="answer", timeout="10s")
        log("w", ctx.event.data["n"])

    durable.register(w)
    play("go", (0, {"n": 0}), (5, {"n": 1}), (10.5, {"n": 2}))
    durable.advance("30s")
    assert log.lines == [(10, "w", 0), (20.5, "w", 2)]


def test_a_duplicate_cancels_and_is_dropped(durable, log, play, outcomes):
    """The lock comes before the check of the id: the live run is cancelled, and nothing takes its place."""
    durable.register(function(log, "cancel"))
    play("go", (0, {"n": 0}, "same"), (1, {"n": 1}, "same"))
    durable.run_until_idle()
    assert [run.status for run in durable.runs] == ["cancelled"]
    assert outcomes("go")[1] == "cancelled f; did not start f: duplicate id 'same' within 24 h"


def test_a_key_that_fails_makes_no_singleton(durable, log, play, outcomes):
    """The server registers it, and runs as if there were none; the outcome says so."""
    durable.register(function(log, "skip", "nope("))
    play("go", (0, {"n": 0}), (1, {"n": 1}))
    durable.run_until_idle()
    assert [run.result for run in durable.runs] == [0, 1]
    assert outcomes("go")[0].startswith("started f; f is no singleton here: its key fails: ")


def test_a_direct_start_obeys(durable, log):
    """Skip gives a run that never began, and cancel ends the one before."""
    f = function(log, "skip")
    first, second = durable.start(f, {"n": 0}), durable.start(f, {"n": 1})
    assert first.wait() == 0
    assert second.status == "cancelled"
    assert second.invocations == 0
    with pytest.raises(RunCancelled, match=r"skipped: the run of f .*, which is a singleton, is live"):
        second.wait()
    assert [event.name for event in durable.events] == ["inngest/function.finished"]
    third = durable.start(f, {"n": 2})
    assert third.wait() == 2

    g = function(log, "cancel")
    first, second = durable.start(g, {"n": 3}), durable.start(g, {"n": 4})
    assert second.wait() == 4
    assert first.status == "cancelled"
