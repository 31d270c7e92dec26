"""``ai.infer`` and ``ai.wrap``: calls of models, which a test scripts."""

import pytest

from pytest_durable import Context, ContextSync, RunFailed, StepError, UsageError, durable_function


class Adapter:
    """An adapter of a model, with the two methods of the SDK's."""

    def url(self):
        """Where the request would go."""
        return "https://models.example/v1/chat"

    def headers(self):
        """What goes with it."""
        return {"x-model": "small"}


@durable_function("async-asker")
async def async_asker(ctx: Context):
    """Asks a model."""
    answer = await ctx.step.ai.infer("ask", adapter=Adapter(), body={"messages": ["hi"]})
    return answer["text"]


@durable_function("sync-asker")
def sync_asker(ctx: ContextSync):
    """The same, sync."""
    answer = ctx.step.ai.infer("ask", adapter=Adapter(), body={"messages": ["hi"]})
    return answer["text"]


BOTH = pytest.mark.parametrize("function", [async_asker, sync_asker], ids=["async", "sync"])


@BOTH
def test_an_inference_is_answered_by_its_script(durable, function):
    """``returns`` is the body of the response."""
    durable.step("ask").returns({"text": "hello"})
    run = durable.start(function)
    assert run.wait() == "hello"
    assert run.step("ask").op == "ai"


@BOTH
def test_a_fake_sees_the_request(durable, function):
    """``calls`` gets url, headers and body as keywords."""
    seen = {}

    def fake(**request):
        seen.update(request)
        return {"text": "faked"}

    durable.step("ask").calls(fake)
    assert durable.run(function) == "faked"
    assert seen == {
        "url": "https://models.example/v1/chat", "headers": {"x-model": "small"}, "body": {"messages": ["hi"]},
    }  # fmt: skip


@BOTH
def test_an_inference_without_a_script_is_a_clear_error(durable, function):
    """It names the step and the function and how to answer, and fails the run at once, without a retry."""
    run = durable.start(function)
    with pytest.raises(
        RunFailed, match=rf"step 'ask' of {function.id} asks a model.*durable\.step\('ask'\)\.returns"
    ) as failed:
        run.wait()
    assert isinstance(failed.value.__cause__, UsageError)
    assert run.invocations == 1


@BOTH
def test_an_inference_is_tried_again_and_then_fails(durable, function):
    """A model that does not answer is retried like any step."""
    durable.step("ask").raises(ConnectionError("overloaded"), times=2).returns({"text": "at last"})
    run = durable.start(function)
    assert run.wait() == "at last"
    assert run.step("ask").attempts == 3


def test_the_failure_of_an_inference_can_be_caught(durable):
    """After the last attempt the body gets a StepError."""

    @durable_function("f", retries=0)
    async def f(ctx: Context):
        try:
            await ctx.step.ai.infer("ask", adapter=Adapter(), body={})
        except StepError as error:
            return error.name

    durable.step("ask").raises(ConnectionError("overloaded"))
    assert durable.run(f) == "ConnectionError"


def test_what_an_inference_was_asked_stands_in_its_record(durable):
    """The input of the step shows the body that was sent."""
    durable.step("ask").returns({"text": "hello"})
    run = durable.start(async_asker)
    run.wait()
    assert "hi" in str(run.step("ask").input)


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_wrapped_call_is_a_step(durable, sync):
    """With positional and keyword arguments, once in spite of all replays."""
    calls = []

    def complete(prompt, *, temperature):
        calls.append(prompt)
        return f"{prompt} at {temperature}"

    @durable_function("async")
    async def async_body(ctx: Context):
        text = await ctx.step.ai.wrap("ask", complete, "hi", temperature=0)
        await ctx.step.run("a", lambda: 1)
        return text

    @durable_function("sync")
    def sync_body(ctx: ContextSync):
        text = ctx.step.ai.wrap("ask", complete, "hi", temperature=0)
        ctx.step.run("a", lambda: 1)
        return text

    run = durable.start(sync_body if sync else async_body)
    assert run.wait() == "hi at 0"
    assert (calls, run.steps) == (["hi"], ["ask", "a"])


def test_a_wrapped_call_can_be_scripted(durable):
    """The real function is not called."""

    @durable_function("f")
    async def f(ctx: Context):
        return await ctx.step.ai.wrap("ask", pytest.fail, "called for real")

    durable.step("ask").returns("scripted")
    assert durable.run(f) == "scripted"


@pytest.mark.parametrize("wrong", [5, None, "complete"], ids=repr)
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_wrapping_what_cannot_be_called_is_refused_at_once(durable, sync, wrong):
    """As in ``step.run``: without retries, with the value and the remedy."""

    @durable_function("async")
    async def async_body(ctx: Context):
        await ctx.step.ai.wrap("ask", wrong)

    @durable_function("sync")
    def sync_body(ctx: ContextSync):
        ctx.step.ai.wrap("ask", wrong)

    run = durable.start(sync_body if sync else async_body)
    with pytest.raises(RunFailed, match=r"step 'ask' of .*is not callable"):
        run.wait()
    assert run.invocations == 1
