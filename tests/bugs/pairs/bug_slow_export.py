"""Data export: invoke the export with a minute and a half of patience, and offer an apology voucher if it takes longer.

The invocation gives up, the export goes on: when it is slow by a minute the customer gets the voucher and is
billed for the export as well. One slow step shows it. The twin lets the export bill only what the parent has
not given up, in one atomic step of the desk.
"""

import pytest

from pytest_durable import Context, InvokeTimeoutError, durable_function

DEVIATIONS = 1


class Desk:
    """Bills and vouchers; a request is settled by whoever comes first."""

    def reset(self):
        self.billed = []
        self.vouchers = []
        self.settled = {}

    def collect(self, request):
        return f"rows of {request}"

    def bill(self, request):
        self.billed.append(request)

    def bill_if_open(self, request):
        if self.settled.setdefault(request, "bill") == "bill":
            self.billed.append(request)

    def apologise(self, request):
        self.vouchers.append(request)

    def apologise_if_open(self, request):
        if self.settled.setdefault(request, "voucher") == "voucher":
            self.vouchers.append(request)


desk = Desk()


@pytest.fixture(autouse=True)
def fresh(durable):
    desk.reset()


@durable_function("export")
async def export_bug(ctx: Context):
    request = ctx.event.data["request"]
    await ctx.step.sleep("queue", "1m")
    rows = await ctx.step.run("collect", desk.collect, request)
    await ctx.step.run("bill", desk.bill, request)
    return rows


@durable_function("export-settled")
async def export_ok(ctx: Context):
    request = ctx.event.data["request"]
    await ctx.step.sleep("queue", "1m")
    rows = await ctx.step.run("collect", desk.collect, request)
    await ctx.step.run("bill", desk.bill_if_open, request)
    return rows


@durable_function("request-export", trigger="export/requested")
async def request_bug(ctx: Context):
    data = {"request": ctx.event.data["request"]}
    try:
        return await ctx.step.invoke("export", function=export_bug, data=data, timeout="90s")
    except InvokeTimeoutError:
        await ctx.step.run("apologise", desk.apologise, data["request"])
        return None


@durable_function("request-export-settled", trigger="export/requested")
async def request_ok(ctx: Context):
    data = {"request": ctx.event.data["request"]}
    try:
        return await ctx.step.invoke("export", function=export_ok, data=data, timeout="90s")
    except InvokeTimeoutError:
        await ctx.step.run("apologise", desk.apologise_if_open, data["request"])
        return None


def bills_or_apologises(durable, request_export):
    durable.start(request_export, {"request": "r-1"})
    durable.advance("1h")
    assert len(desk.billed) + len(desk.vouchers) == 1


@pytest.mark.durable(explore="every", faults=["slow_step"], max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    bills_or_apologises(durable, request_bug)


@pytest.mark.durable(explore="every", faults=["slow_step"], max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    bills_or_apologises(durable, request_ok)
