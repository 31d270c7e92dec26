"""``invoke`` and ``invoke_by_id``: another function as a step."""

from datetime import UTC, datetime

import pytest

from pytest_durable import (
    Context,
    ContextSync,
    InvokeTimeoutError,
    NonRetriableError,
    RunFailed,
    StepError,
    durable_function,
)


@durable_function("child", retries=1)
async def child(ctx: Context):
    """Sleeps, then returns or fails as its data says."""
    await ctx.step.sleep("nap", "10s")
    if "error" in ctx.event.data:
        raise ValueError(ctx.event.data["error"])
    return ctx.event.data.get("value")


@durable_function("async-parent")
async def async_parent(ctx: Context):
    """Invokes the child with its own data."""
    return await ctx.step.invoke("call", function=child, data=ctx.event.data)


@durable_function("sync-parent")
def sync_parent(ctx: ContextSync):
    """The same, sync."""
    return ctx.step.invoke("call", function=child, data=ctx.event.data)


BOTH = pytest.mark.parametrize("function", [async_parent, sync_parent], ids=["async", "sync"])


@BOTH
@pytest.mark.parametrize("value", [{"x": [1]}, None, 0, "text"])
def test_the_result_of_the_child_is_the_result_of_the_step(durable, function, value):
    """A whole run with an id of its own, as long as it takes; None stays None."""
    run = durable.start(function, {"value": value})
    assert run.wait() == value
    assert run.ended_at == datetime(2025, 1, 1, 0, 0, 10, tzinfo=UTC)
    assert [other.function_id for other in durable.runs] == [function.id, "child"]
    assert durable.runs[1].event.name == "inngest/function.invoked"
    assert (run.step("call").op, run.steps) == ("invoke", ["call"])


@BOTH
def test_a_run_waits_for_its_child(durable, function):
    """While the child runs, the caller waits for the step and is entered no more."""
    run = durable.start(function, {"value": 1})
    durable.advance("5s")
    assert (run.status, run.waiting_for, run.invocations) == ("running", ["call"], 1)


@BOTH
def test_a_child_that_fails_gives_a_step_error(durable, function):
    """After its own retries; the caller tries nothing again, and an uncaught StepError fails it at once."""
    run = durable.start(function, {"error": "boom"})
    with pytest.raises(RunFailed, match="ValueError: boom") as failed:
        run.wait()
    assert isinstance(failed.value.__cause__, StepError)
    assert (failed.value.__cause__.name, failed.value.__cause__.message) == ("ValueError", "boom")
    assert run.ended_at == durable.runs[1].ended_at
    assert (len(durable.runs), durable.runs[1].status) == (2, "failed")


def test_the_error_of_a_child_can_be_caught(durable):
    """The caller goes on behind it."""

    @durable_function("f")
    async def f(ctx: Context):
        try:
            await ctx.step.invoke("call", function=child, data={"error": "boom"})
        except StepError as error:
            return f"{error.name}: {error.message}"

    assert durable.run(f) == "ValueError: boom"


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_child_that_takes_too_long_runs_on(durable, sync):
    """The caller gets an InvokeTimeoutError at the deadline; the child ends on its own, and nobody hears of it."""

    @durable_function("async")
    async def async_body(ctx: Context):
        try:
            await ctx.step.invoke("call", function=child, timeout="4s")
        except InvokeTimeoutError as error:
            return str(error)

    @durable_function("sync")
    def sync_body(ctx: ContextSync):
        try:
            ctx.step.invoke("call", function=child, timeout="4s")
        except InvokeTimeoutError as error:
            return str(error)

    run = durable.start(sync_body if sync else async_body)
    assert "child did not end within 4s" in run.wait()
    assert run.ended_at == datetime(2025, 1, 1, 0, 0, 4, tzinfo=UTC)
    assert durable.runs[1].status == "running"
    durable.advance("6s")
    assert durable.runs[1].status == "completed"


def test_a_child_that_ends_at_the_deadline_is_in_time_or_not_and_never_both(durable):
    """One of the two is recorded, once."""

    @durable_function("f")
    async def f(ctx: Context):
        try:
            return await ctx.step.invoke("call", function=child, data={"value": "in time"}, timeout="10s")
        except InvokeTimeoutError:
            return "too late"

    run = durable.start(f)
    assert run.wait() in {"in time", "too late"}
    assert run.steps == ["call"]


