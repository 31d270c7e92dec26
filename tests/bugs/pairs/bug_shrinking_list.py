"""Dunning: send a letter to everybody who has not paid.

The body asks the table itself who is left, so the list is shorter on every replay, while the implicit numbers
of the steps start at the beginning: the first memo answers for the second debtor, who never gets a letter.
The default order shows it. The twin reads the list once, in a step, and names each step after the debtor.
"""

import pytest

from pytest_durable import ContextSync, durable_function

DEVIATIONS = 0


class Debts:
    """Who owes, and who got a letter."""

    def reset(self):
        self.open = ["ann", "bob", "cid"]
        self.letters = []

    def left(self):
        return [who for who in self.open if who not in self.letters]

    def write(self, who):
        if who not in self.letters:
            self.letters.append(who)


debts = Debts()


@pytest.fixture(autouse=True)
def fresh(durable):
    debts.reset()


@durable_function("dunning", trigger="month/ended")
def dunning_bug(ctx: ContextSync):
    for who in debts.left():
        ctx.step.run("letter", debts.write, who)


@durable_function("dunning-list", trigger="month/ended")
def dunning_ok(ctx: ContextSync):
    for who in ctx.step.run("list", debts.left):
        ctx.step.run(f"letter-{who}", debts.write, who)


def writes_to_everybody(durable, dunning):
    durable.run(dunning)
    assert debts.letters == debts.open


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    writes_to_everybody(durable, dunning_bug)


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    writes_to_everybody(durable, dunning_ok)
