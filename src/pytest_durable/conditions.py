"""Conditions on events: an expression becomes a function that says None, or why an event does not count."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ._core.errors import ExpressionError, UsageError

if TYPE_CHECKING:
    from ._core.runs import Refusal
    from .expressions import Expression


def compiled(text: str, where: str) -> Expression:
    """The compiled expression; an error in it says where it stands.

    Raises:
        ExpressionError: the text cannot be parsed.
    """
    from .expressions import compile_expression

    if not isinstance(text, str):
        msg = f"{where}: the expression {text!r} is no text; write CEL, such as \"event.data.plan == 'free'\""
        raise ExpressionError(msg)
    try:
        return compile_expression(text)
    except ExpressionError as error:
        msg = f"{where}: {error}"
        raise ExpressionError(msg) from None


def whole(event: dict[str, Any]) -> dict[str, Any]:
    """An event as expressions see it: with a user, of whom no SDK tells any more."""
    return event if "user" in event else {**event, "user": {}}


def refusal(text: str, fn_id: str) -> Refusal:
    """A condition on one event: None if the expression is true for it, and otherwise why not."""
    expression = compiled(text, f"function {fn_id!r}")

    def refuses(event: dict[str, Any], now_ms: int) -> str | None:
        return (
            None
            if expression.matches(whole(event), now_ms=now_ms)
            else f"expression {expression.why(whole(event), now_ms=now_ms)}"
        )

    return refuses


def bound_refusal(text: str, where: str, first: dict[str, Any], now_ms: int) -> Refusal:
    """A condition on an event that arrives, with the run's own event bound now, as the server does."""
    bound = compiled(text, where).bind(whole(first), now_ms=now_ms)

    def refuses(event: dict[str, Any], now_ms: int) -> str | None:
        if bound.matches({}, whole(event), now_ms=now_ms):
            return None
        return f"expression {bound.why({}, whole(event), now_ms=now_ms)}"

    return refuses


def accepts_all(event: dict[str, Any], now_ms: int) -> str | None:  # noqa: ARG001 - one condition among others
    """The condition of a wait without a condition."""
    return None


def field_condition(match: str, where: str) -> str:
    """The expression of ``match="data.order_id"``: the field is equal in both events.

    Raises:
        UsageError: it is not the path of a field.
    """
    if not isinstance(match, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", match):
        msg = f'{where}: match={match!r} is not the path of a field, such as "data.order_id"; use if_exp for conditions'
        raise UsageError(msg)
    return f"event.{match} == async.{match}"
