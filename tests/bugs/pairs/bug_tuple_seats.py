"""Theatre: find the free seats, hold one of them while the guest pays.

Seats are tuples of row and number. What comes back from the step is lists, and a list is not in the set of
tuples that the body compares with: every seat counts as reserved for wheelchairs, and none is sold. The twin
compares lists with lists.
"""

import pytest

from pytest_durable import ContextSync, durable_function

DEVIATIONS = 0
NORMAL = {(1, 4), (2, 7)}


@durable_function("seat", trigger="seat/wanted")
def seat_bug(ctx: ContextSync):
    free = ctx.step.run("free", lambda: [(1, 4), (3, 3)])
    usable = [seat for seat in free if seat in [*NORMAL]]
    return ctx.step.run("hold", lambda: usable[:1])


@durable_function("seat-lists", trigger="seat/wanted")
def seat_ok(ctx: ContextSync):
    free = ctx.step.run("free", lambda: [[1, 4], [3, 3]])
    usable = [seat for seat in free if tuple(seat) in NORMAL]
    return ctx.step.run("hold", lambda: usable[:1])


@pytest.mark.durable(explore="every")
def test_bug(durable):
    """Some schedule shows the defect."""
    assert durable.run(seat_bug) == [[1, 4]]


@pytest.mark.durable(explore="every")
def test_ok(durable):
    """No schedule breaks the twin."""
    assert durable.run(seat_ok) == [[1, 4]]
