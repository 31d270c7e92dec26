"""Variations on what the real server was seen to do: values, errors and shapes that are easily forgotten."""

import pytest

from pytest_durable import Simulation

inngest = pytest.importorskip("inngest")


def made(body, **options):
    client = inngest.Inngest(app_id="app", is_production=False)
    options.setdefault("trigger", inngest.TriggerEvent(event="go"))
    return client.create_function(fn_id=options.pop("fn_id", "fn"), **options)(body)


def ended(body, **options):
    """The run of a function, after everything that is due."""
    with Simulation() as sim:
        run = sim.start(made(body, **options))
        sim.run_until_idle()
    return run


@pytest.mark.parametrize("where", ["step", "body"])
def test_half_a_character_is_replaced_as_on_the_server(where):
    """JSON may hold halves of surrogate pairs, and the server replaces them; whole pairs stay."""

    async def body(ctx):
        value = {"half": "a\ud800b", "whole": "\U0001f600"}
        return await ctx.step.run("value", lambda: value) if where == "step" else value

    assert ended(body).result == {"half": "a\ufffdb", "whole": "\U0001f600"}


def test_half_a_character_in_an_error_is_replaced_too():
    """The message of a failed step is handed back as the server reads it."""

    async def body(ctx):
        def boom():
            raise ValueError("a\udc00")

        await ctx.step.run("boom", boom)

    run = ended(body, retries=0)
    assert (run.error.name, run.error.message) == ("ValueError", "a\ufffd")


def test_a_stop_iteration_keeps_its_class():
    """A plain handler of an async function that raises StopIteration is reported as just that."""

    async def body(ctx):
        await ctx.step.run("boom", next, iter(()))

    assert ended(body, retries=0).error.name == "StopIteration"


@pytest.mark.parametrize("error", [GeneratorExit, BaseException])
def test_what_is_no_exception_crashes_the_request_of_a_sync_function_too(error):
    """An error that the SDK does not catch is answered by the framework, whatever the kind of function."""

    def body(ctx):
        raise error

    assert ended(body, retries=0).error.name == "Server returned a fatal error"


@pytest.mark.parametrize("is_async", [True, False])
def test_an_outcome_of_pytest_reaches_the_test(is_async):
    """pytest.fail in a function is meant for the test, not for the server."""

    async def body(ctx):
        pytest.fail("seen")

    def sync_body(ctx):
        pytest.fail("seen")

    with Simulation() as sim, pytest.raises(pytest.fail.Exception, match="seen"):
        sim.start(made(body if is_async else sync_body)).wait()


def test_the_data_of_an_invocation_is_an_object():
    """Anything else the server cannot read; its endless repetition is reported as the finding that it is."""

    async def body(ctx):
        await ctx.step.invoke_by_id("call", function_id="fn", data=[1])

    run = ended(body)
    assert (run.status, run.error.name) == ("failed", "UsageError")
    assert "step 'call' of app-fn: the server cannot read [1]" in run.error.message
