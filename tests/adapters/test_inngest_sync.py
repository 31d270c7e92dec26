"""Sync functions of the Inngest Python SDK that sleep: others go on meanwhile."""

import functools
import threading
import time
from datetime import timedelta

import pytest

from pytest_durable import Simulation

inngest = pytest.importorskip("inngest")
inngest_worker = pytest.importorskip("pytest_durable.adapters.inngest_worker")


def made(body, **options):
    client = inngest.Inngest(app_id="app", is_production=False)
    options.setdefault("trigger", inngest.TriggerEvent(event="go"))
    return client.create_function(fn_id="fn", **options)(body)


def since(sim):
    start = sim.now

    def seconds():
        return (sim.now - start).total_seconds()

    return seconds


def test_sync_requests_that_sleep_overlap():
    """Others go on while a request of a sync function sleeps, and each wakes at its own time."""
    with Simulation() as sim:
        seconds, log = since(sim), []

        def body(ctx):
            def work():
                log.append((seconds(), "begins", ctx.event.data["for"]))
                time.sleep(ctx.event.data["for"])
                log.append((seconds(), "ends", ctx.event.data["for"]))

            ctx.step.run("work", work)

        sim.register(made(body))
        for length in (3, 1, 2):
            sim.send("go", {"for": length})
        sim.advance("10s")
        assert [run.status for run in sim.runs] == ["completed"] * 3
    assert log == [(0, "begins", 3), (0, "begins", 1), (0, "begins", 2), (1, "ends", 1), (2, "ends", 2), (3, "ends", 3)]


def test_slots_of_sync_functions_are_held_while_they_sleep():
    """What is under way at once is as many as concurrency allows, and what is not limited is all under way at once."""

    def most_at_once(**options):
        running, most = [], [0]

        def body(ctx):
            def work():
                running.append(ctx.run_id)
                most[0] = max(most[0], len(running))
                time.sleep(1)
                running.remove(ctx.run_id)

            ctx.step.run("work", work)

        with Simulation() as sim:
            sim.register(made(body, **options))
            for _ in range(5):
                sim.send("go")
            sim.advance("1m")
            assert {str(run.status) for run in sim.runs} == {"completed"}
        return most[0]

    assert most_at_once() == 5
    assert most_at_once(concurrency=[inngest.Concurrency(limit=2)]) == 2


@pytest.mark.skipif(not hasattr(inngest, "ParallelMode"), reason="the first versions of the SDK have no races")
def test_a_racing_sync_group_does_not_wait_for_a_slow_member():
    """A member that sleeps holds nobody up: the other chain of a RACE group is through before it."""
    order = []

    def body(ctx):
        def slow(name):
            time.sleep(2)
            order.append(name)

        def fast():
            ctx.step.run("a1", order.append, "a1")
            ctx.step.run("a2", order.append, "a2")

        def late():
            ctx.step.run("b1", slow, "b1")
            ctx.step.run("b2", slow, "b2")

        ctx.group.parallel((fast, late), parallel_mode=inngest.ParallelMode.RACE)

    with Simulation() as sim:
        run = sim.start(made(body))
        run.wait()
        assert run.invocations == 9
    assert order == ["a1", "a2", "b1", "b2"]


def test_sync_functions_can_wait_for_each_other():
    """A body that polls for what another run does ends once that has happened."""
    seen = set()

    def body(ctx):
        seen.add(ctx.run_id)
        while len(seen) < 2:
            time.sleep(0.1)

    with Simulation() as sim:
        sim.register(made(body, retries=0))
        sim.send("go")
        sim.send("go")
        sim.settle()
        sim.advance("1s")
        assert [run.status for run in sim.runs] == ["completed"] * 2


