"""Scripts: what a test says about one step, consumed in order, one action for each attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._core import wire
from ._core.commands import EXECUTED, INVOKE, SIGNAL, SLEEP, WAIT
from ._core.errors import UsageError
from ._core.instants import Duration, duration
from ._core.limits import Limits
from .events import Event, Signal, outgoing_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._core.runs import Entry, RunState

RETURN, RAISE, CALL, CRASH_BEFORE, CRASH_AFTER, TIME_OUT, REAL = (
    "return", "raise", "call", "crash before", "crash after", "time out", "real",
)  # fmt: skip


class Action:
    """What one attempt does in place of the handler, and how long; ``payload`` is a value, error or function."""

    __slots__ = ("elapsed", "kind", "payload", "times")

    def __init__(self, kind: str, payload: Any = None, times: int = 1, elapsed: int = 0) -> None:
        self.kind = kind
        self.payload = payload
        self.times = times
        self.elapsed = elapsed


class Script:
    """The script of one step: ``durable.step("charge").raises(CardError(), times=2).returns({"id": 1})``.

    Every method returns the script itself. Behind its last action the real handler runs again.
    """

    def __init__(self, step_id: str, function_id: str | None, index: int | None) -> None:
        self.step_id = step_id
        self.function_id = function_id
        self.index = index
        self.used = False
        self.optional = False
        self._actions: list[Action] = []
        self._takes = 0

    def __repr__(self) -> str:
        where = f" of {self.function_id}" if self.function_id else ""
        which = f"[{self.index}]" if self.index is not None else ""
        return f"script for step {self.step_id!r}{which}{where}"

    # -- writing ------------------------------------------------------------------------------------------------------

    def _add(self, kind: str, payload: Any = None, times: int = 1) -> Script:
        if not isinstance(times, int) or isinstance(times, bool) or times < 1:
            msg = f"{self!r}: times={times!r} is not a number from 1 on"
            raise UsageError(msg)
        self._actions.append(Action(kind, payload, times, self._takes))
        self._takes = 0
        return self

    def raises(self, error: BaseException | type[BaseException], times: int = 1) -> Script:
        """The next attempts fail with this error."""
        if isinstance(error, type) and issubclass(error, BaseException):
            error = error()
        if not isinstance(error, BaseException):
            msg = f"{self!r}: raises({error!r}) needs an exception; use returns(...) for a value"
            raise UsageError(msg)
        return self._add(RAISE, error, times)

    def returns(self, value: Any = None, times: int = 1) -> Script:
        """The next attempt (or ``times`` of them) succeeds with this value."""
        return self._add(RETURN, value, times)

    def returns_each(self, *values: Any) -> Script:
        """The next attempts succeed with these values, one each."""
        for value in values:
            self._add(RETURN, value)
        return self

    def plays(self, outcomes: Iterable[Any]) -> Script:
        """The next attempts have these outcomes, one each: an exception is raised, any other value returned."""
        for outcome in outcomes:
            failed = isinstance(outcome, BaseException)
            self._add(RAISE if failed else RETURN, outcome)
        return self

    def calls(self, fn: Callable[..., Any], times: int | None = None) -> Script:
        """Attempts call ``fn`` in place of the handler, with the handler's arguments; all of them, or ``times``."""
        if not callable(fn):
            msg = f"{self!r}: calls({fn!r}) needs a function; use returns(...) for a value"
            raise UsageError(msg)
        return self._add(CALL, fn, 1_000_000_000 if times is None else times)

    def takes(self, length: Duration) -> Script:
        """The outcome that follows (or the real one) takes this long in virtual time."""
        self._takes = duration(length, f"{self!r}: takes")
        return self

    def times_out(self) -> Script:
        """A wait or an invocation times out, whatever arrives."""
        return self._add(TIME_OUT)

    def crashes(self, when: str = "after", times: int = 1) -> Script:
        """The worker dies before the handler is called, or after it and before its result is recorded."""
        if when not in {"before", "after"}:
            msg = f'{self!r}: crashes(when={when!r}); say "before" or "after"'
            raise UsageError(msg)
        return self._add(CRASH_BEFORE if when == "before" else CRASH_AFTER, None, times)

    def maybe(self) -> Script:
        """Allow that no step uses this script."""
        self.optional = True
        return self

    # -- reading ------------------------------------------------------------------------------------------------------

    def fits(self, run: RunState, entry: Entry) -> bool:
        """Whether this script is about a step, and has something left to say."""
        return (
            entry.id == self.step_id
            and (self.index is None or entry.index == self.index)
            and (self.function_id is None or run.spec.id == self.function_id)
            and bool(self._actions or self._takes)
        )

    def next(self) -> Action:
        """Consume the next action."""
        self.used = True
        if not self._actions:
            elapsed, self._takes = self._takes, 0
            return Action(REAL, elapsed=elapsed)
        action = self._actions[0]
        if action.kind == CRASH_AFTER:
            # The fake that follows, if one does, is what has the effect.
            action.payload = next((one.payload for one in self._actions if one.kind == CALL), None)
        action.times -= 1
        if action.times <= 0:
            del self._actions[0]
        return action


