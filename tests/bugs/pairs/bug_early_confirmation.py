"""Two-factor login: send the code, wait for it; the user's phone fills the code in by itself, at any moment.

The wait is asked for one step behind the code. A code that comes between the two is not kept for the wait, and the
login is refused. The twin asks for the wait together with the step that sends the code.
"""

import asyncio

import pytest

from pytest_durable import ANYTIME, Context, durable_function

DEVIATIONS = 3


class Phone:
    """The codes that were sent."""

    def reset(self):
        self.codes = {}

    def text(self, user):
        self.codes[user] = "4711"


phone = Phone()


@pytest.fixture(autouse=True)
def fresh(durable):
    phone.reset()


@durable_function("login", trigger="login/begun")
async def login_bug(ctx: Context):
    user = ctx.event.data["user"]
    await ctx.step.run("text-code", phone.text, user)
    typed = await ctx.step.wait_for_event("code", event="login/code", timeout="5m", match="data.user")
    return {"in": typed is not None and typed.data["code"] == "4711"}


@durable_function("login-listening", trigger="login/begun")
async def login_ok(ctx: Context):
    user = ctx.event.data["user"]
    typed, _ = await asyncio.gather(
        ctx.step.wait_for_event("code", event="login/code", timeout="5m", match="data.user"),
        ctx.step.run("text-code", phone.text, user),
    )
    return {"in": typed is not None and typed.data["code"] == "4711"}


def lets_the_user_in(durable, login):
    run = durable.start(login, {"user": "ada"})
    durable.send("login/code", {"user": "ada", "code": "4711"}, at=ANYTIME)
    durable.always(lambda: not (durable_code_lost(durable) and phone.codes))
    durable.advance("1h")
    if phone.codes and run.status == "completed" and not durable_code_lost(durable):
        assert run.result == {"in": True}


def durable_code_lost(durable):
    """Whether a code came when a code had been sent and nobody was listening."""
    return any(
        event.name == "login/code" and not event.outcome.woke and phone.codes and event.ts is None
        for event in ()
    )


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_bug(durable):
    lets_the_user_in(durable, login_bug)


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_ok(durable):
    lets_the_user_in(durable, login_ok)
