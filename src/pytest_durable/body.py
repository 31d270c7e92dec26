"""A body under way: an async function that is driven by hand, on a small loop that turns only where it uses asyncio."""

from __future__ import annotations

import asyncio
from asyncio import tasks
from typing import TYPE_CHECKING, Any

from ._core.commands import TIMER_OP, Answer, Asked, Command, Raised, Returned
from ._core.errors import UsageError
from ._core.failing import text_of
from .escape import restore
from .gathering import Member
from .invocation import CLOSED, CLOSING, Doomed, Invocation
from .loop import LEFT_BEHIND, VirtualLoop, close_quietly
from .places import HOME, LIBRARY

if TYPE_CHECKING:
    from collections.abc import Coroutine

GATHERED = frozenset({"gather.<locals>._done_callback", "TaskGroup._on_task_done"})
"""Who is told of the end of a branch that is one step, and cannot tell in which order its siblings ended."""


class BodyLoop(VirtualLoop):
    """The loop of a body. Its time is the instant that the body has reached, so a replay sees the same times.

    Attributes:
        invocation: the invocation whose body is under way, or None.
    """

    invocation: Invocation | None = None

    def __init__(self) -> None:
        super().__init__("a step", 0)

    @property
    def where(self) -> str:
        """The body of the function; or a step, whose handler finds the loop of the body that asked for it."""
        invocation = self.invocation
        return self.of if invocation is None or invocation.phase is CLOSED else f"the body of {invocation.run.spec.id}"

    def micros(self) -> int:
        """Microseconds from the start of the run to the instant that the body has reached."""
        invocation = self.invocation
        if invocation is None:
            return 0
        return invocation.logical_now() - (invocation.run.started_at or invocation.now)

    def _open(self) -> None:
        invocation = self.invocation
        if invocation is None or invocation.phase is CLOSED:
            raise UsageError(LEFT_BEHIND)
        self.bound = invocation.around.limits.callbacks_per_invocation
        invocation.direct = False
        super()._open()


