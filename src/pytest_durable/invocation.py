"""One entry into a body: which steps it asks for, and what the memo answers."""

from __future__ import annotations

import logging
import sys
import types
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from ._core.commands import wire_kind
from ._core.errors import NonDeterminismError, StepLimitError, UsageError
from ._core.runs import NEVER, Entry
from ._core.wire import load
from .escape import escape
from .places import HOME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ._core.commands import Command
    from ._core.limits import Limits
    from ._core.runs import FunctionSpec, RunState, Source
    from .loop import VirtualLoop


BODY, LEAVING, CLOSING, CLOSED = "body", "leaving", "closing", "closed"
"""What may ask for steps: the body; a sync body that is being left at a step, or a body that is being closed, which are
not heard; nobody."""

PATIENCE = 100
"""How often a body that is being closed may ask for a step all the same."""

GROUP: ContextVar[str] = ContextVar("durable group", default="")
"""The parallel mode of the group that a branch belongs to: "wait", "race" or "" outside any."""


class Doomed(BaseException):
    """Ends a body at a step that dooms its run, whatever ``except Exception`` stands around it."""


class StepInterrupt(BaseException):
    """Leaves a sync body at a step that the memo does not answer. Authors must let it pass."""

    def __init__(self, command: Command) -> None:
        super().__init__(f"step '{command.key}' is about to happen; let this pass")


class Surroundings(NamedTuple):
    """What an invocation knows of its simulation: limits, functions, how to find one, the time, the stage."""

    limits: Limits
    known: Mapping[str, FunctionSpec]
    spec_of: Callable[[object, str], FunctionSpec]
    now: Callable[[], int]
    stage: Any = None


