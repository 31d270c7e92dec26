"""Functions of the Inngest SDK: what the engine adds to the SDK's own handler, and how the SDK's own test kit compares.

    python benchmarks/sdk.py

The handler's share is measured alone: the requests of one run are kept, and made again on a plain asyncio loop.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import peers
import programs
from measuring import INFO, Candidate, Row, factor, judged, judged_at_least, least, plain, seconds, skipped, table

from pytest_durable import Simulation

SIZES = (1, 10, 30, 100)
TIMES = {1: 40, 10: 8, 30: 2, 100: 1}
MOST_OVER_HANDLER = 1.6
OVER_MOCKED = 5.0


def sdk_function(steps: int) -> Any:
    """An SDK function of so many steps, one after the other."""
    import inngest

    client = inngest.Inngest(app_id="bench", is_production=False)
    body = programs.sequential(steps)

    @client.create_function(fn_id=f"sequential-{steps}", trigger=inngest.TriggerEvent(event="bench/go"))
    async def function(ctx: inngest.Context) -> int:
        return await body(ctx)  # type: ignore[no-any-return]

    return function


def handler_alone(function: Any) -> Callable[[], Any]:
    """A context with the work of the SDK's handler in one run of a function, and nothing of the engine's."""
    from pytest_durable.adapters import inngest as adapter
    from pytest_durable.adapters import spec_of

    host: Any = spec_of(function, "bench").host
    # The handler knows the function itself here, not what the engine looks at it through.
    alone = copy.copy(host.handler)
    alone._fns = {function.id: function}  # noqa: SLF001 - as the handler's constructor does
    made: list[tuple[Any, ...]] = []
    request_to = adapter.request_to

    def remembered(*parts: Any) -> Any:
        made.append(parts)
        return request_to(*parts)

    with mock.patch.object(adapter, "request_to", remembered), Simulation() as simulation:
        simulation.run(function)

    @contextmanager
    def prepared() -> Iterator[Callable[[], object]]:
        loop = asyncio.new_event_loop()

        async def requests() -> None:
            for parts in made:
                await alone.post(request_to(*parts))

        try:
            yield lambda: loop.run_until_complete(requests())
        finally:
            loop.close()

    return prepared


def rows(*, repeats: int) -> list[Row]:
    """The engine over the handler, size by size, and the SDK's own test kit over the engine."""
    try:
        import inngest  # noqa: F401 - whether it is here
    except ImportError as error:
        return [skipped("functions of the Inngest SDK", f"inngest cannot be imported here: {error}", "")]
    found = []
    for size in SIZES:
        function = sdk_function(size)

        @contextmanager
        def prepared(function: Any = function) -> Iterator[Callable[[], object]]:
            with Simulation() as simulation:
                yield lambda: simulation.run(function)

        low, high = least([Candidate(handler_alone(function), TIMES[size]), Candidate(prepared, TIMES[size])], repeats)
        row = judged(f"engine and SDK / the SDK's handler alone, {size} steps", high / low, MOST_OVER_HANDLER, factor)
        found.append(row._replace(measured=f"{row.measured}  ({seconds(high)} / {seconds(low)})"))
    function = sdk_function(peers.STEPS)

    def work(replay: str) -> Callable[[], None]:
        def run() -> None:
            with Simulation(replay=replay) as simulation:
                simulation.run(function)

        return run

    modes = ("checkpoint", "always")
    other, *mine = least([plain(peers.mocked_run()), *(plain(work(mode)) for mode in modes)], repeats)
    for mode, taken in zip(modes, mine, strict=True):
        what = f"inngest.experimental.mocked / engine, an SDK function of {peers.STEPS} steps, replay={mode!r}"
        row = judged_at_least(what, other / taken, OVER_MOCKED, factor)
        if mode == "always":
            # Every request goes through the SDK's handler, of which this is mostly the time.
            row = row._replace(target="", verdict=INFO)
        found.append(row._replace(measured=f"{row.measured}  ({seconds(other)} / {seconds(taken)})"))
    return found


if __name__ == "__main__":
    print(table(rows(repeats=4)))
