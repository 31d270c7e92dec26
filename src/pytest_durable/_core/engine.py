"""What the server does: starts runs, sends requests, records steps, retries, and ends runs. Semantics' appendix A."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import chance, wire
from .answers import Answers
from .attempts import Attempts
from .commands import EXECUTED, INFER, SIGNAL, TIMER_OP, Asked, Command, Raised, Returned, Suspended
from .errors import (
    LimitError,
    NonDeterminismError,
    RunSizeError,
    StepSizeError,
    UsageError,
)
from .failing import failure_of, is_retriable, mistake_in
from .happenings import LOG_OF_STEPS, TIMER, WORK, Happening
from .instants import MILLISECOND, duration, instant
from .limits import BACKOFF, JITTER_MS, RETRY_AFTER_LEAST, RETRY_AFTER_MOST, Limits, megabytes
from .remote import Remote
from .requests import Item
from .runs import CANCELLED, COMPLETED, FAILED, RUNNING, Entry, Failure, FunctionSpec, RunState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .commands import Answer
    from .requests import Stage
    from .wire import Stored
    from .world import World


FIRST_ATTEMPT = {"attempt": 0}
"""The rest of the fact of most requests; one for all of them."""


class Engine:
    """The requests of all runs, and what their answers lead to."""

    def __init__(self, world: World, stage: Stage, *, seed: int = 0, limits: Limits | None = None) -> None:
        self.world = world
        self.stage = stage
        self.seed = seed
        self.limits = limits or Limits()
        self.runs: list[RunState] = []
        self.known: dict[str, FunctionSpec] = {}
        self.checkpoint = False
        self.surroundings: Any = None
        self.current: RunState | None = None
        self._follows = False
        self._item: Item | None = None
        self.answers = Answers(self)
        self.remote = Remote(self)
        self.attempts = Attempts(self)
        self._names: dict[str, int] = {}

    # -- a run begins -------------------------------------------------------------------------------------------------

    def create(self, spec: FunctionSpec, events: list[dict[str, Any]], who: str, at: int | None = None) -> RunState:
        """Create a run and make its first request due. ``who`` is what the run's id is made of."""
        world = self.world
        world.touch("runs", "w")
        same = self._names.get(who, 0)
        self._names[who] = same + 1
        run_id = chance.ulid(world.now // MILLISECOND, self.seed, f"run {spec.id} {who} {same}")
        run = RunState(run_id, spec, events, world.now)
        run.bytes = sum(len(text) for text in run.event_texts) if len(events) > 1 or len(events[0]["data"]) else 0
        run.checkpoint = self.checkpoint or spec.checkpointing
        run.surroundings = self.surroundings
        self.runs.append(run)
        self.fact(run, "run.queued", "", {"function": spec.id})
        if spec.flow is not None and not self.answers.gates.admit(run):
            return run
        for cancel in spec.cancels:
            self.answers.listen_for_cancel(run, cancel)
        if spec.start_timeout is not None:
            self._limit_timer(run, world.now + spec.start_timeout, "start")
        self.request_at(Item(run, None, 0), max(world.now, at or 0), "start")
        return run

    def _limit_timer(self, run: RunState, at: int, which: str) -> None:
        def expire() -> None:
            if which == "finish" or run.started_at is None:
                self.cancel(run, f"its {which} timeout passed")

        self.world.push(Happening(at, TIMER, "limit", run, which, expire, weak=True, owner=run.due))

    def request_at(self, item: Item, at: int, kind: str, *, first: bool = False) -> Happening:
        """Make a request due."""
        run = item.run
        serve = self._request if run.spec.flow is None else self.answers.gates.turns.expect(item, at)
        happening = Happening(at, WORK if at <= self.world.now else TIMER, kind, run, item,
                              lambda: serve(item), owner=run.due)  # fmt: skip
        return self.world.push(happening, first=first)

    def _go_on(self, run: RunState, *, first: bool = False) -> None:
        """Make the next invocation of the body due."""
        run.planning = False
        world = self.world
        calm = world.calm and run.spec.flow is None and not self.stage.befalls
        if self.current is run and calm and not world.alive and not world.floating:
            # Nothing else can happen before it, so it is no choice, and needs no happening of its own.
            self._follows = True
            return
        self.request_at(Item(run, None, len(run.stack)), world.now, "go on", first=first)

    # -- a request and its answer -------------------------------------------------------------------------------------

    def _request(self, item: Item) -> None:
        run = item.run
        watched = self.stage.befalls
        try:
            while True:
                try:
                    self._serve(item, watched=watched)
                finally:
                    if run.open is not None:
                        run.spec.host.leave(run)
                if not self._follows or run.ended_at is not None:
                    return
                # Nothing has become due meanwhile: without faults nothing is added behind the record of a step.
                self._follows = False
                item = Item(run, None, len(run.stack))
        finally:
            self.current = None
            self._follows = False

    def _serve(self, item: Item, *, watched: bool) -> None:
        run, world, target = item.run, self.world, item.target
        spec = run.spec
        if world.footprint is not None:
            world.touch(run.key, "c" if target is not None and target.command.positional else "w")
            if target is None:
                # A body should look at nothing outside; one that does is not to be missed by the reduction.
                world.touch("step bodies", "r")
        if run.started_at is None:
            run.started_at = world.now
            run.status = RUNNING
            if spec.finish_timeout is not None:
                self._limit_timer(run, world.now + spec.finish_timeout, "finish")
        if (watched and not self.stage.before(item)) or (spec.remote and self.remote.refuses(run)):
            return
        self.current = run
        run.attempt = item.attempt
        answer = self._enter(item)
        if run.talks and not item.answered and not isinstance(answer, Suspended):
            self.hear_later(item, answer)
        else:
            self._hear(item, answer, watched=watched)

    def hear_later(self, item: Item, answer: Answer) -> None:
        """Hear an answer behind the events that the body itself has sent: they were out before it was."""
        run, body = item.run, item.run.open
        run.talks, run.open = False, None

        def hear() -> None:
            self.world.touch(run.key, "w")
            run.open = body
            try:
                if run.ended_at is None:
                    self._hear(item, answer, watched=self.stage.befalls)
            finally:
                if run.open is not None:
                    run.spec.host.leave(run)

        happening = Happening(self.world.now, WORK, "answer", run, str(item), hear)
        if run.spec.flow is not None:
            self.answers.gates.turns.stays(item, happening)
        self.world.push(happening)

    def _hear(self, item: Item, answer: Answer, *, watched: bool) -> None:
        if item.answered:
            # Of what the body raised while it was left, only a mistake counts: all else is raised again at its end.
            if isinstance(answer, Raised) and isinstance(answer.error, (UsageError, NonDeterminismError)):
                self._raised(item, answer)
        elif isinstance(answer, Asked):
            self._asked(item, answer)
        elif isinstance(answer, Raised):
            self._raised(item, answer)
        elif isinstance(answer, Returned):
            lost = self.stage.ended(item) if watched else None
            self._returned(item, answer.value) if lost is None else self._raised(item, Raised(lost))
        else:
            self.remote.take(item, answer, self.world.now)
        if watched:
            # What befalls now is no part of the request any more.
            self.current = None
            self.stage.after(item)

    def _enter(self, item: Item) -> Answer:
        """Enter the body, or let it go on in place."""
        run, target, host = item.run, item.target, item.run.spec.host
        answer: Answer | None = None
        if run.live is not None and target is None:
            answer = host.resume(run, run.stack[-1] if run.stack else None)
        if answer is None:
            run.invocations += 1
            who, attempt = target.key if target is not None else "", item.attempt
            run.noted.append((self.world.now, "request", who, {"attempt": attempt} if attempt else FIRST_ATTEMPT))
            self._item = item
            answer = host.invoke(run, target)
            self._item = None
        misuse = self.stage.misuse
        if misuse is not None:
            self.stage.misuse = None
            return Raised(misuse)
        return answer

    def perform(self, run: RunState, command: Command) -> None:
        """Begin a step that a sync body asks for while it stands in the blocks around it; it is left behind that."""
        item = self._item
        if item is not None and item.run is run and item.target is None and run.ended_at is None:
            item.answered = True
            self._asked(item, Asked([command]))

    def _asked(self, item: Item, answer: Asked) -> None:
        run, commands = item.run, answer.commands
        if item.target is not None:
            # Alone in this invocation, it does not show its place in its group.
            commands[0].positional = item.target.command.positional
            item.target.command = commands[0]
            self.attempts.execute(item, item.target)
            return
        if run.timer is not None and run.timer.at != answer.timer:
            self.world.call_off(run.timer)
            run.timer = None
        if answer.timer is not None and run.timer is None:
            self._body_timer(run, answer.timer)
        if item.retries is not None:
            run.pending.pop(item.retries.key, None)
            item.retries.in_flight = False
        if run.pending:
            self._abandon(run, commands)
        if len(commands) == 1 and commands[0].op in EXECUTED and not commands[0].planned and not run.pending:
            self.attempts.execute(item, self._entry(run, commands[0]))
            return
        new = []
        for command in commands:
            entry = self._entry(run, command)
            if not entry.in_flight:
                entry.in_flight = True
                entry.visible = len(run.stack)
                run.pending[entry.key] = entry
                new.append(entry)
        # Waits register before their sibling steps start, so that a sibling cannot answer too early.
        if not self.answers.begin_all(run, new):
            return
        self._plan(item, new)

    def _plan(self, item: Item, new: Sequence[Entry]) -> None:
        """Begin the steps of a group that are executed: each in a request of its own."""
        run = item.run
        planned = []
        for entry in new:
            if entry.op == INFER:
                # The server asks the model itself, so it needs no request of its own.
                self.attempts.execute(item, entry)
                if run.ended_at is not None:
                    return
            elif entry.op in EXECUTED:
                self.fact(run, "step.planned", entry.key, {"op": entry.op})
                planned.append(entry)
        first = bool(planned) and (item.run.spec.optimize_parallelism is False or planned[0].command.race)
        for entry in reversed(planned) if first else planned:
            self.request_at(Item(run, entry, 0), self.world.now, "step", first=first)

    def _abandon(self, run: RunState, commands: Sequence[Command]) -> None:
        """Steps that the body waits for no more, behind a timeout: they hold nobody up, and none is retried."""
        wanted = {command.key for command in commands}
        for entry in [entry for key, entry in run.pending.items() if key not in wanted]:
            del run.pending[entry.key]
            entry.abandoned = True
            if entry.retry is not None:
                self.world.call_off(entry.retry)

    def _body_timer(self, run: RunState, at: int) -> None:
        """A timer of the body itself (``asyncio.timeout``): a step without a name, of which only the body knows."""
        number = sum(1 for entry in run.stack if entry.op == TIMER_OP)
        # No id of an author's step can be this key.
        key = f"\0timer {number}"
        if number >= self.limits.steps:
            message = f"the body of {run.spec.id} has set more than {self.limits.steps:,} timers; it waits in a loop"
            self.fail(run, self.failure_of(LimitError(message)))
            return
        entry = Entry(key, "timer", number, TIMER_OP, None)
        entry.command = Command(key, "timer", number, TIMER_OP)

        def fire() -> None:
            self.world.touch(run.key, "w")
            run.timer = None
            entry.command.race = True
            self.fact(run, "timer.fired", "", {"number": number})
            self._saved(run, entry)

        run.timer = self.world.push(Happening(at, TIMER, "timer", run, str(number), fire, owner=run.due))

    def _entry(self, run: RunState, command: Command) -> Entry:
        entry = run.entries[command.key]
        if entry.command is None:
            run.noted.append((self.world.now, "step.asked", entry.key, entry))
        entry.command = command
        return entry

    def _returned(self, item: Item, value: object) -> None:
        run = item.run
        self.stage.returned(run, value)
        try:
            stored, _ = wire.store(value, "the result of {}", run.spec.id)
        except UsageError as error:
            self.fail(run, self.failure_of(error))
            return
        run.result = stored
        self.fact(run, "run.completed", "", {"result": wire.load(stored)})
        self._end(run, COMPLETED)

    def _raised(self, item: Item, answer: Raised) -> None:
        """The body itself failed: the request is tried again, or the run fails."""
        run, error = item.run, mistake_in(answer.error) or answer.error
        failure = self.failure_of(error)
        retriable = is_retriable(error) and item.attempt + 1 < run.spec.attempts
        self.fact(run, "body.failed", "", failure.wire())
        if retriable:
            self.retry(item, error)
        else:
            self.fail(run, failure)

    def retry(self, item: Item, error: BaseException | None, retries: Entry | None = None) -> Happening:
        run, target = item.run, item.target
        who = target.key if target is not None else ""
        pause = self._pause(run, who, item, error)
        again = Item(run, target, item.number)
        again.attempt = item.attempt + 1
        again.retries = retries
        return self.request_at(again, self.world.now + pause, "step" if target is not None else "go on")

    def _pause(self, run: RunState, who: str, item: Item, error: BaseException | None) -> int:
        if any(kind.__name__ == "RetryAfterError" for kind in type(error).__mro__):
            # Ours, or that of an SDK, in a step of a native function.
            wanted = self._retry_after(error.retry_after)  # type: ignore[union-attr]  # both have it
            return min(max(wanted, RETRY_AFTER_LEAST), RETRY_AFTER_MOST)
        jitter = chance.below(JITTER_MS, self.seed, run.id, who, item.number, item.attempt)
        return BACKOFF[min(item.attempt, len(BACKOFF) - 1)] + jitter * MILLISECOND

    def _retry_after(self, after: Any) -> int:
        if hasattr(after, "tzinfo"):
            if after.tzinfo is None:
                # The SDK takes the local time of its worker.
                after = after.astimezone()
            return instant(after, "retry_after") - self.world.now
        return duration(after, "retry_after")

    failure_of = staticmethod(failure_of)

    # -- a step is recorded -------------------------------------------------------------------------------------------

    def save_value(self, run: RunState, entry: Entry, value: object) -> None:
        """Record the result of a step, after its way over the wire and under the limits."""
        limits = self.limits
        try:
            stored, size = wire.store(value, "step '{}' of {}", entry.key, run.spec.id)
            if entry.op in EXECUTED:
                run.bytes += size
            if size > limits.step_bytes or run.bytes > limits.run_bytes:
                raise self._too_large(run, entry, size)
        except (UsageError, LimitError) as error:
            self.fail(run, self.failure_of(entry.placed(error)))
            return
        if not entry.done and run.ended_at is None:
            entry.stored = stored
            run.noted.append((self.world.now, "step.completed", entry.key, entry))
            self._saved(run, entry)

    def _too_large(self, run: RunState, entry: Entry, size: int) -> LimitError:
        where = f"step '{entry.key}' of {run.spec.id}"
        if size > self.limits.step_bytes:
            return StepSizeError(
                f"{where} returned {size:,} bytes of JSON; a step may return {megabytes(self.limits.step_bytes)}. "
                "Store the data elsewhere and return a reference to it"
            )
        return RunSizeError(
            f"with {where} the outputs of the run are {run.bytes:,} bytes of JSON; "
            f"a run may hold {megabytes(self.limits.run_bytes)}. Store the data elsewhere and return references"
        )

    def save_stored(self, run: RunState, entry: Entry, stored: Stored) -> None:
        """Record a result that has crossed the wire."""
        if entry.done or run.ended_at is not None:
            return
        if entry.op not in EXECUTED:
            # What a step returned was counted when it crossed the wire; what came from outside is counted here.
            run.bytes += wire.size(stored)
            if run.bytes > self.limits.run_bytes:
                self.fail(run, self.failure_of(entry.placed(self._too_large(run, entry, 0))))
                return
        entry.stored = stored
        self.fact(run, "step.completed", entry.key, entry)
        self._saved(run, entry)

    def save_failure(self, run: RunState, entry: Entry, failure: Failure) -> None:
        """Record that a step has failed for good; the body receives a StepError."""
        if entry.done or run.ended_at is not None:
            return
        entry.failure = failure
        self.fact(run, "step.failed", entry.key, {"op": entry.op, "error": failure.wire(), "kind": failure.kind})
        self._saved(run, entry)

    def _saved(self, run: RunState, entry: Entry) -> None:
        run.record(entry, self.world.now)
        if self.world.footprint is not None:
            self.world.touch(f"{LOG_OF_STEPS} of {run.id}", "c")
        run.pending.pop(entry.key, None)
        races = entry.command.race or not run.spec.optimize_parallelism
        if races or (not run.pending and not entry.abandoned):
            self._go_on(run, first=races and bool(run.pending))

    # -- a run ends ---------------------------------------------------------------------------------------------------

    def fail(self, run: RunState, failure: Failure) -> None:
        """End a run as failed."""
        if run.ended_at is not None:
            return
        run.failure = failure
        self.fact(run, "run.failed", "", {"error": failure.wire()})
        self._end(run, FAILED)
        if isinstance(failure.exception, NonDeterminismError):
            # Said at once, to whoever drives: a run whose steps differ has no meaning that a later look could find.
            raise failure.exception

    def cancel(self, run: RunState, reason: str) -> None:
        """End a run now. What is in flight happens, and nobody hears of it."""
        if run.ended_at is not None:
            return
        self.world.touch(run.key, "w")
        run.reason = reason
        self.fact(run, "run.cancelled", "", {"reason": reason})
        self._end(run, CANCELLED)

    def _end(self, run: RunState, status: str) -> None:
        run.status = status
        run.ended_at = self.world.now
        for happening in list(run.due):
            self.world.call_off(happening)
        if self.world.footprint is not None:
            for entry in run.pending.values():
                if entry.op == SIGNAL:
                    # Others may wait for it now.
                    self.world.touch(f"signal {entry.command.signal}", "w")
        self.answers.listeners.remove_run(run)
        run.pending.clear()
        run.kept = None
        if run.live is not None:
            run.spec.host.drop(run)
        self._announce(run)
        self.answers.ended(run)

    def _announce(self, run: RunState) -> None:
        """The system events of an end. A run that such an event started emits none, so there is no recursion."""
        cause = run.events[0]["name"] if run.events else ""
        if cause in {"inngest/function.failed", "inngest/function.finished"}:
            return
        names = ["inngest/function.finished"]
        if run.status == FAILED:
            names.append("inngest/function.failed")
        elif run.status == CANCELLED:
            names.append("inngest/function.cancelled")
        for name in names:
            self.answers.system_event(name, run.end_data, run)

    def redeliver(self, run: RunState, entry: Entry) -> None:
        """Deliver the request of a recorded step once more: the body is entered, and what it asks for is known."""
        entry.visible = entry.order
        self.world.touch(run.key, "w")
        self.world.touch("step bodies", "r")
        run.invocations += 1
        self.fact(run, "request", entry.key, {"attempt": 0, "again": True})
        run.spec.host.invoke(run, entry)
        run.talks = False
        if run.open is not None:
            run.spec.host.leave(run)

    # -- small things -------------------------------------------------------------------------------------------------

    def fact(self, run: RunState, what: str, step: str, rest: Any) -> None:
        """Add a fact to the history of a run."""
        run.noted.append((self.world.now, what, step, rest))
