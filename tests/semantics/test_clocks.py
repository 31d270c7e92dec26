"""The clocks of the process read virtual time, wherever one looks, with either backend; and real time afterwards."""

import asyncio
import datetime as dt
import threading
import time
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import freezegun
import pytest
import time_machine

from pytest_durable import RunFailed, Simulation, UsageError, durable_function

START = datetime(2025, 1, 1, tzinfo=UTC)
BACKENDS = pytest.mark.parametrize("clock", ["time-machine", "freezegun"])


def looks():
    """What the clocks of the process say, in seconds since START."""
    return [
        time.time() - START.timestamp(),
        time.time_ns() / 1e9 - START.timestamp(),
        (datetime.now(UTC) - START).total_seconds(),
        (datetime.now(timezone(timedelta(hours=5))) - START).total_seconds(),
        (dt.datetime.now(dt.UTC) - START).total_seconds(),
    ]


def agree(expected):
    return looks() == pytest.approx([expected] * 5, abs=1e-3)


@BACKENDS
def test_bodies_steps_and_tests_read_virtual_time(clock):
    """Inside bodies, steps and the test itself, every clock of the process reads the simulation's instant."""
    checked = []

    @durable_function("looks")
    async def look(ctx):
        checked.append(agree((sim.now - START).total_seconds()))
        await ctx.step.sleep("nap", "1h")
        checked.append(agree(3600))
        return await ctx.step.run("step", lambda: agree(3600))

    with Simulation(clock=clock) as sim:
        assert agree(0)
        run = sim.start(look)
        sim.advance("30m")
        assert agree(1800)
        assert run.wait() is True
        assert agree(3600)
        assert datetime.now(UTC) == sim.now
    assert checked == [True] * 5


@BACKENDS
def test_after_the_simulation_real_time_is_back(clock):
    """Leaving the simulation undoes the patches: the clocks are the ones of before, and run on."""
    before = (time.time, datetime, time.sleep)
    real = datetime.now(UTC)
    with Simulation(clock=clock) as sim:
        sim.advance("10d")
    assert (time.time, datetime, time.sleep) == before
    assert abs(datetime.now(UTC) - real) < timedelta(minutes=10)


def test_sync_bodies_read_virtual_time():
    """A sync body and its sync steps read the same clocks."""

    @durable_function("looks")
    def look(ctx):
        ctx.step.sleep("nap", "90s")
        return [agree(90), ctx.step.run("step", lambda: agree(90))]

    with Simulation() as sim:
        assert sim.run(look) == [True, True]


def test_a_replay_reads_the_present_not_the_past(durable):
    """The clock of a body is the instant at which it is entered: code before a sleep reads a later time on replay."""
    seen = []

    @durable_function("reads")
    async def reads(ctx):
        seen.append((datetime.now(UTC) - START).total_seconds())
        await ctx.step.sleep("nap", "1h")
        await ctx.step.sleep("more", "1h")

    durable.run(reads)
    assert seen == [0, 3600, 7200]


@BACKENDS
def test_a_simulation_that_is_not_entered_shows_virtual_time_only_while_it_is_driven(clock):
    """Simulation() without `with`: bodies and steps read virtual time, the test reads real time."""

    @durable_function("looks")
    async def look(ctx):
        await ctx.step.sleep("nap", "1h")
        return [agree(3600), await ctx.step.run("step", lambda: agree(3600))]

    real = datetime.now(UTC)
    sim = Simulation(clock=clock)
    assert sim.run(look) == [True, True]
    assert abs(datetime.now(UTC) - real) < timedelta(minutes=10)
    assert sim.now == START + timedelta(hours=1)


def test_the_clock_off_leaves_the_process_alone():
    """clock="off" patches nothing: only sim.now is virtual."""
    real = datetime.now(UTC)

    @durable_function("looks")
    async def look(ctx):
        await ctx.step.sleep("nap", "365d")
        return abs(datetime.now(UTC) - real) < timedelta(minutes=10)

    with Simulation(clock="off") as sim:
        assert sim.run(look) is True
        assert sim.now == START + timedelta(days=365)


def test_an_unknown_backend_is_refused():
    """clock= knows three words; another one is refused with the list of them."""
    with pytest.raises(UsageError, match=r"'sundial'.*'time-machine', 'freezegun', 'off'"):
        Simulation(clock="sundial")