@BOTH
def test_a_cancelled_child_gives_a_step_error_that_says_so(durable, function):
    """Worked timeline 10, for native callers: at the instant of the cancellation, with its reason."""
    run = durable.start(function, {"value": 1})
    durable.settle()
    durable.cancel(durable.runs[1], at="5s")
    with pytest.raises(RunFailed, match="the invoked run of child was cancelled"):
        run.wait()
    assert run.ended_at == datetime(2025, 1, 1, 0, 0, 5, tzinfo=UTC)


def test_cancelling_the_caller_leaves_the_child_alone(durable):
    """The child runs on to its end."""
    run = durable.start(async_parent, {"value": 1})
    durable.settle()
    durable.cancel(run)
    durable.run_until_idle()
    assert [one.status for one in durable.runs] == ["cancelled", "completed"]


def test_invocations_nest(durable):
    """A function may invoke one that invokes another; errors climb through all of them."""

    @durable_function("middle")
    async def middle(ctx: Context):
        return ["middle", await ctx.step.invoke("call", function=child, data=ctx.event.data)]

    @durable_function("top")
    def top(ctx: ContextSync):
        return ["top", ctx.step.invoke("call", function=middle, data={"value": ctx.event.data["value"]})]

    assert durable.run(top, {"value": 1}) == ["top", ["middle", 1]]
    assert [run.function_id for run in durable.runs] == ["top", "middle", "child"]


def test_a_child_that_is_not_retriable_fails_its_caller_at_once(durable):
    """No attempt is repeated on either side."""

    @durable_function("refuser")
    async def refuser(ctx: Context):
        raise NonRetriableError("no")

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.invoke("call", function=refuser)

    with pytest.raises(RunFailed, match="NonRetriableError: no"):
        durable.run(f)
    assert (len(durable.runs), durable.now) == (2, datetime(2025, 1, 1, tzinfo=UTC))


def test_a_child_sees_its_data_and_not_those_of_its_caller(durable):
    """``ctx.event`` of the child is the invocation, with the data that were given."""

    @durable_function("teller", trigger="other/event")
    async def teller(ctx: Context):
        data = {key: value for key, value in ctx.event.data.items() if key != "_inngest"}
        return [ctx.event.name, data]

    @durable_function("f")
    async def f(ctx: Context):
        return await ctx.step.invoke("call", function=teller, data={"n": 1})

    assert durable.run(f, {"secret": True}) == ["inngest/function.invoked", {"n": 1}]


def test_an_invocation_is_an_event_that_others_can_hear(durable):
    """A function with the trigger ``inngest/function.invoked`` starts for it, too."""

    @durable_function("auditor", trigger="inngest/function.invoked")
    async def auditor(ctx: Context):
        return ctx.event.data["value"]

    durable.register(auditor)
    durable.run(async_parent, {"value": 5})
    durable.settle()
    assert [run.result for run in durable.runs if run.function_id == "auditor"] == [5]


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_function_can_be_invoked_by_its_id(durable, sync):
    """A registered function, by its bare id."""

    @durable_function("async")
    async def async_body(ctx: Context):
        return await ctx.step.invoke_by_id("call", function_id="child", data={"value": 1})

    @durable_function("sync")
    def sync_body(ctx: ContextSync):
        return ctx.step.invoke_by_id("call", function_id="child", data={"value": 1})

    durable.register(child)
    assert durable.run(sync_body if sync else async_body) == 1


def test_an_unknown_id_names_what_is_known_and_two_remedies(durable):
    """A function of another app must be registered or scripted."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.invoke_by_id("call", app_id="billing", function_id="refund")

    with pytest.raises(RunFailed, match=r"step 'call' of f .*'billing-refund'.*known are: .*register.*returns"):
        durable.run(f)


def test_a_function_of_another_app_can_be_scripted(durable):
    """Its result is what the script says, and no run is created."""

    @durable_function("f")
    async def f(ctx: Context):
        return await ctx.step.invoke_by_id("call", app_id="billing", function_id="refund")

    durable.step("call").returns({"ok": True})
    assert durable.run(f) == {"ok": True}
    assert len(durable.runs) == 1


def test_a_result_is_a_fresh_copy_in_every_invocation(durable):
    """Changing what a child returned changes no memo."""

    @durable_function("f")
    async def f(ctx: Context):
        value = await ctx.step.invoke("call", function=child, data={"value": {"items": [1]}})
        value["items"].append(2)
        await ctx.step.run("a", lambda: 1)
        return value

    assert durable.run(f) == {"items": [1, 2]}
