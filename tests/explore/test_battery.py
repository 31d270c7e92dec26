"""The battery itself, on functions that are right."""

import asyncio

import pytest

from pytest_durable import checks, durable_function


def value(number):
    return number


@durable_function("side-by-side", trigger="order/placed")
async def side_by_side(ctx):
    return sum(await asyncio.gather(*(ctx.step.run(f"part-{number}", value, number) for number in range(3))))


@durable_function("in-turn", trigger="order/placed")
async def in_turn(ctx):
    return await ctx.step.run("one", value, 1) + await ctx.step.run("two", value, 2)


@pytest.mark.parametrize("function", [side_by_side, in_turn], ids=lambda function: function.id)
def test_a_crash_changes_no_outcome_of_steps_without_an_order(function):
    """A step that is tried again ends behind its siblings, and that is no violation."""
    verdict = next(one for one in checks.check_durable(function, {}) if one.check == "crash_anywhere")
    points = {"side-by-side": 7, "in-turn": 5}[function.id]
    assert verdict.proved == f"{points} of {points} crash points survived"