# -- where a simulation starts ---------------------------------------------------------------------------------------


def test_the_default_start_is_the_first_of_january_2025():
    """Without a start, and without a frozen process, time begins at 2025-01-01T00:00Z."""
    assert Simulation().now == START
    with Simulation() as sim:
        assert sim.now == datetime.now(UTC) == START


@pytest.mark.parametrize(
    "moment", ["2031-02-03T04:05:06Z", datetime(2031, 2, 3, 5, 5, 6, tzinfo=timezone(timedelta(hours=1)))]
)
def test_a_start_can_be_given(moment):
    """start= takes an aware datetime or ISO text, in any zone; sim.now is in UTC."""
    with Simulation(start=moment) as sim:
        assert sim.now == datetime.now(UTC) == datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
        assert sim.now.tzinfo is UTC


def test_a_start_without_a_zone_is_refused():
    """A naive start is refused, with the value and the remedy."""
    with pytest.raises(UsageError, match="time zone"):
        Simulation(start=datetime(2031, 2, 3))  # noqa: DTZ001 - the mistake under test


def test_the_start_is_inherited_from_freeze_time():
    """Inside freezegun's freeze_time a simulation starts at the frozen moment, and freezegun shows its time."""
    frozen = datetime(2030, 5, 17, 12, 0, 0, 250_000, tzinfo=UTC)
    with freezegun.freeze_time(frozen):
        with Simulation() as sim:
            assert sim.now == frozen
            sim.advance("1h")
            assert datetime.now(UTC) == frozen + timedelta(hours=1)
            assert time.time() == (frozen + timedelta(hours=1)).timestamp()
        assert datetime.now(UTC) == frozen


@pytest.mark.parametrize("tick", [False, True])
def test_the_start_is_inherited_from_time_machine(tick):
    """Inside time_machine.travel a simulation starts at the moment travelled to."""
    moment = datetime(2030, 5, 17, 12, tzinfo=UTC)
    with time_machine.travel(moment, tick=tick):
        with Simulation() as sim:
            assert abs(sim.now - moment) < timedelta(minutes=1)
            start = sim.now
            sim.advance("1h")
            assert datetime.now(UTC) == start + timedelta(hours=1)
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


def test_an_own_start_wins_over_a_frozen_process():
    """start= counts also inside freeze_time, which is back afterwards."""
    with freezegun.freeze_time("2030-05-17"):
        with Simulation(start=START) as sim:
            assert sim.now == datetime.now(UTC) == START
        assert datetime.now(UTC) == datetime(2030, 5, 17, tzinfo=UTC)


@BACKENDS
def test_a_simulation_inside_another_does_not_inherit_its_time(clock):
    """Two simulations of one process each start at their own moment."""
    with Simulation(clock=clock) as outer:
        outer.advance("3d")
        assert Simulation(clock=clock).now == START


# -- sleeping in steps -----------------------------------------------------------------------------------------------


def slept(function, **options):
    """How long the step "nap" took in virtual time; it must take no real time worth the name."""
    real = time.perf_counter()
    with Simulation(**options) as sim:
        run = sim.start(function)
        run.wait()
    assert time.perf_counter() - real < 5
    step = run.step("nap")
    return (step.ended_at - step.started_at).total_seconds()


@BACKENDS
def test_time_sleep_in_a_step_takes_virtual_time(clock):
    """time.sleep in a step takes virtual time and no real time, and the clocks move while it sleeps."""
    seen = []

    @durable_function("naps")
    def naps(ctx):
        def nap():
            seen.append(agree(0))
            time.sleep(600)
            seen.append(agree(600))
            time.sleep(0.5)
            seen.append(agree(600.5))

        ctx.step.run("nap", nap)

    assert slept(naps, clock=clock) == 600.5
    assert seen == [True, True, True]


@BACKENDS
def test_asyncio_sleep_in_a_step_takes_virtual_time(clock):
    """asyncio.sleep in a step takes virtual time, side by side as the longest, and the clocks move."""
    seen = []

    @durable_function("naps")
    async def naps(ctx):
        async def nap():
            await asyncio.sleep(600)
            seen.append(agree(600))
            await asyncio.gather(asyncio.sleep(10), asyncio.sleep(30))
            seen.append(agree(630))

        await ctx.step.run("nap", nap)

    assert slept(naps, clock=clock) == 630
    assert seen == [True, True]


