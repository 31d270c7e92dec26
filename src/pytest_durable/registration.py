"""What the server refuses when a function is registered, apart from flow control: triggers, cancellations, retries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._core.errors import ExpressionError, UsageError
from .conditions import compiled

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_TRIGGERS, MOST_CANCELS = 10, 5
MOST_EVENT_NAME, MOST_CRON = 255, 255


def check(config: Mapping[str, Any], where: str) -> None:
    """Check the dict that an SDK registers: its ``triggers``, ``cancel`` and ``steps``; others are not looked at.

    Args:
        config: the configuration; expressions and crons are text.
        where: what messages begin with, such as ``function 'onboarding'``.

    Raises:
        UsageError: the server would refuse to register it.
    """
    triggers, cancels = config.get("triggers") or (), config.get("cancel") or ()
    _count(triggers, "trigger", MOST_TRIGGERS, where)
    _count(cancels, "cancel", MOST_CANCELS, where)
    seen: dict[tuple[Any, Any, Any], None] = {}
    for trigger in triggers:
        same = (trigger.get("event"), trigger.get("expression"), trigger.get("cron"))
        if same in seen:
            what = trigger.get("event") or trigger.get("cron")
            msg = f"{where}: the trigger {what!r} stands there twice; leave one out"
            raise UsageError(msg)
        seen[same] = None
        _check_trigger(trigger, where)
    for cancel in cancels:
        if cancel.get("if") is not None:
            _check_cancellation(cancel["if"], f"{where}: cancel on {cancel.get('event')!r}")
    for step in (config.get("steps") or {}).values():
        retries = (step.get("retries") or {}).get("attempts", 0)
        if retries < 0:
            msg = f"{where}: retries={retries} is not a number from 0 on"
            raise UsageError(msg)


def _count(listed: Sequence[Any], what: str, most: int, where: str) -> None:
    if len(listed) > most:
        msg = f"{where}: {what} has {len(listed)} entries; the server takes {most}"
        raise UsageError(msg)


def _check_trigger(trigger: Mapping[str, Any], where: str) -> None:
    cron, event, text = trigger.get("cron"), trigger.get("event"), trigger.get("expression")
    if cron is not None:
        from .cron import ticks

        ticks(cron, where)
        if len(cron) > MOST_CRON:
            msg = f"{where}: the cron {cron[:30]!r}... has {len(cron)} characters; {MOST_CRON} are allowed"
            raise UsageError(msg)
        return
    if not isinstance(event, str) or not event:
        msg = f"{where}: a trigger for the event {event!r} is no trigger; write TriggerEvent(event=...) with a name"
        raise UsageError(msg)
    if len(event) > MOST_EVENT_NAME:
        most = MOST_EVENT_NAME
        msg = f"{where}: the event name {event[:30]!r}... has {len(event)} characters; a trigger may have {most}"
        raise UsageError(msg)
    if text is not None:
        compiled(text, where)


def _check_cancellation(text: str, where: str) -> None:
    refused = compiled(text, where).restrictions()
    if refused:
        msg = (
            f"{where}: the server does not take {' and '.join(refused)} in the condition of a cancellation; compare "
            "fields of event and async with ==, !=, <, in, &&, || and ?:"
        )
        raise ExpressionError(msg)
