"""Choices are recorded, and a schedule replays the test that it was made from and no other."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_durable._core.choices import Choices, Deviation, First, Replay, Schedule, mark_of
from pytest_durable._core.errors import ScheduleError


class Fixed:
    """Answers with what it was given."""

    def __init__(self, *indices):
        self.indices = list(indices)

    def choose(self, label, options):
        return self.indices.pop(0)


@st.composite
def schedules(draw):
    """Any schedule that a simulation can record."""
    counts = draw(st.lists(st.integers(min_value=2, max_value=40), max_size=30))
    return Schedule(tuple(counts), tuple(draw(st.integers(min_value=0, max_value=count - 1)) for count in counts))


def follow(replay, counts):
    """Ask for choices with these numbers of options, and close the replay."""
    taken = tuple(replay.choose("order", range(count)) for count in counts)
    replay.finish()
    return taken


def test_one_option_is_no_choice():
    """Where only one thing can happen, nobody is asked and nothing is recorded."""
    choices = Choices(Fixed())
    assert choices.choose("order", ["only"]) == 0
    assert choices.schedule()[:2] == ((), ())


def test_a_choice_is_recorded():
    """The record holds the number of options and the one taken; a deviation also what it was."""
    choices = Choices(Fixed(0, 2))
    assert choices.choose("order", ["a", "b"]) == 0
    assert choices.choose("the fault", ["as usual", "crash", "loss"]) == 2
    assert choices.schedule() == ((2, 3), (0, 2), (mark_of("loss"),))
    assert choices.deviations == [Deviation(1, "the fault", 2, "loss", "as usual")]


@pytest.mark.parametrize("answer", [-1, 2, 99])
def test_an_answer_out_of_range_is_refused(answer):
    """A chooser that answers nonsense is named, with the label and the number of options."""
    with pytest.raises(ScheduleError, match=rf"answered {answer} to 'order', which has 2 options"):
        Choices(Fixed(answer)).choose("order", ["a", "b"])


def test_the_default_order_is_always_the_first_option():
    """Option 0 is what happens when nobody cares."""
    assert First().choose("order", ["a", "b", "c"]) == 0


def test_the_text_of_a_schedule_shows_its_deviations():
    """A schedule is short: the number of choices, where it leaves the default, and a checksum."""
    text = str(Schedule((2, 3, 4), (0, 2, 0)))
    assert text.startswith("s1.3.1-2of3.")
    assert text == str(Schedule((2, 3, 4), (0, 2, 0)))


@given(schedules())
def test_a_schedule_survives_its_text(schedule):
    """Replayed against the same choices, the text takes what the schedule took."""
    assert follow(Replay(str(schedule)), schedule.counts) == schedule.indices


@given(schedules(), st.lists(st.integers(min_value=2, max_value=40), max_size=5))
def test_after_its_end_a_schedule_takes_the_default(schedule, more):
    """A test that goes on behind the schedule goes on in the default order."""
    taken = follow(Replay(str(schedule)), [*schedule.counts, *more])
    assert taken == (*schedule.indices, *[0] * len(more))


@given(schedules(), st.data())
def test_a_truncated_schedule_is_refused(schedule, data):
    """Half a line is never taken for a schedule, wherever it was cut."""
    text = str(schedule)
    cut = data.draw(st.integers(min_value=0, max_value=len(text) - 1))
    with pytest.raises(ScheduleError, match="copy the whole line"):
        Replay(text[:cut])


@pytest.mark.parametrize("text", ["", "s1", "s2.0.00000000", "s1.0.0000000g", "s1.1.0-1.00000000", "garbage", "s1.0"])
def test_what_is_no_schedule_is_refused(text):
    """Text of another form is refused at once, with what to copy."""
    with pytest.raises(ScheduleError, match="is not a schedule"):
        Replay(text)


def test_space_around_a_schedule_is_no_harm():
    """A line that was copied with its end is still the line."""
    assert follow(Replay(f" {Schedule((2, 2), (1, 0))}\n"), (2, 2)) == (1, 0)


@given(schedules(), st.data())
def test_a_foreign_schedule_is_refused(schedule, data):
    """A test with another number of options anywhere is another test."""
    assume(schedule.counts)
    counts = list(schedule.counts)
    place = data.draw(st.integers(min_value=0, max_value=len(counts) - 1))
    counts[place] = data.draw(st.integers(min_value=2, max_value=41).filter(lambda count: count != counts[place]))
    with pytest.raises(ScheduleError, match="does not fit this test"):
        follow(Replay(str(schedule)), counts)


@given(schedules(), st.data())
def test_a_test_with_fewer_choices_is_refused(schedule, data):
    """A schedule that is not used up belongs to another test."""
    assume(schedule.counts)
    fewer = data.draw(st.integers(min_value=0, max_value=len(schedule.counts) - 1))
    with pytest.raises(ScheduleError, match=rf"has {len(schedule.counts)} choices and the test made only {fewer}"):
        follow(Replay(str(schedule)), schedule.counts[:fewer])


def test_a_wrong_choice_is_named_where_it_is_met():
    """The first choice that differs is named with its label and both numbers."""
    replay = Replay(str(Schedule((2, 3), (0, 1))))
    replay.choose("order", "ab")
    with pytest.raises(ScheduleError, match=r"at choice 1 \(the fault\) it knows 3 options and the test offers 2"):
        replay.choose("the fault", "ab")


def test_another_option_in_the_same_place_is_named():
    """A test whose choices have as many options, and others, is another test: what it offers there is listed."""
    choices = Choices(Fixed(1))
    choices.choose("order", ["a", "b"])
    text = str(choices.schedule())
    assert Replay(text).choose("order", ["c", "b"]) == 1
    with pytest.raises(ScheduleError, match=r"at choice 0 \(order\) it took what the test does not offer .*: a, c"):
        Replay(text).choose("order", ["a", "c"])
