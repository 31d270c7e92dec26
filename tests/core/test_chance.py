"""What looks random: the same for the same seed and asker, in every process."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_durable._core.chance import below, ulid


@given(st.integers(min_value=1, max_value=10**9), st.integers(), st.text(), st.integers(min_value=0))
def test_a_number_is_below_its_bound(bound, seed, who, attempt):
    """Jitter lies in the range that the table promises, and asking again gives the same."""
    number = below(bound, seed, who, attempt)
    assert 0 <= number < bound
    assert number == below(bound, seed, who, attempt)


def test_a_number_depends_on_the_seed_and_on_everybody_who_asks():
    """Other seeds, runs, steps and attempts have other jitter."""
    askers = [(0, "run", "a", 0), (1, "run", "a", 0), (0, "run2", "a", 0), (0, "run", "b", 0), (0, "run", "a", 1)]
    assert len({below(2**60, *asker) for asker in askers}) == len(askers)


def test_numbers_are_spread():
    """Over many attempts the jitter reaches the whole range: no part of it is left out."""
    numbers = [below(30_000, 0, attempt) for attempt in range(2_000)]
    assert {number // 3_000 for number in numbers} == set(range(10))


@given(st.integers(min_value=0, max_value=2**48 - 1), st.integers(), st.text())
def test_an_id_has_the_form_of_a_ulid(milliseconds, seed, who):
    """26 letters of Crockford's alphabet, the first of them at most 7."""
    assert re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", ulid(milliseconds, seed, who))


@given(st.integers(min_value=0, max_value=2**48 - 1), st.integers(min_value=0, max_value=2**48 - 1))
def test_ids_sort_by_time(one, other):
    """As text, an earlier id is smaller."""
    if one != other:
        assert (ulid(one, 0, "x") < ulid(other, 0, "y")) == (one < other)


def test_an_id_depends_on_who_asks():
    """Two askers at one instant have two ids; the time they have in common."""
    one, other = ulid(1_735_689_600_000, 0, "a"), ulid(1_735_689_600_000, 0, "b")
    assert one[:10] == other[:10] == "01JGFJJZ00"
    assert one != other


@pytest.mark.parametrize("hash_seed", ["0", "1", "4294967295"])
def test_the_hash_seed_of_the_process_changes_nothing(hash_seed):
    """In a fresh interpreter with any PYTHONHASHSEED the numbers and ids are those of this one."""
    code = "from pytest_durable._core.chance import *; print(below(30000, 7, 'run', 'a', 1), ulid(5, 7, 'run'))"
    printed = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
    ).stdout
    assert printed.split() == [str(below(30000, 7, "run", "a", 1)), ulid(5, 7, "run")]
