"""``send_event``: a step that puts events on the bus, and is answered with their ids."""

import re
from datetime import UTC, datetime

import pytest

from pytest_durable import Context, ContextSync, Event, RunFailed, durable_function


@durable_function("listener", trigger="order/*")
async def listener(ctx: Context):
    """Says what it heard."""
    return [ctx.event.name, ctx.event.data]


@durable_function("async-sender")
async def async_sender(ctx: Context):
    """Sends one event and then two."""
    one = await ctx.step.send_event("one", Event("order/paid", {"n": 1}))
    two = await ctx.step.send_event("two", [Event("order/paid", {"n": 2}), Event("order/sent", {"n": 3})])
    return [*one, *two]


@durable_function("sync-sender")
def sync_sender(ctx: ContextSync):
    """The same, sync."""
    one = ctx.step.send_event("one", Event("order/paid", {"n": 1}))
    two = ctx.step.send_event("two", [Event("order/paid", {"n": 2}), Event("order/sent", {"n": 3})])
    return [*one, *two]


@pytest.mark.parametrize("function", [async_sender, sync_sender], ids=["async", "sync"])
def test_events_are_sent_once_and_start_functions(durable, function):
    """One or many in a step, once in spite of all replays; the ids are distinct ULIDs."""
    durable.register(listener)
    run = durable.start(function)
    ids = run.wait()
    durable.settle()
    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", one) for one in ids)
    assert [other.result for other in durable.runs[1:]] == [
        ["order/paid", {"n": 1}], ["order/paid", {"n": 2}], ["order/sent", {"n": 3}],
    ]  # fmt: skip
    assert [event.data["n"] for event in run.sent_events] == [1, 2, 3]
    assert run.step("two").op == "send_event"


def test_the_ids_of_events_without_one_are_those_on_the_bus(durable):
    """Where the author gave no id, an event has the id that the step returned."""
    run = durable.start(async_sender)
    ids = run.wait()
    durable.settle()
    assert [event.id for event in durable.events if event.name.startswith("order/")] == ids


def test_a_given_id_stays_and_the_returned_one_is_internal(durable):
    """An author's id is that of the event; what the step returns is the internal one, never the author's."""

    @durable_function("f")
    async def f(ctx: Context):
        return await ctx.step.send_event("send", Event("order/paid", id="mine"))

    assert durable.run(f) != ["mine"]
    durable.settle()
    assert [event.id for event in durable.events if event.name == "order/paid"] == ["mine"]


def test_the_second_event_with_one_id_starts_nothing(durable):
    """Within a day, per function; it still wakes waits."""

    @durable_function("waiter")
    async def waiter(ctx: Context):
        await ctx.step.wait_for_event("first", event="order/paid", timeout="2d")
        await ctx.step.wait_for_event("second", event="order/paid", timeout="2d")
        return "woken twice"

    durable.register(listener)
    run = durable.start(waiter)
    durable.settle()
    for _ in range(2):
        durable.send("order/paid", id="same")
        durable.settle()
    assert run.result == "woken twice"
    assert len([one for one in durable.runs if one.function_id == "listener"]) == 1
    second = [event for event in durable.events if event.name == "order/paid"][1]
    assert "duplicate id 'same' within 24 h" in str(second.outcome)
    durable.advance("24h")
    durable.send("order/paid", id="same")
    durable.settle()
    assert len([one for one in durable.runs if one.function_id == "listener"]) == 2


def test_a_future_time_delays_the_run(durable):
    """The event arrives now; the run that it starts begins at its ``ts``."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.send_event("send", Event("order/paid", ts=1_735_689_600_000 + 3_600_000))

    durable.register(listener)
    durable.run(f)
    durable.settle()
    started = durable.runs[1]
    assert started.status == "queued"
    durable.run_until_idle()
    assert started.started_at == datetime(2025, 1, 1, 1, tzinfo=UTC)


def test_a_past_time_changes_nothing(durable):
    """The run begins at once."""
    durable.register(listener)
    durable.send(Event("order/paid", ts=1_700_000_000_000))
    durable.settle()
    assert durable.runs[0].started_at == datetime(2025, 1, 1, tzinfo=UTC)


def test_an_event_of_the_run_itself_answers_its_wait(durable):
    """An event that the run sends from a sibling branch arrives after the wait was registered."""

    @durable_function("f")
    async def f(ctx: Context):
        came, _ = await ctx.group.parallel(
            (
                lambda: ctx.step.wait_for_event("wait", event="order/paid", timeout="1h"),
                lambda: ctx.step.send_event("send", Event("order/paid", {"n": 7})),
            )
        )
        return came.data

    assert durable.run(f) == {"n": 7}


def test_sending_nothing_is_a_step_all_the_same(durable):
    """An empty list gives no ids."""

    @durable_function("f")
    async def f(ctx: Context):
        return await ctx.step.send_event("send", [])

    assert durable.run(f) == []


def test_what_was_sent_does_not_change_any_more(durable):
    """An event that its author changes afterwards arrives as it was sent."""

    @durable_function("f")
    async def f(ctx: Context):
        event = Event("order/paid", {"items": [1]})
        await ctx.step.send_event("send", event)
        event.data["items"].append(2)

    durable.register(listener)
    durable.run(f)
    durable.settle()
    assert durable.runs[1].result == ["order/paid", {"items": [1]}]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Event("inngest/function.finished"), "reserved"),
        (Event("INNGEST/x"), "reserved"),
        (Event(""), "not an event with a name"),
        ({"name": "x"}, "not an event with a name"),
        ("x", "not an event with a name"),
        (Event("x" * 513), "512 are allowed"),
        (Event("x", {"f": print}), "JSON cannot carry"),
        (Event("x", ts=-1), "ts=-1"),
        (Event("x", ts=1.5), "ts=1.5"),
        (Event("x", ts=1), "ts=1"),
        (Event("x", ts=10**15), "ts="),
    ],
    ids=["reserved", "capitals", "no name", "dict", "text", "long name", "data", "negative", "float", "1970",
         "far future"],
)  # fmt: skip
def test_a_bad_event_fails_the_run_at_once(durable, event, said):
    """The error names the step and the function; times before 1980 and after 2100 are refused as by the server."""

    @durable_function("f")
    async def f(ctx: Context):
        await ctx.step.send_event("send", event)

    run = durable.start(f)
    with pytest.raises(RunFailed, match="step 'send' of f") as failed:
        run.wait()
    assert said in str(failed.value)
    assert (run.invocations, durable.now) == (1, datetime(2025, 1, 1, tzinfo=UTC))
