"""What answers a step that nobody executes: time, an event, a signal, another run. And how events find their way."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

from . import chance
from .bus import BusEvent, Listeners, Pause
from .commands import EXECUTED, INVOKE, SIGNAL, SLEEP, WAIT
from .errors import LimitError, UsageError
from .gates import Gates
from .happenings import LOG_OF_EVENTS, NEWS, TIMER, WORK, Happening
from .instants import DAY, MILLISECOND, duration_text
from .limits import IDEMPOTENCY_PERIOD
from .results import DEAF, VALUE, Result
from .runs import CANCELLED, COMPLETED, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .commands import Invoke, Send, Sleep, WaitForEvent, WaitForSignal
    from .engine import Engine
    from .runs import CancelOn, Entry, FunctionSpec, RunState

CANCEL_PERIOD = 365 * DAY

ON_ITS_WAY = "it is on its way"
"""What an event waits for until it arrives."""


def event_id_of(milliseconds: int, seed: int, who: str) -> str:
    """The id of an event that was given none, made of who sends it."""
    return chance.ulid(milliseconds, seed, f"event {who}")


def _system_wire(
    name: str, data: Callable[[], dict[str, Any]], known: str, now: int, seed: int, who: str
) -> dict[str, Any]:
    # Not by ``make_event``: whoever reads it late gets the same, and it keeps no engine alive.
    return {"data": data(), "id": known or event_id_of(now, seed, who), "name": name, "ts": now}


class Answers:
    """Waits, signals, invocations and sleeps of all runs, and the events that answer them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.world = engine.world
        self.listeners = Listeners()
        self.events: list[BusEvent] = []
        self.ticks = 0
        self._seen: dict[tuple[str, str], int] = {}

    @cached_property
    def gates(self) -> Gates:
        """Flow control; most simulations have none."""
        return Gates(self.engine)

    # -- steps begin to wait ------------------------------------------------------------------------------------------

    def begin_all(self, run: RunState, entries: Sequence[Entry]) -> bool:
        """Let the waits among steps begin. False if one is too long, which fails the run: the rest does not begin."""
        for entry in entries:
            if entry.op not in EXECUTED:
                self.begin(run, entry)
            if run.ended_at is not None:
                return False
        return True

    def begin(self, run: RunState, entry: Entry) -> None:
        """Let a step wait for its answer. A script may answer at once, or make the step deaf to all but its timeout."""
        engine = self.engine
        entry.started_at = self.world.now
        entry.attempts = 1
        stub = engine.stage.stub(run, entry)
        if stub is None or stub.kind == DEAF:
            entry.deaf = stub is not None
            self._HOW[entry.op](self, run, entry)
        elif stub.elapsed:
            self._due(run, entry, self.world.now + stub.elapsed, "end", lambda: self._stubbed(run, entry, stub))
        else:
            self._stubbed(run, entry, stub)

    def _stubbed(self, run: RunState, entry: Entry, stub: Result) -> None:
        if stub.kind == VALUE:
            self.engine.save_value(run, entry, stub.payload)
            return
        failure = self.engine.failure_of(stub.payload)
        if isinstance(stub.payload, (UsageError, LimitError)):
            self.engine.fail(run, failure)
        else:
            self.engine.save_failure(run, entry, failure)

    def _due(self, run: RunState, entry: Entry, at: int, kind: str, act: Callable[[], None]) -> None:
        """Something that happens to a waiting step at an instant, unless the step is answered before."""

        def happen() -> None:
            if not entry.done:
                self.world.touch(run.key, "w")
                act()

        timeout = kind == "timeout"
        happening = Happening(at, TIMER, kind, run, entry.key, happen, weak=timeout, answer=timeout, owner=run.due)
        entry.timer = self.world.push(happening)

    def _begin_sleep(self, run: RunState, entry: Entry) -> None:
        sleep: Sleep = entry.command
        now = self.world.now
        until = now + sleep.length if sleep.length is not None else max(now, sleep.until or 0)
        if self._too_long(run, entry, until - now, "sleep"):
            return
        self._due(run, entry, until, "wake", lambda: self.engine.save_stored(run, entry, (None, None)))

    def _begin_wait(self, run: RunState, entry: Entry) -> None:
        wait: WaitForEvent = entry.command
        if wait.timeout is not None:
            if self._too_long(run, entry, wait.timeout, "timeout"):
                return
            at = self.world.now + wait.timeout
            self._due(run, entry, at, "timeout", lambda: self.engine.save_stored(run, entry, (None, None)))
        if not entry.deaf:
            self.world.touch(f"event {wait.event}", "c")
            self.listeners.add(Pause(run, entry, wait.event, wait.matches, None))
        self.engine.stage.reached(run, entry)

    def _begin_signal(self, run: RunState, entry: Entry) -> None:
        wait: WaitForSignal = entry.command
        self.world.touch(f"signal {wait.signal}", "w")
        holder = self.listeners.signals.get(wait.signal)
        if holder is not None and holder[1] is not entry and not wait.replace:
            message = (
                f"step '{entry.key}' waits for the signal {wait.signal!r}, for which {holder[0].name} already waits "
                f"in step '{holder[1].key}'; use on_conflict=\"replace\" or another name"
            )
            failure = Failure("SignalConflictError", message, kind="signal_conflict")
            self.engine.save_failure(run, entry, failure)
            return
        if not entry.deaf:
            self.listeners.signals[wait.signal] = (run, entry)
        if wait.timeout is not None:
            at = self.world.now + wait.timeout
            self._due(run, entry, at, "timeout", lambda: self._signal_timeout(run, entry, wait.signal))
        self.engine.stage.reached(run, entry)

    def _signal_timeout(self, run: RunState, entry: Entry, signal: str) -> None:
        self.world.touch(f"signal {signal}", "w")
        if self.listeners.signals.get(signal, (None, None))[1] is entry:
            del self.listeners.signals[signal]
        self.engine.save_stored(run, entry, (None, None))

    def _begin_invoke(self, run: RunState, entry: Entry) -> None:
        invoke: Invoke = entry.command
        if invoke.timeout is not None:
            at = self.world.now + invoke.timeout
            self._due(run, entry, at, "timeout", lambda: self._invoke_timeout(run, entry, invoke))
        if entry.deaf:
            return
        spec = invoke.spec
        if spec is None and run.spec.remote:
            self._begin_unknown(run, entry, invoke)
            return
        if spec is None:
            known = ", ".join(sorted(self.engine.known)) or "none"
            error = UsageError(
                f"step '{entry.key}' of {run.spec.id} invokes the unknown function {invoke.function_id!r}; known are: "
                f"{known}. Register it with durable.register(...), or say what it returns with "
                f"durable.step({entry.id!r}).returns(...)"
            )
            self.engine.fail(run, self.engine.failure_of(entry.placed(error)))
            return
        event = self._invoked(run, entry, invoke, spec.id)

        def deliver() -> None:
            self.deliver(event)
            if spec.flow is not None:
                self.gates.arrive(spec, event, (run, entry))
                return
            child = self.engine.create(spec, [event.copy()], f"{run.id} {entry.key}")
            child.parent = (run, entry)
            event.outcome.started.append(spec.id)

        self.world.push(Happening(self.world.now, NEWS, "event", event, run.id, deliver))

    def _invoked(self, run: RunState, entry: Entry, invoke: Invoke, function_id: str) -> BusEvent:
        data = {**invoke.data, "_inngest": {"fn_id": function_id}}
        if run.spec.remote:
            data["_inngest"].update(correlation_id=f"{run.id}.{entry.key}", source_fn_id=run.spec.id)
        wire = self.make_event("inngest/function.invoked", data, f"{run.id} {entry.key}")
        return BusEvent(wire, wire["id"], self.world.now, run)

    def _begin_unknown(self, run: RunState, entry: Entry, invoke: Invoke) -> None:
        """The server looks for the function when the event of the invocation arrives, and finds none."""
        event = self._invoked(run, entry, invoke, invoke.function_id)

        def deliver() -> None:
            if invoke.function_id.startswith(f"{run.spec.app}-"):
                # What is invoked in another app is news over there.
                self.deliver(event)
            message = f"could not find function with ID: {invoke.function_id}"
            event.outcome.refused.append(message)
            self.world.touch(run.key, "w")
            self._called_off(entry)
            self.engine.save_failure(run, entry, Failure("Error", message))

        self.world.push(Happening(self.world.now, NEWS, "event", event, run.id, deliver))

    def _invoke_timeout(self, run: RunState, entry: Entry, invoke: Invoke) -> None:
        message = f"{invoke.function_id} did not end within {duration_text(invoke.timeout or 0)}"
        name = "InvokeTimeoutError"
        if run.spec.remote:
            message, name = "Timed out waiting for invoked function to complete", "InngestInvokeTimeoutError"
        self.engine.save_failure(run, entry, Failure(name, message, kind="invoke_timeout"))

    def ended(self, run: RunState) -> None:
        """A run is over: hand its end to whoever invoked it, and what it held to whoever waits."""
        if run.parent is not None:
            self.answer_parent(run, *run.parent)
        if run.ticket is not None:
            self.gates.ended(run)

    def answer_parent(self, child: RunState, parent: RunState, entry: Entry) -> None:
        """Hand the end of an invoked run to the step that waits for it."""
        if entry.done or parent.ended_at is not None:
            return
        self.world.touch(parent.key, "w")
        if child.status == COMPLETED and child.result is not None:
            self.engine.save_stored(parent, entry, child.result)
        elif child.status == CANCELLED and parent.spec.remote:
            self.engine.save_stored(parent, entry, self.engine.remote.cancelled_child(child))
        elif child.status == CANCELLED:
            message = f"the invoked run of {child.spec.id} was cancelled: {child.reason}"
            self.engine.save_failure(parent, entry, Failure("RunCancelled", message))
        else:
            failure = child.failure
            assert failure is not None, "this is our bug: a run that failed without a failure"
            copy = Failure(failure.name, failure.message, stack=failure.stack, exception=failure.exception)
            self.engine.save_failure(parent, entry, copy)

    _SHORTER: ClassVar[dict[str, str]] = {
        "sleep": "sleep several times one behind the other, each under an id of its own",
        "timeout": "wait in a loop, each time for a part of it",
    }
    """What to write for lengths beyond the limit."""

    def _too_long(self, run: RunState, entry: Entry, length: int, what: str) -> bool:
        if length <= self.engine.limits.sleep:
            return False
        error = LimitError(
            f"the {what} of step '{entry.key}' of {run.spec.id} ends in {duration_text(length)}; "
            f"it may last {duration_text(self.engine.limits.sleep)} at the most. "
            f"The server refuses it, too: {self._SHORTER[what]}"
        )
        self.engine.fail(run, self.engine.failure_of(entry.placed(error)))
        return True

    _HOW: ClassVar[dict[str, Callable[[Answers, RunState, Entry], None]]] = {
        SLEEP: _begin_sleep,
        WAIT: _begin_wait,
        SIGNAL: _begin_signal,
        INVOKE: _begin_invoke,
    }
    """How a step that nobody executes begins, by its operation."""

    # -- events -------------------------------------------------------------------------------------------------------

    def make_event(self, name: str, data: dict[str, Any], who: str, event_id: str = "", ts: int = 0) -> dict[str, Any]:
        """The wire form of an event. ``who`` is what its id is made of; ``ts`` is milliseconds, 0 for now."""
        now = self.world.now // MILLISECOND
        return {"data": data, "id": event_id or event_id_of(now, self.engine.seed, who), "name": name, "ts": ts or now}

    def start(self, spec: FunctionSpec, given: list[dict[str, Any]], who: str) -> RunState:
        """Create a run for an event, or for several as a batch, whatever would drop or gather them on their way."""
        if not given:
            msg = f"start({spec.id}): an empty list starts nothing; give an event, or leave it out"
            raise UsageError(msg)
        wired = [
            self.make_event(one["name"], one["data"], f"{who} {number}" if number else who, one["id"], one["ts"])
            for number, one in enumerate(given)
        ]
        return self.engine.create(spec, wired, who, given[0]["ts"] * MILLISECOND if len(given) == 1 else None)

    def make_sending(self, given: dict[str, Any], who: str, sender: RunState | None, at: int) -> BusEvent:
        """An event that is about to be sent, from its name, data, id and ts; without an id it gets that of its sending.

        What befalls it when it arrives is up to the stage.
        """
        sending = chance.ulid(at // MILLISECOND, self.engine.seed, f"sent {who}")
        wire = {
            "data": given["data"],
            "id": given["id"] or sending,
            "name": given["name"],
            "ts": given["ts"] or at // MILLISECOND,
        }
        return BusEvent(wire, sending, at, sender)

    def log(self, event: BusEvent) -> None:
        """Add an event to the log, once."""
        if not event.logged:
            event.logged = True
            self.world.touch(LOG_OF_EVENTS, "c")
            self.events.append(event)

    def tick(self, spec: FunctionSpec, wire: dict[str, Any]) -> None:
        """Start a function for a tick of its cron; one tick starts it once. Others may listen for ticks."""
        self.ticks += 1
        event = BusEvent(wire, f"{spec.id} {wire['id']}", self.world.now, None)
        self.log(event)
        pauses = self.listeners.pauses(event.name)
        if spec.flow is not None:
            self.gates.arrive(spec, event, cron=True)
        elif self.first_time(spec, wire["id"]):
            self.engine.create(spec, [event.copy()], event.id)
            event.outcome.started.append(spec.id)
        else:
            event.outcome.refused.append(f"did not start {spec.id}: it has a run for the tick of {wire['id']}")
        self._tell(event, [found for found in self.listeners.triggered(event.name) if found[0] is not spec], pauses)

    def arrival(self, event: BusEvent, at: int, *, fixed: bool = True, stamped: bool = True) -> Happening:
        """The happening in which an event arrives; it is no ``fixed`` one if its moment is a choice.

        One that is not ``stamped`` gets the time of its arrival.
        """
        rank = NEWS if event.sender is None else WORK
        if fixed and at <= self.world.now:
            # It is sent now; one of a later time is sent then.
            self.log(event)
            event.outcome.held[ON_ITS_WAY] = ON_ITS_WAY
        return Happening(at, rank, "event", event, "", lambda: self._arrive(event, stamped=stamped))

    def _arrive(self, event: BusEvent, *, stamped: bool) -> None:
        if not stamped:
            event.wire["ts"] = self.world.now // MILLISECOND
        self.log(event)
        for later, arriving in self.engine.stage.deliver(event):
            if later:
                again = Happening(self.world.now + later, NEWS, "event", arriving, "late",
                                  lambda e=arriving: self.deliver(e))  # type: ignore[misc]  # fmt: skip
                self.world.push(again)
            else:
                self.deliver(arriving)

    def system_event(self, name: str, data: Callable[[], dict[str, Any]], run: RunState, mark: str = "") -> None:
        """Announce the end of a run. Where nobody listens, the event arrives at once and is no happening of its own."""
        now, seed, who = self.world.now // MILLISECOND, self.engine.seed, f"{run.id} {name}{mark}"
        known = run.id if name != "inngest/function.finished" else ""
        event = BusEvent(partial(_system_wire, name, data, known, now, seed, who), who, self.world.now, run)
        self.world.touch(f"event {name}", "r")
        self.log(event)
        if self.listeners.anybody(name):
            event.outcome.held[ON_ITS_WAY] = ON_ITS_WAY
            self.world.push(Happening(self.world.now, NEWS, "event", event, "", lambda: self.deliver(event)))

    def deliver(self, event: BusEvent) -> None:
        """Let an event do what it does: start functions, wake waits, cancel runs. Semantics' A1 and A6."""
        event.sent_at = self.world.now
        event.outcome.held.pop(ON_ITS_WAY, None)
        self.log(event)
        # The listeners as they are before the event starts anything: it does not cancel the run that it starts.
        pauses = self.listeners.pauses(event.name)
        self._tell(event, self.listeners.triggered(event.name), pauses)

    def _tell(self, event: BusEvent, triggered: Iterable[tuple[FunctionSpec, list[Any]]], pauses: list[Pause]) -> None:
        self.world.touch(f"event {event.name}", "r")
        for spec, triggers in triggered:
            self._trigger(event, spec, triggers)
        for pause in pauses:
            self._answer_pause(event, pause)

    def _trigger(self, event: BusEvent, spec: FunctionSpec, triggers: list[Any]) -> None:
        outcome, whys = event.outcome, []
        for trigger in triggers:
            why = trigger.refuses(event.wire, self.world.now // MILLISECOND) if trigger.refuses is not None else None
            if why is None:
                break
            whys.append(why)
        else:
            outcome.refused.append(f"did not start {spec.id}: {', and '.join(whys)}")
            return
        if spec.flow is not None:
            self.gates.arrive(spec, event)
            return
        if not self.first_time(spec, event.wire["id"]):
            outcome.refused.append(f"did not start {spec.id}: duplicate id {event.wire['id']!r} within 24 h")
            return
        self.engine.create(spec, [event.copy()], event.id, event.wire["ts"] * MILLISECOND)
        outcome.started.append(spec.id)

    def first_time(self, spec: FunctionSpec, key: str) -> bool:
        """Whether a function was not started for this key within a day; from now on it was."""
        seen = self._seen.get((spec.id, key))
        if seen is not None and self.world.now < seen + IDEMPOTENCY_PERIOD:
            return False
        self._seen[spec.id, key] = self.world.now
        return True

    def _answer_pause(self, event: BusEvent, pause: Pause) -> None:
        run, entry, outcome = pause.run, pause.entry, event.outcome
        if run.ended_at is not None or (entry is not None and entry.done):
            return
        verb, what = ("wake", f"{run.spec.id} at '{entry.key}'") if entry is not None else ("cancel", run.spec.id)
        why = pause.refuses(event.wire, self.world.now // MILLISECOND)
        if pause.expires is not None and pause.expires < self.world.now:
            why = "its time to be cancelled is over"
        if why is not None:
            outcome.refused.append(f"did not {verb} {what}: {why}")
            return
        self.world.touch(run.key, "w")
        if entry is None:
            outcome.cancelled.append(what)
            self.engine.cancel(run, f"the event {event.name!r} came")
        else:
            outcome.woke.append(what)
            self.listeners.remove(pause)
            self._called_off(entry)
            self.engine.save_stored(run, entry, (None, event.text))

    def _called_off(self, entry: Entry) -> None:
        if entry.timer is not None:
            self.world.call_off(entry.timer)

    def listen_for_cancel(self, run: RunState, cancel: CancelOn) -> None:
        """Let an event cancel a run, from its creation on."""
        refuses = cancel.bind(run.events[0], self.world.now // MILLISECOND)
        self.world.touch(f"event {cancel.event}", "c")
        period = cancel.timeout if cancel.timeout is not None else CANCEL_PERIOD
        self.listeners.add(Pause(run, None, cancel.event, refuses, self.world.now + period))

    # -- signals ------------------------------------------------------------------------------------------------------

    def signal_arrives(self, name: str, data: Any) -> bool:
        """Hand a signal to the step that waits for it. A signal that nobody waits for is lost."""
        self.world.touch(f"signal {name}", "w")
        holder = self.listeners.signals.pop(name, None)
        if holder is None:
            return False
        run, entry = holder
        self.world.touch(run.key, "w")
        self._called_off(entry)
        self.engine.save_value(run, entry, {"signal": name, "data": data})
        return True

    # -- send_event ---------------------------------------------------------------------------------------------------

    def send_from(self, run: RunState, entry: Entry, command: Send) -> list[str]:
        """Send the events of a step. A repeated attempt sends them again, under new ids, as the real client does."""
        ids = []
        for number, wanted in enumerate(command.events):
            who = f"{run.id} {entry.key} {entry.attempts} {number}"
            event = self.make_sending(wanted, who, run, self.world.now)
            self.world.push(self.arrival(event, self.world.now))
            run.sent.append(event)
            ids.append(event.id)
        return ids

    # -- what a run waits for -----------------------------------------------------------------------------------------

    @staticmethod
    def describe_wait(entry: Entry, now: int) -> str:
        """A waiting step, since when, and what would satisfy it."""
        command: Any = entry.command
        deaf = ", and hears nothing but its timeout, as its script says" if entry.deaf else ""
        since = f"since {duration_text(now - entry.started_at)}" if entry.started_at is not None else "from now"
        if entry.op == WAIT:
            condition = f" for which {command.condition} holds" if command.condition else ""
            return f"'{entry.key}' waits {since} for an event {command.event!r}{condition}{deaf}"
        if entry.op == SIGNAL:
            return f"'{entry.key}' waits {since} for the signal {command.signal!r}{deaf}"
        if entry.op == INVOKE:
            return f"'{entry.key}' waits {since} for the end of {command.function_id}{deaf}"
        return (
            f"'{entry.key}' ({entry.op}) has been under way {since}, and waits for something of asyncio that nobody "
            "brings; a step can await its own tasks, asyncio.sleep, fakes and what other runs bring, and nothing from "
            "outside"
        )
