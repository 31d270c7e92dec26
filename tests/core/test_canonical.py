"""JSON as the real server hands it back: keys sorted, and numbers as doubles in their shortest digits."""

import json

import pytest

from pytest_durable._core.canonical import NotJSONError, canonical, canonical_text


@pytest.mark.parametrize(
    ("sent", "back"),
    [
        (2.0, 2),
        (-0.0, 0),
        (2**53, 2**53),
        (2**53 + 1, 2**53),
        (2**53 + 3, 2**53 + 4),
        (-(2**53) - 3, -(2**53) - 4),
        (123_456_789_012_345_678, 123_456_789_012_345_680),
        (10**20, 10**20),
        (10**21, 1e21),
        (0.5, 0.5),
        (True, True),
        (None, None),
        ("text", "text"),
    ],
    ids=repr,
)
def test_a_number_is_what_a_double_of_it_is_written_as(sent, back):
    """Whole doubles are whole numbers, and digits that a double does not hold are zeros."""
    assert canonical(sent) == (back, None)
    assert type(canonical(sent)[0]) is type(back)
    assert json.loads(canonical_text(sent)) == back


def test_keys_are_sorted():
    """At every depth, whatever their order was."""
    assert canonical({"b": 1, "a": [{"d": 2.0, "c": 3}]}) == (None, '{"a": [{"c": 3, "d": 2}], "b": 1}')


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], 10**400])
def test_what_only_python_reads_is_refused(value):
    """NaN and the infinities are no JSON, nor is a number that no double holds."""
    with pytest.raises(NotJSONError):
        canonical(value)
