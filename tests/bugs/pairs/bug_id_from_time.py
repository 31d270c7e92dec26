"""Thermostat: measure three times, a minute apart.

The id of each step is made of the hour and minute, so a replay asks for steps that nobody has run. The
default order shows it. The twin counts.
"""

from datetime import UTC, datetime

import pytest

from pytest_durable import ContextSync, durable_function

DEVIATIONS = 0


@durable_function("measure", trigger="room/entered")
def measure_bug(ctx: ContextSync):
    values = []
    for _ in range(3):
        values.append(ctx.step.run(f"measure-{datetime.now(UTC):%H-%M}", lambda: 21))
        ctx.step.sleep("a-minute", "1m")
    return values


@durable_function("measure-counted", trigger="room/entered")
def measure_ok(ctx: ContextSync):
    values = []
    for number in range(3):
        values.append(ctx.step.run(f"measure-{number}", lambda: 21))
        ctx.step.sleep("a-minute", "1m")
    return values


@pytest.mark.durable(explore="every")
def test_bug(durable):
    """Some schedule shows the defect."""
    assert durable.run(measure_bug) == [21, 21, 21]


@pytest.mark.durable(explore="every")
def test_ok(durable):
    """No schedule breaks the twin."""
    assert durable.run(measure_ok) == [21, 21, 21]
