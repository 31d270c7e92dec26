"""One request to the SDK: its event loop in virtual time, and what the steps in it tell the simulation.

An async request is suspended while it sleeps, so that other things happen meanwhile, as they do on a server.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from asyncio import events
from contextlib import ExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .._core.commands import RUN, SEND, Execute, Reply, Report, Sending, Suspended
from .._core.errors import UsageError
from .._core.failing import failure_of
from .._core.happenings import TIMER, Happening
from .._core.instants import SECOND
from .._core.results import CRASH, ERROR, UNDER_WAY, VALUE, Result
from .._core.runs import Failure
from ..courses import COURSE, Course
from ..escape import escape, restore
from ..handlers import in_words
from ..host import watched, watchers
from ..loop import close_by_force, swap_current_task
from .inngest_clock import InRequest
from .inngest_findings import BEATS, MOST_INTERRUPTS, SWALLOWS, TURNS_BEHIND, Seen, doubles, in_tasks, note_interrupts
from .inngest_wire import in_sdk, key_of
from .inngest_worker import STUCK, Worker, ends_the_test

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .._core.runs import Entry, RunState
    from .._core.world import World
    from ..clock import Clock

CURRENT: contextvars.ContextVar[Request] = contextvars.ContextVar("request")
"""The request that the code under way belongs to."""

note_interrupts(CURRENT)


TURNS_PER_REQUEST = 10_000
"""How often a request may go to sleep before its end."""

POLLS = (
    f"{{}} has gone to sleep {TURNS_PER_REQUEST:,} times and does not end; it looks as if it polled for something. "
    "Wait with ctx.step.wait_for_event, or sleep with ctx.step.sleep"
)


class Lost(BaseException):
    """Nobody hears the answer of this request: its worker crashed, or it used the simulation wrongly."""


class Request:
    """One request.

    Attributes:
        ops: the operations of steps that the wire does not tell apart, by their keys.
        result: what the SDK's own call gave, with the exceptions themselves.
        handler: the SDK's own handler of an async request, until it has responded.
        awaited: the task that it waits for.
        response: what it responded, or what has left it.
        left: the part of the memo that the body has not asked for, by the ids of the wire.
        lost: why nobody hears the answer, as the report of the step at which that happened.
        stays: it goes on behind a step that it executed, instead of ending with it.
        body: the task in which the author's function runs.
    """

    result: Any = None
    handler: Any = None
    awaited: Any = None
    response: Any = None
    course: Any = None
    due: int | None = None
    left: Mapping[str, Any] = MappingProxyType({})
    lost: Report | None = None
    executing: Entry | None = None
    ended_at = 0
    watched: ExitStack | None = None
    probing = False
    stays = False
    body: Any = None
    waits_for = ""
    told: Report | None = None
    worker: Worker | None = None
    wakes = 0
    endless = ""

    def __init__(self, run: RunState, known: Callable[[object], object]) -> None:
        surroundings = run.surroundings
        self.run = run
        self.known = known
        self.stage = surroundings.stage
        self.clock: Clock = self.stage.clock
        self.world: World = self.stage.world
        self.began: int = self.clock.micros
        self.bound = surroundings.limits.callbacks_per_invocation
        self.ops: dict[str, str] = {}
        self.inputs: dict[str, Any] = {}
        self.seen = Seen()
        self.turns = self.behind = 0
        self.number = run.invocations
        # In a simulation inside a step, nothing of the request around it is to be seen.
        self.context: Any = contextvars.copy_context() if CURRENT.get(None) is None else contextvars.Context()
        self.context.run(CURRENT.set, self)
        if self.world.footprint is not None:
            # The body is entered for a planned step too, and may look at what other steps do.
            self.world.touch("step bodies", "r")

    def interrupted(self, interrupt: Any) -> None:
        """Take note of what is to end the request; leave a function that catches that again and again."""
        seen = self.seen
        # Not the exception, whose traceback would keep all of the request alive.
        seen.interrupts += (interrupt.responses,)
        if len(seen.interrupts) > MOST_INTERRUPTS:
            self.endless = SWALLOWS
            escape(Lost())

    # -- the course of a request --------------------------------------------------------------------------------------

    def run_sync(self, call: Callable[[], Any], read: Callable[[Any], Reply], *, aside: bool) -> Reply | Suspended:
        """Make a request of a sync function, here, or on a thread of its own that others do not wait for."""
        self.read: Any = read
        if aside:
            self.worker = Worker(lambda: self.context.run(call), lambda: InRequest(self, None), Lost, ends_the_test)
            return self._turn_aside()
        response: Any = None
        try:
            with InRequest(self, None):
                response = self.context.run(call)
        except BaseException as error:
            if ends_the_test(error):
                raise
            response = error  # Whatever leaves the SDK is a crash of its server.
        return self._at(self.ended_at, lambda: self._reply(response, read))

    def _turn_aside(self) -> Reply | Suspended:
        worker = self.worker
        assert worker is not None, "this is our bug: a turn without a worker"
        worker.go()
        self.endless = STUCK if worker.stuck else self.endless
        if self.told is not None:
            return self._tell()
        if worker.done:
            self.stage.under_way.pop(self, None)
            return self._at(self.ended_at, lambda: self._reply(worker.response, self.read))
        self.stage.under_way[self] = None
        return Suspended(self.wakes, self._turn_aside)

    def block(self, micros: int) -> None:
        """The code of this sync request sleeps."""
        self.turns += 1
        if self.turns > TURNS_PER_REQUEST:
            self.endless = POLLS
            escape(Lost())
            raise Lost
        if self.worker is None:
            self.clock.sleep(micros)
        else:
            self.wakes = self.clock.micros + micros
            self.worker.sleep()

    def run_async(self, handler: Any, read: Callable[[Any], Reply]) -> Reply | Suspended:
        """Begin a request of an async function."""
        course = self.course = Course(f"a request of {self.run.spec.id}", self.bound, self.clock)
        self.context.run(COURSE.set, course)
        self.handler, self.read = handler, read
        return self._turn()

    def _turn(self) -> Reply | Suspended:
        self._run_ready(fire=False)
        return self._answer()

    def _resume(self) -> Reply | Suspended:
        """Go on behind a sleep, or woken by another one."""
        self._run_ready(fire=True)
        return self._answer()

    def _answer(self) -> Reply | Suspended:
        if self.told is not None:
            return self._tell()
        if self.handler is None or self.lost is not None:
            return self._at(self.ended_at, self._replied)
        course, due = self.course, self.due
        self.turns += 1
        if (due is None and self.probing) or self.turns > TURNS_PER_REQUEST:
            message = (
                f"{course.of} waits for something that no timer will bring; a function and its steps can await "
                "their own tasks, asyncio.sleep and fakes, and nothing from outside"
            )
            if self.turns > TURNS_PER_REQUEST:
                message = POLLS.format(course.of)
            self.close()
            return Reply(failure=failure_of(UsageError(message)), final=True)
        self.stage.under_way[self] = None
        course.pause(None if due is None else max(self.ended_at, self.began + due), self.ended_at)
        return Suspended(course.at, self._resume, course)

    # -- checkpointing ------------------------------------------------------------------------------------------------

    async def checkpoint(self, report: Report) -> None:
        """Tell the server of a step, and wait until it has recorded it."""
        self.told = report
        self.kept = asyncio.get_running_loop().create_future()
        await self.kept

    def checkpoint_sync(self, report: Report) -> None:
        """As ``checkpoint``, on the thread of the request."""
        assert self.worker is not None, "this is our bug: a sync request that stays without a thread of its own"
        self.told = report
        self.worker.sleep()

    def _tell(self) -> Reply | Suspended:
        report, self.told = self.told, None
        assert report is not None, "this is our bug: nothing to tell"
        self.waits_for = report.command.key
        self.seen.executed = self.seen.interrupts = ()
        self.run.find(doubles(self))
        self.run.live = self
        self.stage.under_way.pop(self, None)
        return self._at(self.ended_at, lambda: Reply([report]))

    def go_on(self) -> Reply | Suspended:
        """Go on behind the step that is recorded now."""
        if self.worker is not None:
            return self._turn_aside()
        if not self.kept.done():
            # A timer of the body, or the body itself, may have cancelled what waits for it.
            self.kept.set_result(None)
        return self._turn()

    def is_crowded(self, task: Any) -> bool:
        """Whether anything else than the author's function itself is under way in it."""
        if self.worker is not None:
            return False
        return task is not self.body or any(not one.done() for one in self.course.made if one is not task)

    def close(self) -> None:
        """Let go of what is left of a request; its simulation is over, or nobody hears of it."""
        self.stage.under_way.pop(self, None)
        if self.handler is not None:
            close_by_force(self.handler, self.course.loop)
        if (left := self.worker or self.course) is not None:
            left.close()

    def _run_ready(self, *, fire: bool) -> None:
        course = self.course
        loop = course.loop
        try:
            with InRequest(self, course):
                if fire and (due := loop.next_timer()) is not None and due <= loop.micros():
                    loop.fire_timer()
                loop.run_ready()
                while self.handler is not None and (self.awaited is None or self.awaited.done()):
                    self._respond()
                    loop.run_ready()
                self.due = loop.next_timer()
                if self.handler is None and all(task.done() for task in course.made):
                    # Nothing goes on behind the response.
                    loop.abandon()
        except BaseException:
            # A bound was reached, or somebody wants the process to end: nothing of the request is to be left.
            self.close()
            raise

    def _respond(self) -> None:
        """Let the SDK's handler go on, which awaits the task of the function and nothing else."""
        try:
            self.awaited = self.context.run(self.handler.send, None)
        except StopIteration as stop:
            self.handler, self.response = None, stop.value
        except BaseException as error:  # as where a sync function is called
            self.handler = None
            if ends_the_test(error):
                raise
            self.response = error  # Whatever leaves the SDK is a crash of its server.

    def _replied(self) -> Reply:
        if self.lost is None:
            self._leave_behind()
        else:
            self.close()
        return self._reply(self.response, self.read)

    def _leave_behind(self) -> None:
        """Tasks that the function forgot go on behind the response, as they do on a server."""
        course, due = self.course, self.due
        if self.behind >= TURNS_BEHIND:
            self.run.find([BEATS])
        if not course.made or self.behind >= TURNS_BEHIND or self.probing:
            self.close()
            return
        self.behind += 1
        self.stage.under_way[self] = None
        course.pause(None if due is None else max(self.world.now, self.began + due), self.world.now)

        def go_on() -> None:
            self.world.touch(self.run.key, "w")
            self.world.touch("step bodies", "w")
            self._run_ready(fire=True)
            self._leave_behind()

        what = f"behind {self.number} {self.behind}"
        self.world.wait_for(course, lambda at: Happening(at, TIMER, "request", self.run, what, go_on))

    def _at(self, instant: int, reply: Callable[[], Reply]) -> Reply | Suspended:
        return reply() if instant <= self.world.now else Suspended(instant, reply)

    def _reply(self, response: Any, read: Callable[[Any], Reply]) -> Reply:
        reply = self._told_by(response, read)
        if self not in self.stage.under_way:
            # What is left of a request is a knot of references; untied, it needs no garbage collector.
            self.context = self.awaited = self.body = self.result = self.response = self.read = self.course = None
        return reply

    def _told_by(self, response: Any, read: Callable[[Any], Reply]) -> Reply:
        if self.lost is not None:
            return Reply([self.lost])
        if self.endless:
            restore()
            error = UsageError(self.endless.format(f"a request of {self.run.spec.id}"))
            return Reply(failure=failure_of(error), final=True)
        if isinstance(response, BaseException):
            message = "Your server returned HTTP 500 before the SDK responded."
            name = "Server returned a fatal error"
            self.run.find(in_tasks(self))
            return Reply(failure=Failure(name, message, reason=name, exception=response))
        return read(response)

    @property
    def errors(self) -> list[BaseException | None]:
        """The exceptions of the response, in its order."""
        result = self.result
        if result is None:
            return []
        return [one.error for one in result.multi] if result.multi else [result.error]

    # -- steps --------------------------------------------------------------------------------------------------------

    def is_own(self, step_id: str) -> None:
        """Refuse the use of its step tools in another request."""
        if (current := CURRENT.get(self)) is not self:
            msg = (
                f"step '{step_id}' is asked for in a request of {current.run.spec.id} with the ctx of another one, "
                f"of {self.run.spec.id}; use the ctx that the function was given, and keep none"
            )
            raise UsageError(msg)

    def _begin(self, step_id: str, index: int, handler: Any, args: Any) -> Entry:
        key = key_of(step_id, index)
        op = self.ops.get(key, RUN)
        command: Any = (Sending if op == SEND else Execute)(key, step_id, index, op, handler, args, {})
        if op == SEND:
            command.events = self.inputs[key]
        aside = self.body is not None and asyncio.current_task() is not self.body
        self.seen.executes(key, step_id, index, self.run.entries.get(key), aside=aside)
        entry: Entry = self.stage.engine.remote.begin(self.run, command)
        return entry

    def attempt(self, step_id: str, index: int, handler: Any, *args: Any) -> Any:
        """Call the handler of a step; what it returns, or an awaitable of it, as the SDK takes either."""
        entry = self._begin(step_id, index, handler, args)
        if self._intervenes:
            return self._intervened_later(entry)
        self._step_begins(entry, handler)
        goes = False
        try:
            value = handler(*args)
            goes = inspect.isawaitable(value)
        except RuntimeError as error:
            self._retell(error, entry)
            raise
        finally:
            if not goes:
                self._step_ends()
        return self._awaited(value) if goes else value

    async def _awaited(self, value: Awaitable[Any]) -> Any:
        try:
            return await value
        finally:
            self._step_ends()

    async def _intervened_later(self, entry: Entry) -> Any:
        result = self._intervened(entry)
        if result.kind is UNDER_WAY:
            later = result.payload
            later.result = await self._settled(entry, later.awaitable)
            later.result.elapsed = result.elapsed
            result = later.go_on()
        if result.elapsed:
            await asyncio.sleep(result.elapsed / SECOND)
        return self._outcome(entry, result)

    async def _settled(self, entry: Entry, awaitable: Awaitable[Any]) -> Result:
        self._in_step(entry)
        try:
            return Result(VALUE, await awaitable)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is the outcome of the attempt
            return Result(ERROR, in_words(error, f"step '{entry.key}' of {self.run.spec.id}"))
        finally:
            self._step_ends()

    def _retell(self, error: RuntimeError, entry: Entry) -> None:
        """Raise what asyncio says of loops in clearer words; of all else nothing."""
        told = in_words(error, f"step '{entry.key}' of {self.run.spec.id}")
        if told is not error:
            raise told from error

    def attempt_sync(self, step_id: str, index: int, handler: Any, *args: Any) -> Any:
        """As ``attempt``, of a sync function."""
        entry = self._begin(step_id, index, handler, args)
        if self._intervenes:
            result = self._intervened(entry)
            self.sleep(result.elapsed)
            return self._outcome(entry, result)
        self._step_begins(entry, handler)
        try:
            return handler(*args)
        except RuntimeError as error:
            self._retell(error, entry)
            raise
        finally:
            self._step_ends()

    @property
    def _intervenes(self) -> bool:
        """Whether a script, a fault, or a check in place of the stage's own method, has its say in attempts."""
        stage = self.stage
        return stage.scripts.written or stage.faults.present or "attempt" in vars(stage)

    def _in_step(self, entry: Entry) -> None:
        self.unwatch()
        self.stage.executing = entry

    def _step_begins(self, entry: Entry, handler: Any) -> None:
        self._in_step(entry)
        if self.world.footprint is not None:
            self.stage._touch(entry, handler)  # noqa: SLF001 - the stage's other half

    def _step_ends(self) -> None:
        self.stage.executing = None
        self.watch_body()

    def watch_body(self) -> None:
        """Enter what watches bodies, if anything does."""
        if watchers:
            self.watched = ExitStack()
            self.watched.enter_context(watched())

    def unwatch(self) -> None:
        """Leave what watches bodies."""
        if self.watched is not None:
            self.watched.close()
            self.watched = None

    def _intervened(self, entry: Entry) -> Result:
        """An attempt in which scripts and faults have their say; an async request awaits async handlers itself."""
        self.unwatch()
        self.stage.later = self.course is not None
        loop = events._get_running_loop()  # noqa: SLF001 - the step may run on a loop of its own, inside this one
        swap = swap_current_task if loop is not None and asyncio.current_task(loop) is not None else None
        task = swap(loop, None) if swap is not None else None
        # The handler runs in no time of its own: what it sleeps comes behind it.
        block, self.clock.block = self.clock.block, None
        try:
            return self.stage.attempt(self.run, entry)  # type: ignore[no-any-return]
        finally:
            self.stage.later = False
            self.clock.block = block
            if swap is not None:
                swap(loop, task)
            self.clock.elapsed = 0
            self.watch_body()

    def _outcome(self, entry: Entry, result: Result) -> Any:
        if result.kind == VALUE:
            return result.payload
        error = result.payload
        if result.kind == CRASH or isinstance(error, UsageError):
            self.lost = Report(entry.command, result)
            raise Lost
        raise in_sdk(error)

    def sleep(self, micros: int) -> None:
        """Block for a while."""
        if micros:
            self.block(micros)
