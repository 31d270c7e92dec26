"""The algorithms alone, on made-up histories: buckets, ends of debounces, queues."""

from collections import Counter as Tally
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_durable._core.flow import Debounce, Gcra, RateLimit, Throttle
from pytest_durable._core.instants import HOUR, MINUTE, SECOND
from pytest_durable._core.queues import Counter, Line, Pace, Party, Queue, Slots

# -- the bucket -------------------------------------------------------------------------------------------------------


def admitted(bucket, instants):
    """The instants at which the bucket admits, of those at which it is asked."""
    taken = []
    for now in instants:
        if bucket.opens(now) <= now:
            bucket.take(now)
            taken.append(now)
    return taken


def admitted_by_the_book(limit, period, burst, instants):
    """The rule as it is written down, in exact fractions."""
    emission, due, taken = Fraction(period, limit), None, []
    for now in instants:
        later = now + emission if due is None else max(due, now) + emission
        if later - emission * (burst + 1) <= now:
            due = later
            taken.append(now)
    return taken


rates = st.tuples(st.integers(1, 40), st.integers(1, 200), st.integers(0, 40))
gaps = st.lists(st.integers(0, 60), max_size=60)


def instants_of(steps, start=1_000):
    """Instants with these gaps."""
    found = [start]
    for step in steps:
        found.append(found[-1] + step)
    return found


@given(rates, gaps)
def test_a_bucket_admits_what_the_rule_says(rate, steps):
    """Whole numbers admit exactly what fractions would, so nothing is rounded."""
    limit, period, burst = rate
    instants = instants_of(steps)
    assert admitted(Gcra(limit, period, burst), instants) == admitted_by_the_book(limit, period, burst, instants)


@given(rates, gaps)
def test_a_window_never_holds_more_than_its_share(rate, steps):
    """In any window: burst + 1, and one more for every emission interval that fits."""
    limit, period, burst = rate
    taken = admitted(Gcra(limit, period, burst), instants_of(steps))
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first <= burst + Fraction((taken[last] - start) * limit, period)


@given(rates, gaps)
def test_a_bucket_opens_when_it_says(rate, steps):
    """One microsecond before it is closed, and at the instant it is open."""
    bucket = Gcra(*rate)
    admitted(bucket, instants_of(steps))
    now = instants_of(steps)[-1]
    opens = bucket.opens(now)
    assert opens == bucket.opens(opens)
    if opens > now:
        assert bucket.opens(opens - 1) == opens


@pytest.mark.parametrize(
    ("limit", "period", "at_once", "then"),
    [
        (1, 4 * HOUR, 1, 4 * HOUR),
        (5, MINUTE, 1, 12 * SECOND),
        (10, MINUTE, 2, 6 * SECOND),
        (100, HOUR, 11, 36 * SECOND),
    ],
)
def test_a_rate_limit_lets_a_tenth_and_one_more_through(limit, period, at_once, then):
    """Then one in every period / limit."""
    bucket = RateLimit(limit, period).bucket()
    assert len(admitted(bucket, [0] * 50)) == at_once
    assert bucket.opens(0) == then
    bucket.take(then)
    assert bucket.opens(then) == 2 * then


@pytest.mark.parametrize(("limit", "burst", "at_once"), [(1, 1, 2), (1, 0, 1), (2, 1, 3), (10, 5, 15), (0, 1, 2)])
def test_a_throttle_lets_limit_and_burst_through(limit, burst, at_once):
    """A limit of 0 counts as 1."""
    bucket = Throttle(limit, MINUTE, burst).bucket()
    assert len(admitted(bucket, [0] * 50)) == at_once
    assert bucket.opens(0) == MINUTE // max(limit, 1)


def test_a_period_of_nothing_limits_nothing():
    """Nothing is ever due."""
    assert len(admitted(Throttle(1, 0, 0).bucket(), [0] * 9)) == 9


# -- the end of a debounce --------------------------------------------------------------------------------------------


