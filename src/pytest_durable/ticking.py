"""Ticks of cron: each one is due behind the one before, for as long as time is driven."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._core.happenings import TIMER, Happening
from ._core.instants import MILLISECOND, rfc3339
from .moments import Named

if TYPE_CHECKING:
    from ._core.engine import Engine
    from ._core.runs import FunctionSpec, Trigger


def schedule_tick(engine: Engine, spec: FunctionSpec, trigger: Trigger, number: int, after: int) -> None:
    """Make the next tick of a function's ``number``-th trigger due, if it has one."""
    tick = trigger.cron(after) if trigger.cron is not None else None
    if tick is None:
        return
    at = tick + trigger.late(engine.seed, spec.id, number, tick)

    def fire() -> None:
        data = {"cron": trigger.text, "scheduledAt": rfc3339(tick), "fireAt": rfc3339(at)}
        ticked = {"name": "inngest/scheduled.timer", "data": data, "ts": at // MILLISECOND, "id": rfc3339(tick)}
        engine.answers.tick(spec, ticked)
        schedule_tick(engine, spec, trigger, number, tick)

    subject = Named(spec.id, spec.id)
    engine.world.push(Happening(at, TIMER, "cron", subject, f"{number} {tick}", fire, weak=True))