class Invocation:
    """The state of one entry into a body.

    Attributes:
        number: of the invocation in its run; a check that enters the body has the number of the last one.
        direct: recorded steps are answered at once: the body is under way, and has used no loop so far.
        groups: how many sync groups this branch of the body has had.
        limit: how many completed steps the body may see; None for all. A step that was planned is executed in an
            invocation that sees what the planning one saw.
        horizon: the same as a place in the order of completion: earlier ones are seen.
        logged: how many lines the body has logged so far.
        fresh: the number of the first line behind the last recorded step.
        told_after: that step; neither is there before the first line.
        loop: the event loop, from the moment at which the body uses asyncio.
        calls: the steps that the memo does not answer, in the order in which they were asked for.
        doom: an error that ends the run whatever the body does with it.
    """

    __slots__ = (
        "around",
        "branch",
        "branch_name",
        "calls",
        "direct",
        "doom",
        "fresh",
        "groups",
        "horizon",
        "ignored",
        "interrupted",
        "last",
        "limit",
        "logged",
        "loop",
        "number",
        "phase",
        "position",
        "run",
        "told_after",
        "waiting",
    )

    fresh: int
    told_after: Entry | None

    def __init__(self, run: RunState, limit: int | None, surroundings: Surroundings) -> None:
        self.phase = BODY
        self.position = self.groups = self.logged = self.ignored = 0
        self.branch_name = ""
        self.last: Entry | None = None
        self.loop: VirtualLoop | None = None
        self.doom: BaseException | None = None
        self.interrupted = False
        self.direct = True
        self.run = run
        self.number = run.invocations
        self.limit = limit
        self.around = surroundings
        self.horizon = NEVER if limit is None else limit
        self.branch = run.branches[""]
        self.calls: list[Command] = []
        self.waiting: dict[str, Any] = {}

    @property
    def limits(self) -> Limits:
        """The limits of the simulation."""
        return self.around.limits

    @property
    def known(self) -> Mapping[str, FunctionSpec]:
        """The functions that the simulation knows."""
        return self.around.known

    def spec_of(self, function: object, where: str) -> FunctionSpec:
        """What the engine knows of a function."""
        return self.around.spec_of(function, where)

    # -- asking -------------------------------------------------------------------------------------------------------

    def claim(self, step_id: str, op: str) -> Entry:
        """The next step that the body asks for; whether it is recorded for this invocation, ``horizon`` tells.

        Raises:
            UsageError: no id, or the body is not running.
            StepLimitError: one step too many.
            NonDeterminismError: an earlier invocation asked for another step here.
        """
        position, branch = self.position, self.branch
        if position < len(branch) and self.phase is BODY:
            entry = branch[position]
            if entry.id == step_id and entry.op == op:
                # As before, so with the same key as before.
                self.position = position + 1
                return entry
        return self._claim_new(step_id, op)

    def _claim_new(self, step_id: str, op: str) -> Entry:
        if self.phase is not BODY or not isinstance(step_id, str) or not step_id:
            self._refuse(step_id)
            return Entry(str(step_id), str(step_id), 0, op, None)
        if type(step_id) is not str:
            # The plain text of a member of a StrEnum, for one.
            step_id = str.__str__(step_id)
        run, branch, position = self.run, self.branch, self.position
        if position < len(branch):
            index = sum(entry.id == step_id for entry in branch[:position])
            key = f"{step_id}:{index}" if index else step_id
            raise self._doomed(divergence(run, branch[position].key, (key, op), caller()))
        entries = run.entries
        key, index = step_id, 0
        if key in entries:
            index = number = run.uses.get(step_id, 1)
            run.uses[step_id] = index + 1
            while (key := f"{step_id}:{number}") in entries:
                number += 1
        if len(entries) >= self.around.limits.steps:
            raise self._doomed(
                StepLimitError(
                    f"step '{key}' of {run.spec.id} is number {len(entries) + 1}; a run may have "
                    f"{self.limits.steps:,} steps. Split the work into runs of their own with ctx.step.invoke or "
                    "ctx.step.send_event"
                )
            )
        recalled = run.recalled.get(key) if run.recalled else None
        if recalled is None or wire_kind(recalled.op) != wire_kind(op):
            recalled = Entry(key, step_id, index, op, caller())
        else:
            recalled.op = op
        entry = entries[key] = recalled
        branch.append(entry)
        self.position = position + 1
        return entry

    def _doomed(self, error: BaseException) -> Doomed:
        self.doom = error
        self.direct = False
        doomed = Doomed(str(error))
        self.lose_patience(doomed)
        return doomed

    def lose_patience(self, error: BaseException) -> None:
        """Get out of a body that catches what ends it, and asks for the next step again and again."""
        self.ignored += 1
        if self.ignored > PATIENCE:
            escape(error)

    def misused(self, error: UsageError) -> UsageError:
        """A mistake of the author in the body: it ends the run, whatever the body catches. Returns the error."""
        if self.doom is None and self.phase is BODY:
            self.doom = error
            self.direct = False
        return error

    def _refuse(self, step_id: object) -> None:
        if self.phase is CLOSING or isinstance(sys.exc_info()[1], GeneratorExit):
            self.lose_patience(closing := GeneratorExit())
            raise closing
        if self.phase is LEAVING:
            self._leave_again()
        name = self.run.spec.id
        if not isinstance(step_id, str) or not step_id:
            msg = f'a step of {name} has the id {step_id!r}; an id is text, as in ctx.step.run("charge-card", charge)'
        elif self.phase is CLOSED and self.run.executing:
            msg = (
                f"step '{step_id}' is asked for inside step '{self.run.executing}' of {name}; steps cannot be nested: "
                "return from the outer step first, or call a plain function there"
            )
        else:
            msg = (
                f"step '{step_id}' of {name} is asked for outside the body of its run (the run {self.run.status}); "
                "steps belong into the body, and every one is awaited there"
            )
        error = self.misused(UsageError(msg))
        if self.phase is CLOSED and self.run.executing and self.around.stage is not None:
            # Of the step in which this one is nested, whatever its handler catches.
            self.around.stage.misuse = error
        self.lose_patience(error)
        raise error

    @contextmanager
    def in_branch(self, number: int, group: int) -> Iterator[None]:
        """Compare steps, for a while, with those of one branch of a sync group.

        The branches of a sync group are entered one after the other, each up to its first new step, so it is within
        each branch that the steps of one invocation begin with those of the one before.
        """
        name = f"{self.branch_name}/{group}.{number}"
        outer = (self.branch, self.branch_name, self.position, self.groups)
        self.branch, self.branch_name, self.position, self.groups = self.run.branches.setdefault(name, []), name, 0, 0
        try:
            yield
            asked = self.branch
            if self.position < len(asked) and self.doom is None and self.limit is None:
                raise self._doomed(divergence(self.run, asked[self.position].key, None, None))
        finally:
            self.branch, self.branch_name, self.position, self.groups = outer

    def _leave_again(self) -> None:
        """A finally block asks for a step while the body is being left at another one: that comes first."""
        command = self.calls[-1]
        if not isinstance(sys.exc_info()[1], StepInterrupt):
            self.doom = UsageError(swallowed(self.run, command))
        interrupt = StepInterrupt(command)
        self.lose_patience(interrupt)
        raise interrupt

    def check_end(self, *, returned: bool) -> None:
        """Check, at the end of an invocation, that all steps of the earlier ones were asked for again.

        Raises:
            NonDeterminismError: one was not.
            UsageError: a step was created and never awaited.
        """
        run, branch = self.run, self.branch
        if self.position < len(branch):
            raise divergence(run, branch[self.position].key, None, None)
        if returned and (error := self.unawaited()) is not None:
            raise error

    def unawaited(self) -> UsageError | None:
        """The error for the first step that this invocation has created and not awaited; None if there is none."""
        for entry in self.branch[: self.position]:
            if entry.awaited != self.number:
                return UsageError(
                    f"step '{entry.key}' of {self.run.spec.id} was created and is never awaited in this invocation, at "
                    f"{source_text(entry.source)}; write await ctx.step..., or gather it with others"
                )
        return None

    def take_back(self) -> None:
        """The body has failed and is tried again: what it logs behind its last recorded step is no replay then."""
        if getattr(self, "told_after", self) is self.last:
            self.run.logged = min(self.run.logged, self.fresh)

    # -- answering ----------------------------------------------------------------------------------------------------

    def answer(self, entry: Entry, convert: Callable[[Any], Any] | None) -> Any:
        """The result of a recorded step, as a fresh copy; or its failure as an exception."""
        self.last = entry
        failure = entry.failure
        if failure is not None:
            raise failure.step_error()
        value = load(entry.stored)
        return value if convert is None else convert(value)

    # -- time ---------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The present instant."""
        return self.around.now()

    def logical_now(self) -> int:
        """The instant that the body has reached: the end of the last step that it was told of."""
        if self.last is not None and self.last.ended_at is not None:
            return self.last.ended_at
        return self.run.started_at or self.now


