"""The world: time goes forward, everything due is handled in order, and whatever is equal is a choice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_durable._core.choices import ORDER
from pytest_durable._core.errors import BoundReachedError
from pytest_durable._core.happenings import NEWS, TIMER, WORK, Happening
from pytest_durable._core.world import World

DUES = st.lists(st.tuples(st.integers(min_value=0, max_value=50), st.sampled_from([WORK, NEWS, TIMER])), max_size=30)


class Subject:
    """Whose happening it is."""

    def __init__(self, name):
        self.id = self.name = name


class Last:
    """Always takes the last option, and keeps what it was offered."""

    def __init__(self):
        self.offered = []

    def choose(self, label, options):
        self.offered.append((label, [str(option) for option in options]))
        return len(options) - 1


def plan(world, log, at, rank=WORK, name="x", **kwargs):
    """Put a happening on the world that writes the time and its name."""
    act = kwargs.pop("act", lambda: log.append((world.now, name)))
    return world.push(Happening(at, rank, "event", Subject(name), "", act, **kwargs))


def never():
    """Drive on."""
    return False


def advance(world, length):
    """As a simulation advances."""
    until = world.now + length
    world.drive(until, never)
    world.move_to(until)


@given(DUES)
def test_all_that_is_due_is_handled_in_order(dues):
    """Instants in order; at one instant work, then news, then timers, each in the order in which it was planned."""
    world, log = World(0), []
    for number, (at, rank) in enumerate(dues):
        plan(world, log, at, rank, (at, rank, number))
    advance(world, 50)
    assert [name for _, name in log] == sorted((at, rank, n) for n, (at, rank) in enumerate(dues))
    assert all(now == name[0] for now, name in log)


@given(DUES, st.lists(st.integers(min_value=0, max_value=20), min_size=1, max_size=6))
def test_pieces_of_time_are_time(dues, pieces):
    """``advance(a); advance(b)`` is ``advance(a + b)``: the same happenings at the same instants, the same clock."""
    logs = []
    for parts in (pieces, [sum(pieces)]):
        world, log = World(0), []
        for number, (at, rank) in enumerate(dues):
            plan(world, log, at, rank, number)
        for part in parts:
            advance(world, part)
        logs.append((log, world.now))
    assert logs[0] == logs[1]


@given(DUES, st.lists(st.integers(min_value=0, max_value=20), max_size=6), st.data())
def test_time_never_goes_back(dues, pieces, data):
    """Not when things were due in the past, not when happenings plan others, not when the clock is moved."""
    shown, log = [], []
    world = World(0, on_time=shown.append)

    def breed(at):
        if len(log) < 100:
            plan(world, log, at + data.draw(st.integers(min_value=-20, max_value=20)))

    for at, rank in dues:
        plan(world, log, at, rank, act=lambda at=at: breed(at))
    for piece in pieces:
        advance(world, piece)
        world.move_to(world.now - 5)
    assert shown == sorted(set(shown))
    assert [now for now, _ in log] == sorted(now for now, _ in log)


@given(DUES, st.integers(min_value=0, max_value=50))
def test_nothing_is_handled_early(dues, until):
    """A drive handles what is due up to its last instant and leaves the rest."""
    world, log = World(0), []
    for at, rank in dues:
        plan(world, log, at, rank)
    world.drive(until, never)
    assert len(log) == sum(1 for at, _ in dues if at <= until)
    assert world.now <= until


def test_what_is_due_in_the_past_happens_now():
    """A happening that is late happens at the present instant."""
    world, log = World(100), []
    plan(world, log, 7)
    world.drive(100, never)
    assert log == [(100, "x")]


def test_what_was_called_off_never_happens():
    """Before its instant and at it; and calling off what happened is no harm."""
    world, log = World(0), []
    later, now, done = (
        plan(world, log, 5, name="later"),
        plan(world, log, 0, name="now"),
        plan(world, log, 0, name="done"),
    )
    world.call_off(later)
    world.call_off(now)
    world.drive(10, never)
    world.call_off(done)
    world.call_off(done)
    assert log == [(0, "done")]


def test_a_happening_can_go_before_its_equals():
    """``first`` puts it before what is ready already."""
    world, log = World(0), []
    plan(world, log, 0, name="a")
    world.push(Happening(0, WORK, "event", Subject("b"), "", lambda: log.append((0, "b"))), first=True)
    world.drive(0, never)
    assert [name for _, name in log] == ["b", "a"]


def test_a_drive_stops_when_it_is_done():
    """``done`` is asked before the first and after every happening, and the clock stays where it came true."""
    world, log = World(0), []
    for at in (3, 5, 8):
        plan(world, log, at)
    assert world.drive(100, lambda: True)
    assert log == []
    assert world.drive(100, lambda: len(log) == 2)
    assert world.now == 5
    assert not world.drive(6, lambda: len(log) == 3)
    assert log == [(3, "x"), (5, "x")]


def test_equal_instants_are_a_choice():
    """Whatever is ready at one instant is offered, in the default order, until one is left."""
    chooser, log = Last(), []
    world = World(0, chooser)
    for rank, name in ((TIMER, "timer"), (NEWS, "news"), (WORK, "work")):
        plan(world, log, 4, rank, name)
    world.drive(10, never)
    assert [name for _, name in log] == ["timer", "news", "work"]
    assert chooser.offered == [
        (ORDER, ["event 'work' arrives", "event 'news' arrives", "event 'timer' arrives"]),
        (ORDER, ["event 'work' arrives", "event 'news' arrives"]),
    ]
    assert world.choices.schedule()[:2] == ((3, 2), (2, 1))


def test_the_record_is_the_same_without_and_with_a_chooser():
    """The default order takes a short way, and its record is as if it had been asked."""
    from pytest_durable._core.choices import First, Schedule

    class Asked(First):
        """The default order on the long way."""

    worlds = [World(0, First()), World(0, Asked())]
    for world in worlds:
        for at in (1, 1, 1, 2, 3, 3):
            plan(world, [], at)
        world.drive(5, never)
    assert worlds[0].choices.schedule() == worlds[1].choices.schedule() == Schedule((3, 2, 2), (0, 0, 0))


def test_idling_goes_through_timers_and_never_through_a_timeout():
    """Idle means: only timeouts of waits and other weak things are left."""
    world, log = World(0), []
    plan(world, log, 10, TIMER, "timeout", weak=True, answer=True)
    plan(world, log, 20, TIMER, "sleep")
    world.drive(None, never, idle=True)
    assert (log, world.now) == ([], 0)
    plan(world, log, 5, TIMER, "short sleep")
    world.drive(None, never, idle=True)
    assert (log, world.now) == ([(5, "short sleep")], 5)


def test_idling_at_the_instant_of_a_timeout_leaves_the_timeout():
    """What else is due at that very instant happens."""
    world, log = World(0), []
    plan(world, log, 10, TIMER, "timeout", weak=True, answer=True)
    plan(world, log, 10, TIMER, "sleep")
    world.drive(None, never, idle=True)
    assert log == [(10, "sleep")]
    world.drive(10, never)
    assert log == [(10, "sleep"), (10, "timeout")]


@pytest.mark.parametrize(("kwargs", "distance", "what"), [
    ({"per_instant": 50}, 0, "more than 50 happenings at one instant"),
    ({"per_drive": 60}, 1, "more than 60 happenings in one drive"),
])  # fmt: skip
def test_every_loop_has_a_bound(kwargs, distance, what):
    """A livelock and a storm end with the bound, the instant and the last happening."""
    world = World(0, **kwargs)
    count = []

    def again():
        count.append(1)
        plan(world, [], world.now + distance, name="echo", act=again)

    again()
    with pytest.raises(BoundReachedError, match=rf"{what}, at 1970-01-01 .*event 'echo' arrives"):
        world.drive(None, never)
    assert len(count) in {51, 61}


def test_the_bound_counts_one_instant_at_a_time():
    """Many happenings at many instants are no livelock."""
    world, log = World(0, per_instant=10), []
    for at in range(100):
        plan(world, log, at // 10)
    world.drive(20, never)
    assert len(log) == 100


class Scripted(Last):
    """Takes these options, in order, and then the first."""

    def __init__(self, *indices):
        super().__init__()
        self.indices = list(indices)

    def choose(self, label, options):
        super().choose(label, options)
        return self.indices.pop(0) if self.indices else 0


@pytest.mark.parametrize(
    ("later", "landed"),
    [(0, 0), (1, 3), (2, 5), (3, 8), (4, 9)],
)
def test_floating_news_may_land_at_every_due_instant_and_at_both_ends(later, landed):
    """``between(0, 9)`` with things due at 3, 5 and 8: five moments, from the start of the window to its end."""
    world, log = World(0, Scripted(*[1] * later)), []
    for at in (3, 5, 8):
        plan(world, [], at)
    floating = Happening(0, NEWS, "event", Subject("late"), "", lambda: log.append(world.now))
    world.add_floating(floating, 9)
    world.drive(100, never)
    assert log == [landed]


def test_floating_news_without_an_end_lands_when_nothing_else_is_due():
    """``ANYTIME`` reaches to the moment at which the world would be idle."""
    world, log = World(0, Last()), []
    plan(world, [], 7)
    world.add_floating(Happening(0, NEWS, "event", Subject("late"), "", lambda: log.append(world.now)), None)
    world.drive(None, never)
    assert log == [7]


def test_news_is_asked_about_only_when_something_is_due():
    """Inside its window, at an instant at which nothing is due, news of a free moment is no choice."""
    chooser, log = Last(), []
    world = World(0, chooser)
    world.add_floating(Happening(0, NEWS, "event", Subject("news"), "", lambda: log.append(world.now)), 100)
    advance(world, 10)
    assert len(chooser.offered) == 1
    advance(world, 10)
    assert (len(chooser.offered), log) == (1, [])
    plan(world, [], 30)
    advance(world, 80)
    assert len(chooser.offered) == 2
    assert log == [100]


def test_news_without_an_end_of_its_window_arrives_when_nothing_else_is_due():
    """Whoever put it off all the time gets it at last, each piece of news in its turn."""
    log = []
    world = World(0, Last())
    for name in ("a", "b"):
        happening = Happening(0, NEWS, "event", Subject(name), "", lambda name=name: log.append((world.now, name)))
        world.add_floating(happening, None if name == "b" else 50)
    plan(world, log, 70)
    world.drive(None, never)
    assert log == [(50, "a"), (70, "x"), (70, "b")]


def test_what_was_called_off_is_passed_over_whatever_its_rank():
    """The next one is taken, also of a later rank, where all before it are dead."""
    world, log = World(0), []
    dead = [plan(world, log, 0, rank) for rank in (WORK, WORK, NEWS)]
    plan(world, log, 0, TIMER, "timer")
    for happening in dead:
        world.call_off(happening)
    world.drive(0, never)
    assert log == [(0, "timer")]