class Scripts:
    """All scripts of a simulation, in the order in which they were written."""

    def __init__(self) -> None:
        self._by_step: dict[str, list[Script]] = {}
        self.written = False

    def __iter__(self) -> Any:
        return (script for scripts in self._by_step.values() for script in scripts)

    def add(self, script: Script) -> Script:
        """Add a script."""
        self.written = True
        self._by_step.setdefault(script.step_id, []).append(script)
        return script

    def next(self, run: RunState, entry: Entry) -> Action | None:
        """The next action for an attempt at a step, or None for the real thing."""
        for script in self._by_step.get(entry.id, ()):
            if script.fits(run, entry):
                return script.next()
        return None

    def unused(self) -> list[Script]:
        """Scripts that no step has used and that did not say ``maybe()``."""
        return [script for script in self if not script.used and not script.optional]


def scripted_value(entry: Entry, value: Any) -> Any:
    """A scripted value in the form in which the memo holds it: events and signals as on the wire.

    Raises:
        UsageError: the value does not fit the step.
    """
    command: Any = entry.command
    if entry.op == SLEEP:
        return None
    if entry.op in EXECUTED or value is None:
        return value
    if entry.op == INVOKE and callable(dump := getattr(value, "model_dump", None)):
        # What another function returns has crossed the wire, by its serializer.
        return dump(mode="json")
    if entry.op == WAIT:
        is_event = all(hasattr(value, name) for name in ("name", "data", "id", "ts"))
        if not is_event and not hasattr(value, "items"):
            msg = (
                f"step '{entry.key}' waits for an event, and its script returns {value!r}; give an Event, the data of "
                "one as a dict, or None for the timeout"
            )
            raise UsageError(msg)
        event: Any = value if is_event else Event(command.event, value)
        return {"name": event.name, "data": dict(event.data), "id": event.id or f"scripted {entry.key}", "ts": event.ts}
    if entry.op == SIGNAL:
        signal = value if isinstance(value, Signal) else Signal(command.signal, value)
        return {"signal": signal.signal, "data": signal.data}
    return value


class Reaction:
    """What happens whenever a run waits: ``durable.on_wait("approval").send(Event(...), after="2d")``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parts: list[tuple[str, Any, Any, int]] = []
        self.used = False

    def _add(self, kind: str, what: Any, data: Any, after: Duration) -> Reaction:
        self.parts.append((kind, what, data, duration(after, f"on_wait({self.name!r}): after")))
        return self

    def send(self, event: Event | str, data: Any = None, *, after: Duration = 0) -> Reaction:
        """Send an event, so long after the run began to wait."""
        given = event if not isinstance(event, str) else Event(event, data)
        outgoing_all(given, repr(self), Limits().event_bytes, 1)
        return self._add("send", given, None, after)

    def signal(self, name: str, data: Any = None, *, after: Duration = 0) -> Reaction:
        """Send a signal, so long after the run began to wait."""
        if not isinstance(name, str) or not name:
            msg = f"{self!r}: signal={name!r} is not the name of a signal"
            raise UsageError(msg)
        data = wire.copy(data, f"{self!r}: the data of signal {name!r}")
        return self._add("signal", name, data, after)

    def cancel(self, *, after: Duration = 0) -> Reaction:
        """Cancel the run, so long after it began to wait."""
        return self._add("cancel", None, None, after)

    def fits(self, entry: Entry) -> bool:
        """Whether a wait is meant: by its step id, its key, or the name of its event or signal."""
        command: Any = entry.command
        names = {entry.id, entry.key, getattr(command, "event", None), getattr(command, "signal", None)}
        self.used = self.used or self.name in names
        return self.name in names

    def __repr__(self) -> str:
        return f"on_wait({self.name!r})"
