"""What requests of SDK functions share: one event loop, as in a worker; what they leave behind, which is nothing."""

import asyncio
import datetime as dt
import gc
import weakref

import pytest

from pytest_durable import RunStuck, Simulation, durable_function, explore

inngest = pytest.importorskip("inngest")


def make(body, name=None, **options):
    """A function of the SDK."""
    options.setdefault("trigger", inngest.TriggerEvent(event="app/go"))
    client = inngest.Inngest(app_id="app", is_production=False)
    return client.create_function(fn_id=name or body.__name__, **options)(body)


def stamp():
    """Minutes and seconds of the virtual clock."""
    return f"{dt.datetime.now(dt.UTC):%M:%S}"


@pytest.mark.parametrize("replay", ["always", "checkpoint"])
def test_a_semaphore_of_the_module_limits_the_steps_of_every_request(replay):
    """What was contended in one request is as good in the next one, and in the next simulation."""
    two_at_once, log = asyncio.Semaphore(2), []

    async def one(number):
        async with two_at_once:
            await asyncio.sleep(1)
            log.append(f"{number} {stamp()}")

    async def body(ctx):
        async def all_of_them():
            await asyncio.gather(*map(one, range(3)))

        await ctx.step.run("first", all_of_them)
        await ctx.step.run("second", all_of_them)

    function = make(body)
    for _ in range(2):
        log.clear()
        with Simulation(replay=replay) as sim:
            sim.run(function)
        assert log == ["0 00:01", "1 00:01", "2 00:02", "0 00:03", "1 00:03", "2 00:04"]


def test_a_lock_holds_between_the_runs_of_a_function_and_those_of_native_ones():
    """Whoever waits for a lock goes on at the instant at which it is free."""
    lock, log = asyncio.Lock(), []

    async def charge(who):
        async with lock:
            log.append(f"{who} begins {stamp()}")
            await asyncio.sleep(10)
        log.append(f"{who} ends {stamp()}")

    async def body(ctx):
        await ctx.step.run("charge", lambda: charge("sdk"))

    @durable_function("native")
    async def native(ctx):
        await ctx.step.run("charge", charge, "native")

    function = make(body)
    with Simulation() as sim:
        runs = [sim.start(function), sim.start(native), sim.start(function)]
        sim.advance("15s")
        assert [run.status for run in runs] == ["completed", "running", "running"]
        assert "charge  (run) under way since then" in runs[2].timeline()
        sim.run_until_idle()
    assert log == [
        "sdk begins 00:00", "sdk ends 00:10", "native begins 00:10", "native ends 00:20", "sdk begins 00:20",
        "sdk ends 00:30",
    ]  # fmt: skip


def test_a_request_that_sleeps_can_be_woken_by_another_run():
    """A wait with a timeout of asyncio ends when the event is set, and its timer is over with it."""
    paid, log = asyncio.Event(), []

    async def waits(ctx):
        async def wait():
            await asyncio.wait_for(paid.wait(), 3600)
            log.append(stamp())

        await ctx.step.run("wait", wait)

    async def pays(ctx):
        async def pay():
            await asyncio.sleep(90)
            paid.set()

        await ctx.step.run("pay", pay)

    with Simulation() as sim:
        runs = [sim.start(make(waits)), sim.start(make(pays))]
        sim.run_until_idle()
        assert [run.status for run in runs] == ["completed", "completed"]
        assert sim.now.minute == 1
    assert log == ["01:30"]


def test_a_request_that_the_others_leave_waiting_is_stuck():
    """While others are under way they may wake it; behind them the run is stuck, and says in which step."""

    async def waits(ctx):
        await ctx.step.run("wait", lambda: asyncio.Event().wait())

    async def sleeps(ctx):
        await ctx.step.run("sleep", lambda: asyncio.sleep(60))

    with Simulation() as sim:
        other, run = sim.start(make(sleeps)), sim.start(make(waits))
        with pytest.raises(RunStuck, match=r"'wait' \(run\) has been under way since 1m"):
            run.wait()
        assert other.status == "completed"


def test_a_request_that_waits_for_a_lock_keeps_its_slot():
    """Of a function that may run once at a time, nobody else begins while its request waits for another one."""
    lock, log = asyncio.Lock(), []

    async def holder(ctx):
        async def hold():
            async with lock:
                await asyncio.sleep(60)

        await ctx.step.run("hold", hold)

    async def narrow(ctx):
        async def work():
            async with lock:
                log.append(f"{ctx.event.data['n']} {stamp()}")

        log.append(f"{ctx.event.data['n']} enters {stamp()}")
        await ctx.step.run("work", work)

    function = make(narrow, concurrency=[inngest.Concurrency(limit=1)], retries=0)
    with Simulation() as sim:
        sim.start(make(holder))
        for number in (1, 2):
            sim.start(function, {"n": number})
        sim.run_until_idle()
    entered = [line for line in log if "enters" in line]
    assert entered[0] == "1 enters 00:00"
    assert all("01:0" in line for line in entered[1:])


def test_the_search_finds_who_takes_the_lock_first():
    """Two runs that want one lock get it in either order, and the search sees both."""
    seen = set()

    def scenario(sim):
        lock, order = asyncio.Lock(), []

        async def body(ctx):
            async def take():
                async with lock:
                    order.append(ctx.event.data["who"])
                    await asyncio.sleep(1)

            await ctx.step.run("take", take)

        function = make(body)
        for who in "ab":
            sim.start(function, {"who": who})
        sim.run_until_idle()
        seen.add("".join(order))

    assert explore(scenario).complete
    assert seen == {"ab", "ba"}


def test_what_a_request_leaves_behind_needs_no_garbage_collector():
    """The step tools of every request are gone with it, and all that they hold of the SDK's."""
    kept = []

    async def body(ctx):
        kept.append(weakref.ref(ctx.step))
        await ctx.step.run("a", lambda: asyncio.sleep(1))
        await ctx.step.sleep("nap", 1000)

    gc.collect()
    gc.disable()
    try:
        with Simulation() as sim:
            sim.run(make(body))
            assert len(kept) == 3
            assert [reference() for reference in kept] == [None, None, None]
    finally:
        gc.enable()


def test_the_step_tools_stay_of_the_class_of_the_sdk():
    """Code that asks for their class, or for the tools of the request it is in, finds what it finds on a server."""
    found = []

    async def body(ctx):
        found.append((isinstance(ctx.step, inngest.Step), type(ctx.step).__name__, type(ctx.step).__module__))

    with Simulation() as sim:
        sim.run(make(body))
    assert found == [(True, "Step", inngest.Step.__module__)]
