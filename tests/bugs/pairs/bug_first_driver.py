"""Taxi: ask two drivers at once and take whoever answers first; tell the other one that it is too late.

The loser is taken to be the second in the list, so when the second driver answers first the winner is sent
away. One order of the two answers shows it. The twin looks at who is done.
"""

import asyncio

import pytest

from pytest_durable import Context, durable_function

DEVIATIONS = 1
DRIVERS = ("dee", "eli")


class Radio:
    """Who drives and who was sent away."""

    def reset(self):
        self.driving = []
        self.away = []

    def ask(self, driver):
        return driver

    def hire(self, driver):
        self.driving.append(driver)

    def send_away(self, driver):
        self.away.append(driver)


radio = Radio()


@pytest.fixture(autouse=True)
def fresh(durable):
    radio.reset()


@durable_function("taxi", trigger="taxi/called")
async def taxi_bug(ctx: Context):
    asked = [asyncio.ensure_future(ctx.step.run(f"ask-{driver}", radio.ask, driver)) for driver in DRIVERS]
    done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    winner = done.pop().result()
    await ctx.step.run("hire", radio.hire, winner)
    await ctx.step.run("send-away", radio.send_away, DRIVERS[1])
    return winner


@durable_function("taxi-by-name", trigger="taxi/called")
async def taxi_ok(ctx: Context):
    asked = [asyncio.ensure_future(ctx.step.run(f"ask-{driver}", radio.ask, driver)) for driver in DRIVERS]
    done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    winner = done.pop().result()
    await ctx.step.run("hire", radio.hire, winner)
    for loser in DRIVERS:
        if loser != winner:
            await ctx.step.run("send-away", radio.send_away, loser)
    return winner


def sends_only_the_loser_away(durable, taxi):
    durable.run(taxi)
    assert len(radio.driving) == len(radio.away) == 1
    assert radio.driving != radio.away


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    sends_only_the_loser_away(durable, taxi_bug)


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    sends_only_the_loser_away(durable, taxi_ok)
