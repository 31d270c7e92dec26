"""The public API as a type checker sees it: mypy reads this file, nothing runs it.

It starts with the examples of the contract. A line that must not type-check carries an ignore with its code, and
mypy reports the ignore as unused on the day it does.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, assert_type

from pytest_durable import Context, ContextSync, Event, Run, RunStatus, Simulation, durable_function


def fetch_user(user_id: str) -> dict[str, str]:
    """Stand in for a lookup."""
    return {"id": user_id}


def send_nudge(user: dict[str, str]) -> None:
    """Stand in for a mail."""


@durable_function("onboarding", trigger="user/signup", retries=4)
async def onboarding(ctx: Context) -> dict[str, Any]:
    """Wait a week for a plan, then nudge."""
    user = await ctx.step.run("fetch-user", fetch_user, ctx.event.data["user_id"])
    assert_type(user, dict[str, str])
    await ctx.step.sleep("wait-24h", "24h")
    await ctx.step.sleep("wait-more", timedelta(minutes=5))
    await ctx.step.sleep("wait-milliseconds", 1_500)
    plan = await ctx.step.wait_for_event(
        "wait-for-plan",
        event="app/subscription.created",
        timeout="7d",
        if_exp="event.data.user_id == async.data.user_id && async.data.plan == 'pro'",
    )
    assert_type(plan, Event | None)
    if plan is None:
        await ctx.step.run("nudge", lambda: send_nudge(user))
    return {"user": user, "pro": plan is not None}


@durable_function("onboarding-sync", trigger="user/signup")
def onboarding_sync(ctx: ContextSync) -> str:
    """Do the same without `await`."""
    user = ctx.step.run("fetch-user", fetch_user, "u1")
    assert_type(user, dict[str, str])
    ctx.step.sleep("wait-24h", "24h")
    return user["id"]


def test_nudges_after_a_week(durable: Simulation) -> None:
    """The contract's first test."""
    run = durable.start(onboarding, {"user_id": "u1"})
    assert_type(run, Run)
    assert_type(run.status, RunStatus)
    durable.advance("24h")
    assert run.waiting_for == ["wait-for-plan"]
    durable.advance(timedelta(days=7))
    assert run.steps == ["fetch-user", "wait-24h", ..., {"wait-for-plan", "nudge"}]
    assert_type(durable.now, datetime)
    assert_type(durable.send("user/signup", {"user_id": "u2"}), list[str])
    durable.start(onboarding_sync, Event(name="user/signup", data={"user_id": "u1"})).wait()
