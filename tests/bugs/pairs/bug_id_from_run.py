"""Backup: copy, then verify, under names that end with the run's id.

Within one run the ids are stable; a run that is started again for the same backup, from the history of the
first one, finds none of its steps. The battery's `id_stability` sees it. The twin's ids are fixed.
"""

from pytest_durable import Context, checks, durable_function

DEVIATIONS = None


@durable_function("backup", trigger="night/begun")
async def backup_bug(ctx: Context):
    await ctx.step.run(f"copy-{ctx.run_id}", lambda: 1)
    await ctx.step.run(f"verify-{ctx.run_id}", lambda: 2)


@durable_function("backup-fixed", trigger="night/begun")
async def backup_ok(ctx: Context):
    await ctx.step.run("copy", lambda: ctx.run_id)
    await ctx.step.run("verify", lambda: ctx.run_id)


def test_bug():
    """The check reports the defect."""
    checks.check_durable(backup_bug)


def test_ok():
    """The check has nothing against the twin."""
    checks.check_durable(backup_ok)
