"""What the SDK does that nobody wants and no server notices: it happens here, too, and is told with the remedy."""

import asyncio
import contextlib
import datetime as dt

import pytest

inngest = pytest.importorskip("inngest")

from pytest_durable import DurabilityError, DurabilityWarning, Simulation, checks, explore, faults  # noqa: E402 - only with the extra

pytestmark = pytest.mark.filterwarnings("ignore::pytest_durable.DurabilityWarning")

CLIENT = inngest.Inngest(app_id="app", is_production=False)
DAY = dt.timedelta(days=1)


def served(body, retries=0):
    """A function of the SDK."""
    trigger = inngest.TriggerEvent(event="app/go")
    return CLIENT.create_function(fn_id=body.__name__.replace("_", "-"), trigger=trigger, retries=retries)(body)


def boom():
    """Fail."""
    raise ValueError("boom")


def refuse():
    """Fail for good."""
    raise inngest.NonRetriableError("no")


def group(ctx, **handlers):
    """Steps side by side."""
    return ctx.group.parallel(tuple(lambda n=n, h=h: ctx.step.run(n, h) for n, h in handlers.items()))


async def bare_gather(ctx):
    await asyncio.gather(*(ctx.step.run(name, lambda: 1) for name in "abc"))


async def task_group(ctx):
    async with asyncio.TaskGroup() as tasks:
        for name in "ab":
            tasks.create_task(ctx.step.run(name, lambda: 1))


async def swallows(ctx):
    with contextlib.suppress(BaseException):
        await ctx.step.run("a", lambda: 1)
    return "early"


async def swallows_a_sleep(ctx):
    try:
        await ctx.step.sleep("a", DAY)
    except BaseException:  # noqa: BLE001 - as authors write it
        return "early"


async def step_in_finally(ctx):
    try:
        await ctx.step.run("a", lambda: 1)
    finally:
        await ctx.step.run("cleanup", lambda: 2)


async def one_id_twice(ctx):
    for step_id in ("a", "a", "a:1"):
        await ctx.step.run(step_id, lambda: 1)


async def failing_sibling(ctx):
    await group(ctx, a=boom, b=lambda: 1)


async def failing_sibling_behind(ctx):
    await group(ctx, a=lambda: 1, b=boom, c=lambda: 1)


async def refusing_sibling(ctx):
    await group(ctx, a=refuse, b=lambda: 1)


async def caught_refusal(ctx):
    with contextlib.suppress(inngest.NonRetriableError):
        await ctx.step.run("a", refuse)
    await ctx.step.run("b", lambda: 1)


def swallows_sync(ctx):
    with contextlib.suppress(BaseException):
        ctx.step.run("a", lambda: 1)


def step_in_finally_sync(ctx):
    try:
        ctx.step.run("a", lambda: 1)
    finally:
        ctx.step.run("cleanup", lambda: 2)


def one_id_twice_sync(ctx):
    for step_id in ("a", "a", "a:1"):
        ctx.step.run(step_id, lambda: 1)


def failing_sibling_sync(ctx):
    group(ctx, a=boom, b=lambda: 1)


GATHER = ("executed in a task of its own", "ctx.group.parallel")
SWALLOW = ("went on behind step 'a', and returned", "catch Exception")
FINALLY = ("step 'a' was executed and its result was lost, as the function asked for 'cleanup'", "not in them")
TWICE = ("the same final id 'a:1': the second use of 'a'", "rename one of them")
KILLED = ("'a' has failed, and its sibling 'b' was never executed", "catch it inside the branch")
HAZARDS = [
    (bare_gather, "always", GATHER),
    (bare_gather, "checkpoint", GATHER),
    (task_group, "always", GATHER),
    (swallows, "always", SWALLOW),
    (swallows_a_sleep, "always", SWALLOW),
    (swallows_a_sleep, "checkpoint", SWALLOW),
    (step_in_finally, "always", FINALLY),
    (one_id_twice, "always", TWICE),
    (one_id_twice, "checkpoint", TWICE),
    (failing_sibling, "always", KILLED),
    (failing_sibling_behind, "always", ("'b' has failed, and its sibling 'c'", "catch it inside the branch")),
    (refusing_sibling, "always", ("'a' raised what is not retried", "sibling 'b' under way", "return the error as")),
    (caught_refusal, "always", ("'a' raised NonRetriableError and the function caught it", "catch StepError")),
    (swallows_sync, "always", SWALLOW),
    (step_in_finally_sync, "always", FINALLY),
    (one_id_twice_sync, "always", TWICE),
    (failing_sibling_sync, "always", KILLED),
]


