"""The wire: what crosses it comes back equal and fresh, and what JSON cannot carry is refused by name."""

import dataclasses
import decimal
import json
from datetime import UTC, date, datetime, timedelta
from enum import Enum, IntEnum, StrEnum
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_durable._core import wire
from pytest_durable._core.errors import SerializationError

TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda parts: st.lists(parts, max_size=5) | st.dictionaries(st.text(), parts, max_size=5),
    max_leaves=25,
)


class Colour(Enum):
    RED = 1


class Level(IntEnum):
    HIGH = 3


class Word(StrEnum):
    YES = "yes"


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Order:
    id: int


@given(TREES)
def test_a_tree_comes_back_equal(tree):
    """What JSON can carry is what comes back."""
    assert wire.copy(tree, "step 'a'") == tree


@given(TREES)
def test_what_comes_back_is_plain_json(tree):
    """The copy is what the JSON text means, types included."""
    assert repr(wire.copy(tree, "step 'a'")) == repr(json.loads(json.dumps(tree)))


@pytest.mark.parametrize(
    "wrap", [lambda text: text, lambda text: [text], lambda text: {text: text}, lambda text: [[text]]]
)
def test_two_halves_of_a_character_come_back_as_one(wrap):
    """JSON reads a surrogate pair as the character that it stands for; a lone half stays."""
    assert wire.copy(wrap("\ud83d\ude00"), "step 'a'") == wrap("\N{GRINNING FACE}")
    assert wire.copy(wrap("\ud83d"), "step 'a'") == wrap("\ud83d")


@given(st.lists(TREES, min_size=1, max_size=3))
def test_every_copy_is_fresh(tree):
    """Changing one copy changes neither the memo nor the next copy."""
    stored, _ = wire.store(tree, "step 'a'")
    first = wire.load(stored)
    first.append("changed")
    first[0] = "changed"
    assert wire.load(stored) == tree


def test_a_value_is_taken_when_it_is_stored():
    """What its author does to a value afterwards is not seen."""
    value = {"items": [1]}
    stored, _ = wire.store(value, "step 'a'")
    value["items"].append(2)
    assert wire.load(stored) == {"items": [1]}


@pytest.mark.parametrize(
    ("sent", "came"),
    [
        ((1, (2,)), [1, [2]]),
        ({1: "a", None: "b", False: "c", 1.5: "d"}, {"1": "a", "null": "b", "false": "c", "1.5": "d"}),
        (Point(1, 2), [1, 2]),
        (Level.HIGH, 3),
        (Word.YES, "yes"),
        ([Word.YES], ["yes"]),
        ("é\u2028\0", "é\u2028\0"),
        (2**63, 2**63),
        (-0.0, -0.0),
    ],
    ids=repr,
)
def test_what_json_knows_under_another_type(sent, came):
    """Tuples become lists and keys become text, as in any JSON."""
    back = wire.copy(sent, "step 'a'")
    assert back == came
    assert type(back) is type(came)


@pytest.mark.parametrize(
    ("value", "place", "shown"),
    [
        (float("nan"), "", "nan"),
        ({"a": [1, float("inf")]}, "a[1]", "inf"),
        ({"when": datetime(2025, 1, 1, tzinfo=UTC)}, "when", "datetime"),
        (date(2025, 1, 1), "", "date"),
        ({"fine": {"a": [1, 2]}, "late": {"b": [3, {4}]}}, "late.b[1]", "set"),
        ([timedelta(1)], "[0]", "timedelta"),
        ({"price": decimal.Decimal("1.50")}, "price", "Decimal"),
        (b"bytes", "", "bytes"),
        ({1, 2}, "", "set"),
        ({"order": Order(1)}, "order", "Order"),
        (Colour.RED, "", "Colour"),
        ({"fn": [{"deep": print}]}, "fn[0].deep", "builtin_function_or_method"),
        ({(1, 2): "x"}, "", "tuple"),
        (object, "", "type"),
        (1j, "", "complex"),
    ],
    ids=repr,
)
def test_what_json_cannot_carry_is_refused(value, place, shown):
    """The error names whose value it is, the place in it and the type."""
    with pytest.raises(SerializationError) as raised:
        wire.store(value, "step 'a' of order")
    assert "step 'a' of order" in str(raised.value)
    assert shown in str(raised.value)
    assert place in str(raised.value)


def test_a_key_that_json_has_not_is_named():
    """NaN as a key is as wrong as NaN as a value, and the message says which of them it is."""
    with pytest.raises(SerializationError, match="nan"):
        wire.store({"prices": {float("nan"): 1}}, "step 'a'")


def test_a_value_that_contains_itself_is_refused():
    """A cycle is named as one."""
    value = {"self": []}
    value["self"].append(value)
    with pytest.raises(SerializationError, match="contains itself"):
        wire.store(value, "step 'a'")


def test_a_value_that_is_too_deep_is_refused():
    """A tree deeper than the stack is an error of its step, not of the engine."""
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(SerializationError, match="step 'a'"):
        wire.store(value, "step 'a'")


@pytest.mark.parametrize("value", [10**5000, [10**5000]], ids=["alone", "in a list"])
def test_a_number_too_long_for_text_is_refused(value):
    """A number that Python itself does not write as text is an error of its step, not of the engine."""
    with pytest.raises(SerializationError, match="step 'a'"):
        wire.store(value, "step 'a'")


@given(st.text(max_size=50))
def test_a_text_has_one_size(text):
    """A text is as large on the wire alone as it is in a list, whatever its letters: the limits count bytes of JSON."""
    _, alone = wire.store(text, "step 'a'")
    _, in_a_list = wire.store([text], "step 'a'")
    assert in_a_list == alone + 2
