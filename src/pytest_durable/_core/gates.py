"""The gates in front of runs: flow control at work on events, in the order of semantics' section 14.1.

An event passes batch, rate limit, debounce, singleton and the check for a second event with its id; then there is a
run. The requests of a run wait for their turn elsewhere: see ``turns``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .flow import BATCH_BYTES, REMEMBERED, Flow, Gcra
from .happenings import TIMER, Happening
from .instants import MILLISECOND, instant_text
from .runs import CANCELLED, Failure
from .turns import Ticket, Turns

if TYPE_CHECKING:
    from .bus import BusEvent
    from .engine import Engine
    from .flow import Batch, Debounce, Key, Reading
    from .runs import Entry, FunctionSpec, RunState

Caller = tuple["RunState", "Entry"]
"""The step that invoked a function and waits for its end."""


class Place:
    """Whose happening the end of a debounce or of a batch is."""

    def __init__(self, spec: FunctionSpec, key: str) -> None:
        self.spec = spec
        self.key = (spec.id, key)
        self.id = f"{spec.id} {key}".strip()
        self.name = f"{spec.id} for {key!r}" if key else spec.id


class Held:
    """A debounce under way: the event that will start the run, unless another one replaces it until ``until``."""

    def __init__(self, place: Place, now: int) -> None:
        self.place = place
        self.first_at = now
        self.until = now
        self.event: BusEvent
        self.caller: Caller | None = None
        self.timer: Happening


class Gathered:
    """A batch that is not full yet."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.events: list[tuple[BusEvent, Caller | None]] = []
        self.bytes = 0
        self.timer: Happening


