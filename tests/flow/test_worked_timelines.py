"""Appendix C of the semantics, worked timeline by timeline, for native functions and for those of the SDK.

Numbers 4 to 6 stand with the debounce, the rate limit and the throttle. A retry is late by a jitter of up to 30 s.
"""

import datetime as dt

import pytest

from pytest_durable import Event, StepError, Timeouts, durable_function

inngest = pytest.importorskip("inngest")
server_lib = pytest.importorskip("inngest._internal.server_lib")

KINDS = pytest.mark.parametrize("kind", ["native", "sdk"])
JITTER = 30


def made(kind, body, *, name="fn", **options):
    """A body as a function of one kind or the other."""
    if kind == "native":
        return durable_function(name, trigger="app/go", **options)(body)
    client = inngest.Inngest(app_id="app", is_production=False)
    if "timeouts" in options:
        options["timeouts"] = server_lib.Timeouts(finish=dt.timedelta(seconds=30))
    return client.create_function(fn_id=name, trigger=inngest.TriggerEvent(event="app/go"), **options)(body)


def requests(run):
    """The seconds, from the start of the run, of its requests, each with its step and its attempt."""
    start = run.history.facts[0][0]
    return [
        ((at - start) / 1e6, step, rest["attempt"]) for at, what, step, rest in run.history.facts if what == "request"
    ]


def within_jitter(moments, expected):
    """Whether each moment is that of the table, late by at most one jitter for each retry before it."""
    return len(moments) == len(expected) and all(
        least <= moment < least + JITTER * max(1, number) if least else moment == 0
        for number, (moment, least) in enumerate(zip(moments, expected, strict=True))
    )


def failing(times):
    """A handler that fails so often."""
    calls = []

    def handler():
        calls.append(1)
        if len(calls) <= times:
            raise ValueError("no")
        return "done"

    return handler


@KINDS
def test_c1_a_step_that_fails_twice_is_tried_at_0_15_and_45_seconds(durable, kind):
    """Four requests: three attempts, and the one that ends the run, at the instant of the third."""
    handler = failing(2)

    async def body(ctx):
        return await ctx.step.run("a", handler)

    run = durable.start(made(kind, body))
    assert run.wait() == "done"
    found = requests(run)
    assert [attempt for _, _, attempt in found] == [0, 1, 2, 0]
    assert within_jitter([at for at, *_ in found[:3]], [0, 15, 45])
    assert found[3][0] == found[2][0]


@KINDS
def test_c2_a_step_is_tried_five_times_and_may_be_caught(durable, kind):
    """At 0, 15, 45, 105 and 225 seconds and their jitters; then the body goes on at once."""

    async def body(ctx):
        try:
            await ctx.step.run("a", failing(9))
        except (StepError, inngest.StepError) as error:
            return error.name

    run = durable.start(made(kind, body))
    assert run.wait() == "ValueError"
    found = requests(run)
    assert [attempt for _, _, attempt in found] == [0, 1, 2, 3, 4, 0]
    assert within_jitter([at for at, *_ in found[:5]], [0, 15, 45, 105, 225])
    assert found[5][0] == found[4][0]


@KINDS
@pytest.mark.parametrize(("at", "heard"), [(3_599_999, True), (3_600_000, True), (3_600_001, False)])
def test_c3_an_event_up_to_the_deadline_is_in_time(durable, kind, at, heard):
    """A wait of an hour: at 59:59.999 it is heard; at 1:00:00 both are due, and the default order hears it."""

    async def body(ctx):
        event = await ctx.step.wait_for_event("w", event="app/ok", timeout=dt.timedelta(hours=1))
        return event is not None

    run = durable.start(made(kind, body))
    start = durable.now
    durable.send(Event("app/ok"), at=at)
    assert run.wait() is heard
    assert (run.ended_at - start).total_seconds() * 1000 == min(at, 3_600_000)


@KINDS
def test_c7_a_group_goes_on_when_the_sibling_that_failed_is_through(durable, kind):
    """Both planned and tried at 0; ``b`` again after 15 s and a jitter; the body only then."""
    handler = failing(1)

    async def body(ctx):
        both = (lambda: ctx.step.run("a", str), lambda: ctx.step.run("b", handler))
        return list(await ctx.group.parallel(both))

    run = durable.start(made(kind, body))
    assert run.wait() == ["", "done"]
    found = requests(run)
    assert [(step, attempt) for _, step, attempt in found] == [("", 0), ("a", 0), ("b", 0), ("b", 1), ("", 0)]
    assert [at for at, *_ in found[:3]] == [0, 0, 0]
    assert 15 <= found[3][0] < 15 + JITTER
    assert found[4][0] == found[3][0]


@KINDS
def test_c8_a_body_that_fails_is_tried_as_often_as_its_retries_say(durable, kind):
    """At 0, 15 and 45 seconds and jitters; then the failure handler begins, with the error in its event."""
    seen = []

    async def body(ctx):
        raise ValueError("body")

    async def handler(ctx):
        seen.append((ctx.event.data["error"]["name"], durable.now))

    run = durable.start(made(kind, body, retries=2, on_failure=handler))
    durable.run_until_idle()
    assert (run.status, run.error.name) == ("failed", "ValueError")
    found = requests(run)
    assert [attempt for _, _, attempt in found] == [0, 1, 2]
    assert within_jitter([at for at, *_ in found], [0, 15, 45])
    assert [name for name, _ in seen] == ["ValueError"] if kind == "native" else len(seen) == 1
    assert seen[0][1] == run.ended_at


@KINDS
def test_c9_a_finish_timeout_cancels_a_sleeping_run(durable, kind):
    """30 s from its start, whatever it sleeps for; no failure handler begins."""
    failed = []

    async def body(ctx):
        await ctx.step.sleep("nap", dt.timedelta(seconds=60))

    async def handler(ctx):
        failed.append(ctx)

    start = durable.now
    run = durable.start(made(kind, body, timeouts=Timeouts(finish="30s"), on_failure=handler))
    durable.advance("2m")
    assert (run.status, (run.ended_at - start).total_seconds(), failed) == ("cancelled", 30, [])
    assert "inngest/function.cancelled" in [event.name for event in durable.events]


@KINDS
def test_c10_a_child_that_is_cancelled_lets_its_parent_go_on(durable, kind):
    """At 5 s: a native parent gets an error, and one of the SDK the event of the end as its result."""

    async def child(ctx):
        await ctx.step.sleep("long", dt.timedelta(days=1))

    child_function = made(kind, child, name="child")

    async def parent(ctx):
        try:
            return await ctx.step.invoke("child", function=child_function)
        except StepError as error:
            return error.name

    start = durable.now
    run = durable.start(made(kind, parent, name="parent"))
    durable.advance("5s")
    durable.cancel(durable.runs[1])
    result = run.wait()
    assert (run.ended_at - start).total_seconds() == 5
    assert isinstance(result, str) if kind == "native" else result["name"] == "inngest/function.finished"
