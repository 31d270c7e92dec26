"""Support: wait for the reply of the customer who asked.

Requests from the web form have no ticket number, and neither has a mail to the sales team: both sides of the
expression are null, null equals null, and the wrong mail closes the request. The twin gives every request a
number of its own before it waits.
"""

import pytest

from pytest_durable import Context, between, durable_function

DEVIATIONS = 0


@durable_function("request", trigger="request/made")
async def request_bug(ctx: Context):
    reply = await ctx.step.wait_for_event(
        "reply", event="mail/received", timeout="2d", if_exp="event.data.ticket == async.data.ticket"
    )
    return reply.data["text"] if reply else "no reply"


@durable_function("request-numbered", trigger="request/made")
async def request_ok(ctx: Context):
    ticket = ctx.event.data.get("ticket") or await ctx.step.run("number", lambda: "t-99")
    reply = await ctx.step.wait_for_event(
        "reply", event="mail/received", timeout="2d", if_exp=f"async.data.ticket == '{ticket}'"
    )
    return reply.data["text"] if reply else "no reply"


def hears_only_its_own_reply(durable, request_):
    run = durable.start(request_, {"subject": "broken lamp"})
    durable.send("mail/received", {"text": "buy our lamps"}, at=between("1h", "1d"))
    durable.advance("5d")
    assert run.result == "no reply"


@pytest.mark.durable(explore="every", max_schedules=500)
def test_bug(durable):
    """Some schedule shows the defect."""
    hears_only_its_own_reply(durable, request_bug)


@pytest.mark.durable(explore="every", max_schedules=500)
def test_ok(durable):
    """No schedule breaks the twin."""
    hears_only_its_own_reply(durable, request_ok)
