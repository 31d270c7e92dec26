"""Released packages that do the same work, measured in the same process and in turn with the engine.

    python benchmarks/peers.py [inngest] [aws] [simloop] [simloom]

Install them beside the package: ``inngest``, ``aws-durable-execution-sdk-python-testing``, ``simloop`` and ``simloom``
(these two from Python 3.12 on). One that cannot be imported has a row that says so.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import programs
import searching
from measuring import Candidate, Row, factor, judged_at_least, least, plain, seconds, skipped, table, wall_clock

from pytest_durable import Simulation

OVER_MOCKED, OVER_AWS = 20.0, 200.0
STEPS = 200


def mocked_run() -> Callable[[], object]:
    """A run of 200 steps in ``inngest.experimental.mocked``."""
    import inngest
    from inngest.experimental import mocked

    client = inngest.Inngest(app_id="bench", is_production=False)
    body = programs.sequential(STEPS)

    @client.create_function(fn_id="sequential", trigger=inngest.TriggerEvent(event="bench/go"))
    async def function(ctx: inngest.Context) -> int:
        return await body(ctx)  # type: ignore[no-any-return]

    test_client = mocked.Inngest(app_id="bench")

    def work() -> None:
        result = mocked.trigger(function, inngest.Event(name="bench/go"), test_client)
        if result.status is not mocked.Status.COMPLETED:
            message = f"mocked ends with {result}"
            raise AssertionError(message)

    return work


@contextmanager
def aws_run() -> Iterator[Callable[[], object]]:
    """A run of ten steps and a wait of an hour in the AWS durable testing runner."""
    from aws_durable_execution_sdk_python import DurableContext, durable_execution
    from aws_durable_execution_sdk_python.config import Duration
    from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner

    logging.getLogger("aws_durable_execution_sdk_python_testing").setLevel(logging.ERROR)

    @durable_execution
    def handler(event: Any, context: DurableContext) -> int:  # noqa: ARG001 - the handler's signature
        total = 0
        for number in range(5):
            total += context.step(lambda _, n=number: programs.value(n), name=f"step-{number}")
        context.wait(Duration.from_hours(1), name="an-hour")
        for number in range(5, 10):
            total += context.step(lambda _, n=number: programs.value(n), name=f"step-{number}")
        return total

    with DurableFunctionTestRunner(handler=handler) as runner:

        def work() -> None:
            result = runner.run(input="{}", execution_timeout=60)
            if result.status.value != "SUCCEEDED":
                message = f"the AWS runner ends with {result.status}"
                raise AssertionError(message)

        yield work


def rows(*, repeats: int) -> list[Row]:
    """One row for each peer."""
    return [over_mocked(repeats), over_aws(repeats)]


def over_mocked(repeats: int) -> Row:
    """The engine against ``inngest.experimental.mocked``, in CPU time."""
    what, target = f"inngest.experimental.mocked / engine, {STEPS} steps", f">= {factor(OVER_MOCKED)}"
    try:
        theirs = mocked_run()
    except ImportError as error:
        return skipped(what, f"inngest cannot be imported here: {error}", target)
    ours = programs.durable("mine", programs.sequential(STEPS))

    def work() -> None:
        with Simulation() as simulation:
            simulation.run(ours)

    other, mine = least([plain(theirs), plain(work, 3)], repeats)
    row = judged_at_least(what, other / mine, OVER_MOCKED, factor)
    return row._replace(measured=f"{row.measured}  ({seconds(other)} / {seconds(mine)})")


def over_aws(repeats: int) -> Row:
    """The engine against the AWS durable testing runner, in wall time: it waits for its own threads."""
    what = "AWS durable testing runner / engine, 10 steps and a wait, wall time"
    target = f">= {factor(OVER_AWS)}"
    ours = programs.durable("mine", programs.napping(10))

    def work() -> None:
        with Simulation() as simulation:
            simulation.run(ours)

    try:
        other, mine = least([Candidate(aws_run, 2), plain(work, 20)], repeats, wall_clock)
    except ImportError as error:
        return skipped(what, f"its package cannot be imported here: {error}", target)
    row = judged_at_least(what, other / mine, OVER_AWS, factor)
    return row._replace(measured=f"{row.measured}  ({seconds(other)} / {seconds(mine)})")


PEERS: dict[str, Callable[[], list[Row]]] = {
    "inngest": lambda: [over_mocked(4)],
    "aws": lambda: [over_aws(4)],
    "simloop": lambda: searching.peers(repeats=3, schedules=200, names=("simloop",)),
    "simloom": lambda: searching.peers(repeats=3, schedules=200, names=("simloom",)),
}


def main() -> None:
    """Measure the peers that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", help=", ".join(PEERS))
    wanted = parser.parse_args().peers or list(PEERS)
    if unknown := [name for name in wanted if name not in PEERS]:
        parser.error(f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    print(table([row for name in wanted for row in PEERS[name]()]))


if __name__ == "__main__":
    main()
