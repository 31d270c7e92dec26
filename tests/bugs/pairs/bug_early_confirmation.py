"""Clinic: prepare the room, then wait half an hour for the patient to check in; otherwise it is a no-show.

The patient may check in before the room is prepared, and a wait that is not there yet hears nothing: half an
hour later somebody who sits in the waiting room becomes a no-show. The twin asks the front desk's table
before it waits in vain, and the table decides in one step who was there.
"""

import pytest

from pytest_durable import ANYTIME, Context, durable_function

DEVIATIONS = 1


class FrontDesk:
    """Who checked in, and who did not show."""

    def reset(self):
        self.there = set()
        self.no_shows = set()

    def check_in(self, patient):
        if patient not in self.no_shows:
            self.there.add(patient)

    def no_show(self, patient):
        self.no_shows.add(patient)

    def no_show_unless_there(self, patient):
        if patient not in self.there:
            self.no_shows.add(patient)
        return patient in self.there


desk = FrontDesk()


@pytest.fixture(autouse=True)
def fresh(durable):
    desk.reset()


@durable_function("check-in", trigger="patient/arrived")
async def check_in(ctx: Context):
    await ctx.step.run("check-in", desk.check_in, ctx.event.data["patient"])


@durable_function("appointment", trigger="appointment/near")
async def appointment_bug(ctx: Context):
    patient = ctx.event.data["patient"]
    await ctx.step.run("prepare-room", lambda: "room 3")
    arrived = await ctx.step.wait_for_event("arrival", event="patient/arrived", timeout="30m", match="data.patient")
    if arrived is None:
        await ctx.step.run("no-show", desk.no_show, patient)
    return {"seen": arrived is not None}


@durable_function("appointment-by-the-table", trigger="appointment/near")
async def appointment_ok(ctx: Context):
    patient = ctx.event.data["patient"]
    await ctx.step.run("prepare-room", lambda: "room 3")
    arrived = await ctx.step.wait_for_event("arrival", event="patient/arrived", timeout="30m", match="data.patient")
    if arrived is None:
        return {"seen": await ctx.step.run("no-show", desk.no_show_unless_there, patient)}
    return {"seen": True}


def sees_who_is_there(durable, appointment):
    durable.register(check_in)
    durable.start(appointment, {"patient": "pat"})
    durable.send("patient/arrived", {"patient": "pat"}, at=ANYTIME)
    durable.advance("2h")
    assert not desk.there & desk.no_shows


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_bug(durable):
    """Some schedule shows the defect."""
    sees_who_is_there(durable, appointment_bug)


@pytest.mark.durable(explore="every", max_schedules=2000)
def test_ok(durable):
    """No schedule breaks the twin."""
    sees_who_is_there(durable, appointment_ok)