class Gates:
    """Flow control of all functions."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.world = engine.world
        self.turns = Turns(engine)
        self._rates: dict[tuple[str, str], Gcra] = {}
        self._admitted: dict[tuple[str, str], int] = {}
        self._debounces: dict[tuple[str, str], Held] = {}
        self._batches: dict[tuple[str, str], Gathered] = {}
        self._singles: dict[tuple[str, str], RunState] = {}

    # -- an event arrives ---------------------------------------------------------------------------------------------

    def arrive(self, spec: FunctionSpec, event: BusEvent, caller: Caller | None = None, *, cron: bool = False) -> None:
        """Let an event pass the gates in front of a run of a function. What becomes of it stands in its outcome."""
        flow = spec.flow
        assert flow is not None, "this is our bug: an event at the gates of a function without any"
        self.world.touch(f"flow {spec.id}", "w")
        if flow.batch is not None and not cron and self._joins(spec, flow.batch, event, caller):
            return
        if flow.rate_limit is not None and self._limited(spec, flow, event, caller):
            return
        if flow.debounce is not None:
            self._debounce(spec, flow.debounce, event, caller)
        else:
            self._start(spec, event, caller, event.wire["id"])

    def _read(self, key: Key | None, event: dict[str, Any]) -> Reading | None:
        return None if key is None else key(event, self.world.now // MILLISECOND)

    def _refuse(self, spec: FunctionSpec, event: BusEvent, why: str, caller: Caller | None = None) -> None:
        event.outcome.refused.append(f"did not start {spec.id}: {why}")
        if caller is not None:
            run, entry = caller
            self.world.touch(run.key, "w")
            self.engine.fact(run, "invoke.refused", entry.key, {"reason": f"{spec.id} was not started: {why}"})

    def _limited(self, spec: FunctionSpec, flow: Flow, event: BusEvent, caller: Caller | None) -> bool:
        rule, now = flow.rate_limit, self.world.now
        assert rule is not None, "this is our bug: no rate limit to ask"
        reading = self._read(rule.key, event.wire)
        if reading is not None and reading.problem:
            self._refuse(spec, event, f"the key of its rate limit fails: {reading.problem}", caller)
            return True
        if reading is not None and reading.off:
            return False
        known = (spec.id, event.wire["id"])
        if self._admitted.get(known, now) > now:
            return False
        place = (spec.id, reading.text if reading is not None else "")
        bucket = self._rates.get(place)
        if bucket is None:
            bucket = self._rates[place] = rule.bucket()
        opens = bucket.opens(now)
        if opens <= now:
            bucket.take(now)
            self._admitted[known] = now + REMEMBERED
            return False
        self._refuse(spec, event, f"{rule.verdict} until {instant_text(opens)}{_for(reading)}")
        if caller is not None:
            run, entry = caller
            self.world.touch(run.key, "w")
            self.engine.save_failure(run, entry, Failure("Error", "invoked function is rate limited"))
        return True

    # -- debounce -----------------------------------------------------------------------------------------------------

    def _debounce(self, spec: FunctionSpec, rule: Debounce, event: BusEvent, caller: Caller | None) -> None:
        reading, now = self._read(rule.key, event.wire), self.world.now
        key = "" if reading is None else "<invalid>" if reading.problem else reading.text
        held = self._debounces.get((spec.id, key))
        if held is None or held.until < now:
            place = Place(spec, key)
            held = self._debounces[place.key] = Held(place, now)
        elif held.event.wire["ts"] > event.wire["ts"]:
            later = instant_text(held.event.wire["ts"] * MILLISECOND)
            self._refuse(spec, event, f"debounced: an event with a later ts, {later}, is held", caller)
            return
        else:
            held.event.outcome.held.pop(spec.id, None)
            self._refuse(spec, held.event, f"debounced: replaced by the event of {instant_text(now)}", held.caller)
            self.world.call_off(held.timer)
        held.event, held.caller = event, caller
        held.until = rule.ends(held.first_at, now)
        due = held.until + rule.lag
        event.outcome.held[spec.id] = f"debounced for {spec.id} until {instant_text(due)}{_for(reading)}"
        held.timer = self.world.push(
            Happening(due, TIMER, "debounce", held.place, event.id, lambda: self._debounced(held))
        )

    def _debounced(self, held: Held) -> None:
        spec = held.place.spec
        self.world.touch(f"flow {spec.id}", "w")
        if self._debounces.get(held.place.key) is held:
            del self._debounces[held.place.key]
        held.event.outcome.held.pop(spec.id, None)
        # The run is known by the id of the sending: a debounce starts again for an event id that was there before.
        self._start(spec, held.event, held.caller, held.event.id)

    # -- batches ------------------------------------------------------------------------------------------------------

    def _joins(self, spec: FunctionSpec, rule: Batch, event: BusEvent, caller: Caller | None) -> bool:
        """Put an event into its batch. False if it is not meant for one."""
        if rule.wanted is not None and not rule.wanted(event.wire, self.world.now // MILLISECOND):
            return False
        reading = self._read(rule.key, event.wire)
        if reading is not None and reading.problem:
            self._refuse(spec, event, f"the key of its batch fails: {reading.problem}", caller)
            return True
        key = reading.text if reading is not None else ""
        batch = self._batches.get((spec.id, key))
        due = self.world.now + rule.timeout
        if batch is None:
            place = Place(spec, key)
            batch = self._batches[place.key] = Gathered(place)
            batch.timer = self.world.push(
                Happening(due, TIMER, "batch", place, event.id, lambda b=batch: self._run_batch(b))  # type: ignore[misc]  # b has the type of batch
            )
        batch.events.append((event, caller))
        batch.bytes += len(event.text)
        if len(batch.events) >= rule.size or batch.bytes >= BATCH_BYTES:
            self.world.call_off(batch.timer)
            self._run_batch(batch)
        else:
            count, until = f"({len(batch.events)} of {rule.size})", instant_text(batch.timer.at)
            event.outcome.held[spec.id] = f"batched for {spec.id} {count} until {until}{_for(reading)}"
        return True

    def _run_batch(self, batch: Gathered) -> None:
        spec, events = batch.place.spec, batch.events
        self.world.touch(f"flow {spec.id}", "w")
        del self._batches[batch.place.key]
        run = self.engine.create(spec, [event.copy() for event, _ in events], f"batch {events[0][0].id}")
        # A batch has no start timeout, and begins whatever the ts of its events.
        for happening in [due for due in run.due if due.kind == "limit"]:
            self.world.call_off(happening)
        for number, (event, caller) in enumerate(events):
            event.outcome.held.pop(spec.id, None)
            event.outcome.started.append(spec.id)
            event.outcome.notes.append(f"batched for {spec.id} ({number + 1} of {len(events)})")
            if caller is not None:
                run.ticket.callers.append((number, caller))

    # -- a run begins -------------------------------------------------------------------------------------------------

    def _start(self, spec: FunctionSpec, event: BusEvent, caller: Caller | None, key: str) -> None:
        flow = spec.flow
        if flow is not None and flow.singleton is not None:
            place = self._single(spec, flow, event.wire, event)
            holder = self._singles.get(place) if place is not None else None
            if holder is not None and not flow.singleton.cancels:
                self._refuse(spec, event, f"singleton: the run of {holder.name} is live{_single_for(place)}", caller)
                return
            if holder is not None:
                event.outcome.cancelled.append(holder.spec.id)
                self._take_over(holder)
        if not self.engine.answers.first_time(spec, key):
            self._refuse(spec, event, f"duplicate id {event.wire['id']!r} within 24 h", caller)
            return
        who = event.id if caller is None else f"{caller[0].id} {caller[1].key}"
        at = event.wire["ts"] * MILLISECOND
        run = self.engine.create(spec, [event.copy()], who, at)
        event.outcome.started.append(spec.id)
        if caller is not None:
            run.ticket.callers.append((0, caller))

    def _take_over(self, holder: RunState) -> None:
        self.engine.cancel(holder, f"a newer run of {holder.spec.id}, which is a singleton, takes its place")

    def _single(
        self, spec: FunctionSpec, flow: Flow, wire: dict[str, Any], event: BusEvent | None
    ) -> tuple[str, str] | None:
        """Which singleton a run for an event would be; None for none."""
        rule = flow.singleton
        if rule is None:
            return None
        reading = self._read(rule.key, wire)
        if reading is None:
            return (spec.id, "")
        if reading.problem and event is not None:
            event.outcome.notes.append(f"{spec.id} is no singleton here: its key fails: {reading.problem}")
        return None if reading.off or reading.problem else (spec.id, reading.text)

    def admit(self, run: RunState) -> bool:
        """Take note of a run that has just been created. False if a singleton skips it, and it has ended."""
        spec, flow = run.spec, run.spec.flow
        assert flow is not None, "this is our bug: a run at the gates of a function without any"
        ticket = run.ticket = Ticket()
        place = self._single(spec, flow, run.events[0], None)
        if place is not None:
            self.world.touch(f"flow {spec.id}", "w")
            holder = self._singles.get(place)
            if holder is not None and flow.singleton is not None and not flow.singleton.cancels:
                self._skip(run, f"skipped: the run of {holder.name}, which is a singleton, is live")
                return False
            if holder is not None:
                self._take_over(holder)
            self._singles[place] = run
            ticket.single = place
        if flow.queues:
            self.turns.join(run, flow)
        return True

    def _skip(self, run: RunState, why: str) -> None:
        """End a run that was asked for by name and must not be: nobody else hears of it."""
        run.status, run.reason, run.ended_at = CANCELLED, why, self.world.now
        self.engine.fact(run, "run.cancelled", "", {"reason": why})

    # -- a run ends ---------------------------------------------------------------------------------------------------

    def ended(self, run: RunState) -> None:
        """Let go of all that a run holds, and answer those who invoked it."""
        ticket: Ticket = run.ticket
        if ticket.single is not None:
            self.world.touch(f"flow {run.spec.id}", "w")
            del self._singles[ticket.single]
        self.turns.ended(run)
        for number, (parent, entry) in ticket.callers:
            if number:
                self._announce(run, number)
            self.engine.answers.answer_parent(run, parent, entry)

    def _announce(self, run: RunState, number: int) -> None:
        """The end of a batch is announced for its first event, and for each that somebody invoked it with."""

        def data() -> dict[str, Any]:
            return {**run.end_data(), "event": run.events[number]}

        self.engine.answers.system_event("inngest/function.finished", data, run, f" {number}")


def _for(reading: Reading | None) -> str:
    return f" (key {reading.text!r})" if reading is not None else ""


def _single_for(place: tuple[str, str] | None) -> str:
    return f" (key {place[1]!r})" if place is not None and place[1] else ""
