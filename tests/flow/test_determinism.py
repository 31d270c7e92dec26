"""Flow control in fresh interpreters: nothing in it depends on the hash seed."""

import subprocess
import sys
from pathlib import Path

import pytest

import pytest_durable

PROGRAM = """
import asyncio
from pytest_durable import *

def function(name, **options):
    @durable_function(name, trigger="go", **options)
    async def body(ctx):
        await asyncio.gather(*(ctx.step.run(step, asyncio.sleep, 1) for step in "abc"))
        return [event.data["n"] for event in ctx.events]
    return body

env = Concurrency(limit=1, scope="env", key="'x'")
with Simulation(seed=3) as sim:
    sim.register(
        function("queue", concurrency=[Concurrency(limit=2), Concurrency(limit=1, key="event.data.k")],
                 priority=Priority(run="int(event.data.n)")),
        function("throttle", throttle=Throttle(limit=1, period="2s"), concurrency=env),
        function("batch", batch_events=Batch(max_size=3, timeout="5s", key="event.data.k")),
        function("debounce", debounce=Debounce(period="2s")),
        function("singleton", singleton=Singleton(mode="cancel", key="event.data.k"), concurrency=env),
        function("rate", rate_limit=RateLimit(limit=20, period="1m")),
    )
    for n in range(20):
        sim.send("go", {"n": n, "k": n % 3}, at=n * 333)
    sim.run_until_idle()
    print(*(run.history.to_json() for run in sim.runs), *(event.outcome for event in sim.events), sep="\\n")
"""


def histories(hash_seed):
    """The histories and outcomes of the program above, from a fresh interpreter."""
    path = str(Path(pytest_durable.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.slow
def test_queues_and_gates_do_not_depend_on_the_hash_seed():
    """With three PYTHONHASHSEEDs the histories and outcomes are equal byte for byte."""
    first, *others = [histories(hash_seed) for hash_seed in ("0", "1", "31337")]
    assert len(first) > 50_000
    assert others == [first, first]
