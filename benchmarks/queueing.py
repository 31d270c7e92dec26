"""What flow control costs: a day of events through every gate, and ten thousand runs that wait for one slot.

Run it alone: ``python benchmarks/queueing.py``. Time is processor time of this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from measuring import Row, cpu_clock, judged, seconds

from pytest_durable import Concurrency, Context, Debounce, Priority, Simulation, Throttle, durable_function

DAY_MS = 86_400_000
MOST = 10.0 / 10_000
"""Seconds an event."""


def job(**options: Any) -> Any:
    """A function with two steps, of which the first takes a second."""

    @durable_function("job", trigger="job/asked", **options)
    async def body(ctx: Context) -> None:
        await ctx.step.run("work", asyncio.sleep, 1)
        await ctx.step.run("note", lambda: None)

    return body


def day(events: int) -> int:
    """A day of events, evenly spread, through debounce, throttle and two limits; how many runs completed."""
    key = "event.data.customer"
    function = job(
        debounce=Debounce(period="10s", key=key),
        throttle=Throttle(limit=100, period="1m"),
        concurrency=[Concurrency(limit=5), Concurrency(limit=1, key=key)],
    )
    with Simulation() as simulation:
        simulation.register(function)
        for number in range(events):
            simulation.send("job/asked", {"customer": number % 50}, at=number * DAY_MS // events)
        simulation.advance("25h")
        return sum(run.status == "completed" for run in simulation.runs)


def queue(runs: int, **options: Any) -> int:
    """Events of one instant that wait for a slot; how many runs completed."""
    with Simulation() as simulation:
        simulation.register(job(**options))
        for number in range(runs):
            simulation.send("job/asked", {"customer": number})
        simulation.run_until_idle()
        return sum(run.status == "completed" for run in simulation.runs)


def one_slot(runs: int) -> int:
    """One slot for all."""
    return queue(runs, concurrency=Concurrency(limit=1))


def own_keys(runs: int) -> int:
    """A key for each run, and three slots for all."""
    return queue(runs, concurrency=[Concurrency(limit=3), Concurrency(limit=1, key="event.data.customer")])


def by_priority(runs: int) -> int:
    """One slot, in the order of priorities."""
    return queue(runs, concurrency=Concurrency(limit=1), priority=Priority(run="int(event.data.customer) % 7"))


PROGRAMS: tuple[Callable[[int], int], ...] = (day, one_slot, own_keys, by_priority)


def rows(*, events: int) -> list[Row]:
    """A day of events; the target is for 10,000, and time grows with their number."""
    began = cpu_clock()
    completed = day(events)
    took = cpu_clock() - began
    row = judged(f"a day of {events:,} events through debounce, throttle and two limits", took, MOST * events, seconds)
    return [row._replace(measured=f"{row.measured}  ({completed:,} runs)")]


def main() -> None:
    """Print seconds for 2,500, 5,000 and 10,000 events: twice as many must not take four times as long."""
    for program in PROGRAMS:
        measured = []
        for size in (2_500, 5_000, 10_000):
            before = cpu_clock()
            completed = program(size)
            measured.append(f"{size:,}: {cpu_clock() - before:.2f} s ({completed:,} runs)")
        print(f"{program.__name__:12} {'; '.join(measured)}")


if __name__ == "__main__":
    main()
