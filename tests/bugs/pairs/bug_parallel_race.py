"""Weather: two stations are read with a RACE group, each followed by a step that files the reading.

The number of the file is counted while the branches go on, so it depends on which station answers first, and
the ids of the steps with it. The twin numbers the stations before they are asked.
"""

import pytest

from pytest_durable import Context, ParallelMode, durable_function

DEVIATIONS = 1


class Archive:
    """Readings by number."""

    def reset(self):
        self.files = {}

    def read(self, station):
        return {"north": -2, "south": 11}[station]

    def file(self, number, value):
        self.files[number] = value


archive = Archive()


@pytest.fixture(autouse=True)
def fresh(durable):
    archive.reset()


@durable_function("read-stations", trigger="hour/full")
async def stations_bug(ctx: Context):
    count = 0

    async def one(station):
        nonlocal count
        value = await ctx.step.run(f"read-{station}", archive.read, station)
        count += 1
        await ctx.step.run(f"file-{count}", archive.file, count, value)

    await ctx.group.parallel((lambda: one("north"), lambda: one("south")), parallel_mode=ParallelMode.RACE)


@durable_function("read-stations-numbered", trigger="hour/full")
async def stations_ok(ctx: Context):
    async def one(number, station):
        value = await ctx.step.run(f"read-{station}", archive.read, station)
        await ctx.step.run(f"file-{number}", archive.file, number, value)

    await ctx.group.parallel((lambda: one(1, "north"), lambda: one(2, "south")), parallel_mode=ParallelMode.RACE)


def files_north_first(durable, stations):
    durable.start(stations)
    durable.run_until_idle()
    assert archive.files == {1: -2, 2: 11}


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    files_north_first(durable, stations_bug)


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    files_north_first(durable, stations_ok)
