"""``wait_for_signal``: one run at a time waits for a name."""

from datetime import UTC, datetime

import pytest

from pytest_durable import Context, ContextSync, RunFailed, SignalConflictError, StepError, durable_function


@durable_function("async-waiter")
async def async_waiter(ctx: Context):
    """Waits an hour for the signal that the event names."""
    signal = await ctx.step.wait_for_signal(
        "wait", signal="bell", timeout="1h", on_conflict=ctx.event.data.get("on_conflict", "fail")
    )
    return None if signal is None else [signal.signal, signal.data]


@durable_function("sync-waiter")
def sync_waiter(ctx: ContextSync):
    """The same, sync."""
    signal = ctx.step.wait_for_signal(
        "wait", signal="bell", timeout="1h", on_conflict=ctx.event.data.get("on_conflict", "fail")
    )
    return None if signal is None else [signal.signal, signal.data]


BOTH = pytest.mark.parametrize("function", [async_waiter, sync_waiter], ids=["async", "sync"])


@BOTH
@pytest.mark.parametrize(
    ("at", "result", "ended"),
    [
        ("10m", ["bell", {"n": 1}], datetime(2025, 1, 1, 0, 10, tzinfo=UTC)),
        ("1h", ["bell", {"n": 1}], datetime(2025, 1, 1, 1, tzinfo=UTC)),
        ("61m", None, datetime(2025, 1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_signal_answers_up_to_the_deadline(durable, function, at, result, ended):
    """A signal has its name and its data; after the timeout the wait gives None."""
    run = durable.start(function)
    durable.settle()
    durable.signal("bell", {"n": 1}, at=at)
    assert run.wait() == result
    assert run.ended_at == ended


@BOTH
def test_a_signal_without_a_waiter_is_lost(durable, function):
    """One that came before the wait, and one with another name."""
    durable.signal("bell")
    durable.settle()
    run = durable.start(function)
    durable.settle()
    durable.signal("Bell")
    durable.settle()
    assert run.waiting_for == ["wait"]


def test_a_signal_is_consumed(durable):
    """The second signal finds nobody, and the next wait needs one of its own."""

    @durable_function("f")
    async def f(ctx: Context):
        first = await ctx.step.wait_for_signal("first", signal="bell", timeout="1h", on_conflict="fail")
        second = await ctx.step.wait_for_signal("second", signal="bell", timeout="1h", on_conflict="fail")
        return [first.data, second]

    run = durable.start(f)
    durable.settle()
    durable.signal("bell", 1)
    assert run.wait() == [1, None]


@BOTH
def test_a_conflict_is_raised_at_the_step(durable, function):
    """A second run with ``on_conflict="fail"`` fails, and the message names who waits; the first one is not touched."""
    first = durable.start(async_waiter)
    durable.settle()
    second = durable.start(function)
    with pytest.raises(RunFailed, match=r"'wait' waits for the signal 'bell'.*async-waiter.*replace"):
        second.wait()
    durable.signal("bell", 1)
    assert first.wait() == ["bell", 1]


def test_a_conflict_can_be_caught(durable):
    """It is a StepError of its own class, at once, without attempts."""

    @durable_function("f")
    async def f(ctx: Context):
        try:
            await ctx.step.wait_for_signal("wait", signal="bell", timeout="1h", on_conflict="fail")
        except SignalConflictError as error:
            return isinstance(error, StepError)

    durable.start(async_waiter)
    durable.settle()
    assert durable.run(f) is True
    assert durable.now == datetime(2025, 1, 1, tzinfo=UTC)


@BOTH
def test_replacing_takes_the_signal_over(durable, function):
    """The new waiter gets the signal; the old one waits on, to its own timeout."""
    old = durable.start(function)
    durable.advance("10m")
    new = durable.start(function, {"on_conflict": "replace"})
    durable.settle()
    durable.signal("bell", 1)
    assert new.wait() == ["bell", 1]
    assert old.waiting_for == ["wait"]
    assert old.wait() is None
    assert old.ended_at == datetime(2025, 1, 1, 1, tzinfo=UTC)


def test_a_name_is_free_again_after_every_end_of_a_wait(durable):
    """After an answer, after a timeout and after a cancellation, another run may wait."""
    answered = durable.start(async_waiter)
    durable.settle()
    durable.signal("bell")
    durable.settle()
    timed_out = durable.start(async_waiter)
    durable.advance("1h")
    cancelled = durable.start(async_waiter)
    durable.settle()
    durable.cancel(cancelled)
    durable.settle()
    last = durable.start(async_waiter)
    durable.settle()
    assert [run.status for run in (answered, timed_out, cancelled, last)] == [
        "completed", "completed", "cancelled", "running",
    ]  # fmt: skip


def test_two_steps_of_one_run_that_wait_for_one_signal_conflict(durable):
    """One waiter for each name: the second step of the run is told, and does not silently rob the first."""

    @durable_function("f")
    async def f(ctx: Context):
        async def second():
            try:
                came = await ctx.step.wait_for_signal("b", signal="bell", timeout="1h", on_conflict="fail")
                return came and came.data
            except SignalConflictError:
                return "conflict"

        first, other = await ctx.group.parallel((
            lambda: ctx.step.wait_for_signal("a", signal="bell", timeout="1h", on_conflict="fail"), second,
        ))  # fmt: skip
        return [first.data if first else None, other]

    run = durable.start(f)
    durable.settle()
    durable.signal("bell", 1)
    assert run.wait() == [1, "conflict"]
