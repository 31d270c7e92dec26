"""``on_failure``: one run of its own, for a run that failed for good."""

from datetime import UTC, datetime

import pytest

from pytest_durable import Context, ContextSync, NonRetriableError, RunFailed, StepError, durable_function


def failing(on_failure, error=NonRetriableError("boom"), **options):  # noqa: B008 - the same error every time
    """A function that fails."""

    @durable_function("f", on_failure=on_failure, **options)
    async def f(ctx: Context):
        await ctx.step.run("a", lambda: 1)
        raise error

    return f


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_failed_run_is_handed_to_its_handler(durable, sync):
    """With the event ``inngest/function.failed``: function, run, first event and error; steps work in it."""

    async def async_handler(ctx: Context):
        data = ctx.event.data
        return await ctx.step.run("report", lambda: [ctx.event.name, data["function_id"], data["run_id"],
                                                     data["event"]["data"], data["error"]["message"]])  # fmt: skip

    def sync_handler(ctx: ContextSync):
        data = ctx.event.data
        return ctx.step.run("report", lambda: [ctx.event.name, data["function_id"], data["run_id"],
                                               data["event"]["data"], data["error"]["message"]])  # fmt: skip

    run = durable.start(failing(sync_handler if sync else async_handler), {"k": 1})
    durable.run_until_idle()
    handler = durable.runs[1]
    assert handler.function_id == "f-failure"
    assert handler.result == ["inngest/function.failed", "f", run.id, {"k": 1}, "boom"]


def test_the_handler_runs_after_the_last_attempt_and_not_before(durable):
    """Worked timeline 8: retries=2, the body fails at 0, 15 + j and 45 + j seconds; then the handler, at once."""

    async def handler(ctx: Context):
        return datetime.now(UTC).isoformat()

    run = durable.start(failing(handler, ValueError("boom"), retries=2))
    durable.run_until_idle()
    assert 45 <= (run.ended_at - run.started_at).total_seconds() < 45 + 60
    assert durable.runs[1].started_at == run.ended_at


@pytest.mark.parametrize("how", ["completes", "cancelled"])
def test_no_handler_without_a_failure(durable, how):
    """Neither for success nor for cancellation."""

    async def handler(ctx: Context):
        pytest.fail("the handler ran")

    @durable_function("f", on_failure=handler)
    async def f(ctx: Context):
        await ctx.step.sleep("nap", "1h")

    run = durable.start(f)
    durable.settle()
    if how == "cancelled":
        durable.cancel(run)
    durable.run_until_idle()
    assert len(durable.runs) == 1


def test_a_failing_handler_has_one_attempt_and_tells_nobody(durable):
    """Its own failure starts nothing, so there is no recursion."""

    async def handler(ctx: Context):
        raise ValueError("worse")

    durable.start(failing(handler))
    durable.run_until_idle()
    assert [(run.function_id, run.status, run.invocations) for run in durable.runs] == [
        ("f", "failed", 2), ("f-failure", "failed", 1),
    ]  # fmt: skip
    assert [event.name for event in durable.events].count("inngest/function.failed") == 1


def test_a_handler_is_that_of_its_own_function(durable):
    """The failure of another function does not start it."""
    handled = []

    async def handler(ctx: Context):
        handled.append(ctx.event.data["function_id"])

    @durable_function("g")
    async def g(ctx: Context):
        raise NonRetriableError("g")

    durable.register(failing(handler))
    durable.start(g)
    durable.run_until_idle()
    assert handled == []
    refused = next(event for event in durable.events if event.name == "inngest/function.failed")
    assert "did not start f-failure" in str(refused.outcome)


def test_the_error_of_an_exhausted_step_reaches_the_handler(durable):
    """Name and message of the original error, under its own name."""

    async def handler(ctx: Context):
        return [ctx.event.data["error"]["name"], ctx.event.data["error"]["message"]]

    @durable_function("f", on_failure=handler, retries=0)
    async def f(ctx: Context):
        await ctx.step.run("charge", lambda: 1 / 0)

    run = durable.start(f)
    with pytest.raises(RunFailed) as failed:
        run.wait()
    assert isinstance(failed.value.__cause__, StepError)
    durable.run_until_idle()
    assert durable.runs[1].result == ["ZeroDivisionError", "division by zero"]


def test_a_child_that_fails_is_handled_by_its_own_handler(durable):
    """Also where it was never registered, only invoked."""
    handled = []

    async def handler(ctx: Context):
        handled.append(ctx.event.data["function_id"])

    child = failing(handler)

    @durable_function("parent")
    async def parent(ctx: Context):
        try:
            await ctx.step.invoke("call", function=child)
        except StepError:
            return "caught"

    assert durable.run(parent) == "caught"
    durable.run_until_idle()
    assert handled == ["f"]


def test_a_handler_may_sleep_and_wait(durable):
    """It is a run like any other."""

    async def handler(ctx: Context):
        await ctx.step.sleep("nap", "1d")
        return await ctx.step.wait_for_event("wait", event="never", timeout="1d")

    durable.start(failing(handler))
    durable.advance("3d")
    assert durable.runs[1].ended_at == datetime(2025, 1, 3, tzinfo=UTC)


@pytest.mark.parametrize("wrong", [5, "handler"])
def test_a_handler_that_cannot_be_called_is_refused_at_the_decorator(wrong):
    """With the function and the value."""
    from pytest_durable import UsageError

    with pytest.raises(UsageError, match=rf"'f'.*on_failure.*{wrong!r}"):
        failing(wrong)
