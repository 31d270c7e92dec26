"""The programs of the benchmark: the floor and the engine must agree on them. Nothing here is timed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from pytest_durable import Simulation

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def load(name: str):
    """A script of the benchmarks folder as a module; the folder is no package, and its scripts import each other."""
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


floor = load("floor")
programs = load("programs")


@pytest.mark.parametrize("steps", [0, 1, 2, 25])
@pytest.mark.parametrize("program", ["sequential", "rows", "loop", "napping"])
def test_the_floor_and_the_engine_give_equal_results(program, steps):
    """One body, the same function object, has one result and one sequence of steps under both drivers."""
    body = getattr(programs, program)(steps)
    function = programs.durable("same", body)
    memo = {}
    with Simulation() as simulation:
        run = simulation.start(function)
        assert function.body is body
        assert run.wait() == floor.run_with(body, memo)
        assert run.steps == list(memo)
        assert run.invocations == len(memo) + 1


def test_the_floor_enters_the_body_from_the_top_after_every_step():
    """A memoising driver without an engine replays as often as the engine does, and calls each handler once."""
    entered, called = [], []

    async def body(ctx):
        entered.append(None)
        for number in range(3):
            await ctx.step.run("step", called.append, number)

    floor.drive(body)
    assert len(entered) == 4
    assert called == [0, 1, 2]


def test_the_floor_lets_errors_pass():
    """A handler that fails ends the run of the floor with its own error."""

    async def body(ctx):
        await ctx.step.run("bad", int, "no number")

    with pytest.raises(ValueError, match="no number"):
        floor.drive(body)


@pytest.mark.parametrize(("steps", "independent"), [(3, True), (3, False)])
def test_the_scenarios_of_the_searches_run(steps, independent):
    """The scenarios that the benchmark explores complete in the default order."""
    with Simulation() as simulation:
        programs.side_by_side(steps, independent=independent)(simulation)
        programs.race(simulation)
        assert [run.status for run in simulation.runs] == ["completed", "completed"]


def test_the_queueing_programs_complete_all_their_runs():
    """What is measured there is what happened: every event leads to a run that completes."""
    queueing = load("queueing")
    assert [program(40) for program in queueing.PROGRAMS] == [40, 40, 40, 40]
