"""ctx.logger writes a line when the body reaches it first, and is silent while the body replays."""

import asyncio
import logging

import pytest

from pytest_durable import Simulation, StepError, durable_function


@pytest.fixture
def lines(caplog):
    """The messages that have been logged so far."""
    caplog.set_level(logging.DEBUG, "pytest_durable.run")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "pytest_durable.run"]


async def body(ctx):
    ctx.logger.info("top")
    await ctx.step.run("a", lambda: 1)
    ctx.logger.warning("after %s", "a")
    await ctx.step.sleep("nap", "1h")
    ctx.logger.info("after nap")
    await ctx.step.wait_for_event("wait", event="never", timeout="1h")
    ctx.logger.info("end")


def body_sync(ctx):
    ctx.logger.info("top")
    ctx.step.run("a", lambda: 1)
    ctx.logger.warning("after %s", "a")
    ctx.step.sleep("nap", "1h")
    ctx.logger.info("after nap")
    ctx.step.wait_for_event("wait", event="never", timeout="1h")
    ctx.logger.info("end")


@pytest.mark.parametrize("replay", ["always", "checkpoint"])
@pytest.mark.parametrize("written", [body, body_sync])
def test_each_line_is_written_once(lines, written, replay):
    """Every line of a body is logged once, in order, however often the body is entered."""
    with Simulation(replay=replay) as sim:
        sim.run(durable_function("logs")(written))
    assert lines() == ["top", "after a", "after nap", "end"]


def test_lines_appear_when_the_body_gets_there(durable, lines):
    """A line behind a sleep is not there before the sleep is over."""
    run = durable.start(durable_function("logs")(body))
    durable.settle()
    assert lines() == ["top", "after a"]
    durable.advance("1h")
    assert lines() == ["top", "after a", "after nap"]
    run.wait()
    assert lines()[-1] == "end"


def test_a_line_inside_a_step_is_written(durable, lines):
    """A step executes once and is no replay: ctx.logger in its handler writes, in every attempt."""
    tries = []

    @durable_function("logs")
    async def logs(ctx):
        def work():
            tries.append(1)
            ctx.logger.info("try %d", len(tries))
            if len(tries) < 2:
                raise ValueError("again")

        await ctx.step.run("a", lambda: ctx.logger.info("in a"))
        ctx.logger.info("between")
        await ctx.step.run("b", work)
        ctx.logger.info("end")

    durable.run(logs)
    assert lines() == ["in a", "between", "try 1", "try 2", "end"]


def test_a_line_inside_a_sync_or_a_parallel_step_is_written(durable, lines):
    """The same holds in sync bodies and in groups."""

    @durable_function("logs")
    def logs(ctx):
        ctx.step.run("a", lambda: ctx.logger.info("in a"))

    @durable_function("logs-parallel")
    async def logs_parallel(ctx):
        await asyncio.gather(*(ctx.step.run(name, lambda n=name: ctx.logger.info("in %s", n)) for name in "bc"))

    durable.run(logs)
    durable.run(logs_parallel)
    assert lines() == ["in a", "in b", "in c"]


def test_a_line_behind_a_sleep_of_asyncio_is_written_once(durable, lines):
    """A pause of the body that is no step does not swallow the lines behind it."""

    @durable_function("logs")
    async def logs(ctx):
        ctx.logger.info("top")
        await asyncio.sleep(5)
        ctx.logger.info("after the pause")
        await ctx.step.run("a", lambda: 1)
        ctx.logger.info("end")

    durable.run(logs)
    assert lines() == ["top", "after the pause", "end"]


def test_a_line_in_the_handler_of_a_timeout_is_written_once(durable, lines):
    """What a body logs after asyncio.timeout has struck is logged once."""

    @durable_function("logs")
    async def logs(ctx):
        try:
            async with asyncio.timeout(10):
                await asyncio.gather(ctx.step.sleep("nap", "1m"))
        except TimeoutError:
            ctx.logger.warning("late")
        ctx.logger.info("end")

    durable.run(logs)
    assert lines() == ["late", "end"]


