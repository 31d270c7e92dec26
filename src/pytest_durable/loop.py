"""A small event loop in virtual time, for the bodies and handlers that use asyncio. No selector, no thread, no clock.

Everything that is built on futures works on it: gather, TaskGroup, wait, timeout, Queue, Event. What needs the outside
world (sockets, subprocesses, threads) is refused by name. Tasks and futures hash by their number, so that a set of
them, such as the result of ``asyncio.wait``, has the same order in every process.
"""

from __future__ import annotations

import asyncio
from asyncio import events, tasks
from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, NoReturn

from ._core.errors import BoundReachedError, UsageError
from .escape import escape, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from contextvars import Context

MICROS = 1_000_000
LEFT_BEHIND = (
    "plain code leaves a task or a timer to an event loop, and none goes on behind it; make the handler async and "
    "await the work there"
)
NOTHING: Any = ()
REFUSALS = 1_000
"""How often code that is being closed may ask for something, until it is left by force."""


class Numbered:
    """What has its number in its loop for a hash."""

    number = 0
    get_loop: Callable[[], Any]

    def __hash__(self) -> int:
        # Most futures are in no set, so they get their numbers when they are put into one.
        if not self.number:
            self.number = self.get_loop().next_number()
        return self.number


class NumberedFuture(Numbered, asyncio.Future):  # type: ignore[type-arg]  # a future of anything
    """A future whose hash is its number in its loop."""


