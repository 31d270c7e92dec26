"""What requests of SDK functions share: one event loop, as in a worker; what they leave behind, which is nothing."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import gc
import sys
import time
import warnings
import weakref

import pytest

from pytest_durable import DurabilityWarning, RunFailed, RunStuck, Simulation, durable_function, explore, faults

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


@pytest.mark.parametrize("first", ["waits", "sets"])
def test_whoever_starts_first_a_wait_is_woken(first):
    """What is due, and has not begun, may wake a request too, so that is not refused."""
    event = asyncio.Event()

    async def waits(ctx):
        await ctx.step.run("wait", event.wait)
        return stamp()

    async def sets(ctx):
        async def work():
            await asyncio.sleep(90)
            event.set()

        await ctx.step.run("set", work)

    functions = [make(waits), make(sets)]
    with Simulation() as sim:
        runs = [sim.start(function) for function in (functions if first == "waits" else reversed(functions))]
        sim.run_until_idle()
        assert [run.status for run in runs] == ["completed", "completed"]
        assert "01:30" in [run.result for run in runs]


@pytest.mark.parametrize("about", ["a script", "a fault"])
def test_a_script_or_a_fault_for_another_step_takes_no_lock_away(about):
    """Handlers overlap and wait for each other whatever the test has to say about some step."""
    lock, log = asyncio.Lock(), []

    async def body(ctx):
        async def take():
            async with lock:
                log.append(f"begins {stamp()}")
                await asyncio.sleep(10)

        await ctx.step.run("take", take)

    function, sim = make(body), Simulation()
    if about == "a script":
        sim.step("another").returns(1).maybe()
        said = contextlib.nullcontext()
    else:
        sim.faults.add(faults.step_error(step="another"))
        said = pytest.warns(DurabilityWarning, match="about nothing that came up")
    with said, sim:
        for _ in range(2):
            sim.start(function)
        sim.run_until_idle()
    assert log == ["begins 00:00", "begins 00:10"]


def test_a_scripted_handler_that_pauses_is_closed_with_its_run():
    """Whoever ends the wait for it, by a timeout of the body, lets go of its handler and of the lock it holds."""
    lock, log = asyncio.Lock(), []

    async def hold():
        async with lock:
            try:
                await asyncio.sleep(100)
            finally:
                log.append("left")

    async def body(ctx):
        try:
            async with asyncio.timeout(5):
                await ctx.step.run("hold", hold)
        except TimeoutError:
            return [stamp(), lock.locked()]

    function, sim = make(body), Simulation()
    sim.step("another").returns(1).maybe()
    with pytest.warns(DurabilityWarning, match="or a timeout of asyncio has cut it off"), sim:
        assert sim.run(function) == ["00:05", False]
    assert log == ["left"]


def test_a_task_that_is_left_behind_goes_on_as_on_a_server():
    """A worker on a queue, started by the first request, serves the second one; one that holds a lock keeps it."""
    queue, lock, log = asyncio.Queue(), asyncio.Lock(), []

    async def work():
        while True:
            number, done = await queue.get()
            done.set_result(number * 2)

    async def holds():
        async with lock:
            await asyncio.sleep(30)

    async def served(ctx):
        async def ask(number):
            done = asyncio.get_running_loop().create_future()
            queue.put_nowait((number, done))
            return await done

        if not kept:
            kept.extend([asyncio.create_task(work()), asyncio.create_task(holds())])
        return [await ctx.step.run("a", ask, 1), await ctx.step.run("b", ask, 2)]

    async def waits(ctx):
        async def take():
            async with lock:
                log.append(stamp())

        await ctx.step.run("take", take)

    kept = []
    with Simulation() as sim:
        assert sim.run(make(served)) == [2, 4]
        sim.run(make(waits))
    assert log == ["00:30"]


def test_what_one_simulation_leaves_is_no_task_of_the_next_one():
    """Whoever keeps a task that was left behind sees it end with its simulation."""
    kept, counted = [], []

    async def leaves(ctx):
        kept.append(asyncio.create_task(asyncio.Event().wait()))

    async def counts(ctx):
        counted.append(len(asyncio.all_tasks()))

    for body in (leaves, counts):
        with Simulation() as sim:
            sim.run(make(body))
    assert counted == [1]


def test_a_body_that_waits_for_nobody_is_stuck_by_name():
    """It is no step that is under way, and the message does not speak of one."""

    async def waits(ctx):
        await asyncio.Event().wait()

    async def sleeps(ctx):
        await ctx.step.sleep("nap", dt.timedelta(minutes=1))

    with Simulation() as sim:
        sim.start(make(sleeps))
        run = sim.start(make(waits))
        with pytest.raises(RunStuck, match="its body is under way, and waits for something of asyncio"):
            run.wait()


async def beats():
    while True:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(60)


def test_code_that_catches_everything_in_a_loop_ends_with_its_simulation():
    """Neither a task that is left behind nor a body hangs the process when it is closed."""

    async def leaves(ctx):
        asyncio.get_running_loop().create_task(beats())
        return await ctx.step.run("a", lambda: 1)

    with Simulation() as sim:
        assert sim.run(make(leaves)) == 1
        sim.advance("10m")
        run = sim.start(make(polls))
        sim.advance("10m")
        assert run.status == "running"


async def polls(ctx):
    await beats()


def test_an_async_generator_that_is_left_is_cleaned_up():
    """As on any event loop: behind a ``break`` its ``finally`` runs to its end, awaits and all."""
    log = []

    async def numbers():
        try:
            for number in range(5):
                yield number
                await asyncio.sleep(1)
        finally:
            await asyncio.sleep(1)
            log.append(f"cleaned {stamp()}")

    async def body(ctx):
        async def first():
            async for number in numbers():
                if number == 1:
                    break
            return stamp()

        return await ctx.step.run("first", first)

    with Simulation() as sim:
        assert sim.run(make(body)) == "00:01"
        sim.run_until_idle()
    assert log == ["cleaned 00:02"]


KEPT_CALLS = {
    "run": lambda step: step.run("a", lambda: 1),
    "sleep": lambda step: step.sleep("a", 1000),
    "invoke": lambda step: step.invoke_by_id("a", function_id="f"),
    "ai": lambda step: step.ai.infer("a", adapter=None, body={}),
}


@pytest.mark.parametrize("name", KEPT_CALLS)
def test_step_tools_that_are_kept_are_refused_in_another_request(name):
    """Every method of theirs, and what hangs on them."""
    kept = []

    async def keeps(ctx):
        kept.append(ctx.step)

    async def uses(ctx):
        return await KEPT_CALLS[name](kept[0])

    with Simulation() as sim:
        sim.run(make(keeps))
        with pytest.raises(RunFailed, match="in a request of app-uses with the ctx of another one, of app-keeps"):
            sim.run(make(uses))


def test_the_ai_of_step_tools_that_are_gone_says_so():
    """Kept without the tools that it belongs to, it has nobody to ask."""
    kept = []

    async def keeps(ctx):
        kept.append(ctx.step.ai)

    async def uses(ctx):
        await kept[0].infer("a", adapter=None, body={})

    with Simulation() as sim:
        sim.run(make(keeps))
        with pytest.raises(RunFailed, match=r"ctx\.step\.ai is used behind the request that it belongs to"):
            sim.run(make(uses))


def test_a_ctx_can_be_changed_and_copied():
    """Middleware and bodies may put tools of their own in it, and a copy is an ordinary one."""

    class Named:
        def __init__(self, step):
            self.step = step

        async def run(self, step_id, handler):
            return await self.step.run(f"my-{step_id}", handler)

    async def body(ctx):
        ctx.step = Named(ctx.step)
        copy = dataclasses.replace(ctx, attempt=3)
        return [await ctx.step.run("a", lambda: 1), copy.attempt, copy.run_id == ctx.run_id]

    with Simulation() as sim:
        run = sim.start(make(body))
        assert run.wait() == [1, 3, True]
        assert run.steps == ["my-a"]


def test_a_simulation_inside_a_step_is_one_of_its_own():
    """Nothing of the request around it is seen in it."""

    async def inner(ctx):
        return await ctx.step.run("b", lambda: "inner")

    async def outer(ctx):
        def simulate():
            with Simulation() as sim:
                return sim.run(make(inner))

        return await ctx.step.run("a", simulate)

    with Simulation() as sim:
        assert sim.run(make(outer)) == "inner"


@pytest.mark.parametrize("replay", ["always", "checkpoint"])
def test_a_timer_of_the_body_that_passes_in_a_blocking_step_changes_nothing(replay):
    """A request that goes on in place ends as one that is made anew."""

    async def body(ctx):
        try:
            async with asyncio.timeout(2):
                await ctx.step.run("a", lambda: time.sleep(3))
                return await ctx.step.run("b", lambda: "in time")
        except TimeoutError:
            return "too late"

    with Simulation(replay=replay) as sim:
        assert sim.run(make(body)) == "in time"


def test_the_search_finds_both_orders_of_what_is_left_behind_and_a_step():
    """A task behind a response is code like any other, and two of one run are two."""
    seen = set()

    def scenario(sim):
        log = []

        async def later(what):
            await asyncio.sleep(1)
            log.append(what)

        async def leaves(ctx):
            asyncio.get_running_loop().create_task(later(f"late {len(made)}"))
            made.append(1)
            await ctx.step.run("a", lambda: None)

        made = []
        sim.run(make(leaves))
        sim.run_until_idle()
        seen.add(tuple(log))

    assert explore(scenario).complete
    assert seen == {("late 0", "late 1"), ("late 1", "late 0")}


async def falls_back():
    try:
        await asyncio.sleep(100)
    except asyncio.CancelledError:
        return "fallback"


@pytest.mark.parametrize("scripted", [False, True])
def test_a_scripted_test_cancels_a_handler_as_any_other(scripted):
    """A handler that is cut off by a timeout of the body may still answer, whatever scripts there are."""

    async def body(ctx):
        async with asyncio.timeout(1):
            return await ctx.step.run("a", falls_back)

    with Simulation() as sim:
        if scripted:
            sim.step("another").returns(1).maybe()
        assert sim.run(make(body)) == "fallback"


@pytest.mark.parametrize("scripted", [False, True])
def test_what_a_handler_leaves_belongs_to_its_request(scripted):
    """Its tasks go on behind it, with scripts as without."""
    log = []

    async def later():
        await asyncio.sleep(5)
        log.append(stamp())

    async def body(ctx):
        async def leaves():
            asyncio.get_running_loop().create_task(later())

        await ctx.step.run("a", leaves)

    with Simulation() as sim:
        if scripted:
            sim.step("another").returns(1).maybe()
        sim.run(make(body))
        sim.run_until_idle()
    assert log == ["00:05"]


WAITS = {
    "event": lambda: asyncio.Event().wait(),
    "queue": lambda: asyncio.Queue().get(),
    "future": lambda: asyncio.get_running_loop().create_future(),
}


@pytest.mark.parametrize("what", WAITS)
def test_code_that_catches_everything_and_waits_ends_with_its_simulation(what):
    """Whatever it waits for again and again, native and of the SDK."""

    async def stubborn():
        while True:
            with contextlib.suppress(BaseException):
                await WAITS[what]()

    async def body(ctx):
        await ctx.step.run("a", stubborn)

    @durable_function("native")
    async def native(ctx):
        await ctx.step.run("a", stubborn)

    with Simulation() as sim:
        runs = [sim.start(make(body)), sim.start(native)]
        sim.advance("1h")
        assert [run.status for run in runs] == ["running", "running"]


def test_tracing_is_as_before_when_code_was_left_by_force():
    """No frame of the author keeps what has thrown out another one."""

    async def body(ctx):
        await ctx.step.run("a", beats)

    def tracer(*_):
        return None

    with Simulation() as sim:
        sim.start(make(body))
        sim.advance("1h")
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


def test_a_task_that_beats_for_ever_is_let_go_of_and_told():
    """Nobody waits for it, so it ends at a bound, and the run says so."""

    async def leaves(ctx):
        async def beat():
            while True:
                await asyncio.sleep(1)

        asyncio.get_running_loop().create_task(beat())

    def play():
        with Simulation() as sim:
            sim.start(make(leaves))
            sim.run_until_idle()

    with pytest.warns(DurabilityWarning, match="has gone to sleep 1,000 times .* Cancel it in a `finally`"):
        play()


def swallows(ctx):
    while True:
        with contextlib.suppress(BaseException):
            ctx.step.run("a", lambda: 1)


async def swallows_async(ctx):
    while True:
        with contextlib.suppress(BaseException):
            await ctx.step.run("a", lambda: 1)


@pytest.mark.parametrize("body", [swallows, swallows_async])
@pytest.mark.parametrize("native", [False, True])
def test_what_is_left_by_force_leaves_no_exception_behind(body, native):
    """The interpreter handles nothing afterwards, else every later error would have a context of another one."""
    function = durable_function("f", retries=0)(body) if native else make(body, retries=0)

    def play():
        with Simulation() as sim:
            return sim.start(function), sim.run_until_idle()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DurabilityWarning)
        run, _ = play()
    assert run.status == "failed"
    assert sys.exc_info() == (None, None, None)
