"""Lift: two runs, one moves the cabin and one reports; the report must not be out before the cabin has come.

Both sleep as long as a ride lasts and take for granted that the cabin is first. At one instant the report may
be done before the move is: a monitor over the two runs sees it, and nothing that lasts does. The twin reports
in the run that moves.
"""

import pytest

from pytest_durable import Context, durable_function

DEVIATIONS = 2


@durable_function("move", trigger="lift/called")
async def move(ctx: Context):
    await ctx.step.sleep("ride", "40s")


@durable_function("report", trigger="lift/called")
async def report_bug(ctx: Context):
    await ctx.step.sleep("ride", "40s")


@durable_function("report-behind", trigger="lift/called")
async def report_ok(ctx: Context):
    await ctx.step.invoke("move", function=move, data={})


def reports_behind_the_move(durable, *functions):
    durable.register(move, *functions)
    durable.send("lift/called")

    def early():
        done = {run.function_id: run.status == "completed" for run in durable.runs}
        return done.get("report") and not done.get("move")

    durable.never(early)
    durable.advance("5m")
    assert all(run.status == "completed" for run in durable.runs)


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_bug(durable):
    """Some schedule shows the defect."""
    reports_behind_the_move(durable, report_bug)


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_ok(durable):
    """No schedule breaks the twin."""
    reports_behind_the_move(durable, report_ok)