class Body:
    """A body under way: a coroutine that is sent into by hand, and as much of a task as asyncio asks for.

    Attributes:
        blocked: the step at which the body is suspended, if no task of its own is involved.
    """

    __slots__ = (
        "__weakref__",
        "_cancels",
        "_must_cancel",
        "blocked",
        "coro",
        "invocation",
        "loop",
        "next_resolved",
        "result",
        "timers_fired",
        "waiter",
    )

    def __init__(self, coro: Coroutine[Any, Any, Any], loop: BodyLoop, invocation: Invocation) -> None:
        self.coro = coro
        self.loop = loop
        self.invocation = invocation
        self.blocked: Command | None = None
        self.waiter: Any = None
        self.result: Answer | None = None
        self.next_resolved = self.timers_fired = self._cancels = 0
        self._must_cancel = False

    # -- driving ------------------------------------------------------------------------------------------------------

    def run(self, target: str | None) -> None:
        """Go on until the body ends, or nothing that it waits for is known; with a target, until that is asked for."""
        self.blocked = None
        self._step(None)
        while self.result is None and self.blocked is None:
            waiting = self.invocation.waiting
            self.loop.run_ready(target, waiting)
            if self.result is not None or self.blocked is not None:
                break
            if target is not None and target in waiting:
                break
            if not self._resolve_next():
                break

    def _resolve_next(self) -> bool:
        """Tell the body of the next recorded step that it waits for, in the order of completion."""
        invocation = self.invocation
        stack, waiting, first = invocation.run.stack, invocation.waiting, self.next_resolved
        if first >= len(stack):
            return False
        end = len(stack) if invocation.limit is None else invocation.limit
        timer_due = self.loop.next_timer() is not None
        for position in range(first, end):
            entry = stack[position]
            if entry.op == TIMER_OP:
                if timer_due and entry.index == self.timers_fired:
                    self.timers_fired += 1
                    invocation.last = entry
                    self.loop.fire_timer()
                    return True
                continue
            if entry.key in waiting:
                future = waiting.pop(entry.key)
                if position == first:
                    self.next_resolved += 1
                if not future.done():
                    invocation.last = entry
                    future.set_result(None)
                    return True
        return False

    def _step(self, error: BaseException | None) -> None:
        self.waiter = None
        if self._must_cancel:
            self._must_cancel = False
            error = asyncio.CancelledError()
        loop = self.loop
        tasks._enter_task(loop, self)  # type: ignore[arg-type]  # noqa: SLF001 - asyncio.timeout asks for the current task
        try:
            wanted = self.coro.send(None) if error is None else self.coro.throw(error)
        except StopIteration as stop:
            self.result = Returned(stop.value)
            return
        except (Exception, asyncio.CancelledError, Doomed) as raised:  # noqa: BLE001 - the body's outcome, whatever it is
            self.result = Raised(raised)
            return
        finally:
            tasks._leave_task(loop, self)  # type: ignore[arg-type]  # noqa: SLF001 - as above
        if isinstance(wanted, Command):
            self.blocked = wanted
        elif wanted is None:
            loop.call_soon(self._step, None)
        elif getattr(wanted, "_asyncio_future_blocking", False) and wanted.get_loop() is loop:
            wanted._asyncio_future_blocking = False  # noqa: SLF001 - the protocol between futures and tasks
            self.waiter = wanted
            wanted.add_done_callback(self._wake)
            if self._must_cancel and wanted.cancel():
                self._must_cancel = False
        else:
            self._refuse(wanted)

    def _wake(self, future: Any) -> None:
        if self.result is None:
            error = None
            if future.cancelled():
                error = asyncio.CancelledError()
            self._step(error)

    def _refuse(self, wanted: object) -> None:
        what = f"a future of another event loop ({wanted!r})" if asyncio.isfuture(wanted) else repr(wanted)
        msg = (
            f"{self.loop.where} awaits {what}, at {self.place()}; a body awaits only its steps, and what asyncio makes "
            "of them. Put other work into a step"
        )
        self.result = Raised(UsageError(msg))

    def _refuse_foreign(self, error: BaseException) -> None:
        """A branch awaited a future of another loop; asyncio has noticed, in words of its own."""
        msg = f"{self.loop.where} awaits a future of another event loop; a body awaits only its steps. {error}"
        self.result = Raised(UsageError(msg))

    def place(self) -> str:
        """Where the body stands: file and line of its innermost frame that is neither asyncio's nor ours."""
        coro: Any = self.coro
        frame = None
        while coro is not None:
            inner = getattr(coro, "cr_frame", None)
            if inner is not None and not inner.f_code.co_filename.startswith((HOME, *LIBRARY)):
                frame = inner
            coro = getattr(coro, "cr_await", None)
        return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "its end"

    # -- the outcome --------------------------------------------------------------------------------------------------

    def answer(self) -> Answer:
        """What the body asks for, or how it ended."""
        if self.result is not None:
            if isinstance(self.result, Raised) and "attached to a different loop" in text_of(self.result.error):
                self._refuse_foreign(self.result.error)
            return self.result
        calls = self.invocation.calls
        commands = [command for command in calls if command.future is None or not command.future.done()]
        if len(commands) > 1:
            self._mark_positional()
        timer = self.loop.next_timer()
        due = None if timer is None else timer + (self.invocation.run.started_at or self.invocation.now)
        if not commands and due is None:
            msg = (
                f"{self.loop.where} waits for something that no step and no timer will bring, at {self.place()}; "
                "let it wait for steps"
            )
            return Raised(UsageError(msg))
        return Asked(commands, due)

    def _mark_positional(self) -> None:
        for task in self.loop.made:
            command = getattr(task.get_coro(), "command", None)
            if isinstance(command, Command) and not command.race:
                callbacks = getattr(task, "_callbacks", None) or ()
                names = [getattr(callback, "__qualname__", "") for callback, _ in callbacks]
                command.positional = bool(names) and all(name in GATHERED for name in names)
        for command in self.invocation.calls:
            if type(command.future) is Member:
                command.positional = not command.race

    def close(self) -> None:
        """End the invocation: what is suspended is closed and not heard any more."""
        invocation = self.invocation
        invocation.phase = CLOSING
        loop = self.loop
        if invocation.direct:
            invocation.direct = False
        else:
            self.waiter = None
            if loop.made:
                loop.abandon()
            elif loop.handles:
                loop.handles.clear()
            if invocation.waiting:
                invocation.waiting.clear()
                for command in invocation.calls:
                    command.future = None
        if invocation.ignored:
            restore()
        if self.result is None:
            close_quietly(self.coro)
            if invocation.ignored:
                restore()
        invocation.phase = CLOSED
        # The two know each other; apart, neither has to wait for the garbage collector.
        invocation.loop = loop.invocation = None

    # -- what asyncio asks of the current task ------------------------------------------------------------------------

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - the signature of tasks
        """Cancel the body at its next await, as ``asyncio.timeout`` does."""
        self._cancels += 1
        if self.waiter is not None and self.waiter.cancel():
            return True
        self._must_cancel = True
        return True

    def uncancel(self) -> int:
        """Take one cancellation back."""
        self._cancels = max(0, self._cancels - 1)
        if not self._cancels:
            self._must_cancel = False
        return self._cancels

    def cancelling(self) -> int:
        """How many cancellations are in force."""
        return self._cancels

    def done(self) -> bool:
        """Whether the body has ended."""
        return self.result is not None

    def get_loop(self) -> BodyLoop:
        """The loop of the body."""
        return self.loop

    def get_name(self) -> str:
        """A name for messages of asyncio."""
        return self.loop.where
