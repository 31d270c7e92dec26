"""What Hypothesis draws beside schedules, and sets in another order."""

import pytest
from hypothesis import given

from pytest_durable import checks, durable_function
from pytest_durable.faults import BY_NAME, Fault
from pytest_durable.reordering import OtherFrozenSet, OtherSet, rebuilt
from pytest_durable.strategies import faults, step_outcomes


@given(outcomes=step_outcomes(errors=(KeyError, ValueError), max_failures=3))
def test_the_outcomes_of_a_step_are_errors_and_then_a_value(outcomes):
    """Some errors of the given types, not more than asked for, and one value behind them."""
    *errors, value = outcomes
    assert len(errors) <= 3
    assert all(isinstance(error, (KeyError, ValueError)) for error in errors)
    assert value is None


@given(fault=faults())
def test_a_fault_is_one_of_the_table(fault):
    """With its defaults."""
    assert isinstance(fault, Fault)
    assert fault.name in BY_NAME


@pytest.mark.parametrize("kind", [OtherSet, OtherFrozenSet])
def test_a_set_in_another_order_is_a_set(kind):
    """Its elements come in an order of their own, and it is equal to what it stands for; so are sets made of it."""
    plain = kind.plain(["a", "b", "c"])
    other = kind(plain)
    assert list(other) == ["a", "b", "c"]
    assert other == plain
    assert isinstance(plain, kind)
    assert type(other - {"b"}) is kind
    assert other - {"b"} == {"a", "c"}
    numbers = kind([3, 1, (2, True)])
    assert list(numbers) == list(kind.plain.__iter__(numbers))


def test_what_a_set_in_another_order_gives_up_is_its_first():
    """``pop`` takes what comes first in that order, and fails on an empty one as any set does."""
    other = OtherSet(["a", "b", "c"])
    order = list(other)
    assert [other.pop() for _ in order] == order
    with pytest.raises(KeyError):
        other.pop()


def test_a_function_without_a_definition_of_its_own_is_left_as_it_is():
    """What has no source, or is a lambda in a line of something else, is not built again."""
    names = {}
    exec("def f():\n    return {1, 2}", names)
    assert rebuilt(names["f"]) is names["f"]
    pair = (lambda: {1}, lambda: {2})
    assert rebuilt(pair[0]) is pair[0]


def test_a_body_that_takes_from_a_set_is_found():
    """The element that ``pop`` gives depends on the seed of hashes, and so do the steps."""

    @durable_function("f")
    async def f(ctx):
        names = set("abc")
        while names:
            await ctx.step.run(names.pop(), lambda: 1)

    with pytest.raises(checks.DurabilityError, match="its sets in another order"):
        checks.check_durable(f, only="replay_determinism")