def played(body, mode="always", **settings):
    """A run, until nothing more happens."""
    with Simulation(replay=mode, **settings) as sim:
        run = sim.start(served(body), {})
        sim.advance("2d")
    return run


@pytest.mark.parametrize(("body", "mode", "words"), HAZARDS, ids=lambda value: getattr(value, "__name__", None))
def test_a_hazard_is_told_with_the_remedy(body, mode, words):
    """In `run.findings` and in the timeline, once for each step, with what to write instead."""
    run = played(body, mode)
    finding = run.findings[0]
    assert all(word in finding for word in words)
    assert f"  finding: {finding}" in run.timeline()
    assert len(set(run.findings)) == len(run.findings) <= 2


@pytest.mark.parametrize("body", [one_id_twice, step_in_finally, failing_sibling])
def test_a_hazard_is_a_warning_and_a_violation(body):
    """At the exit of the simulation pytest warns, and the battery fails."""
    with pytest.warns(DurabilityWarning, match=f"app-{body.__name__.replace('_', '-')}: .*step"):
        played(body)
    with pytest.raises(DurabilityError, match="sdk_hazards: "):
        checks.check_durable(served(body), {}, only="sdk_hazards")


def test_a_request_that_is_delivered_again_is_told():
    """The redelivered request of a group ends the function early: the run says so, and the battery finds it."""

    async def of_three(ctx):
        return list(await group(ctx, a=lambda: 1, b=lambda: 2, c=lambda: 3))

    function = served(of_three)
    report = explore(lambda sim: sim.run(function, {}), faults=[faults.redelivery(step="b")])
    assert any("returned in the request of step 'b' alone" in remark for remark in report.remarks)
    with pytest.raises(DurabilityError, match=r"(?s)duplicate_delivery: .*delivered again changed the run: .*\['a'\]"):
        checks.check_durable(function, {}, only="duplicate_delivery")


async def sound(ctx):
    """Everything that may look like a hazard and is none."""

    async def branch():
        try:
            return await ctx.step.run("bad", boom)
        except inngest.StepError:
            return "caught"

    await ctx.step.run("a", lambda: 1)
    with contextlib.suppress(Exception):
        await ctx.step.run("bad before", boom)
    await ctx.group.parallel((branch, lambda: ctx.step.run("b", lambda: 1), lambda: ctx.step.sleep("s", DAY)))
    await ctx.step.wait_for_event("w", event="app/ok", timeout=DAY)
    try:
        return await ctx.step.run("a", lambda: 1)
    finally:
        ctx.logger.info("the end")


async def refused(ctx):
    """An error that is meant for the run."""
    await ctx.step.run("a", refuse)


@pytest.mark.parametrize("mode", ["always", "checkpoint"])
@pytest.mark.parametrize(("body", "status"), [(sound, "completed"), (refused, "failed")])
def test_a_sound_function_has_no_findings(body, status, mode):
    """Caught StepErrors, groups, reused ids, a finally block without steps and a lone refusal are no hazards."""
    run = played(body, mode)
    assert (run.status, run.findings) == (status, [])
    if body is sound:
        verdict = checks.check_durable(served(body), {}, only="sdk_hazards")[0]
        assert verdict.proved.startswith("nothing was found in ")
