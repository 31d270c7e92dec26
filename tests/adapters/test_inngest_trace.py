"""A run in production becomes a history, against which today's code is checked."""

import hashlib
import json

import pytest

from pytest_durable import History, UsageError, checks, durable_function


def span(name, op, start, end, output=None, status="COMPLETED", **more):
    text = f"2026-03-01T10:00:{start:02}Z", f"2026-03-01T10:00:{end:02}Z" if end is not None else None
    made = {"name": name, "stepOp": op, "queuedAt": text[0], "endedAt": text[1], "status": status, **more}
    return made if output is None else {**made, "output": output}


def trace(*steps, status="RUNNING", function="order", **more):
    root = {"name": "Run", "queuedAt": "2026-03-01T10:00:00Z", "status": status, "childrenSpans": list(steps)}
    event = {"name": "shop/order", "data": {"id": 1}, "id": "e1", "ts": 1772359200000}
    return {"id": "01RUN", "function": {"slug": function}, "events": [event], "status": status, "trace": root, **more}


@durable_function("order", trigger="shop/order")
async def order(ctx):
    receipts = [await ctx.step.run("charge", lambda: None) for _ in range(2)]
    await ctx.step.sleep("nap", "1d")
    return receipts


def hashed(key):
    return hashlib.sha1(key.encode()).hexdigest()


def test_a_trace_is_replayed_against_the_code_of_today():
    """The steps of a run in flight are found again by their ids and counters."""
    running = trace(
        span("charge", "RUN", 0, 1, {"data": {"receipt": 1}}, stepID=hashed("charge")),
        span("charge", "RUN", 1, 2, {"data": {"receipt": 2}}, stepID=hashed("charge:1")),
        span("nap", "SLEEP", 2, None, status="WAITING"),
    )
    history = History.from_inngest(json.dumps(running))
    assert (history.function, history.run) == ("order", "01RUN")
    assert [(what, step) for _, what, step, _ in history.facts] == [
        ("run.queued", ""), ("step.asked", "charge"), ("step.completed", "charge"), ("step.asked", "charge:1"),
        ("step.completed", "charge:1"), ("step.asked", "nap"),
    ]  # fmt: skip
    assert history.facts[2][3]["output"] == {"receipt": 1}
    checks.replay(order, history)
    assert History.from_json(history.to_json()) == history


def test_a_step_that_is_gone_is_found():
    """Code that does not ask for a step of the trace would not survive."""
    history = History.from_inngest(trace(span("charge-card", "RUN", 0, 1, {"data": 1})))
    with pytest.raises(checks.DurabilityError, match="charge-card"):
        checks.replay(order, history)


def test_failed_steps_outputs_by_id_and_nested_spans():
    """Outputs stand in their own table as text, a failed step has its error, and attempts under a step are none."""
    attempts = [{"name": "Attempt 0", "queuedAt": "2026-03-01T10:00:00Z", "status": "FAILED"}]
    document = trace(
        {"name": "group", "childrenSpans": [span("a", "RUN", 0, 1, outputID="o1", childrenSpans=attempts)]},
        span("b", "RUN", 0, 0, status="FAILED", outputID="o2"),
        span("w", "WAIT_FOR_EVENT", 1, 5, {"data": None}),
        status="FAILED",
        outputs={"o1": {"data": '{"data": [1]}'}, "o2": {"error": {"name": "ValueError", "message": "bad"}}},
    )
    facts = History.from_inngest({"data": {"run": document}}).facts
    assert [(what, step) for _, what, step, _ in facts] == [
        ("run.queued", ""), ("step.asked", "a"), ("step.asked", "b"), ("step.failed", "b"), ("step.completed", "a"),
        ("step.asked", "w"), ("step.completed", "w"), ("run.failed", ""),
    ]  # fmt: skip
    assert facts[3][3]["error"] == {"name": "ValueError", "message": "bad"}
    assert facts[4][3]["output"] == [1]
    assert facts[6][3]["op"] == "wait_for_event"


@pytest.mark.parametrize("text", ["{}", "[]", "no json", '{"trace": {}}'])
def test_what_is_no_trace_is_refused(text):
    """The message says what a trace consists of."""
    with pytest.raises(UsageError, match="not the trace of a run"):
        History.from_inngest(text)
