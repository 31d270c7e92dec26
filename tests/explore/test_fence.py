"""What no schedule decides: threads that a durable function starts, and sockets and threads of an explored test."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_durable import RunFailed, Simulation, UsageError, durable_function, explore

pytest_plugins = ["pytester"]


def in_a_thread():
    """Work on a thread, waited for."""
    thread = threading.Thread(target=print)
    thread.start()
    thread.join()


def in_a_pool():
    """Work in a pool of threads, waited for."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(len, "abc").result()


@pytest.mark.parametrize("work", [in_a_thread, in_a_pool])
def test_a_thread_of_a_step_is_refused_with_its_line(work):
    """A step that starts a thread fails at once; the message names the step, the line and the remedy."""

    @durable_function("f")
    async def f(ctx):
        await ctx.step.run("work", work)

    with Simulation() as sim:
        run = sim.start(f)
        with pytest.raises(RunFailed, match=r"step 'work' of f starts a thread .*test_fence\.py:\d+.*to_thread"):
            run.wait()
        assert run.step("work").attempts == 1


def test_a_thread_of_a_body_is_refused():
    """A body that starts a thread fails; the message says that it is the body."""

    @durable_function("f")
    def f(ctx):
        in_a_thread()

    with Simulation() as sim, pytest.raises(RunFailed, match="the body of f starts a thread"):
        sim.run(f)


def test_threads_that_are_allowed_run():
    """With allow=["threads"] a step may start threads and wait for them."""

    @durable_function("f")
    async def f(ctx):
        return await ctx.step.run("work", in_a_pool)

    with Simulation(allow=["threads"]) as sim:
        assert sim.run(f) == 3


def test_threads_of_the_test_are_its_own():
    """Without exploration a test starts threads as it likes, and a drive leaves nothing patched behind."""
    with Simulation() as sim:
        in_a_thread()
        sim.advance("1h")
    assert "fence" not in threading.Thread.start.__module__


def test_a_name_that_cannot_be_allowed_is_refused():
    """What can be allowed is listed."""
    with pytest.raises(UsageError, match="'sockets' and 'threads'"):
        Simulation(allow=["files"])


def touch_a_socket(sim):
    """A scenario that asks somebody outside."""
    with socket.socket() as one:
        one.connect(("127.0.0.1", 9))


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        (touch_a_socket, r"real socket \(connect to \('127.0.0.1', 9\)\).*allow=\[\"sockets\"\]"),
        (lambda sim: in_a_thread(), r"starts a thread .*test_fence\.py:\d+.*allow=\[\"threads\"\]"),
    ],
)
def test_a_search_refuses_what_no_schedule_decides(scenario, words):
    """Exploring a scenario that connects or starts a thread fails at its first schedule, with the remedy."""
    report = explore(scenario)
    assert report.schedules == 1
    with pytest.raises(UsageError, match=words):
        raise report.failures[0].error


def test_a_search_lets_pass_what_is_allowed():
    """With allow=["threads"] an explored scenario starts threads."""
    assert explore(lambda sim: in_a_thread(), allow=["threads"]).complete


def test_an_explored_test_is_fenced_and_others_are_not(pytester):
    """An explored test that connects or starts a thread fails with the remedy; its neighbour may do so."""
    pytester.makepyfile(
        """
        import asyncio, socket, threading
        import pytest

        def connect():
            with socket.socket() as server, socket.socket() as one:
                server.bind(("127.0.0.1", 0))
                server.listen()
                one.connect(server.getsockname())

        @pytest.mark.durable(explore="every")
        def test_socket(durable):
            connect()

        @pytest.mark.asyncio
        @pytest.mark.durable(explore="every")
        async def test_thread(durable):
            await asyncio.to_thread(print)

        @pytest.mark.durable(explore="every", allow=["sockets", "threads"])
        def test_allowed(durable):
            connect()
            threading.Thread(target=print).start()

        def test_plain(durable):
            connect()
            threading.Thread(target=print).start()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        ["*UsageError: an explored test touches a real socket (connect to*", "*UsageError: an explored test starts a*"]
    )
