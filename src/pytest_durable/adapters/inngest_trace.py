"""The trace of a run in production, as Inngest's API gives it, as a history. It needs no SDK.

A trace is a tree of spans: the run, its steps, and under a step its attempts. A step has a name, which is its id, and a
``stepID``, which is the hash of the id with its counter; so the counters are found again.
"""

from __future__ import annotations

import contextlib
import json
from hashlib import sha1
from typing import TYPE_CHECKING, Any

from .._core.commands import INFER, INVOKE, RUN, SIGNAL, SLEEP, WAIT
from .._core.errors import UsageError
from .._core.instants import instant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .._core.runs import Fact

OPS = {
    "RUN": RUN, "STEPRUN": RUN, "STEP": RUN, "STEPERROR": RUN, "STEPFAILED": RUN, "STEPPLANNED": RUN, "SLEEP": SLEEP,
    "WAITFOREVENT": WAIT, "WAITFORSIGNAL": SIGNAL, "INVOKE": INVOKE, "INVOKEFUNCTION": INVOKE, "AIGATEWAY": INFER,
}  # fmt: skip
"""The operations of spans, without their underscores, in either of the two spellings that the API has."""

ENDS = {"COMPLETED": "run.completed", "FAILED": "run.failed", "CANCELLED": "run.cancelled"}
MOST_USES = 1_000
"""Up to which counter an id is compared with its hash."""


def parts_of(trace: str | Mapping[str, Any]) -> tuple[str, str, list[dict[str, Any]], list[Fact]]:
    """What a history is made of: function, run, events and facts.

    Args:
        trace: the run as JSON (or read from it): ``id``, ``function`` (an id, or an object with ``slug``), ``events``
            or ``event``, ``status``, ``trace`` with ``childrenSpans``, and ``outputs`` by the ``outputID`` of spans, or
            an ``output`` in each span.

    Raises:
        UsageError: it is no such trace.
    """
    try:
        document = json.loads(trace) if isinstance(trace, str) else trace
        document = document.get("data", document).get("run", document.get("data", document))
        root = document["trace"]
        function = document.get("function_id") or document["function"]
        function = function if isinstance(function, str) else function.get("slug") or function["id"]
        run = str(document.get("run_id") or document.get("runID") or document["id"])
        events = list(document.get("events") or [document.get("event") or {}])
        events = [{"data": {}, "id": "", "name": "", "ts": 0, **event} for event in events]
        return str(function), run, events, list(_facts(function, document, root))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, UsageError):
            raise
        msg = (
            f"this is not the trace of a run ({type(error).__name__}: {error}); give what Inngest's API answers for "
            "one, with function, events, status, trace and its childrenSpans"
        )
        raise UsageError(msg) from None


def _facts(function: str, document: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Fact]:
    outputs = document.get("outputs") or {}
    began = _at(root, "queuedAt", 0)
    facts: list[tuple[int, int, Fact]] = []
    used: set[str] = set()
    for span in _steps(root):
        key, index = _key(span, used)
        used.add(key)
        op = OPS[str(span["stepOp"]).replace("_", "").upper()]
        asked = _at(span, "queuedAt", began)
        facts.append((asked, 1, (asked, "step.asked", key, {"op": op, "id": span["name"], "index": index})))
        status = str(span.get("status", "")).upper()
        if status in {"COMPLETED", "FAILED"} and span.get("endedAt"):
            ended = _at(span, "endedAt", asked)
            fact = _ended(span, status, key, op, ended, outputs)
            facts.append((ended, 0 if ended > asked else 2, fact))
    yield (began, "run.queued", "", {"function": function})
    for _, _, fact in sorted(facts, key=lambda one: one[:2]):
        yield fact
    end = ENDS.get(str(document.get("status", root.get("status", ""))).upper())
    if end is not None:
        value = _output(root, outputs)
        rest = {"result": value.get("data")} if end == "run.completed" else {"error": _error(value)}
        yield (_at(root, "endedAt", began), end, "", rest)


def _ended(span: Mapping[str, Any], status: str, key: str, op: str, at: int, outputs: Mapping[str, Any]) -> Fact:
    value = _output(span, outputs)
    if status == "FAILED":
        return (at, "step.failed", key, {"op": op, "error": _error(value), "kind": "step"})
    return (at, "step.completed", key, {"op": op, "output": value.get("data")})


def _output(span: Mapping[str, Any], outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a step or the run gave: ``data`` and ``error``, given inline or by its id, as JSON or as text of it."""
    value = span["output"] if "output" in span else outputs.get(span.get("outputID") or "", {})
    parts = value if isinstance(value, dict) and set(value) & {"data", "error"} else {"data": value or None}
    data = parts.get("data")
    if isinstance(data, str) and "output" not in span:
        # The API gives the output of a span as the text of JSON.
        with contextlib.suppress(ValueError):
            data = json.loads(data)
        if isinstance(data, dict) and set(data) == {"data"}:
            data = data["data"]
    return {**parts, "data": data}


def _error(value: Mapping[str, Any]) -> dict[str, str]:
    error = value.get("error") or {}
    return {"name": str(error.get("name") or "Error"), "message": str(error.get("message") or "")}


def _steps(span: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The spans of steps, in order; what is under a step are its attempts."""
    for child in span.get("childrenSpans") or ():
        if child.get("stepOp"):
            yield child
        else:
            yield from _steps(child)


def _key(span: Mapping[str, Any], used: set[str]) -> tuple[str, int]:
    """The key of a step and its counter: by its hash, or as the next use of its name."""
    name, hashed = str(span["name"]), span.get("stepID")
    for index in range(MOST_USES):
        key = f"{name}:{index}" if index else name
        if hashed and sha1(key.encode(), usedforsecurity=False).hexdigest() == hashed:
            return key, index
        if not hashed and key not in used:
            return key, index
    return name, 0


def _at(span: Mapping[str, Any], name: str, otherwise: int) -> int:
    text = span.get(name)
    return instant(text, name) if text else otherwise