@given(st.integers(1, 100), st.one_of(st.none(), st.integers(1, 300)), gaps)
def test_a_debounce_ends_a_period_after_the_last_event_or_at_its_timeout(period, timeout, steps):
    """Never before the last event, never later than the timeout after the first."""
    rule = Debounce(period, timeout=timeout)
    first = now = 0
    for step in steps:
        ends = rule.ends(first, now)
        assert ends == min(now + period, now + period if timeout is None else max(first + timeout, now))
        if now + step > ends:
            break
        now += step


@pytest.mark.parametrize(
    ("now", "left"), [(0, 10), (9, 6), (10, 5), (14.5, 1), (15, 1)], ids=["first", "9s", "10s", "14.5s", "15s"]
)
def test_the_real_server_counts_what_is_left_in_seconds(now, left):
    """Period 10 s, timeout 15 s: what is left of the timeout is cut to whole seconds, and one at the least."""
    rule = Debounce(10 * SECOND, timeout=15 * SECOND, grain=SECOND)
    assert rule.ends(0, int(now * SECOND)) == int(now * SECOND) + left * SECOND


# -- queues -----------------------------------------------------------------------------------------------------------


class Waiter:
    """A request."""

    def __init__(self, name, party, score, takes):
        self.name, self.party, self.score, self.takes = name, party, (score, 0), takes
        self.gone = False
        self.holder = name

    def __repr__(self):
        return self.name


class Model:
    """A small world around a queue: arrivals, requests that take time, turns."""

    def __init__(self):
        self.queue = Queue(self.wake)
        self.now = 0
        self.due = []
        self.turns = {}
        self.inside = []
        self.served = []
        self.waiting = []
        self.arrived = 0

    def wake(self, line, at):
        self.turns[line] = min(at, self.turns.get(line, at))

    def serve(self, waiter):
        place = getattr(waiter, "place", (waiter.score, 0))
        for other in self.waiting:
            if other.place < place and not set(other.party.lines).isdisjoint(waiter.party.lines):
                assert any(line not in waiter.party.lines and line.opens(self.now) != self.now
                           for line in other.party.lines), f"{waiter} overtakes {other}"  # fmt: skip
        self.served.append((self.now, waiter))
        self.inside.append((self.now + waiter.takes, waiter))
        counts = Tally(line.counter for _, one in self.inside for line in one.party.lines if line.slots)
        assert all(counts[line.counter] <= line.limit for line in waiter.party.lines if line.slots)

    def run(self, arrivals):
        """Play arrivals ``(at, waiter)``; everything happens, or this loop does not end."""
        arrivals = sorted(arrivals, key=lambda pair: pair[0])
        for _ in range(100_000):
            instants = [at for at, _ in arrivals[:1]] + [at for at, _ in self.inside] + list(self.turns.values())
            if not instants:
                return
            self.now = max(self.now, min(instants))
            if arrivals and arrivals[0][0] <= self.now:
                waiter = arrivals.pop(0)[1]
                self.arrived += 1
                waiter.place = (waiter.score, self.arrived)
                if self.queue.enter(waiter, waiter.party, waiter.score, self.now):
                    self.serve(waiter)
                else:
                    self.waiting.append(waiter)
                continue
            ending = next((pair for pair in self.inside if pair[0] <= self.now), None)
            if ending is not None:
                self.inside.remove(ending)
                for line in ending[1].party.lines:
                    if line.slots:
                        self.queue.leave(line, ending[1].holder, self.now)
                continue
            line = next(line for line, at in self.turns.items() if at <= self.now)
            del self.turns[line]
            waiter = self.queue.turn(line, self.now)
            if waiter is not None:
                self.waiting = [one for one in self.waiting if one is not waiter]
                self.serve(waiter)
        pytest.fail("it does not end")


def lines_of(limits, throttle):
    """A counter for each limit, and a throttle."""
    slots = [Slots(f"s{n}", f"s{n}", Counter(), limit, whole_run=False) for n, limit in enumerate(limits)]
    return [*slots, Pace("t", "t", Throttle(throttle, 10, 0).bucket())]


