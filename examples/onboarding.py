"""Onboarding with a week of waiting, in virtual time, without a server: `python examples/onboarding.py`."""

from datetime import timedelta
from time import perf_counter

from pytest_durable import Context, Event, Simulation, durable_function


def fetch_user(user_id: str) -> dict[str, str]:
    return {"id": user_id, "name": "Ada"}


def send_mail(user: dict[str, str], text: str) -> str:
    return f"to {user['name']}: {text}"


@durable_function("onboarding", trigger="user/signup")
async def onboarding(ctx: Context) -> dict[str, object]:
    user = await ctx.step.run("fetch-user", fetch_user, ctx.event.data["user_id"])
    await ctx.step.run("send-welcome", send_mail, user, "welcome")
    await ctx.step.sleep("first-day", "24h")
    plan = await ctx.step.wait_for_event(
        "wait-for-plan",
        event="app/subscription.created",
        timeout="7d",
        if_exp="event.data.user_id == async.data.user_id && async.data.plan == 'pro'",
    )
    if plan is None:
        await ctx.step.run("nudge", send_mail, user, "your first week is over")
    return {"user": user["name"], "pro": plan is not None}


def main() -> None:
    began = perf_counter()
    with Simulation() as sim:
        # This user subscribes three days after signing up.
        sim.send(Event(name="app/subscription.created", data={"user_id": "u1", "plan": "pro"}), at="3d")
        subscriber = sim.start(onboarding, {"user_id": "u1"})
        # This one never does. The retries of the failing mail are part of the story.
        sim.step("nudge").raises(ConnectionError("the mail server is down"), times=2)
        hesitant = sim.start(onboarding, {"user_id": "u2"})
        sim.run_until(lambda: subscriber.ended_at and hesitant.ended_at)
    real = perf_counter() - began

    for run in (subscriber, hesitant):
        print(run.timeline())
        print()
    virtual = max(run.ended_at for run in (subscriber, hesitant)) - subscriber.started_at
    print(f"virtual time: {virtual - virtual % timedelta(seconds=1)}")
    print(f"real time:    {real * 1000:.1f} ms")


if __name__ == "__main__":
    main()
