"""The step API of sync functions: the methods of ``Step`` without await."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from ._core.commands import EXECUTED, INFER, INVOKE, RUN, SEND, SIGNAL, SLEEP, WAIT
from ._core.errors import UsageError
from .events import Event, Signal, event_or_none
from .invocation import BODY, CLOSED, GROUP, LEAVING, Invocation, StepInterrupt
from .step import (
    NO_NAMES,
    UNSET,
    Commands,
    Context,
    ParallelMode,
    T,
    Ts,
    branches_of,
    infer,
    mode_of,
    signal_or_none,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ._core.commands import Command
    from ._core.instants import Duration
    from ._core.runs import Entry


class StepSync(Commands):
    """``ctx.step`` of a sync function: the methods of ``Step`` without await."""

    @property
    def ai(self) -> AISync:
        """Calls of models."""
        return AISync(self)

    def _take(self, entry: Entry, make: Callable[..., Command], *wanted: Any, convert: Any = None) -> Any:
        invocation = self._invocation
        entry.awaited = invocation.number
        if entry.order < invocation.horizon:
            return invocation.answer(entry, convert)
        try:
            command = make(entry, *wanted)
        except UsageError as error:
            raise invocation.misused(error) from error.__cause__
        if mode := GROUP.get():
            command.planned = True
            command.race = mode == "race"
        invocation.calls.append(command)
        invocation.interrupted = True
        stage = invocation.around.stage
        if stage is not None and invocation.limit is None and not mode and command.op in EXECUTED:
            # A handler may use what the blocks around the step hold, so it is called before they are left.
            invocation.phase = CLOSED
            stage.engine.perform(invocation.run, command)
        invocation.phase = LEAVING
        raise StepInterrupt(command)

    def run(self, step_id: str, handler: Callable[[*Ts], T], *args: *Ts, output_type: Any = None) -> T:  # noqa: ARG002 - as of Step.run
        """As ``Step.run``."""
        entry = self._invocation.claim(step_id, RUN)
        return self._take(  # type: ignore[no-any-return]  # what crossed JSON has the handler's type by its author's word
            entry, self._execute, handler, args, NO_NAMES
        )

    def sleep(self, step_id: str, duration: Duration) -> None:
        """As ``Step.sleep``."""
        entry = self._invocation.claim(step_id, SLEEP)
        self._take(entry, self._sleep, duration)

    def sleep_until(self, step_id: str, until: datetime | str) -> None:
        """As ``Step.sleep_until``."""
        entry = self._invocation.claim(step_id, SLEEP)
        self._take(entry, self._sleep_until, until)

    def wait_for_event(
        self,
        step_id: str,
        *,
        event: str = UNSET,
        timeout: Duration | None = UNSET,
        if_exp: str | None = None,
        match: str | None = None,
    ) -> Event | None:
        """As ``Step.wait_for_event``."""
        entry = self._invocation.claim(step_id, WAIT)
        return self._take(  # type: ignore[no-any-return]
            entry, self._wait_for_event, event, timeout, if_exp, match, convert=event_or_none
        )

    def wait_for_signal(
        self, step_id: str, *, signal: str = UNSET, timeout: Duration | None = UNSET, on_conflict: str = UNSET
    ) -> Signal | None:
        """As ``Step.wait_for_signal``."""
        entry = self._invocation.claim(step_id, SIGNAL)
        return self._take(  # type: ignore[no-any-return]
            entry, self._wait_for_signal, signal, timeout, on_conflict, convert=signal_or_none
        )

    def send_event(self, step_id: str, events: Event | Sequence[Event]) -> list[str]:
        """As ``Step.send_event``."""
        entry = self._invocation.claim(step_id, SEND)
        return self._take(entry, self._send, events)  # type: ignore[no-any-return]

    def invoke(
        self,
        step_id: str,
        *,
        function: Any,
        data: dict[str, Any] | None = None,
        timeout: Duration | None = None,
        v: str | None = None,  # noqa: ARG002 - as of Step.invoke
    ) -> Any:
        """As ``Step.invoke``."""
        entry = self._invocation.claim(step_id, INVOKE)
        return self._take(entry, self._invoke, function, data, timeout)

    def invoke_by_id(
        self,
        step_id: str,
        *,
        app_id: str | None = None,
        function_id: str,
        data: dict[str, Any] | None = None,
        timeout: Duration | None = None,
        v: str | None = None,  # noqa: ARG002 - as above
    ) -> Any:
        """As ``Step.invoke_by_id``."""
        entry = self._invocation.claim(step_id, INVOKE)
        return self._take(entry, self._invoke_by_id, app_id, function_id, data, timeout)


class AISync:
    """``ctx.step.ai`` of a sync function."""

    def __init__(self, step: StepSync) -> None:
        self._step = step

    def wrap(self, step_id: str, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As ``AI.wrap``."""
        entry = self._step._invocation.claim(step_id, RUN)  # noqa: SLF001 - a part of the same API
        return self._step._take(entry, self._step._execute, fn, args, kwargs)  # noqa: SLF001 - as above

    def infer(self, step_id: str, *, adapter: Any, body: Any) -> Any:
        """As ``AI.infer``."""
        entry = self._step._invocation.claim(step_id, INFER)  # noqa: SLF001 - a part of the same API
        return self._step._take(entry, infer, adapter, body)  # noqa: SLF001 - as above


class GroupSync:
    """``ctx.group`` of a sync function."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    def parallel(
        self, callables: Sequence[Callable[[], Any]], parallel_mode: ParallelMode = ParallelMode.WAIT
    ) -> tuple[Any, ...]:
        """As ``Group.parallel``: each callable runs up to its first new step, then all of these are planned."""
        results, interrupt, invocation = [], None, self._invocation
        try:
            mode, branches = mode_of(parallel_mode), branches_of(callables)
        except UsageError as error:
            raise invocation.misused(error) from None
        group = invocation.groups
        invocation.groups += 1
        for number, branch in enumerate(branches):
            context = contextvars.copy_context()
            context.run(GROUP.set, mode)
            with invocation.in_branch(number, group):
                try:
                    results.append(context.run(branch))
                except StepInterrupt as stop:
                    interrupt = stop
                    invocation.phase = BODY
                except Exception:
                    # It ends the group; what a branch before it waits for is no interrupt of the body any more.
                    invocation.interrupted = False
                    raise
        if interrupt is not None:
            invocation.phase = LEAVING
            raise interrupt
        return tuple(results)


class ContextSync(Context):
    """What a sync durable function receives: as ``Context``, with methods that are not awaited."""

    step: StepSync  # type: ignore[assignment]  # the same names without await
    step_class = StepSync

    @property
    def group(self) -> GroupSync:  # type: ignore[override]  # the same names without await
        """Parallel steps."""
        return GroupSync(self._invocation)