def test_sleep_functions_as_handlers():
    """time.sleep and asyncio.sleep given as the handlers themselves take virtual time too."""

    @durable_function("naps")
    async def naps(ctx):
        await ctx.step.run("nap", time.sleep, 3600)

    @durable_function("naps-async")
    async def naps_async(ctx):
        await ctx.step.run("nap", asyncio.sleep, 3600)

    assert slept(naps) == 3600
    assert slept(naps_async) == 3600


def test_a_sleep_of_a_failed_attempt_counts():
    """A step that sleeps and then fails has taken its time: the pause of the retry begins when it failed."""
    tries = []

    @durable_function("naps")
    def naps(ctx):
        def nap():
            tries.append(time.time() - START.timestamp())
            time.sleep(100)
            if len(tries) == 1:
                raise ValueError("after the nap")

        ctx.step.run("nap", nap)

    slept(naps)
    assert tries[0] == 0
    assert 115 <= tries[1] < 145


def test_sleeping_steps_overlap():
    """Parallel steps that sleep take as long as the longest; each reads its own time."""
    seen = {}

    @durable_function("naps")
    async def naps(ctx):
        def nap(name, length):
            time.sleep(length)
            seen[name] = agree(length)

        await asyncio.gather(*(ctx.step.run(f"nap-{n}", nap, n, n) for n in (30, 10, 20)))

    with Simulation() as sim:
        run = sim.start(naps)
        run.wait()
        assert run.steps == ["nap-10", "nap-20", "nap-30"]
        assert sim.now == START + timedelta(seconds=30)
    assert seen == {30: True, 10: True, 20: True}


def test_sleeping_is_refused_in_a_body_and_named():
    """time.sleep in a body fails the run at once; the message says what to write instead."""

    @durable_function("sleeps")
    async def sleeps(ctx):
        time.sleep(1)

    with Simulation() as sim:
        run = sim.start(sleeps)
        with pytest.raises(RunFailed, match=r"time\.sleep\(1\) in the body.*ctx\.step\.sleep") as failure:
            run.wait()
        assert isinstance(failure.value.__cause__, UsageError)
        assert run.invocations == 1


@pytest.mark.parametrize("length", [-1, "1", None])
def test_a_bad_sleep_in_a_step_is_the_error_of_that_step(length):
    """time.sleep with a bad argument raises in the step what the real one raises."""
    with pytest.raises((TypeError, ValueError)) as real:
        time.sleep(length)

    @durable_function("naps")
    def naps(ctx):
        def nap():
            try:
                time.sleep(length)
            except (TypeError, ValueError) as error:
                return type(error).__name__

        return ctx.step.run("nap", nap)

    with Simulation() as sim:
        assert sim.run(naps) == type(real.value).__name__


def test_time_machine_inside_freeze_time_is_refused_with_the_remedy():
    """The two cannot work at once: the message says what to say instead, and the next simulation works."""
    with freezegun.freeze_time("2030-05-17"):
        with pytest.raises(UsageError, match=r'leave the argument away.*"freezegun"'), Simulation(clock="time-machine"):
            pass
        with Simulation() as sim:
            assert sim.now.year == datetime.now(UTC).year == 2030


def test_the_test_itself_sleeps_in_real_time_or_not_at_all():
    """time.sleep in test code is the real one; a zero sleep returns at once."""
    with Simulation() as sim:
        assert time.sleep(0) is None
        assert sim.now == START


def test_other_threads_keep_their_own_sleep():
    """While a simulation is driven, time.sleep in a thread that it does not know is the real one."""
    driven, errors = threading.Event(), []

    def heart():
        driven.wait(10)
        try:
            time.sleep(0)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    thread = threading.Thread(target=heart)
    thread.start()

    def beaten():
        driven.set()
        thread.join(10)
        return True

    with Simulation() as sim:
        sim.run_until(beaten)
    assert errors == []


def test_a_runner_of_its_own_in_a_sync_step_takes_virtual_time_or_is_refused():
    """asyncio.run in a sync step must not sleep for real: virtual time passes, or the step is refused by name."""

    def nap():
        coro = asyncio.sleep(0.05)
        try:
            asyncio.run(coro)
        finally:
            coro.close()

    @durable_function("naps")
    def naps(ctx):
        ctx.step.run("nap", nap)

    with Simulation() as sim:
        run = sim.start(naps)
        try:
            run.wait()
        except RunFailed as error:
            assert isinstance(error.__cause__, UsageError)  # noqa: PT017 - both answers are honest
        else:
            step = run.step("nap")
            assert step.ended_at - step.started_at == timedelta(seconds=0.05)


