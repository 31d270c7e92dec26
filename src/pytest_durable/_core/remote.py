"""What the real server does with the replies of an SDK. Semantics' appendix A, with the corrections of appendix E.

Where a native function gets the friendlier rule, a function of an SDK gets that of the server it will meet.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from . import wire
from .canonical import canonical_text
from .commands import EXECUTED, INFER, WAIT, Reply, Suspended
from .errors import LimitError, RunSizeError, SerializationError, StepLimitError, StepSizeError, UsageError
from .failing import failure_of, mistake_in
from .happenings import TIMER, Happening
from .instants import MILLISECOND
from .requests import Item
from .results import CRASH, VALUE, Result
from .runs import COMPLETED, Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .commands import Command, Report
    from .engine import Engine
    from .runs import Entry, RunState

OPERATIONS_PER_REPLY = 1_000

RESENDS = 50
"""How often a request is made that the server would make for ever, until the run fails with the finding."""


def server_failure(name: str, message: str, *, text: str = "", exception: BaseException | None = None) -> Failure:
    """A failure that the server itself finds: the wire carries it as text, under the name ``Error``."""
    text = text or f"{name}: {message}"
    body = {"error": {"error": text, "name": name, "message": message}}
    shown = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return Failure("Error", shown, kind="server", data=shown, reason=name if text != message else text,
                   exception=exception)  # fmt: skip


def _mistake(failure: Failure) -> UsageError | None:
    """The author's mistake behind what the SDK answers, which nobody tries again; None if there is none.

    What is too large, or no JSON, is tried again on the server, too.
    """
    found = mistake_in(failure.exception) if failure.kind not in {"server", "endless"} else None
    return found if isinstance(found, UsageError) and not isinstance(found, SerializationError) else None


class Remote:
    """The replies of SDKs, and what they lead to."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.world = engine.world

    # -- a request ----------------------------------------------------------------------------------------------------

    def refuses(self, run: RunState) -> bool:
        """Whether a request is not made at all: its run has ended, or has as many steps as it may have."""
        steps = self.engine.limits.steps
        if run.ended_at is not None or len(run.stack) < steps:
            return False
        message = f"The function run exceeded the step limit of {steps} steps."
        exception = StepLimitError(f"{run.spec.id} has {steps:,} steps, and the server goes on up to {steps - 1:,}")
        failure = server_failure("InngestErrFunctionOverflowed", message, text="function has too many steps",
                                 exception=exception)  # fmt: skip
        failure.reason = failure.message
        self.engine.fail(run, failure)
        return True

    def begin(self, run: RunState, command: Command) -> Entry:
        """An SDK is about to execute a step."""
        before = run.entries.get(command.key)
        if before is not None:
            command.race, command.planned = before.command.race, before.command.planned
        entry = self._entry(run, command)
        entry.attempts += 1
        if entry.started_at is None:
            entry.started_at = self.world.now
        return entry

    def _entry(self, run: RunState, command: Command) -> Entry:
        if command.key not in run.entries:
            code = getattr(run.spec.source, "__code__", None)
            source = (code, code.co_firstlineno) if code is not None else None
            run.ask(command.key, command.id, command.index, command.op, source)
        return self.engine._entry(run, command)  # noqa: SLF001 - the engine's other half

    def take(self, item: Item, answer: Reply | Suspended, since: int) -> None:
        """Act on an answer: wait for the rest of a request that is under way, or handle its reply."""
        run = item.run
        if isinstance(answer, Suspended):
            self._await(item, answer, since)
        elif run.ended_at is not None:
            # Cancelled meanwhile: what the request did is done, and nobody hears of it.
            return
        elif answer.failure is not None:
            self._failed(item, answer)
        elif answer.reports is None:
            self._ended(item, answer)
        else:
            self._reported(item, answer.reports)

    def _await(self, item: Item, suspended: Suspended, since: int) -> None:
        run, detail = item.run, f"{item} {item.attempt} {since}"

        def due(at: int) -> Happening:
            goes_on = Happening(at, TIMER, "request", run, detail, lambda: self._go_on(item, suspended, since))
            if run.spec.flow is not None:
                self.engine.answers.gates.turns.stays(item, goes_on)
            return goes_on

        if suspended.course is not None:
            self.world.wait_for(suspended.course, due)
        else:
            assert suspended.at is not None, "this is our bug: a request that nobody lets go on"
            self.world.push(due(suspended.at))

    def _go_on(self, item: Item, suspended: Suspended, since: int) -> None:
        run, world = item.run, self.world
        if world.footprint is not None:
            world.touch(run.key, "w")
            world.touch("step bodies", "w")
        self.engine.current = run
        try:
            answer = suspended.resume()
        finally:
            self.engine.current = None
        if run.talks and not isinstance(answer, Suspended):
            self.engine.hear_later(item, answer)
            return
        self.take(item, answer, since)
        if self.engine.stage.befalls and not isinstance(answer, Suspended):
            self.engine.stage.after(item)

    # -- a reply ------------------------------------------------------------------------------------------------------

    def _failed(self, item: Item, reply: Reply) -> None:
        engine, run, failure = self.engine, item.run, reply.failure
        assert failure is not None, "this is our bug: a failed reply without a failure"
        attempts = RESENDS if failure.kind == "endless" else run.spec.attempts
        if failure.kind == "endless":
            run.find([failure.message])
        elif failure.kind != "server":
            engine.fact(run, "body.failed", "", failure.wire())
        mistake = _mistake(failure)
        if reply.final or mistake is not None or item.attempt + 1 >= attempts:
            self._let_go(run)
            engine.fail(run, failure if mistake is None else failure_of(mistake))
        else:
            engine.retry(item, reply.retry)

    def _ended(self, item: Item, reply: Reply) -> None:
        engine, run = self.engine, item.run
        lost = engine.stage.ended(item) if engine.stage.befalls else None
        if lost is not None:
            self._failed(item, Reply(failure=engine.failure_of(lost)))
            return
        self._let_go(run)
        run.result = reply.result
        engine.fact(run, "run.completed", "", {"result": wire.load(reply.result)})
        engine._end(run, COMPLETED)  # noqa: SLF001 - as above

    def _let_go(self, run: RunState) -> None:
        """Requests of siblings are under way by now, on other workers: they are made, and nobody hears of them."""
        for happening in [one for one in run.due if one.ready and one.kind == "step"]:
            del run.due[happening]
            happening.owner = None

    def _reported(self, item: Item, reports: Sequence[Report]) -> None:
        run = item.run
        too_large = self._too_large(reports)
        if too_large is not None:
            self._failed(item, too_large)
            return
        if len(reports) > OPERATIONS_PER_REPLY:
            message = f"The function run exceeded the step limit of {OPERATIONS_PER_REPLY} steps."
            exception = StepLimitError(f"{run.spec.id} asks for {len(reports):,} steps at once. {message}")
            self.engine.fail(run, server_failure("InngestErrFunctionOverflowed", message, exception=exception))
            return
        found = [report.command for report in reports if report.outcome is None]
        if len(reports) > 1:
            run.planning = True
            if found:
                run.pending.clear()
        if found:
            self._found(item, found)
        for report in reports:
            if report.outcome is not None:
                entry = run.entries.get(report.command.key) or self._entry(run, report.command)
                self._executed(item, entry, report.outcome, final=report.final)

    def _too_large(self, reports: Sequence[Report]) -> Reply | None:
        limit = self.engine.limits.step_bytes
        for report in reports:
            outcome = report.outcome
            if outcome is not None and outcome.kind == VALUE and wire.size(outcome.payload) > limit:
                message = (
                    f"error validating generator opcode {report.command.key}: step output size is greater than the "
                    "limit"
                )
                exception = StepSizeError(
                    f"step '{report.command.key}' returned {wire.size(outcome.payload):,} bytes of JSON; a step may "
                    f"return {limit:,}. Store the data elsewhere and return a reference to it"
                )
                failure = server_failure("Error", message, text=message, exception=exception)
                return Reply(failure=failure)
        return None

    def _found(self, item: Item, commands: Sequence[Command]) -> None:
        """Steps that the SDK found and did not execute: they begin to wait, or are planned."""
        engine, run = self.engine, item.run
        new = []
        for command in commands:
            before = run.entries.get(command.key)
            if before is not None and (before.done or before.in_flight):
                # Reported again; its job is known, and a second one is dropped.
                before.command.race = command.race
                if not before.done:
                    run.pending[before.key] = before
                continue
            entry = self._entry(run, command)
            entry.in_flight = True
            entry.visible = len(run.stack)
            run.pending[entry.key] = entry
            new.append(entry)
        # Waits register before their sibling steps start, so that a sibling cannot answer too early.
        if not engine.answers.begin_all(run, sorted(new, key=lambda entry: entry.op != WAIT)):
            return
        planned = []
        for entry in new:
            if run.ended_at is not None:
                return
            if entry.op == INFER:
                self._infer(item, entry)
            elif entry.op in EXECUTED:
                entry.command.planned = True
                engine.fact(run, "step.planned", entry.key, {"op": entry.op})
                planned.append(entry)
        first = bool(planned) and planned[0].command.race
        for entry in reversed(planned) if first else planned:
            engine.request_at(Item(run, entry, 0), self.world.now, "step", first=first)

    def _infer(self, item: Item, entry: Entry) -> None:
        """Ask a model, which only a script answers."""
        run = item.run
        entry.attempts += 1
        if entry.started_at is None:
            entry.started_at = self.world.now
        result = self.engine.stage.attempt(run, entry)

        def ends() -> None:
            payload = result.payload
            if result.kind == VALUE:
                self.engine.save_value(run, entry, payload)
                return
            entry.in_flight = False
            if result.kind != CRASH and not isinstance(payload, (UsageError, LimitError)):
                message = f"Error making AI request: {payload}"
                result.payload = Failure("AIGatewayError", message, exception=payload)
            self._executed(item, entry, result)

        if result.elapsed:
            self.world.push(Happening(self.world.now + result.elapsed, TIMER, "end", run, f"{entry.key} {item.attempt}",
                                      ends, owner=run.due))  # fmt: skip
        else:
            ends()

    def _executed(self, item: Item, entry: Entry, outcome: Result, *, final: bool = False) -> None:
        """A step that was executed in this request: it is recorded, or the request is made again."""
        engine, run = self.engine, item.run
        if outcome.kind == VALUE:
            self._save(run, entry, outcome.payload)
            return
        error = outcome.payload
        failure = error if isinstance(error, Failure) else engine.failure_of(error)
        engine.fact(run, "attempt.failed", entry.key, {"attempt": item.attempt, "error": failure.wire()})
        mistake = _mistake(failure)
        if mistake is not None:
            engine.fail(run, failure_of(entry.placed(mistake)))
        elif isinstance(error, (UsageError, LimitError)):
            engine.fail(run, failure)
        elif not final and item.attempt + 1 < run.spec.attempts:
            entry.retry = engine.retry(item, None)
        elif outcome.kind == CRASH:
            engine.fail(run, failure)
        else:
            engine.save_failure(run, entry, failure)

    def _save(self, run: RunState, entry: Entry, stored: wire.Stored) -> None:
        if entry.done:
            return
        limits = self.engine.limits
        run.bytes += wire.size(stored)
        if run.bytes > limits.run_bytes:
            message = f"The function run exceeded the state size limit of {limits.run_bytes} bytes."
            exception = RunSizeError(f"with step '{entry.key}' of {run.spec.id}: {message}")
            self.engine.fail(run, server_failure("InngestErrStateOverflowed", message, exception=exception))
            return
        self.engine.save_stored(run, entry, stored)

    # -- the end of a run, and those who hear of it --------------------------------------------------------------------

    def cancelled_child(self, child: RunState) -> wire.Stored:
        """What a caller gets of an invoked run that was cancelled: the event of its end, as if that were the result."""
        name = "inngest/function.finished"
        now = self.world.now // MILLISECOND
        event = self.engine.answers.make_event(name, child.end_data(), f"{child.id} {name}", "", now)
        return (None, canonical_text({**event, "user": {}}))