class NumberedTask(Numbered, asyncio.Task):  # type: ignore[type-arg]  # a task of anything
    """A task whose hash is its number in its loop, given to it when it is made."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """Ready callbacks in order, and timers by due time; whoever owns the loop decides when a timer fires.

    Args:
        of: the function or step whose loop it is, for messages.
        bound: how many callbacks may run in all.
    """

    handles: deque[asyncio.Handle]
    timers: list[tuple[int, int, asyncio.TimerHandle]]
    made: list[NumberedTask]
    gathers = False
    """Steps were gathered on it, without tasks."""
    closing = False
    """What is closed now may let go of things, and begin nothing more."""
    refused = 0
    _number = 0

    def __init__(self, of: str, bound: int) -> None:
        self.of = of
        self.bound = bound
        # There is a loop for every request, and most of them are never used: these are replaced at the first use.
        self.handles = self.timers = self.made = NOTHING

    @property
    def where(self) -> str:
        """What runs on the loop, for messages."""
        return self.of

    # -- what owners use ----------------------------------------------------------------------------------------------

    def micros(self) -> int:
        """The loop's time: microseconds since its start. The owner overrides it."""
        return 0

    def _open(self) -> None:
        self.handles, self.timers, self.made = deque(), [], []

    def _refuse(self) -> NoReturn:
        """Refuse what code that is being closed asks for; one that catches that, in a loop, is left by force."""
        self.refused += 1
        if self.refused % REFUSALS == 0:
            escape(GeneratorExit())
        raise UsageError(LEFT_BEHIND)

    def next_number(self) -> int:
        """A number for the next task or future."""
        self._number += 1
        return self._number

    def run_ready(self, wanted: str | None = None, waiting: Container[str] = ()) -> None:
        """Run callbacks until none is ready, or until ``wanted`` is among ``waiting``."""
        handles = self.handles
        while handles and (wanted is None or wanted not in waiting):
            handle = handles.popleft()
            if handle._cancelled:  # noqa: SLF001 - as every loop asks its handles
                continue
            self.bound -= 1
            if self.bound < 0:
                msg = f"{self.where} went through too many turns of asyncio without a step or an end; it loops for ever"
                raise BoundReachedError(msg)
            handle._run()  # noqa: SLF001 - as above

    def next_timer(self) -> int | None:
        """When the next timer that was not cancelled is due, in the loop's microseconds."""
        timers = self.timers
        while timers and timers[0][2].cancelled():
            heappop(timers)
        return timers[0][0] if timers else None

    def fire_timer(self) -> None:
        """Make the callback of the next timer ready."""
        if self.next_timer() is not None:
            self.handles.append(heappop(self.timers)[2])

    def abandon(self) -> None:
        """Close what is left of all tasks, quietly: they belong to an invocation that is over."""
        for task in self.made:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - closed on purpose
                coro: Any = task.get_coro()
                close_by_force(coro, self)
                tasks._unregister_task(task)  # noqa: SLF001 - it is no task of the loop any more, whoever keeps it
                _forget(task._fut_waiter)  # type: ignore[attr-defined]  # noqa: SLF001 - what it would be woken by
                _forget(task)
            elif not task.cancelled():
                task.exception()
        # Tasks know their loop: apart, neither has to wait for the garbage collector, nor stays in the set that asyncio
        # keeps of all tasks.
        if self.made:
            self.made.clear()
        if self.handles:
            self.handles.clear()

    # -- asyncio's interface ------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Seconds since the start of the loop, in virtual time."""
        return self.micros() / MICROS

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        """Run a callback in the next turn."""
        if self.handles is NOTHING:
            self._open()
        handle = asyncio.Handle(callback, args, self, context)
        self.handles.append(handle)
        return handle

    def call_later(  # type: ignore[override]  # any callback
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback after a delay in seconds of virtual time."""
        return self._call_at(self.micros() + round(delay * MICROS), callback, args, context)

    def call_at(  # type: ignore[override]  # any callback
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback at a time of ``time()``."""
        return self._call_at(round(when * MICROS), callback, args, context)

    def _call_at(
        self, micros: int, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> asyncio.TimerHandle:
        if self.closing:
            self._refuse()
        handle = asyncio.TimerHandle(micros / MICROS, callback, args, self, context)
        if self.handles is NOTHING:
            self._open()
        heappush(self.timers, (micros, self.next_number(), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Asyncio tells; cancelled timers are dropped when their turn comes."""

    def create_future(self) -> NumberedFuture:
        """A future of this loop."""
        if self.closing:
            self._refuse()
        return NumberedFuture(loop=self)

    def create_task(self, coro: Any, **kwargs: Any) -> NumberedTask:
        """A task of this loop. ``eager_start`` is refused: it would run before anybody could choose an order."""
        if kwargs.pop("eager_start", None):
            msg = f"{self.where} creates a task with eager_start, which runs it out of turn; leave eager_start away"
            raise UsageError(msg)
        if self.handles is NOTHING or self.closing:
            try:
                self._refuse() if self.closing else self._open()
            except UsageError:
                close_quietly(coro)
                raise
        task = NumberedTask(coro, loop=self, **kwargs)
        hash(task)
        self.made.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Errors of forgotten tasks are errors of an abandoned invocation; the body has been judged by its own end."""

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """As ``call_exception_handler``."""

    def get_task_factory(self) -> None:
        """No factory: tasks are made by ``create_task``."""
        return

    def get_debug(self) -> bool:
        """No debug mode."""
        return False

    def is_running(self) -> bool:
        """A loop that is asked is running."""
        return True

    def is_closed(self) -> bool:
        """Never closed: it ends with its owner."""
        return False

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: generators end with the invocation."""


REFUSED = {
    "threads, which have no virtual time": (
        "run_in_executor", "call_soon_threadsafe", "set_default_executor", "shutdown_default_executor",
    ),
    "the network or other processes": (
        "add_reader", "add_writer", "remove_reader", "remove_writer", "create_connection", "create_server",
        "create_unix_connection", "create_unix_server", "create_datagram_endpoint", "sock_recv", "sock_recv_into",
        "sock_sendall", "sock_connect", "sock_accept", "sendfile", "start_tls", "connect_accepted_socket",
        "getaddrinfo",
        "getnameinfo", "subprocess_exec", "subprocess_shell", "connect_read_pipe", "connect_write_pipe",
        "add_signal_handler", "remove_signal_handler",
    ),
    "a loop of its own": ("run_forever", "run_until_complete", "stop", "close"),
}  # fmt: skip


def _refusal(name: str, reason: str) -> Callable[..., NoReturn]:
    def refuse(self: VirtualLoop, *_args: object, **_kwargs: object) -> NoReturn:
        msg = (
            f"{self.where} uses {reason} (loop.{name}); "
            "replace it in the test, for example with durable.step(...).returns(...) or .calls(fake)"
        )
        raise UsageError(msg)

    refuse.__name__ = name
    return refuse


for _reason, _names in REFUSED.items():
    for _name in _names:
        setattr(VirtualLoop, _name, _refusal(_name, _reason))
for _name in dir(asyncio.AbstractEventLoop):
    if not _name.startswith("_") and getattr(VirtualLoop, _name) is getattr(asyncio.AbstractEventLoop, _name):
        setattr(VirtualLoop, _name, _refusal(_name, "what this event loop does not have"))
# The names above are abstract in asyncio's own class only for type checkers; here every one of them answers.


class Guard(VirtualLoop):
    """A loop on which nothing runs: what is put on it is refused."""

    def _open(self) -> None:
        raise UsageError(LEFT_BEHIND)


GUARD = Guard("a step", 0)  # type: ignore[abstract]  # what is not there refuses by name
"""The running loop where no other of ours runs, so that ``asyncio.run`` is refused while time is driven."""


def _forget(future: Any) -> None:
    """Let go of those that wait for a future."""
    for callback, _ in getattr(future, "_callbacks", None) or ():
        future.remove_done_callback(callback)


def close_by_force(coro: Any, loop: VirtualLoop) -> None:
    """As ``close_quietly``, also of code that catches everything, and goes on to sleep or wait for ever."""
    outer, closing = events._get_running_loop(), loop.closing  # noqa: SLF001 - what it waits for is refused
    events._set_running_loop(loop)  # noqa: SLF001 - as above
    loop.closing, loop.refused = True, 0
    try:
        close_quietly(coro)
    finally:
        loop.closing = closing
        events._set_running_loop(outer)  # noqa: SLF001 - as above
        if loop.refused >= REFUSALS:
            restore()


def close_quietly(coro: Any) -> None:
    """Close a suspended coroutine. What its ``finally`` blocks still want to await is not awaited any more."""
    try:
        coro.close()
    except (RuntimeError, ValueError, UsageError):
        # "coroutine ignored GeneratorExit": a finally block awaits something foreign. The invocation is over, and
        # the same block runs again, for real, in the invocation in which the body comes to its end.
        return


stock_as_completed = asyncio.as_completed


def _swap_current_task(loop: asyncio.AbstractEventLoop, task: Any) -> Any:
    before = asyncio.current_task(loop)
    if before is not None:
        tasks._leave_task(loop, before)  # noqa: SLF001 - as asyncio itself, from 3.12 on
    if task is not None:
        tasks._enter_task(loop, task)  # noqa: SLF001 - as above
    return before


swap_current_task: Any = getattr(tasks, "_swap_current_task", _swap_current_task)
"""How a task steps aside for another; asyncio has it from 3.12 on."""


def ordered_as_completed(fs: Any, **kwargs: Any) -> Any:
    """``asyncio.as_completed`` for bodies: it makes a set of what it is given, and tasks out of that, in no order.

    Tasks made beforehand, in the order in which they are given, have one.
    """
    loop = events._get_running_loop()  # noqa: SLF001 - the loop, or None
    if isinstance(loop, VirtualLoop):
        fs = [asyncio.ensure_future(one, loop=loop) for one in dict.fromkeys(fs)]
    return stock_as_completed(fs, **kwargs)
