"""Attempts at steps: what a handler gives, at once or after a while, and what that leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import LimitError, UsageError
from .failing import failure_of, is_retriable, mistake_in
from .happenings import TIMER, Happening
from .results import CRASH, UNDER_WAY, VALUE, Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from .engine import Engine
    from .requests import Item
    from .results import Underway
    from .runs import Entry, RunState


class Attempts:
    """The steps that are executed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.world = engine.world
        self._standing: dict[Underway, tuple[RunState, Any]] = {}
        """Handlers that sleep, each with its run and the body that stands open around it, if one does."""

    def execute(self, item: Item, entry: Entry) -> None:
        """Try a step once."""
        run, world = item.run, self.world
        if entry.started_at is None:
            entry.started_at = world.now
        entry.attempts += 1
        if not world.calm:
            self._did(f"step '{entry.key}'")
        result = self.engine.stage.attempt(run, entry)
        if result.kind is UNDER_WAY:
            self._pause(item, entry, result.payload)
        elif run.ended_at is None:
            self._take(item, entry, result)

    def _did(self, what: str) -> None:
        """Say, for those who look at every happening, what the present one turned out to be."""
        happening = self.world.current
        if happening is not None and happening.kind in {"start", "go on"} and not happening.did:
            happening.did = what

    def _take(self, item: Item, entry: Entry, result: Result) -> None:
        if result.elapsed:
            self._in_flight(item.run, entry)
            ends = self._due(item, entry, "end", self.world.now + result.elapsed,
                             lambda: self._attempted(item, entry, result), owner=item.run.due)  # fmt: skip
            self.world.push(ends)
        else:
            self._attempted(item, entry, result)

    @staticmethod
    def _in_flight(run: RunState, entry: Entry) -> None:
        if run.ended_at is None and not entry.abandoned:
            run.pending[entry.key] = entry
            entry.in_flight = True

    def _due(
        self,
        item: Item,
        entry: Entry,
        kind: str,
        at: int,
        act: Callable[[], None],
        owner: dict[Happening, None] | None = None,
    ) -> Happening:
        """What is due in a request that takes time; until then it keeps its slots."""
        run = item.run
        happening = Happening(at, TIMER, kind, run, f"{entry.key} {item.attempt}", act, owner=owner)
        if run.spec.flow is not None:
            self.engine.answers.gates.turns.stays(item, happening)
        return happening

    def _attempted(self, item: Item, entry: Entry, result: Result) -> None:
        engine, run = self.engine, item.run
        if self.world.footprint is not None:
            commutes = entry.command.positional and result.kind == VALUE
            self.world.touch(run.key, "c" if commutes else "w")
        if result.kind == VALUE:
            engine.save_value(run, entry, result.payload)
            return
        error = mistake_in(result.payload) or result.payload
        crashed = result.kind == CRASH
        final = item.attempt + 1 >= run.spec.attempts or not is_retriable(error)
        failure = failure_of(error)
        engine.fact(run, "attempt.failed", entry.key, {"attempt": item.attempt, "error": failure.wire()})
        if isinstance(error, (UsageError, LimitError)):
            entry.placed(error)
            engine.fail(run, failure)
        elif not final:
            run.pending[entry.key] = entry
            entry.in_flight = True
            entry.retry = engine.retry(item, error, entry if item.target is None else None)
        elif crashed:
            engine.fail(run, failure)
        else:
            engine.save_failure(run, entry, failure)

    # -- handlers that sleep ------------------------------------------------------------------------------------------

    def _pause(self, item: Item, entry: Entry, course: Underway) -> None:
        """Let a handler sleep, while others go on. The body around it stands until it ends."""
        run = item.run
        self._in_flight(run, entry)
        self._standing[course] = (run, run.open)
        run.open = None
        self._await(item, entry, course)

    def _await(self, item: Item, entry: Entry, course: Underway) -> None:
        # No end of the run calls it off: what is in flight happens, and nobody hears of it.
        self.world.wait_for(
            course, lambda at: self._due(item, entry, "handler", at, lambda: self._go_on(item, entry, course))
        )

    def _go_on(self, item: Item, entry: Entry, course: Underway) -> None:
        engine, run = self.engine, item.run
        engine.current = run
        try:
            result = course.go_on()
        finally:
            engine.current = None
        if result.kind is UNDER_WAY:
            self._await(item, entry, course)
            return
        _, body = self._standing.pop(course)
        try:
            if run.ended_at is None:
                self._take(item, entry, result)
        finally:
            self._leave(run, body)

    @staticmethod
    def _leave(run: RunState, body: Any) -> None:
        if body is not None:
            run.open = body
            run.spec.host.leave(run)

    def close(self) -> None:
        """Let go of the handlers that sleep; their simulation is over."""
        standing, self._standing = self._standing, {}
        for course, (run, body) in standing.items():
            course.close()
            self._leave(run, body)