@pytest.mark.parametrize("optimise", [True, False])
def test_the_lines_of_parallel_branches_are_written_once(durable, lines, optimise):
    """Branches log in the order in which their steps complete, each line once."""

    @durable_function("logs", optimize_parallelism=optimise)
    async def logs(ctx):
        async def branch(name, first, second):
            ctx.logger.info("%s begins", name)
            await ctx.step.sleep(f"{name}1", first)
            ctx.logger.info("%s half", name)
            await ctx.step.sleep(f"{name}2", second)
            ctx.logger.info("%s ends", name)

        await asyncio.gather(branch("a", "3s", "9s"), branch("b", "1s", "1s"))
        ctx.logger.info("end")

    durable.run(logs)
    if optimise:
        assert lines() == ["a begins", "b begins", "b half", "a half", "b ends", "a ends", "end"]
    else:
        assert lines() == ["a begins", "b begins", "b half", "b ends", "a half", "a ends", "end"]


def test_the_line_that_reports_a_failure_is_written_once(durable, lines):
    """A line in the handler of a StepError is logged once, although the error is replayed."""

    @durable_function("logs", retries=1)
    async def logs(ctx):
        def fail():
            raise ValueError("bad")

        try:
            await ctx.step.run("bad", fail)
        except StepError as error:
            ctx.logger.error("caught %s", error.message)
        await ctx.step.run("after", lambda: 1)
        await ctx.step.run("more", lambda: 1)

    durable.run(logs)
    assert lines() == ["caught bad"]


def test_a_body_that_is_retried_logs_what_it_reaches_first(durable, lines):
    """After an exception of the body, lines before it are a replay and lines behind it are new."""
    entered = []

    @durable_function("logs")
    async def logs(ctx):
        ctx.logger.info("top")
        await ctx.step.run("a", lambda: 1)
        ctx.logger.info("after a")
        entered.append(1)
        if len(entered) == 1:
            raise ValueError("once")
        ctx.logger.info("behind")
        await ctx.step.run("b", lambda: 1)
        ctx.logger.info("end")

    durable.run(logs)
    written = lines()
    assert [line for line in written if line in {"behind", "end"}] == ["behind", "end"]
    assert written.count("top") == 1


def test_all_methods_and_levels_obey(durable, caplog):
    """Every method is silent on replay; the level of the logger counts, and extras pass through."""
    caplog.set_level(logging.INFO, "pytest_durable.run")

    @durable_function("logs")
    async def logs(ctx):
        ctx.logger.debug("debug")
        ctx.logger.info("info")
        ctx.logger.log(logging.WARNING, "warning")
        ctx.logger.error("error", extra={"order": 7})
        try:
            raise LookupError("gone")
        except LookupError:
            ctx.logger.exception("exception")
        await ctx.step.run("a", lambda: 1)

    durable.run(logs)
    records = [record for record in caplog.records if record.name == "pytest_durable.run"]
    assert [record.getMessage() for record in records] == ["info", "warning", "error", "exception"]
    assert records[2].order == 7
    assert records[3].exc_info[0] is LookupError


def test_a_logger_that_was_kept_in_a_variable_obeys_too(durable, lines):
    """log = ctx.logger at the top of a body is the same logger at its end."""

    @durable_function("logs")
    async def logs(ctx):
        log = ctx.logger
        log.info("top")
        await ctx.step.run("a", lambda: 1)
        log.info("end")

    durable.run(logs)
    assert lines() == ["top", "end"]


def test_records_carry_virtual_time_and_the_place_of_the_author(durable, caplog):
    """A record has the virtual moment, and the file and line of the call."""
    caplog.set_level(logging.INFO, "pytest_durable.run")

    @durable_function("logs")
    async def logs(ctx):
        await ctx.step.sleep("nap", "1d")
        ctx.logger.info("awake")

    durable.run(logs)
    (record,) = [record for record in caplog.records if record.name == "pytest_durable.run"]
    assert record.filename == "test_logger.py"
    assert record.lineno == logs.body.__code__.co_firstlineno + 3
    assert record.created == pytest.approx(durable.now.timestamp())


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_body_that_is_tried_again_writes_again_what_lies_behind_its_last_step(durable, lines, kind):
    """Another attempt is no replay: only what stands in front of a recorded step is silent."""

    @durable_function("logs", retries=2)
    async def logs(ctx):
        ctx.logger.info("top")
        await ctx.step.run("a", lambda: 1)
        ctx.logger.info("attempt %d", ctx.attempt)
        if ctx.attempt < 2:
            raise OSError

    @durable_function("logs", retries=2)
    def logs_sync(ctx):
        ctx.logger.info("top")
        ctx.step.run("a", lambda: 1)
        ctx.logger.info("attempt %d", ctx.attempt)
        if ctx.attempt < 2:
            raise OSError

    durable.run(logs if kind == "async" else logs_sync)
    assert lines() == ["top", "attempt 0", "attempt 1", "attempt 2"]
