"""Visa office: examine an application and keep a record of it for the auditors.

The record is written by the body, between two steps, once for every invocation that comes there. The battery
counts the effects outside steps. The twin records in a step, under the application's number.
"""

from pytest_durable import Context, checks, durable_function

DEVIATIONS = None


class Audit:
    """Writes into the ledger of the simulation."""

    ledger = None
    seen = frozenset()

    def write(self, what):
        self.ledger.record("audit", key=what)

    def write_once(self, what):
        if what not in self.seen:
            self.seen = self.seen | {what}
            self.write(what)


audit = Audit()


def fresh(sim):
    audit.ledger, audit.seen = sim.ledger, frozenset()


@durable_function("examine", trigger="application/filed")
async def examine_bug(ctx: Context):
    number = ctx.event.data["number"]
    grade = await ctx.step.run("grade", lambda: 7)
    audit.write(number)
    await ctx.step.sleep("a-week", "7d")
    return await ctx.step.run("answer", lambda: grade > 5)


@durable_function("examine-step", trigger="application/filed")
async def examine_ok(ctx: Context):
    number = ctx.event.data["number"]
    grade = await ctx.step.run("grade", lambda: 7)
    await ctx.step.run("audit", audit.write_once, number)
    await ctx.step.sleep("a-week", "7d")
    return await ctx.step.run("answer", lambda: grade > 5)


def test_bug():
    """The check reports the defect."""
    checks.check_durable(examine_bug, {"number": 12}, setup=fresh)


def test_ok():
    """The check has nothing against the twin."""
    checks.check_durable(examine_ok, {"number": 12}, setup=fresh)