def test_a_cancelled_sync_request_goes_on_to_its_end():
    """A request that sleeps is not interrupted when its run is cancelled; its result is dropped."""
    log = []

    def body(ctx):
        def slow():
            time.sleep(3)
            log.append("slow ended")

        ctx.step.run("slow", slow)
        ctx.step.run("next", log.append, "next")

    with Simulation() as sim:
        sim.register(made(body, cancel=[inngest.Cancel(event="stop")]))
        sim.send("go")
        sim.advance("1s")
        sim.send("stop")
        sim.advance("10s")
        assert sim.runs[0].status == "cancelled"
    assert log == ["slow ended"]


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_sync_request_that_polls_for_ever_ends(is_seen):
    """A body that sleeps in a loop fails its run with the remedy, whether or not its sleep is seen in its code."""

    def sleeping(ctx):
        while True:
            time.sleep(1)

    def unseen(ctx):
        while True:
            getattr(clocks[0], "sl" + "eep")(1)

    clocks = [time]
    with Simulation() as sim:
        run = sim.start(made(sleeping if is_seen else unseen))
        sim.advance("1d")
        assert run.status == "failed"
        assert "has gone to sleep 10,000 times" in run.error.message


def test_a_simulation_lets_go_of_sync_requests_under_way():
    """The end of a simulation ends the requests that sleep in it, with their finally blocks and threads."""
    log, before = [], threading.active_count()

    def body(ctx):
        try:
            time.sleep(60)
        finally:
            log.append("finally")

    with Simulation() as sim:
        sim.start(made(body))
        sim.settle()
        assert threading.active_count() == before + 1
    assert log == ["finally"]
    assert threading.active_count() == before


def test_what_ends_a_test_ends_it_from_a_sync_request_too():
    """An outcome of pytest that is raised on the thread of a request reaches the test."""

    def body(ctx):
        time.sleep(1)
        pytest.fail("seen")

    with Simulation() as sim, pytest.raises(pytest.fail.Exception, match="seen"):
        sim.start(made(body)).wait()


def test_scripts_and_faults_work_in_sync_requests_that_sleep():
    """A scripted attempt takes its time, and the handler of one that is real again sleeps for itself."""

    def body(ctx):
        def work():
            time.sleep(2)
            return "real"

        return ctx.step.run("work", work)

    with Simulation() as sim:
        sim.step("work").takes("5s").raises(ValueError("scripted"))
        seconds = since(sim)
        run = sim.start(made(body, retries=1))
        assert run.wait() == "real"
        assert run.step("work").attempts == 2
        assert seconds() >= 5 + 15 + 2


def test_a_sync_function_that_does_not_sleep_stays_on_the_thread_of_the_test():
    """What belongs to a thread, as a connection to a database does, works in functions that do not sleep."""
    threads = []

    def body(ctx):
        ctx.step.sleep("nap", timedelta(seconds=1))
        ctx.step.run("a", lambda: threads.append(threading.get_ident()))

    with Simulation() as sim:
        sim.start(made(body)).wait()
    assert threads == [threading.get_ident()]


def helper():
    time.sleep(1)


nap = time.sleep


class Proxy:
    """Fails as a proxy to a web request does outside of one, whatever it is asked."""

    def __getattribute__(self, name):
        raise RuntimeError(name)

    __class__ = property(lambda self: self.anything)

    def method(self):
        time.sleep(1)


proxy = Proxy()
napping = Proxy.method.__get__(1)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda ctx: time.sleep(1), True),
        (lambda ctx: helper(), True),
        (functools.partial(lambda work, ctx: work(), helper), True),
        (lambda ctx: ctx.step.run("nap", nap, 1), True),
        (lambda ctx: [sorted(n, key=lambda _: time.sleep(n)) for n in ctx.events], True),
        (lambda ctx: ctx.step.sleep("nap", 1000), False),
        (lambda ctx: time.time(), False),
        (lambda ctx: ctx.step.run("nap", napping), True),
        (lambda ctx: proxy, False),
        (print, False),
    ],
)
def test_whether_a_function_sleeps_is_read_from_its_code(function, expected):
    """time.sleep is found in the code of a function, in what that holds, and in the functions that it refers to."""
    assert inngest_worker.sleeps(function) is expected
