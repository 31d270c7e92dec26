"""Attempts, the table of pauses, and the errors that change them."""

from datetime import UTC, datetime, timedelta

import pytest

from pytest_durable import (
    Context,
    ContextSync,
    NonRetriableError,
    RetryAfterError,
    RunFailed,
    Simulation,
    StepError,
    UsageError,
    durable_function,
)

START = datetime(2025, 1, 1, tzinfo=UTC)
TABLE = [15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 7200]


class Flaky:
    """A handler that fails some times, and notes the virtual times of its calls."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.times = []

    def __call__(self):
        self.times.append(datetime.now(UTC))
        if self.errors:
            raise self.errors.pop(0)
        return "ok"

    @property
    def pauses(self):
        """Seconds between the calls."""
        return [(later - one).total_seconds() for one, later in zip(self.times, self.times[1:], strict=False)]


def one_step(handler, sync=False, **options):
    """A function with one step."""

    @durable_function("f", **options)
    async def async_body(ctx: Context):
        return await ctx.step.run("a", handler)

    @durable_function("f", **options)
    def sync_body(ctx: ContextSync):
        return ctx.step.run("a", handler)

    return sync_body if sync else async_body


def in_table(pauses, table):
    """Whether each pause is that of the table plus a jitter of less than 30 seconds, in whole milliseconds."""
    return all(
        least <= pause < least + 30 and pause * 1000 == pytest.approx(round(pause * 1000), abs=1e-6)
        for pause, least in zip(pauses, table, strict=True)
    )


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_step_that_fails_twice_and_then_succeeds(durable, sync):
    """Worked timeline 1: at 0, 15 + j, 30 + j seconds later; four requests with the final one."""
    handler = Flaky(ValueError("1"), ValueError("2"))
    run = durable.start(one_step(handler, sync))
    assert run.wait() == "ok"
    assert in_table(handler.pauses, TABLE[:2])
    assert (run.step("a").attempts, run.invocations, run.steps) == (3, 4, ["a"])
    assert run.ended_at == handler.times[-1]


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_step_that_uses_up_its_attempts(durable, sync):
    """Worked timeline 2: errors at 0, 15, 45, 105 and 225 seconds plus jitter; then a StepError, at once."""
    handler = Flaky(*[ValueError("boom")] * 9)
    run = durable.start(one_step(handler, sync))
    with pytest.raises(RunFailed, match="ValueError: boom") as failed:
        run.wait()
    assert len(handler.times) == 5
    assert in_table(handler.pauses, TABLE[:4])
    assert run.ended_at == handler.times[-1]
    error = failed.value.__cause__
    assert (type(error), error.name, error.message) == (StepError, "ValueError", "boom")
    assert isinstance(error.__cause__, ValueError)
    assert run.step("a").status == "failed"
    assert "ValueError" in error.stack


@pytest.mark.parametrize("retries", [0, 1, 3, 11])
def test_as_many_attempts_as_retries_and_one(durable, retries):
    """The table clamps at two hours."""
    handler = Flaky(*[ValueError("boom")] * 99)
    with pytest.raises(RunFailed):
        durable.run(one_step(handler, retries=retries))
    assert len(handler.times) == retries + 1
    assert in_table(handler.pauses, TABLE[:retries])


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_step_error_can_be_caught(durable, sync):
    """The body goes on behind it, and the failed step is memoised: it is not tried again."""
    handler = Flaky(*[ValueError("boom")] * 9)

    @durable_function("async", retries=1)
    async def async_body(ctx: Context):
        try:
            await ctx.step.run("a", handler)
        except StepError as error:
            await ctx.step.run("undo", lambda: 1)
            return str(error)

    @durable_function("sync", retries=1)
    def sync_body(ctx: ContextSync):
        try:
            ctx.step.run("a", handler)
        except StepError as error:
            ctx.step.run("undo", lambda: 1)
            return str(error)

    run = durable.start(sync_body if sync else async_body)
    assert run.wait() == "boom"
    assert (run.steps, len(handler.times)) == (["a", "undo"], 2)


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
@pytest.mark.parametrize("caught", [StepError, NonRetriableError], ids=["StepError", "NonRetriableError"])
def test_a_non_retriable_error_in_a_step_is_final_and_memoised(durable, sync, caught):
    """One attempt; the body receives it under both names, and it stays there in every replay."""
    handler = Flaky(NonRetriableError("card stolen"))

    @durable_function("async")
    async def async_body(ctx: Context):
        try:
            await ctx.step.run("a", handler)
        except caught as error:
            await ctx.step.run("b", lambda: 1)
            return [error.name, error.message]

    @durable_function("sync")
    def sync_body(ctx: ContextSync):
        try:
            ctx.step.run("a", handler)
        except caught as error:
            ctx.step.run("b", lambda: 1)
            return [error.name, error.message]

    run = durable.start(sync_body if sync else async_body)
    assert run.wait() == ["NonRetriableError", "card stolen"]
    assert (len(handler.times), run.steps, durable.now) == (1, ["a", "b"], START)


def test_an_uncaught_non_retriable_error_fails_the_run_at_once(durable):
    """In a step and in the body."""

    @durable_function("g")
    async def g(ctx: Context):
        raise NonRetriableError("no")

    for function in (one_step(Flaky(NonRetriableError("no"))), g):
        with pytest.raises(RunFailed, match="NonRetriableError: no"):
            durable.run(function)
    assert durable.now == START


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        (90_000, 90),
        (timedelta(minutes=10), 600),
        (START + timedelta(hours=1), 3_600),
        (0, 1),
        (500, 1),
        (START - timedelta(days=1), 1),
        (timedelta(days=3), 86_400),
    ],
    ids=["milliseconds", "timedelta", "datetime", "zero", "half a second", "the past", "too late"],
)
def test_an_error_may_say_when_to_try_again(durable, sync, after, seconds):
    """Without jitter, at least a second, at most a day."""
    handler = Flaky(RetryAfterError("busy", after))
    run = durable.start(one_step(handler, sync))
    assert run.wait() == "ok"
    assert run.ended_at == START + timedelta(seconds=seconds)


@pytest.mark.parametrize("after", [datetime(2025, 1, 2), 1.5, "soon", -1, None], ids=repr)  # noqa: DTZ001 - naive on purpose
def test_a_bad_moment_to_try_again_is_refused_where_it_is_written(after):
    """The error itself refuses it, so the line of the author stands in the traceback."""
    with pytest.raises(UsageError, match="retry_after"):
        RetryAfterError("busy", after)


def test_a_retry_after_error_uses_up_an_attempt(durable):
    """Five attempts are five attempts."""
    handler = Flaky(*[RetryAfterError("busy", 1_000)] * 9)
    with pytest.raises(RunFailed, match="busy"):
        durable.run(one_step(handler))
    assert handler.pauses == [1, 1, 1, 1]


def test_the_body_is_tried_again_too(durable):
    """Worked timeline 8: code between steps has the same table, the steps before it are not repeated."""
    body, calls = Flaky(ValueError("1"), ValueError("2")), []

    @durable_function("f", retries=2)
    async def f(ctx: Context):
        await ctx.step.run("a", lambda: calls.append(1))
        body()
        return ctx.attempt

    run = durable.start(f)
    assert run.wait() == 2
    assert in_table(body.pauses, TABLE[:2])
    assert (calls, run.steps, run.invocations) == ([1], ["a"], 4)


def test_a_body_that_uses_up_its_attempts_fails_the_run(durable):
    """With its own error."""

    @durable_function("f", retries=2)
    async def f(ctx: Context):
        raise ValueError("boom")

    run = durable.start(f)
    with pytest.raises(RunFailed, match="ValueError: boom") as failed:
        run.wait()
    assert type(failed.value.__cause__) is ValueError
    assert (run.invocations, run.error.name, run.error.message) == (3, "ValueError", "boom")


def test_body_and_step_share_the_attempts_of_a_request(durable):
    """Two failures of the body before the step leave the step three of the five attempts, beginning with number 2."""
    attempts, body = [], Flaky(ValueError("1"), ValueError("2"))

    @durable_function("f")
    async def f(ctx: Context):
        body()

        def handler():
            attempts.append(ctx.attempt)
            raise ValueError("step")

        await ctx.step.run("a", handler)

    run = durable.start(f)
    with pytest.raises(RunFailed, match="ValueError: step"):
        run.wait()
    assert attempts == [2, 3, 4]


def test_every_recorded_step_gives_new_attempts(durable):
    """Each of three steps may fail four times."""
    handlers = [Flaky(*[ValueError("x")] * 4) for _ in range(3)]

    @durable_function("f")
    async def f(ctx: Context):
        return [await ctx.step.run("a", handler) for handler in handlers]

    assert durable.run(f) == ["ok"] * 3
    assert all(in_table(handler.pauses, TABLE[:4]) for handler in handlers)


def test_an_uncaught_step_error_is_not_tried_again_and_a_wrapped_one_is(durable):
    """Wrapped in an ordinary error it is the body's own failure, with the body's attempts; the step is memoised."""
    handler = Flaky(*[ValueError("boom")] * 9)

    @durable_function("f", retries=1)
    async def f(ctx: Context):
        try:
            await ctx.step.run("a", handler)
        except StepError as error:
            raise RuntimeError("wrapped") from error

    run = durable.start(f)
    with pytest.raises(RunFailed, match="RuntimeError: wrapped"):
        run.wait()
    assert (len(handler.times), run.invocations) == (2, 4)


def test_parallel_steps_have_attempts_of_their_own(durable):
    """Worked timeline 7: ``b`` fails once and comes back after 15 s + j; the body goes on only then."""
    a, b = Flaky(), Flaky(ValueError("1"))

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.group.parallel((lambda: ctx.step.run("a", a), lambda: ctx.step.run("b", b)))
        return await ctx.step.run("c", lambda: 1)

    run = durable.start(f)
    durable.settle()
    assert run.steps == ["a"]
    assert run.wait() == 1
    assert in_table(b.pauses, TABLE[:1])
    assert (run.steps, run.step("c").started_at, run.step("a").attempts) == (["a", "b", "c"], b.times[-1], 1)


def test_jitter_comes_from_the_seed():
    """The same seed gives the same pauses, another seed others; different steps differ."""

    def pauses(seed):
        handler = Flaky(*[ValueError("x")] * 4)
        with Simulation(seed=seed) as sim:
            sim.run(one_step(handler))
        return handler.pauses

    assert pauses(1) == pauses(1)
    assert len({tuple(pauses(seed)) for seed in range(5)}) == 5


def test_an_error_keeps_its_message_whatever_it_is(durable):
    """No message, several lines, and an error with arguments of its own."""

    class CardError(Exception):
        """An error of an author."""

        def __init__(self, code, amount):
            super().__init__(code, amount)

    for error, text in (
        (ValueError(), ""),
        (ValueError("two\nlines"), "two\nlines"),
        (CardError("no", 5), "('no', 5)"),
    ):
        run = durable.start(one_step(Flaky(error), retries=0))
        with pytest.raises(RunFailed):
            run.wait()
        assert (run.error.name, run.error.message) == (type(error).__name__, text)


@pytest.mark.parametrize("retries", [-1, 21, 1.5, "3", None, True])
def test_retries_are_a_number_from_0_to_20(retries):
    """The message names the function and the value."""
    with pytest.raises(UsageError, match=rf"'f': retries={retries!r}"):
        one_step(print, retries=retries)
