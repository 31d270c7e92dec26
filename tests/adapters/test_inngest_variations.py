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


@pytest.mark.filterwarnings("ignore::pytest_durable.DurabilityWarning")
def test_the_data_of_an_invocation_is_an_object():
    """Anything else the server cannot read; its endless repetition is reported as the finding that it is."""

    async def body(ctx):
        await ctx.step.invoke_by_id("call", function_id="fn", data=[1])

    run = ended(body)
    assert (run.status, run.error.name) == ("failed", "UsageError")
    assert "step 'call' of app-fn: the server cannot read [1]" in run.error.message


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"name": ""}, "event name is empty"),
        ({"name": "Inngest/x"}, "event name is reserved for internal use: Inngest/x"),
        ({"name": "x", "ts": 1}, "timestamp is before Jan 1, 1980"),
        ({"name": "x", "ts": 9_999_999_999_999}, "timestamp is after Jan 1, 2100"),
    ],
)
def test_events_that_the_server_refuses_are_refused_in_its_words(event, message):
    """What stands before the refused event in a list has arrived, once for each attempt; what stands behind has not."""
    heard = []

    class Spy(inngest.Middleware):
        async def after_send_events(self, result):
            heard.append((result.error, len(result.ids)))

    async def body(ctx):
        events = [inngest.Event(name="first"), inngest.Event(**event), inngest.Event(name="last")]
        await ctx.step.send_event("send", events)

    with Simulation() as sim:
        run = sim.start(made(body, retries=1, middleware=[Spy]))
        sim.run_until_idle()
        names = [one.name for one in sim.events if not one.name.startswith("inngest/")]
    assert (run.error.name, run.error.message) == ("SendEventsError", message)
    assert names == ["first", "first"]
    assert heard == [(message, 1)] * 2


def test_what_is_no_event_fails_as_in_the_sdk():
    """A dict is no event: the SDK fails where it makes its request, and so it does here."""

    async def body(ctx):
        await ctx.step.send_event("send", [{"name": "x"}])

    run = ended(body, retries=0)
    assert (run.error.name, run.error.message) == ("AttributeError", "'dict' object has no attribute 'to_dict'")


def test_a_step_may_have_an_empty_id():
    """An empty id is an id like any other."""

    async def body(ctx):
        return [await ctx.step.run("", lambda: 1), await ctx.step.run("", lambda: 2), await ctx.step.sleep("", 1000)]

    run = ended(body)
    assert (run.result, list(run.steps)) == ([1, 2, None], ["", ":1", ":2"])


def test_a_response_of_more_than_eight_megabytes_is_not_read():
    """It is made again like any failed request, and the run fails in the end with the size and the remedy."""

    async def body(ctx):
        return "x" * (8 * 2**20)

    run = ended(body, retries=1)
    assert (run.status, run.error.name, run.invocations) == ("failed", "Error", 2)
    assert "Your function's response body exceeds the maximum size limit" in run.error.message
    assert "return a reference" in str(run.error.exception)


def test_the_data_of_an_invocation_may_have_four_megabytes():
    """More is refused before anything is invoked; the request is made again, and the run fails in the end."""

    async def body(ctx):
        await ctx.step.invoke_by_id("call", function_id="fn", data={"x": "x" * 4 * 2**20})

    run = ended(body, retries=1)
    assert (run.status, run.error.name, run.invocations) == ("failed", "Error", 2)
    assert "step input size is greater than the limit" in run.error.message


@pytest.mark.parametrize(("given", "seconds"), [(499, 0), (500, 0), (501, 1), (1500, 1), (1501, 2), (2500, 2)])
def test_half_seconds_of_a_sleep_are_rounded_down(given, seconds):
    """The server rounds what is left of a sleep, and on its way there a moment has passed."""

    async def body(ctx):
        await ctx.step.sleep("nap", given)

    run = ended(body)
    assert (run.ended_at - run.started_at).total_seconds() == seconds
