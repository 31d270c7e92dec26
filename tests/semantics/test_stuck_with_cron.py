"""A run that nothing can wake is stuck, although cron goes on for ever."""

import pytest

from pytest_durable import RunStuck, TriggerCron, durable_function


def test_ticks_of_cron_do_not_hide_a_stuck_run(durable):
    """After a thousand ticks without anything happening to the run, wait() says that it is stuck."""

    @durable_function("hourly", trigger=TriggerCron(cron="0 * * * *"))
    async def hourly(ctx):
        return None

    @durable_function("waits")
    async def waits(ctx):
        await ctx.step.wait_for_event("godot", event="godot", timeout=None)

    durable.register(hourly)
    run = durable.start(waits)
    with pytest.raises(RunStuck, match="godot"):
        run.wait()
    assert len(durable.runs) < 1100