@given(
    st.lists(st.integers(1, 3), min_size=3, max_size=3),
    st.integers(1, 3),
    st.lists(
        st.tuples(st.integers(0, 30), st.sets(st.integers(0, 3)), st.integers(0, 3), st.integers(0, 9)), max_size=25
    ),
)
def test_everybody_is_served_and_no_limit_is_passed(limits, throttle, requests):
    """Whatever lines requests need, each has its turn, and nobody is let in where it is full."""
    lines, parties, arrivals = lines_of(limits, throttle), {}, []
    for number, (at, needs, score, takes) in enumerate(requests):
        chosen = tuple(lines[n] for n in sorted(needs)) or (lines[0],)
        party = parties.setdefault(chosen, Party(chosen))
        arrivals.append((at, Waiter(f"w{number}", party, score, takes)))
    model = Model()
    model.run(arrivals)
    assert sorted(waiter.name for _, waiter in model.served) == sorted(waiter.name for _, waiter in arrivals)
    assert all(line.counter.count == 0 and not line.counter.held for line in lines if line.slots)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_one_slot_is_given_by_score_and_then_by_arrival(scores):
    """Who came first has it; of the others the lowest score, and of equal ones who came first."""
    party = Party((Slots("s", "s", Counter(), 1, whole_run=False),))
    model = Model()
    model.run([(0, Waiter(f"{number:02}", party, score, 5)) for number, score in enumerate(scores)])
    waited = sorted(range(1, len(scores)), key=lambda number: (scores[number], number))
    assert [waiter.name for _, waiter in model.served] == [f"{number:02}" for number in [0, *waited]]


def test_who_is_patient_lets_a_better_one_in():
    """A line that is always open orders those who wait for their turn."""
    model, party = Model(), Party((Line("q", "q"),))
    for number, score in enumerate([3, 1, 2]):
        assert not model.queue.enter(Waiter(f"w{number}", party, score, 0), party, (score, 0), 0, patient=True)
    model.run([])
    assert [waiter.name for _, waiter in model.served] == ["w1", "w2", "w0"]


def test_who_is_gone_has_no_turn():
    """A cancelled run leaves its place to the next."""
    model, party = Model(), Party((Slots("s", "s", Counter(), 1, whole_run=False),))
    waiters = [Waiter(f"w{number}", party, 0, 5) for number in range(4)]
    assert [model.queue.enter(waiter, party, (0, 0), 0) for waiter in waiters] == [True, False, False, False]
    waiters[1].gone = waiters[3].gone = True
    model.serve(waiters[0])
    model.run([])
    assert [waiter.name for _, waiter in model.served] == ["w0", "w2"]


def test_two_limits_on_one_counter():
    """Functions that share a key may have limits of their own: the wider one is open while the narrow one is full."""
    counter, model = Counter(), Model()
    narrow = Party((Slots("narrow", "n", counter, 1, whole_run=False),))
    wide = Party((Slots("wide", "w", counter, 2, whole_run=False),))
    arrivals = [Waiter("n1", narrow, 0, 5), Waiter("n2", narrow, 0, 5), Waiter("w1", wide, 0, 9)]
    model.run([(0, waiter) for waiter in arrivals])
    assert [(at, waiter.name) for at, waiter in model.served] == [(0, "n1"), (0, "w1"), (9, "n2")]


@pytest.mark.parametrize("distinct", [1, 50, 4_000], ids=["one key", "fifty keys", "a key for each"])
def test_ten_thousand_who_wait_are_not_looked_at_again_and_again(distinct):
    """The places that are looked at grow with the requests, not with their square."""

    class Counted(Party):
        looks = 0

        def place(self):
            Counted.looks += 1
            return super().place()

    shared = Slots("all", "all", Counter(), 3, whole_run=False)
    keyed = [Slots(f"k{n}", f"k{n}", Counter(), 1, whole_run=False) for n in range(distinct)]
    parties = [Counted((line, shared)) for line in keyed]
    count = 4_000
    model = Model()
    model.run([(0, Waiter(f"w{n}", parties[n % distinct], n, 1)) for n in range(count)])
    assert len(model.served) == count
    assert Counted.looks < 30 * count
