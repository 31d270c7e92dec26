"""Sync job: every ten minutes copy the new rows and move the mark behind them.

A slow copy is still under way at the next tick, which starts from the same mark and copies the same rows. One
slow step shows it. The twin leases the table for its run and lets a tick pass that finds it leased.
"""

import pytest

from pytest_durable import Context, TriggerCron, durable_function, faults

DEVIATIONS = 1
FAULTS = [faults.slow_step("15m", step="copy")]


class Table:
    """Rows, the mark, and the copies that were made."""

    def reset(self):
        self.rows = [1, 2, 3]
        self.mark = 0
        self.copies = []
        self.lease = None

    def take(self, run_id):
        self.lease = self.lease or run_id
        return self.lease == run_id

    def free(self, run_id):
        if self.lease == run_id:
            self.lease = None

    def copy(self, mark):
        new = self.rows[mark:]
        self.copies += new
        return mark + len(new)

    def move(self, mark):
        self.mark = mark


table = Table()


@pytest.fixture(autouse=True)
def fresh(durable):
    table.reset()


@durable_function("sync", trigger=TriggerCron(cron="*/10 * * * *"))
async def sync_bug(ctx: Context):
    mark = await ctx.step.run("read-mark", lambda: table.mark)
    mark = await ctx.step.run("copy", table.copy, mark)
    await ctx.step.run("move-mark", table.move, mark)


@durable_function("sync-leased", trigger=TriggerCron(cron="*/10 * * * *"))
async def sync_ok(ctx: Context):
    if not await ctx.step.run("take", table.take, ctx.run_id):
        return
    mark = await ctx.step.run("read-mark", lambda: table.mark)
    mark = await ctx.step.run("copy", table.copy, mark)
    await ctx.step.run("move-mark", table.move, mark)
    await ctx.step.run("free", table.free, ctx.run_id)


def copies_every_row_once(durable, sync):
    durable.register(sync)
    durable.advance("45m")
    assert table.copies == [1, 2, 3]


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    copies_every_row_once(durable, sync_bug)


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    copies_every_row_once(durable, sync_ok)
