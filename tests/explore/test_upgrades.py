"""Old histories against new code: what the message says that happened to a step."""

import pytest

from pytest_durable import DurabilityError, Simulation, checks, durable_function


def shop(*ids):
    """A function of these steps, with a sleep of a month at its end."""

    @durable_function("shop")
    async def body(ctx):
        for step_id in ids:
            await ctx.step.run(step_id, lambda: 1)
        await ctx.step.sleep("month", "30d")

    return body


def explained(*ids):
    """What is said of today's steps, for a run that has charged and mailed yesterday and sleeps."""
    with Simulation() as sim:
        run = sim.start(shop("charge", "mail"))
        sim.advance("1d")
    with pytest.raises(DurabilityError) as caught:
        checks.replay(shop(*ids), run.history)
    return str(caught.value)


@pytest.mark.parametrize(
    ("ids", "lost", "inserted"),
    [
        (("audit", "charge", "mail"), "charge", "'audit'"),
        (("charge", "audit", "check", "mail"), "mail", "'audit', 'check'"),
        (("charge", "mail", "audit"), "month", "'audit'"),
    ],
)
def test_a_step_that_is_put_in_before_a_recorded_one_is_said_to_be(ids, lost, inserted):
    """Today's code asks for something else first, and for the recorded step behind it: nothing was renamed."""
    text = explained(*ids)
    assert f"does not ask for the step '{lost}'" in text
    assert f"It asks for {inserted} first, which was put in before it." in text
    assert "renamed" not in text


def test_a_step_of_another_name_in_the_same_place_is_said_to_be_renamed():
    """Today's code has another step, and never asks for the recorded one."""
    text = explained("charge-card", "mail")
    assert "renamed to 'charge-card'" in text
    assert "put in" not in text


def test_code_that_fails_as_soon_as_the_pending_sleep_is_over_is_told():
    """The run sleeps, and today's code reads of a recorded result what it does not have, behind the sleep."""

    def priced(read):
        @durable_function("order")
        async def body(ctx):
            price = await ctx.step.run("price", lambda: {"cents": 1})
            await ctx.step.sleep("cool-down", "30d")
            return await ctx.step.run("charge", lambda: price[read]) if read == "cents" else price[read]

        return body

    with Simulation() as sim:
        run = sim.start(priced("cents"))
        sim.advance("1d")
    checks.replay(priced("cents"), run.history)
    with pytest.raises(DurabilityError, match="raises KeyError: 'cur' as soon as the sleep 'cool-down' of the run"):
        checks.replay(priced("cur"), run.history)


def test_an_error_behind_a_wait_is_the_business_of_the_code():
    """A run that waits for an event is not taken to have waited in vain: its timeout may well be an error."""

    @durable_function("asks")
    async def asks(ctx):
        if await ctx.step.wait_for_event("w", event="ok", timeout="7d") is None:
            raise TimeoutError

    with Simulation() as sim:
        run = sim.start(asks)
        sim.advance("1d")
    checks.replay(asks, run.history)
