"""What an invocation of a body asks for, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .results import Result, Wakeable
    from .runs import Failure, FunctionSpec, Refusal
    from .wire import Stored

RUN, SLEEP, SEND, INVOKE, INFER = "run", "sleep", "send_event", "invoke", "ai"
WAIT, SIGNAL = "wait_for_event", "wait_for_signal"
TIMER_OP = "timer"
"""A timer that the body itself set, as in ``asyncio.timeout``; it is no step."""

EXECUTED = frozenset({RUN, SEND, INFER})
"""The operations with attempts: something of the author's is called, and can fail."""


def wire_kind(op: str) -> str:
    """The operation that a recorded step is taken for: on the wire, sending events is a step that was run."""
    return RUN if op == SEND else op


AWAITED = frozenset({WAIT, SIGNAL, INVOKE})
"""The operations that somebody else answers."""


class Command:
    """A step that the body asked for.

    Attributes:
        key: the id with its counter, ``fetch:1``; unique in a run.
        id: the id that the author wrote.
        index: which use of the id this is, from 0.
        op: the operation.
        race: its end lets the body go on although its siblings have not settled.
        planned: it is never executed in the invocation that finds it, even if it is alone.
        positional: its result goes to a known place of a group; its order among its siblings cannot be seen.
        future: what waits for the answer in the body; it belongs to the host.
    """

    __slots__ = ("future", "id", "index", "key", "op", "planned", "positional", "race")

    def __init__(self, key: str, step_id: str, index: int, op: str) -> None:
        self.key = key
        self.id = step_id
        self.index = index
        self.op = op
        self.race = False
        self.planned = False
        self.positional = False
        self.future: Any = None


class Execute(Command):
    """``run``, ``ai``: call a handler. ``handler`` is None for what only a script can answer."""

    __slots__ = ("args", "handler", "kwargs")

    def __init__(
        self,
        key: str,
        step_id: str,
        index: int,
        op: str,
        handler: Callable[..., Any] | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        self.key = key
        self.id = step_id
        self.index = index
        self.op = op
        self.race = self.planned = self.positional = False
        self.future = None
        self.handler = handler
        self.args = args
        self.kwargs = kwargs


class Sending(Execute):
    """``send_event`` of an SDK, which calls code of its own; ``events`` are for the record."""

    __slots__ = ("events",)


class Send(Command):
    """``send_event``: put events on the bus; answered with their ids. An event here is its wire form."""

    __slots__ = ("events",)

    def __init__(self, key: str, step_id: str, index: int, events: list[dict[str, Any]]) -> None:
        super().__init__(key, step_id, index, SEND)
        self.events = events


class Sleep(Command):
    """``sleep``: ``length`` is a duration, or None and ``until`` an instant."""

    __slots__ = ("length", "until")

    def __init__(self, key: str, step_id: str, index: int, length: int | None, until: int | None) -> None:
        super().__init__(key, step_id, index, SLEEP)
        self.length = length
        self.until = until


class WaitForEvent(Command):
    """``wait_for_event``: ``matches`` is given the wire form of an event and says None, or why it is not meant."""

    __slots__ = ("condition", "event", "matches", "timeout")

    def __init__(
        self,
        key: str,
        step_id: str,
        index: int,
        event: str,
        timeout: int | None,
        matches: Refusal,
        condition: str,
    ) -> None:
        super().__init__(key, step_id, index, WAIT)
        self.event = event
        self.timeout = timeout
        self.matches = matches
        self.condition = condition


class WaitForSignal(Command):
    """``wait_for_signal``: ``replace`` says what happens when another run already waits for this signal."""

    __slots__ = ("replace", "signal", "timeout")

    def __init__(self, key: str, step_id: str, index: int, signal: str, timeout: int | None, *, replace: bool) -> None:
        super().__init__(key, step_id, index, SIGNAL)
        self.signal = signal
        self.timeout = timeout
        self.replace = replace


class Invoke(Command):
    """``invoke``: start a run of another function and wait for it. ``spec`` is None if only a script can answer."""

    __slots__ = ("data", "function_id", "spec", "timeout")

    def __init__(
        self,
        key: str,
        step_id: str,
        index: int,
        function_id: str,
        spec: FunctionSpec | None,
        data: dict[str, Any],
        timeout: int | None,
    ) -> None:
        super().__init__(key, step_id, index, INVOKE)
        self.function_id = function_id
        self.spec = spec
        self.data = data
        self.timeout = timeout


class Asked:
    """The body stopped at steps: all that are not resolved, in the order in which they were asked for.

    ``timer`` is the instant at which a timer of the body itself is due (``asyncio.timeout``), or None.
    """

    __slots__ = ("commands", "timer")

    def __init__(self, commands: Sequence[Command], timer: int | None = None) -> None:
        self.commands = commands
        self.timer = timer


class Returned:
    """The body returned."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


class Raised:
    """The body raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Report:
    """One step in the reply of an SDK: found (``outcome`` is None), or executed in that request with an outcome.

    A value in it has crossed the wire already. ``final``: what failed is not to be tried again.
    """

    __slots__ = ("command", "final", "outcome")

    def __init__(self, command: Command, outcome: Result | None = None, *, final: bool = False) -> None:
        self.command = command
        self.outcome = outcome
        self.final = final


class Reply:
    """What an SDK answered to a request: steps, or the result of the function, or an error.

    Attributes:
        reports: the steps; None if the reply is an end.
        result: what the function returned, after its way over the wire.
        failure: why the request failed, or None.
        final: a failed request is not to be made again.
        retry: an exception that says when to make it again, or None for the table.
    """

    __slots__ = ("failure", "final", "reports", "result", "retry")

    def __init__(
        self,
        reports: Sequence[Report] | None = None,
        *,
        result: Stored = (None, None),
        failure: Failure | None = None,
        final: bool = False,
        retry: BaseException | None = None,
    ) -> None:
        self.reports = reports
        self.result = result
        self.failure = failure
        self.final = final
        self.retry = retry


class Suspended:
    """A request that is under way: it goes on at an instant, with ``resume``, which answers in its turn.

    Attributes:
        at: that instant; None if only somebody else can wake it.
        course: what others may wake, or None.
    """

    __slots__ = ("at", "course", "resume")

    def __init__(self, at: int | None, resume: Callable[[], Reply | Suspended], course: Wakeable | None = None) -> None:
        self.at = at
        self.resume = resume
        self.course = course


Answer = Asked | Returned | Raised | Reply | Suspended
