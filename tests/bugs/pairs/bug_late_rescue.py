"""Satellite: upload new software; when that fails for good, `on_failure` switches to the old one.

Ground control may report by an event that the upload was seen working; a second function then locks the new
software in. A report that comes just when the upload has failed locks in what the failure handler then
switches back: two versions are active. The twin lets the satellite's own table decide which of the two was
first.
"""

import pytest

from pytest_durable import Context, between, durable_function

DEVIATIONS = 2


class Satellite:
    """The version that each side believes in; the table decides if it is asked."""

    def reset(self):
        self.locked = False
        self.reverted = False
        self.decided = None

    def upload(self):
        raise OSError("no carrier")

    def lock(self):
        self.locked = True

    def revert(self):
        self.reverted = True

    def lock_if_first(self):
        self.decided = self.decided or "new"
        self.locked = self.decided == "new"

    def revert_if_first(self):
        self.decided = self.decided or "old"
        self.reverted = self.decided == "old"


satellite = Satellite()


@pytest.fixture(autouse=True)
def fresh(durable):
    satellite.reset()


async def revert_bug(ctx: Context):
    await ctx.step.run("revert", satellite.revert)


async def revert_ok(ctx: Context):
    await ctx.step.run("revert", satellite.revert_if_first)


@durable_function("upload", trigger="software/ready", retries=1, on_failure=revert_bug)
async def upload_bug(ctx: Context):
    await ctx.step.run("upload", satellite.upload)


@durable_function("upload-decided", trigger="software/ready", retries=1, on_failure=revert_ok)
async def upload_ok(ctx: Context):
    await ctx.step.run("upload", satellite.upload)


@durable_function("lock-in", trigger="software/seen.working")
async def lock_bug(ctx: Context):
    if not await ctx.step.run("is-reverted", lambda: satellite.reverted):
        await ctx.step.run("lock", satellite.lock)


@durable_function("lock-in-decided", trigger="software/seen.working")
async def lock_ok(ctx: Context):
    await ctx.step.run("lock", satellite.lock_if_first)


def has_one_version(durable, upload, lock):
    durable.register(lock)
    durable.start(upload)
    durable.send("software/seen.working", at=between("10s", "5m"))
    durable.advance("10m")
    assert satellite.locked + satellite.reverted == 1


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_bug(durable):
    """Some schedule shows the defect."""
    has_one_version(durable, upload_bug, lock_bug)


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_ok(durable):
    """No schedule breaks the twin."""
    has_one_version(durable, upload_ok, lock_ok)