def caller() -> Source | None:
    """The first frame outside this package: where the author wrote the call."""
    # Ours are this function, the two that claim a step, and the method of the step API.
    frame: types.FrameType | None = sys._getframe(4)  # noqa: SLF001 - the documented way to one's caller
    while frame is not None and frame.f_code.co_filename.startswith(HOME):
        frame = frame.f_back
    return (frame.f_code, frame.f_lineno) if frame is not None else None


def source_text(source: Source | None) -> str:
    """File and line of where the author wrote a call."""
    return f"{source[0].co_filename}:{source[1]}" if source is not None else "an unknown place"


def swallowed(run: RunState, command: Command) -> str:
    """The message for a sync body that does not let the interrupt of a step pass."""
    return (
        f"the body of {run.spec.id} swallowed the interrupt of step '{command.key}', at "
        f"{source_of(run, command.key)}; let BaseException pass: write except Exception instead of a bare except"
    )


def source_of(run: RunState, key: str) -> str:
    """Where a step was asked for first."""
    return source_text(run.entries[key].source if key in run.entries else None)


def divergence(run: RunState, key: str, now: tuple[str, str] | None, where: Source | None) -> NonDeterminismError:
    """The report of a body that does not ask for a step as before: both sequences side by side, and the lines."""
    position = list(run.entries).index(key)
    left = [f"{entry.key} ({entry.op})" for entry in run.entries.values()]
    right = left[:position] + ([f"{now[0]} ({now[1]})"] if now else ["(the body ended)"])
    width = max(len(text) for text in [*left, "earlier invocation"])
    rows = [f"  {'earlier invocation':<{width}}   this invocation"]
    for index in range(max(0, position - 3), min(max(len(left), len(right)), position + 3)):
        before_text = left[index] if index < len(left) else ""
        now_text = right[index] if index < len(right) else ""
        mark = "!" if index == position else " "
        rows.append(f"{mark} {before_text:<{width}}   {now_text}".rstrip())
    source = run.entries[key].source
    places = [
        f"  asked for before at {source_text(source)}" if source else "",
        f"  asked for now at {source_text(where)}" if where else "",
    ]
    return NonDeterminismError(
        f"the body of {run.spec.id} asks for other steps than before, in invocation {run.invocations}:\n"
        + "\n".join([*rows, *filter(None, places)])
        + "\nA body must ask for the same steps whenever it is entered with the same memo. "
        "Move what differs (clock, chance, global state) into a step."
    )


class ReplayLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that writes a line when the body reaches it first, and is silent while it replays.

    A body that is entered again makes the same calls in the same order, so it is their number that tells.
    """

    def __init__(self, logger: logging.Logger, invocation: Invocation) -> None:
        super().__init__(logger, {})
        self._invocation = invocation

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write a line, unless an earlier invocation of the body has written it."""
        invocation = self._invocation
        # Our own frame is not the author's.
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        if invocation.phase is BODY:
            number, invocation.logged = invocation.logged, invocation.logged + 1
            if getattr(invocation, "told_after", invocation) is not invocation.last:
                invocation.told_after, invocation.fresh = invocation.last, number
            if number < invocation.run.logged:
                return
            invocation.run.logged = number + 1
        super().log(level, msg, *args, **kwargs)

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """What is written, with the author's own ``extra``."""
        return msg, kwargs
