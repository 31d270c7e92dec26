"""What the test puts between the engine and the world: scripts, faults, reactions, and the calling of handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import faults as f
from . import scripts as s
from ._core import chance
from ._core.bus import BusEvent
from ._core.commands import INFER, RUN, SEND, SLEEP
from ._core.errors import InjectedError, UsageError, WorkerCrashError
from ._core.happenings import LOG_OF_EFFECTS, NEWS, WORK, Happening
from ._core.instants import MILLISECOND
from ._core.results import CRASH, DEAF, ERROR, UNDER_WAY, VALUE, Result, at_the_end
from .events import outgoing_all
from .handlers import call
from .touching import touched_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core.engine import Engine
    from ._core.requests import Item
    from ._core.runs import Entry, RunState
    from ._core.world import World
    from .clock import Clock
    from .ledger import Ledger

OK = "as usual"


class TestStage:
    """The stage of a simulation; see ``_core.requests.Stage``."""

    __test__ = False

    def __init__(self, world: World, clock: Clock, ledger: Ledger, faults: f.Faults) -> None:
        self.world = world
        self.clock = clock
        self.executing: Entry | None = None
        ledger.where = self.where
        self.faults = faults
        self.scripts = s.Scripts()
        self.reactions: list[s.Reaction] = []
        self.isolated: dict[str, tuple[str, ...]] = {}
        self.received: dict[str, int] = {}
        clock.receive = self.receive
        clock.actor = self.actor
        clock.misused = self.misused
        self.held: dict[BusEvent, Happening] = {}
        """Events that arrive behind the next one, and when without one."""
        self.under_way: dict[Any, None] = {}
        """Requests to an SDK that sleep; each has ``close``."""
        self.later = False
        """The request of an SDK that is under way awaits by itself what an async handler returns."""
        self.strict = False
        """Say at once that the body of an SDK asks for other steps than before, which its server does not notice."""
        self.misuse: Any = None
        """A mistake of the author in the code under way, which is to end the run whatever that code catches."""
        self.engine: Engine
        self.react: Callable[[str, Any, Any, int, str, RunState], None]

    @property
    def befalls(self) -> bool:
        """Whether there are faults."""
        return self.faults.present

    # -- attempts -----------------------------------------------------------------------------------------------------

    def attempt(self, run: RunState, entry: Entry) -> Result:
        """Try a step once: its handler, its script, and the faults that befall it."""
        # A handler pauses where the body can stand meanwhile: not in a sync one.
        pauses = run.open is not None or run.live is not None
        if entry.op == RUN and not self.scripts.written and not self.faults.present:
            command: Any = entry.command
            return self._call(run, entry, command.handler, command.args, command.kwargs, pauses=pauses)
        fault = self._choose(run, entry) if self.faults.present else None
        verdict, rule = (fault.verdict, fault.fault) if fault is not None else (OK, None)
        # What happens before the effect leaves the script to the attempt that has one.
        if verdict == f.CRASH_BEFORE:
            return Result(CRASH, _crash(run, entry, "before"))
        if verdict == f.STEP_ERROR:
            return Result(ERROR, InjectedError(f"injected by {rule!r}"))
        action = self._scripted(run, entry) if self.scripts.written else None
        if action is None and fault is None:
            return self._perform(run, entry, None, pauses=pauses)
        kind = action.kind if action is not None else s.REAL
        elapsed = action.elapsed if action is not None else 0
        if kind == s.CRASH_BEFORE:
            return Result(CRASH, _crash(run, entry, "before"), elapsed)
        elapsed += rule.length if rule is not None and verdict == f.SLOW else 0
        lost = verdict in {f.CRASH_AFTER, f.LOST} or kind == s.CRASH_AFTER

        def befallen(result: Result) -> Result:
            result.elapsed += elapsed
            if lost and result.kind == VALUE:
                when = "answer" if verdict == f.LOST else "after"
                return Result(CRASH, _crash(run, entry, when), result.elapsed)
            return result

        return at_the_end(self._perform(run, entry, action, pauses=pauses), befallen)

    def _scripted(self, run: RunState, entry: Entry) -> s.Action | None:
        action = self.scripts.next(run, entry)
        if action is not None:
            # Which of two attempts comes first decides which of the script's actions it gets.
            self.world.touch(f"script {entry.id}", "w")
        return action

    def _perform(self, run: RunState, entry: Entry, action: s.Action | None, *, pauses: bool) -> Result:
        command: Any = entry.command
        kind = action.kind if action is not None else s.REAL
        if action is not None and kind == s.RAISE:
            return Result(ERROR, action.payload)
        if action is not None and kind == s.RETURN:
            return Result(VALUE, action.payload)
        where = f"step '{entry.key}' of {run.spec.id}"
        if kind == s.TIME_OUT:
            return Result(ERROR, UsageError(f"{where} is executed, and times_out() is for waits and invocations"))
        if entry.op == SEND and kind != s.CALL and not hasattr(command, "handler"):
            return Result(VALUE, self.engine.answers.send_from(run, entry, command))
        handler = (action.payload if action is not None else None) or getattr(command, "handler", None)
        if handler is None and kind == s.CRASH_AFTER:
            return Result(VALUE)  # A model was asked, and nobody heard the answer.
        if handler is None:
            return Result(ERROR, self._unscripted(where, entry))
        args, kwargs = getattr(command, "args", ()), getattr(command, "kwargs", {})
        return self._call(run, entry, handler, args, kwargs, pauses=pauses)

    def _call(
        self, run: RunState, entry: Entry, handler: Any, args: Any, kwargs: Any, *, pauses: bool, course: Any = None
    ) -> Result:
        """Call a handler, or let the one whose course is given go on."""
        if self.world.footprint is not None:
            self._touch(entry, handler)
        bound = self.engine.limits.callbacks_per_invocation
        self.executing, run.executing = entry, entry.key
        try:
            called = handler if course is None else course.itself
            result = call(called, args, kwargs, self.clock, entry, run, bound, pauses=pauses, later=self.later)
        finally:
            self.executing, run.executing = None, ""
        if self.misuse is not None:
            result, self.misuse = self._misused(result, self.misuse), None
        elif result.kind is UNDER_WAY and not self.later:
            paused = result.payload
            paused.go_on = lambda: self._call(run, entry, handler, (), {}, pauses=True, course=paused)
        return result

    @staticmethod
    def _misused(result: Result, misuse: UsageError) -> Result:
        if result.kind is UNDER_WAY:
            result.payload.close()
        return Result(ERROR, misuse, result.elapsed)

    def _touch(self, entry: Entry, handler: Any) -> None:
        """Step bodies are opaque, so any two of them conflict, unless somebody says what they touch."""
        keys = self.isolated.get(entry.id)
        if keys is None:
            keys = touched_by(handler)
        if keys is None:
            self.world.touch("step bodies", "w")
            return
        self.world.touch("step bodies", "c")
        for key in keys:
            self.world.touch(f"touched {key}", "w")

    def _unscripted(self, where: str, entry: Entry) -> UsageError:
        what = "asks a model" if entry.op == INFER else "has no handler"
        return UsageError(
            f"{where} {what}, which a test does not do for real; say what it answers with "
            f"durable.step({entry.id!r}).returns(...) or .calls(fake)"
        )

    def where(self) -> tuple[int, str, str, int]:
        """Who is acting now, for the ledger that notes it: the instant, the run, the step and the invocation."""
        self.world.touch(LOG_OF_EFFECTS, "c")
        run, entry = self.engine.current, self.executing
        if run is None:
            return (self.world.now, "", "", 0)
        return (self.world.now, run.id, entry.key if entry is not None else "", run.invocations)

    def misused(self, error: UsageError) -> None:
        """Take note of a mistake of the author in the code under way."""
        if self.misuse is None and self.engine.current is not None:
            self.misuse = error

    def actor(self) -> str:
        """Who is acting now, for messages: a step, a body, or "" for the test."""
        run, entry = self.engine.current, self.executing
        if run is None:
            return ""
        return f"step '{entry.key}' of {run.spec.id}" if entry is not None else f"the body of {run.spec.id}"

    # -- faults -------------------------------------------------------------------------------------------------------

    def _choose(self, run: RunState, entry: Entry) -> f.Injection | None:
        options = [
            f.Injection(verdict, fault, run=run, step=entry.key, attempt=entry.attempts)
            for fault in self.faults.open()
            if fault.concerns(run.spec.id, entry.key, entry.id)
            for verdict in fault.verdicts
            if verdict in f.STEP_VERDICTS
        ]
        return self._inject(f"the attempt at step '{entry.key}'", options)

    def _inject(self, label: str, options: list[f.Injection]) -> f.Injection | None:
        """Let the chooser decide whether one of the faults happens; outside exploration the last one does."""
        if not options:
            return None
        self.world.touch("fault budget", "r")
        index = len(options)
        if self.faults.exploring:
            index = self.world.choices.choose(label, (OK, *options))
        if index == 0:
            return None
        self.world.touch("fault budget", "w")
        chosen = options[index - 1]
        self.faults.spend(chosen.fault)
        if self.world.current is not None:
            self.world.current.did = str(chosen)
        return chosen

    def deliver(self, event: BusEvent) -> list[tuple[int, BusEvent]]:
        """What arrives, and how much later, when an event is sent."""
        if not self.faults.present:
            return [(0, event)]
        sender = event.sender.spec.id if event.sender is not None else None
        options = [
            f.Injection(verdict, fault, event=event, at=self.world.now)
            for fault in self.faults.open()
            if fault.concerns_event(event.name, sender)
            for verdict in fault.verdicts
            if verdict in f.EVENT_VERDICTS
        ]
        chosen = self._inject(f"the way of event '{event.name}'", options)
        if chosen is None:
            return [(0, event), *self._held()]
        event.outcome.notes.append(str(chosen))
        if chosen.verdict == f.DROP:
            event.outcome.held.clear()
            return []
        if chosen.verdict == f.REORDER:
            arrive = Happening(self.world.now + chosen.fault.length, NEWS, "event", event, "late",
                               lambda: self._let_go(event))  # fmt: skip
            self.world.touch("held events", "w")
            self.held[event] = arrive
            self.world.push(arrive)
            return []
        if chosen.verdict == f.DELAY:
            return [(chosen.fault.length, event)]
        wire = event.copy()
        if chosen.verdict == f.DUPLICATE_NEW_ID:
            wire["id"] = chance.ulid(self.world.now // MILLISECOND, self.engine.seed, f"second {event.id}")
        second = BusEvent(wire, f"{event.id} again", self.world.now, event.sender)
        arrive = Happening(self.world.now, NEWS, "event", second, "again",
                           lambda: self.engine.answers.deliver(second))  # fmt: skip
        self.world.push(arrive)
        return [(0, event), *self._held()]

    def _held(self) -> list[tuple[int, BusEvent]]:
        """The events that were to arrive behind the next one, which is here."""
        self.world.touch("held events", "w" if self.held else "r")
        held, self.held = self.held, {}
        for arrive in held.values():
            self.world.call_off(arrive)
        return [(0, event) for event in held]

    def _let_go(self, event: BusEvent) -> None:
        """No other event came: it arrives all the same."""
        del self.held[event]
        self.engine.answers.deliver(event)

    def before(self, item: Item) -> bool:
        """Let a cancellation befall a request that is about to be made."""
        run = item.run
        last = run.stack[-1] if run.stack else None
        about = item.target or last
        key, step_id = (about.key, about.id) if about is not None else ("", "")
        options = [
            f.Injection(f.CANCEL, fault, run=run, step=last.key if last is not None else "")
            for fault in self.faults.open()
            if f.CANCEL in fault.verdicts and fault.concerns(run.spec.id, key, step_id)
        ]
        if self._inject(f"a request of {run.name}", options) is None:
            return True
        self.engine.cancel(run, "the fault 'cancellation' befell it")
        return False

    def ended(self, item: Item) -> WorkerCrashError | None:
        """Let a crash befall a body that has returned, before that is recorded."""
        run = item.run
        options = [
            f.Injection(f.CRASH_END, fault, run=run, attempt=item.attempt + 1)
            for fault in self.faults.open()
            if f.CRASH_END in fault.verdicts and fault.concerns(run.spec.id, "", "")
        ]
        if self._inject(f"the end of {run.name}", options) is None:
            return None
        return WorkerCrashError(f"the worker was lost at the end of {run.spec.id}, before its result was recorded")

    def returned(self, run: RunState, value: object) -> None:
        """Take note of what a function has returned, before it crosses the wire; for checks."""

    def after(self, item: Item) -> None:
        """Let a recorded request be delivered once more."""
        run = item.run
        if not run.stack or run.ended_at is not None:
            return
        entry = run.stack[-1]
        if entry.ended_at != self.world.now or (item.target is not None and item.target is not entry):
            return
        options = [
            f.Injection(f.REDELIVER, fault, run=run, step=entry.key)
            for fault in self.faults.open()
            if f.REDELIVER in fault.verdicts and fault.concerns(run.spec.id, entry.key, entry.id)
        ]
        if self._inject(f"the request of step '{entry.key}'", options) is not None:
            again = Happening(self.world.now, WORK, "again", run, entry.key,
                              lambda: self.engine.redeliver(run, entry), owner=run.due)  # fmt: skip
            self.world.push(again)

    def receive(self, events: Any) -> list[str]:
        """Take the events that a client of an SDK sends, from the test, a body, a step or anything under test."""
        engine, run, entry = self.engine, self.engine.current, self.executing
        limits = engine.limits
        who = "client"
        if run is not None:
            who = f"{run.id} {run.invocations}" if entry is None else f"{run.id} {entry.key} {entry.attempts}"
        ids = []
        for wired in outgoing_all(events, "client.send", limits.event_bytes, limits.events_per_send):
            self.received[who] = number = self.received.get(who, 0) + 1
            at = self.clock.micros
            event = engine.answers.make_sending(wired, f"{who} {number}", run, at)
            self.world.push(engine.answers.arrival(event, at))
            if run is not None:
                run.sent.append(event)
                run.talks = run.talks or entry is None
            ids.append(event.id)
        return ids

    def is_open(self, run: RunState) -> bool:
        """Whether a request of a run is under way at an SDK."""
        return any(request.run is run and run.ended_at is None for request in self.under_way)

    def close(self) -> None:
        """Let go of requests that are under way."""
        for request in list(self.under_way):
            request.close()

    # -- steps that nobody executes -----------------------------------------------------------------------------------

    def stub(self, run: RunState, entry: Entry) -> Result | None:
        """A scripted answer to a step that nobody executes, or None for the real thing."""
        action = self._scripted(run, entry)
        if action is None:
            return None
        if (refusal := _no_answer(action, entry.op)) is not None:
            return Result(ERROR, UsageError(f"step '{entry.key}' of {run.spec.id} ({entry.op}) {refusal}"))
        if action.kind == s.REAL:
            return None
        timeout = getattr(entry.command, "timeout", None)
        if action.kind == s.TIME_OUT or (timeout is not None and action.elapsed > timeout):
            return Result(DEAF)
        if action.kind == s.RETURN:
            return Result(VALUE, s.scripted_value(entry, action.payload), action.elapsed)
        if action.kind == s.RAISE:
            return Result(ERROR, action.payload, action.elapsed)
        data = getattr(entry.command, "data", {})
        args = (data,) if hasattr(entry.command, "data") else ()
        result = self._call(run, entry, action.payload, args, {}, pauses=False)
        result.elapsed += action.elapsed
        if result.kind == VALUE:
            result.payload = s.scripted_value(entry, result.payload)
        return result

    def reached(self, run: RunState, entry: Entry) -> None:
        """Let the reactions to a wait begin."""
        for reaction in self.reactions:
            if not reaction.fits(entry):
                continue
            for number, (kind, what, data, after) in enumerate(reaction.parts):
                who = f"{run.id} {entry.key} reaction {number}"
                self.react(kind, what, data, self.world.now + after, who, run)


def _no_answer(action: s.Action, op: str) -> str | None:
    """Why an action is no answer to a step that nobody executes; None if it is one."""
    if action.kind in {s.CRASH_BEFORE, s.CRASH_AFTER}:
        return "is executed by no worker, so it cannot crash"
    if op == SLEEP and action.kind == s.TIME_OUT:
        return "cannot time out; times_out() is for waits and invocations"
    if op == SLEEP and action.elapsed:
        return "takes as long as it says; leave takes away"
    if action.elapsed and action.kind in {s.REAL, s.TIME_OUT}:
        return 'takes until it is answered; say what it gets then, as in takes("3s").returns(...)'
    return None


CRASHES = {
    "before": "the worker was lost at {}, before it had its effect",
    "after": "the worker was lost at {}, after it had its effect and before it was recorded",
    "answer": "the answer of {} was lost, after it had its effect and before it was recorded",
}
"""What an attempt is told that was lost."""


def _crash(run: RunState, entry: Entry, when: str) -> WorkerCrashError:
    return WorkerCrashError(CRASHES[when].format(f"step '{entry.key}' of {run.spec.id}"))
