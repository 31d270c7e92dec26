"""The wire between the server and the Inngest Python SDK: the body of a request, and what stands in a response."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from hashlib import sha1
from typing import TYPE_CHECKING, Any

from .._core import gateway, wire
from .._core.canonical import NotJSONError, canonical, canonical_event, canonical_text
from .._core.commands import (
    EXECUTED,
    INFER,
    RUN,
    SLEEP,
    WAIT,
    Command,
    Execute,
    Invoke,
    Reply,
    Report,
    Sleep,
    WaitForEvent,
)
from .._core.errors import ExpressionError, LimitError, NonRetriableError, RetryAfterError, StepSizeError, UsageError
from .._core.instants import DAY, HOUR, MILLISECOND, MINUTE, SECOND, WEEK, instant
from .._core.remote import server_failure
from .._core.results import ERROR, VALUE, Result
from .._core.runs import Failure
from ..conditions import accepts_all, bound_refusal, compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .._core.runs import Entry, FunctionSpec, Refusal, RunState
    from .._core.wire import Stored

DONE, STEPS = 200, 206
UNITS = {"w": WEEK, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND}
_PART = re.compile(r"(\d+)([wdhms])")

UNKNOWN_NAME = "Error"

RESPONSE_BYTES = 8 * 2**20
"""How much of a response the server reads."""

INPUT_TOO_LARGE = "error validating generator opcode InvokeFunction: step input size is greater than the limit"


def hashed(key: str) -> str:
    """The id of a step on the wire."""
    return sha1(key.encode(), usedforsecurity=False).hexdigest()


# -- requests ---------------------------------------------------------------------------------------------------------


class Memo:
    """The memo of one run as it goes over the wire; it only grows, so its parts are made once."""

    def __init__(self, run: RunState) -> None:
        self.run = run
        self.hashes: list[str] = []
        self.parts: list[str] = []
        events = [canonical_event(event) for event in run.events]
        self.events = f'"event":{events[0]},"events":[{",".join(events)}]'
        self.whose = f'"fn_id":"{run.spec.id}","max_attempts":{run.spec.attempts},"run_id":"{run.id}"'

    def body(self, target: Entry | None, limit: int | None) -> str:
        """The body of a request; ``limit`` says how many recorded steps it shows, None is all."""
        run = self.run
        for entry in run.stack[len(self.parts) :]:
            key = hashed(entry.key)
            self.hashes.append(key)
            self.parts.append(f'"{key}":{memo_of(entry)}')
        parts, hashes = self.parts, self.hashes
        if limit is not None:
            parts, hashes = parts[:limit], hashes[:limit]
        stack = '","'.join(hashes)
        stack = f'"{stack}"' if stack else ""
        planning = "true" if run.planning else "false"
        step = "step" if target is None else hashed(target.key)
        return (
            f'{{"ctx":{{"attempt":{run.attempt},"disable_immediate_execution":{planning},"env":"dev",{self.whose},'
            f'"stack":{{"current":{len(hashes)},"stack":[{stack}]}},"step_id":"{step}","use_api":false}},'
            f'{self.events},"steps":{{{",".join(parts)}}},"use_api":false,"version":2}}'
        )


def memo_of(entry: Entry) -> str:
    """A recorded step in the form in which the server hands it back."""
    failure = entry.failure
    if failure is not None:
        error: dict[str, Any] = {"message": failure.message, "name": failure.name}
        if failure.stack is not None:
            error["stack"] = failure.stack
        return json.dumps({"error": error})
    value, text = entry.stored
    if text is None:
        text = json.dumps(value)
    elif entry.op not in EXECUTED or entry.op == INFER:
        # It has come from elsewhere than the SDK.
        text = canonical_text(json.loads(text))
    return text if entry.op in {SLEEP, WAIT} else f'{{"data":{text}}}'


# -- responses --------------------------------------------------------------------------------------------------------


class Decoder:
    """Reads one response.

    Args:
        run: the run that the request belongs to.
        now: the instant of the response.
        known: the functions that can be invoked.
        ops: the operations of steps that the wire does not tell apart, by their keys.
    """

    def __init__(self, run: RunState, now: int, known: Mapping[str, FunctionSpec], ops: Mapping[str, str]) -> None:
        self.run = run
        self.now = now
        self.known = known
        self.ops = ops
        self.longest = run.surroundings.limits.sleep

    def reply(self, response: Any, errors: list[BaseException | None]) -> Reply:
        """What a response says. ``errors`` are the exceptions in it, where they were raised in this process."""
        if response.status_code == STEPS:
            return self._steps(response, errors)
        if response.status_code == DONE:
            try:
                result = canonical(response.body)
            except NotJSONError:
                # No JSON, so the server takes it for text.
                result = (json.dumps(response.body), None)
            return self._too_large(result) or Reply(result=result)
        return self._error(response, errors[0] if errors else None)

    def _too_large(self, result: Stored) -> Reply | None:
        size = wire.size(result)
        if size <= RESPONSE_BYTES:
            return None
        message = "Your function's response body exceeds the maximum size limit"
        exception = LimitError(
            f"{self.run.spec.id} returned {size:,} bytes of JSON; the server reads {RESPONSE_BYTES:,}. Store the data "
            "elsewhere and return a reference to it"
        )
        return Reply(failure=server_failure("output_too_large", message, exception=exception))

    def _error(self, response: Any, exception: BaseException | None) -> Reply:
        body = response.body if isinstance(response.body, dict) else {"message": str(response.body)}
        body = json.loads(canonical_text(body))
        final = bool(response.no_retry)
        reason = "NonRetriableError" if final else f"invalid status code: {response.status_code}"
        name, message = str(body.get("name") or UNKNOWN_NAME), str(body.get("message") or reason)
        failure = Failure(name, message, stack=body.get("stack"), data=body, reason=reason, exception=exception)
        return Reply(failure=failure, final=final, retry=_retry_after(response.retry_after))

    def _steps(self, response: Any, errors: list[BaseException | None]) -> Reply:
        reports: list[Report] = []
        try:
            for number, op in enumerate(response.body):
                error = errors[number] if number < len(errors) else None
                found = self._report(op, error, final=bool(response.no_retry))
                if isinstance(found, Failure):
                    return Reply(failure=found, final=found.kind != "endless" and found.reason != INPUT_TOO_LARGE)
                reports.append(found)
        except NotJSONError as error:
            message = "error reading response: a NaN or an infinity is no JSON"
            return Reply(failure=server_failure("Error", message, text=message, exception=error))
        return Reply(reports)

    def _report(self, op: dict[str, Any], error: BaseException | None, *, final: bool) -> Report | Failure:
        kind = op["op"]
        key, step_id, index = step_of(op)
        made = READERS[kind](self, op, key, step_id, index)
        if isinstance(made, Failure):
            return made
        made.race = ((op.get("opts") or {}).get("parallelMode") or "").lower() == "race"
        if kind == "StepRun":
            return Report(made, Result(VALUE, canonical(op.get("data"))))
        if kind in {"StepError", "StepFailed"}:
            body = json.loads(canonical_text(op.get("error") or {}))
            failure = Failure(
                str(body.get("name") or UNKNOWN_NAME), str(body.get("message") or ""), stack=body.get("stack"),
                data=body, exception=error,
            )  # fmt: skip
            return Report(made, Result(ERROR, failure), final=final or kind == "StepFailed")
        return Report(made)

    def run_step(self, _op: dict[str, Any], key: str, step_id: str, index: int) -> Command | Failure:
        """A step that the SDK executes."""
        return Execute(key, step_id, index, self.ops.get(key, RUN), None, (), {})

    def sleep(self, op: dict[str, Any], key: str, step_id: str, index: int) -> Command | Failure:
        """A sleep, whose length the server rounds to whole seconds."""
        until = instant(op["name"], f"step '{key}' of {self.run.spec.id}")
        # The way to the server takes a moment, so that what is exactly half a second is less than that over there.
        length = max(0, (until - self.now + SECOND // 2 - 1) // SECOND * SECOND)
        if length > self.longest:
            message = (
                f'The sleep "{op["name"]}" ends more than one year in the future; sleeps may last at most one year.'
            )
            return self._too_long(key, message)
        return Sleep(key, step_id, index, length, None)

    def wait(self, op: dict[str, Any], key: str, step_id: str, index: int) -> Command | Failure:
        """A wait for an event. Its condition is compiled, and filled with the run's own event, now."""
        opts = op["opts"]
        timeout, text = length_of(opts["timeout"]), opts.get("if")
        if timeout > self.longest:
            message = (
                f'The wait-for-event timeout "{opts["timeout"]}" expires more than one year in the future; '
                "timeouts may last at most one year."
            )
            return self._too_long(key, message)
        refuses: Refusal = accepts_all
        if text is not None:
            where = f"step '{key}' of {self.run.spec.id}"
            try:
                compiled(text, where)
            except ExpressionError as error:
                message = "Wait for event If expression failed to compile"
                return server_failure("InvalidExpression", message, exception=error)
            try:
                refuses = bound_refusal(text, where, self.run.events[0], self.now // MILLISECOND)
            except ExpressionError as error:
                return _endless(
                    f"{where}: the server cannot fill the run's own event into the condition, and makes the request "
                    f"again, for ever: {error}",
                    error,
                )
        return WaitForEvent(key, step_id, index, op["name"], timeout, refuses, text or "")

    def invoke(self, op: dict[str, Any], key: str, step_id: str, index: int) -> Command | Failure:
        """An invocation of another function, by its id."""
        opts = op["opts"]
        function_id, data, timeout = opts["function_id"], opts["payload"].get("data"), opts.get("timeout")
        text = canonical_text(data or {})
        wired = json.loads(text)
        if not isinstance(wired, dict):
            return _endless(
                f"step '{key}' of {self.run.spec.id}: the server cannot read {data!r} as the data of an event, which "
                "is an object, and makes the request again, for ever; pass a dict"
            )
        if wire.size((None, text)) > self.run.surroundings.limits.step_bytes:
            return self._input_too_large(key, text)
        length = None if timeout is None else length_of(timeout)
        return Invoke(key, step_id, index, function_id, self.known.get(function_id), wired, length)

    def infer(self, op: dict[str, Any], key: str, step_id: str, index: int) -> Command | Failure:
        """A question to a model, which a script answers."""
        opts = op["opts"]
        parts = (opts.get("url") or "", opts.get("headers") or {}, opts.get("format") or "", opts.get("auth_key") or "")
        request = gateway.request(*parts, opts.get("body"))
        return Execute(key, step_id, index, INFER, None, (), request)

    def _input_too_large(self, key: str, text: str) -> Failure:
        exception = StepSizeError(
            f"step '{key}' of {self.run.spec.id} invokes with {len(text):,} bytes of JSON; a step may be given "
            f"{self.run.surroundings.limits.step_bytes:,}. Store the data elsewhere and pass a reference to it"
        )
        return server_failure("Error", INPUT_TOO_LARGE, text=INPUT_TOO_LARGE, exception=exception)

    def _too_long(self, key: str, message: str) -> Failure:
        exception = LimitError(f"step '{key}' of {self.run.spec.id}: {message}")
        return server_failure("InngestErrTimeoutTooLong", message, exception=exception)


READERS: dict[str, Callable[[Decoder, dict[str, Any], str, str, int], Command | Failure]] = {
    "Step": Decoder.run_step,
    "StepRun": Decoder.run_step,
    "StepError": Decoder.run_step,
    "StepFailed": Decoder.run_step,
    "StepPlanned": Decoder.run_step,
    "Sleep": Decoder.sleep,
    "WaitForEvent": Decoder.wait,
    "InvokeFunction": Decoder.invoke,
    "AIGateway": Decoder.infer,
}
"""What each operation becomes. The Python SDK has no others."""


def key_of(step_id: str, index: int) -> str:
    """The key of the use of an id with that index."""
    return f"{step_id}:{index}" if index else step_id


def step_of(op: dict[str, Any]) -> tuple[str, str, int]:
    """The key, the id and the index of the step that an operation is about."""
    userland = op.get("userland") or {}
    shown = op.get("displayName")
    step_id = str(userland["id"] if "id" in userland else op["id"] if shown is None else shown)
    index = userland.get("index") or 0
    return key_of(step_id, index), step_id, index


def events_of(events: Any = (), **_: Any) -> list[dict[str, Any]]:
    """What a step sends, for its record: the events in the form that native steps have them in."""
    listed = events if isinstance(events, (list, tuple)) else [events]
    return [{name: getattr(event, name, None) for name in ("name", "data", "id", "ts")} for event in listed]


def unserializable(result: Any, run: RunState) -> BaseException | None:
    """What of the SDK's own result JSON cannot carry, named with its place and type; None if that is not the matter."""
    for one in result.multi or [result]:
        step = one.step
        who = f"step '{step.display_name}' of {run.spec.id}" if step is not None else f"the result of {run.spec.id}"
        try:
            wire.store(one.output, who)
        except UsageError as error:
            return error
    return None


def length_of(text: str) -> int:
    """The microseconds of a duration as the SDK writes it: one whole number and a unit."""
    return sum(int(number) * UNITS[unit] for number, unit in _PART.findall(text))


def _endless(message: str, cause: BaseException | None = None) -> Failure:
    finding = UsageError(message)
    finding.__cause__ = cause
    return Failure("UsageError", message, kind="endless", exception=finding)


def _retry_after(text: str | None) -> BaseException | None:
    if text is None:
        return None
    return RetryAfterError("", datetime.fromisoformat(text).astimezone(UTC))


def in_sdk(error: BaseException) -> BaseException:
    """A scripted or injected error in the class that the SDK knows."""
    from inngest import NonRetriableError as Final
    from inngest import RetryAfterError as Later

    made: BaseException = error
    if isinstance(error, NonRetriableError):
        made = Final(error.message)
    elif isinstance(error, RetryAfterError):
        made = Later(error.message, error.retry_after)
    if made is not error:
        made.__cause__ = error
    return made
