"""Discount code: a code may be used once, and many customers enter it.

Whether it is left is checked in one step, and it is used in another. How many customers it takes and when
they come is data, and the order of what they do is a schedule: Hypothesis draws both, and both shrink to two
customers. The twin uses the code in one step, under the customer's name.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_durable import Context, durable_function
from pytest_durable.strategies import simulations

DEVIATIONS = None


class Code:
    """Who used it."""

    def reset(self):
        self.users = []

    def is_left(self):
        return not self.users

    def use(self, customer):
        self.users.append(customer)

    def use_if_left(self, customer):
        if not self.users:
            self.users.append(customer)


code = Code()


@durable_function("use-code", trigger="code/entered")
async def use_bug(ctx: Context):
    if await ctx.step.run("is-left", code.is_left):
        await ctx.step.run("use", code.use, ctx.event.data["customer"])


@durable_function("use-code-at-once", trigger="code/entered")
async def use_ok(ctx: Context):
    await ctx.step.run("use", code.use_if_left, ctx.event.data["customer"])


def is_used_once(sim, use, minutes):
    code.reset()
    sim.register(use)
    for customer, minute in enumerate(minutes):
        sim.send("code/entered", {"customer": customer}, at=f"{minute}m")
    sim.advance("1h")
    assert len(code.users) <= 1


SETTINGS = settings(max_examples=50, deadline=None, database=None, derandomize=True,
                    suppress_health_check=list(HealthCheck))  # fmt: skip
MINUTES = st.lists(st.integers(0, 1), max_size=4)


@SETTINGS
@given(sim=simulations(), minutes=MINUTES)
def test_bug(sim, minutes):
    """Some schedule shows the defect."""
    is_used_once(sim, use_bug, minutes)


@SETTINGS
@given(sim=simulations(faults=["crash"]), minutes=MINUTES)
def test_ok(sim, minutes):
    """No schedule breaks the twin."""
    is_used_once(sim, use_ok, minutes)