# -- calendars -------------------------------------------------------------------------------------------------------


def test_leap_days_and_ends_of_months(durable):
    """Sleeping days crosses leap days and ends of months as the calendar has them."""

    @durable_function("sleeps")
    async def sleeps(ctx):
        days = []
        for length in ("28d", "1d", "366d"):
            await ctx.step.sleep("nap", length)
            days.append(await ctx.step.run("look", lambda: datetime.now(UTC).date().isoformat()))
        return days

    durable.advance_to("2028-01-31T12:00:00Z")
    assert durable.run(sleeps) == ["2028-02-28", "2028-02-29", "2029-03-01"]


def test_a_day_is_24_hours_also_where_clocks_change(durable):
    """A sleep of one day over a change to summer time is 24 hours, whatever the wall clock says."""
    berlin = ZoneInfo("Europe/Berlin")

    @durable_function("sleeps")
    async def sleeps(ctx):
        await ctx.step.sleep("nap", "1d")
        return datetime.now(berlin).isoformat()

    durable.advance_to(datetime(2025, 3, 29, 12, tzinfo=berlin))
    assert durable.run(sleeps) == "2025-03-30T13:00:00+02:00"


def test_microseconds_are_kept(durable):
    """Instants are exact to the microsecond, far from the start too."""
    durable.advance(timedelta(days=365 * 70, microseconds=1))
    assert datetime.now(UTC) == durable.now == START + timedelta(days=365 * 70, microseconds=1)
    assert date.today() == durable.now.date()  # noqa: DTZ011 - the clock under test


# -- a freeze that begins behind the simulation -----------------------------------------------------------------------


def frozen_by(tool):
    """A freeze at the start of 1999, of either tool."""
    if tool == "freezegun":
        return freezegun.freeze_time("1999-01-01")
    return time_machine.travel(datetime(1999, 1, 1, tzinfo=UTC), tick=False)


@durable_function("reads")
async def reads(ctx):
    """The clock of the process in a body and in a step, an hour later."""
    first = datetime.now(UTC).isoformat()
    first = await ctx.step.run("first", lambda: first)
    await ctx.step.sleep("nap", "1h")
    return [first, await ctx.step.run("then", lambda: datetime.now(UTC).isoformat())]


@pytest.mark.parametrize("tool", ["freezegun", "time-machine"])
@pytest.mark.parametrize("use", ["run", "now", "send", "advance", "eventually"])
def test_a_freeze_around_the_test_is_taken_up_by_a_simulation_made_before(tool, use):
    """As with a decorator of the test, which freezes behind the fixture: the simulation starts there, unless used."""
    with Simulation() as sim:
        with frozen_by(tool):
            if use == "send":
                sim.send("any")
            elif use == "advance":
                sim.advance(0)
            elif use == "eventually":
                sim.eventually(lambda: True, within="1d")
            elif use == "now":
                assert sim.now == datetime(1999, 1, 1, tzinfo=UTC)
            assert sim.run(reads) == ["1999-01-01T00:00:00+00:00", "1999-01-01T01:00:00+00:00"]
            assert sim.now == datetime.now(UTC) == datetime(1999, 1, 1, 1, tzinfo=UTC)
        assert sim.run(reads) == ["1999-01-01T01:00:00+00:00", "1999-01-01T02:00:00+00:00"]
    assert datetime.now(UTC).year not in {1999, 2025}


@pytest.mark.parametrize("tool", ["freezegun", "time-machine"])
@pytest.mark.parametrize("explicit", [False, True])
def test_a_freeze_does_not_hide_the_time_of_a_simulation_in_use(tool, explicit):
    """Its time goes on where it was, and is what the process reads; with start= from there."""
    with Simulation(start="2025-01-01T00:00:00Z" if explicit else None) as sim:
        if not explicit:
            assert sim.now == START
        with frozen_by(tool):
            assert sim.run(reads) == ["2025-01-01T00:00:00+00:00", "2025-01-01T01:00:00+00:00"]
    assert datetime.now(UTC).year not in {1999, 2025}
