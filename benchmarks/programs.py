"""The programs that are measured. One body is one function object, whoever drives it: the floor or the engine.

The bodies await ``ctx.step.run`` and ``ctx.step.sleep`` alone where the floor runs them too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from pytest_durable import DurableFunction, Simulation, durable_function

Body = Callable[[Any], Coroutine[Any, Any, Any]]


def value(number: int) -> int:
    """A handler with a plain result."""
    return number


def row(number: int) -> dict[str, Any]:
    """A handler with a result that the body could change, so that every replay needs a copy of it."""
    return {"id": number, "name": "Ada", "paid": True}


def nothing() -> None:
    """A handler that does nothing."""


def sequential(steps: int) -> Body:
    """So many steps, one after the other, each with an id of its own."""
    ids = [f"step-{number}" for number in range(steps)]

    async def body(ctx: Any) -> int:
        total = 0
        for number, step_id in enumerate(ids):
            total += await ctx.step.run(step_id, value, number)
        return total

    return body


def rows(steps: int) -> Body:
    """As ``sequential``, with dicts for results."""
    ids = [f"step-{number}" for number in range(steps)]

    async def body(ctx: Any) -> int:
        total = 0
        for number, step_id in enumerate(ids):
            total += (await ctx.step.run(step_id, row, number))["id"]
        return total

    return body


def loop(steps: int) -> Body:
    """So many uses of one id, which count up."""

    async def body(ctx: Any) -> int:
        total = 0
        for number in range(steps):
            total += await ctx.step.run("step", value, number)
        return total

    return body


def napping(steps: int) -> Body:
    """So many steps, and an hour of sleep in the middle."""
    before, after = sequential(steps // 2), sequential(steps - steps // 2)

    async def body(ctx: Any) -> int:
        total: int = await before(ctx)
        await ctx.step.sleep("an-hour", "1h")
        total += await after(ctx)
        return total

    return body


def durable(name: str, body: Body) -> DurableFunction:
    """A body as a durable function; its ``body`` stays the same object."""
    return durable_function(name)(body)


def race(simulation: Simulation) -> None:
    """Three steps side by side, then a wait, which an event answers."""
    run = simulation.start(THREE_STEPS_AND_A_WAIT)
    simulation.send("race/approved", at="30m")
    run.wait()


async def _three_steps_and_a_wait(ctx: Any) -> bool:
    await asyncio.gather(*(ctx.step.run(f"step-{number}", nothing) for number in range(3)))
    return await ctx.step.wait_for_event("approval", event="race/approved", timeout="1h") is not None


THREE_STEPS_AND_A_WAIT = durable("race", _three_steps_and_a_wait)


async def race_with_asyncio() -> bool:
    """The nearest equivalent of ``race`` for tools that permute asyncio: three tasks, then an event with a timeout."""
    approved = asyncio.Event()
    memo: dict[str, None] = {}

    async def step(name: str) -> None:
        await asyncio.sleep(0)
        memo[name] = nothing()

    async def approve() -> None:
        await asyncio.sleep(1800)
        approved.set()

    approving = asyncio.ensure_future(approve())
    await asyncio.gather(*(step(f"step-{number}") for number in range(3)))
    await asyncio.wait_for(approved.wait(), 3600)
    await approving
    return True


def side_by_side(steps: int, *, independent: bool) -> Callable[[Simulation], None]:
    """A scenario of so many parallel steps; independent ones have promised to touch nothing."""

    async def body(ctx: Any) -> None:
        await asyncio.gather(*(ctx.step.run(f"step-{number}", nothing) for number in range(steps)))

    function = durable(f"side-by-side-{steps}", body)

    def scenario(simulation: Simulation) -> None:
        if independent:
            for number in range(steps):
                simulation.touches(f"step-{number}")
        simulation.run(function)

    return scenario
