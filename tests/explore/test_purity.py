# ruff: noqa: PLW0108 - a call is reported at its own line, so each stands in a function of this file
"""What a body does that a replay would repeat differently is seen, and what it may do is not."""

import os
import random
import re
import time
from functools import partial
from pathlib import Path

import croniter
import pytest

from pytest_durable import Context, DurabilityError, Event, checks, durable_function

SHARED = random.Random(5)


def verdict_of(look, check="impure_body"):
    @durable_function("body")
    async def body(ctx: Context):
        await ctx.step.run("before", lambda: 1)
        look()
        await ctx.step.run("behind", lambda: 1)

    try:
        (verdict,) = checks.check_durable(body, only=[check])
    except DurabilityError as error:
        return str(error)
    return verdict


IMPURE = {
    "random.Random": lambda: random.Random(),
    "random.seed": lambda: random.seed(7),
    "random.choice": lambda: SHARED.choice("ab"),
    "random.random": lambda: random.random(),
    "os.environ": lambda: list(os.environ),
    "os.environ ": lambda: dict(os.environ),
    "os.environ  ": lambda: "HOME" in os.environ,
    "os.environ   ": lambda: len(os.environ),
    "time.strftime": lambda: time.strftime("%Y"),
    "time.asctime": lambda: time.asctime(),
    "time.ctime": lambda: time.ctime(),
    "time.localtime": lambda: time.localtime(),
    "time.gmtime": lambda: time.gmtime(),
    "time.clock_gettime": lambda: time.clock_gettime(time.CLOCK_REALTIME),
    "time.process_time": lambda: time.process_time(),
    "os.getcwd": lambda: os.getcwd(),  # noqa: PTH109 - the call that is looked for
    "pathlib.": lambda: Path.cwd(),
    "os.getpid": lambda: os.getpid(),
}
PURE = {
    "a generator that the body seeds": lambda: random.Random("order-7").choice("ab"),
    "and shuffles with": lambda: random.Random(3).shuffle([1, 2, 3]),
    "strftime of a time": lambda: time.strftime("%Y", time.gmtime(0)),
    "asctime of a time": lambda: time.asctime(time.gmtime(0)),
    "localtime of a time": lambda: time.localtime(0),
    "a path": lambda: Path("a") / "b",
}


@pytest.mark.parametrize("name", list(IMPURE))
def test_an_impure_call_is_named_with_its_line(name):
    """Clocks, chance and surroundings are seen by what they look at, at the line of the author."""
    message = verdict_of(IMPURE[name])
    assert message.startswith("body has 1 violation")
    assert name.strip() in message
    assert f"{Path(__file__).name}:{IMPURE[name].__code__.co_firstlineno}" in message


@pytest.mark.parametrize("name", list(PURE))
def test_a_pure_call_is_none(name):
    """What gives the same on every replay is fine."""
    assert not isinstance(verdict_of(PURE[name]), str)


WHO = ["ann", "bob", "cid", "ann"]


async def write(who):
    return f"wrote to {who}"


@durable_function("called")
async def called(ctx: Context):
    for who in set(ctx.event.data["who"]):
        await ctx.step.run("write", write, who)


@durable_function("braces")
async def braces(ctx: Context):
    for who in {name.upper() for name in ctx.event.data["who"]}:
        await ctx.step.run("write", write, who)


@durable_function("closure")
def closure(ctx):
    for who in frozenset(ctx.event.data["who"]) - {"cid"}:
        ctx.step.run("write", lambda: f"wrote to {who}")  # noqa: B023 - called at once


@durable_function("partial")
async def partly(ctx: Context):
    for who in {*ctx.event.data["who"]}:
        await ctx.step.run("write", partial(len, {"to": who}))


@durable_function("sent")
async def sent(ctx: Context):
    for who in set(ctx.event.data["who"]):
        await ctx.step.send_event("tell", Event("told", {"who": who}))


def nested():
    suffix = "!"

    @durable_function("ids")
    async def ids(ctx: Context):
        for who in {name + suffix for name in ctx.event.data["who"]}:
            await ctx.step.run(f"write-{who}", write, "x")

    return ids


@pytest.mark.parametrize(
    "function", [called, braces, closure, partly, sent, nested()], ids=lambda function: function.id
)
def test_the_order_of_a_set_is_seen(function):
    """Steps that follow the order of a set of text would be others in another process."""
    with pytest.raises(DurabilityError, match="in another order, as they are in a process with another hash seed"):
        checks.check_durable(function, {"who": WHO}, only=["replay_determinism"])


def test_a_finding_names_the_line_of_the_author():
    """Where the order of a set decides the ids, the line of the step is the line in the file."""
    function = nested()
    line = function.body.__code__.co_firstlineno + 3
    with pytest.raises(DurabilityError, match=f"{Path(__file__).name}:{line}"):
        checks.check_durable(function, {"who": WHO}, only=["replay_determinism"])


@durable_function("fine")
async def fine(ctx: Context):
    for who in sorted(set(ctx.event.data["who"])):
        await ctx.step.run("write", write, who)
    for number in (3, 1, 2):
        await ctx.step.run("count", abs, number)
    seen = {"a"} | set("b")
    seen.add("c")
    assert isinstance(seen, set)
    assert isinstance({"a"}, set | frozenset)
    assert "c" in seen
    assert len(seen) == 3
    assert seen >= {"a"}
    for who in dict.fromkeys(ctx.event.data["who"]):
        await ctx.step.run("again", write, who)
    return sorted(seen - {"a"})


def test_what_a_library_does_is_told_at_the_line_that_called_it():
    """The author sees the own line and the name of what was called there, and not the inside of the library."""

    @durable_function("f")
    async def f(ctx: Context):
        croniter.croniter("* * * * *")

    with pytest.raises(DurabilityError, match=rf"clock: croniter\S*__init__ at {re.escape(__file__)}:\d+"):
        checks.check_durable(f, {}, only=["impure_body"])


def test_sets_that_are_sorted_or_of_numbers_are_fine():
    """What does not depend on the order of a set, or has one order in every process, is no finding."""
    checks.check_durable(fine, {"who": WHO})
