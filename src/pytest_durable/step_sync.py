"""The step API of sync functions: the methods of ``Step`` without await."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from ._core.commands import INFER, INVOKE, RUN, SEND, SIGNAL, SLEEP, WAIT, Execute
from .events import Event, Signal, event_or_none
from .invocation import BODY, GROUP, LEAVING, Invocation, StepInterrupt
from .step import (
    NO_NAMES,
    UNSET,
    Commands,
    Context,
    ParallelMode,
    T,
    Ts,
    adapter_request,
    branches_of,
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

    def _take(self, entry: Entry | None, make: Callable[[], Command], convert: Callable[[Any], Any] | None) -> Any:
        if entry is not None:
            return self._invocation.answer(entry, convert)
        command = make()
        if mode := GROUP.get():
            command.planned = True
            command.race = mode == "race"
        invocation = self._invocation
        invocation.calls.append(command)
        invocation.interrupted = True
        invocation.phase = LEAVING
        raise StepInterrupt(command)

    def run(self, step_id: str, handler: Callable[[*Ts], T], *args: *Ts) -> T:
        """As ``Step.run``."""
        key, index, entry = self._invocation.claim(step_id, RUN)
        return self._take(  # type: ignore[no-any-return]  # what crossed JSON has the handler's type by its author's word
            entry, lambda: self._execute(key, step_id, index, RUN, handler, args, NO_NAMES), None
        )

    def sleep(self, step_id: str, duration: Duration) -> None:
        """As ``Step.sleep``."""
        key, index, entry = self._invocation.claim(step_id, SLEEP)
        self._take(entry, lambda: self._sleep(key, step_id, index, duration), None)

    def sleep_until(self, step_id: str, until: datetime | str) -> None:
        """As ``Step.sleep_until``."""
        key, index, entry = self._invocation.claim(step_id, SLEEP)
        self._take(entry, lambda: self._sleep_until(key, step_id, index, until), None)

    def wait_for_event(
        self,
        step_id: str,
        *,
        event: str,
        timeout: Duration | None = UNSET,
        if_exp: str | None = None,
        match: str | None = None,
    ) -> Event | None:
        """As ``Step.wait_for_event``."""
        key, index, entry = self._invocation.claim(step_id, WAIT)
        return self._take(  # type: ignore[no-any-return]
            entry, lambda: self._wait_for_event(key, step_id, index, event, timeout, if_exp, match), event_or_none
        )

    def wait_for_signal(
        self, step_id: str, *, signal: str, timeout: Duration | None = UNSET, on_conflict: str = UNSET
    ) -> Signal | None:
        """As ``Step.wait_for_signal``."""
        key, index, entry = self._invocation.claim(step_id, SIGNAL)
        return self._take(  # type: ignore[no-any-return]
            entry, lambda: self._wait_for_signal(key, step_id, index, signal, timeout, on_conflict), signal_or_none
        )

    def send_event(self, step_id: str, events: Event | Sequence[Event]) -> list[str]:
        """As ``Step.send_event``."""
        key, index, entry = self._invocation.claim(step_id, SEND)
        return self._take(entry, lambda: self._send(key, step_id, index, events), None)  # type: ignore[no-any-return]

    def invoke(
        self, step_id: str, *, function: Any, data: dict[str, Any] | None = None, timeout: Duration | None = None
    ) -> Any:
        """As ``Step.invoke``."""
        key, index, entry = self._invocation.claim(step_id, INVOKE)
        return self._take(entry, lambda: self._invoke(key, step_id, index, function, data, timeout), None)

    def invoke_by_id(
        self,
        step_id: str,
        *,
        app_id: str | None = None,
        function_id: str,
        data: dict[str, Any] | None = None,
        timeout: Duration | None = None,
    ) -> Any:
        """As ``Step.invoke_by_id``."""
        key, index, entry = self._invocation.claim(step_id, INVOKE)
        return self._take(
            entry, lambda: self._invoke_by_id(key, step_id, index, app_id, function_id, data, timeout), None
        )


class AISync:
    """``ctx.step.ai`` of a sync function."""

    def __init__(self, step: StepSync) -> None:
        self._step = step

    def wrap(self, step_id: str, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As ``AI.wrap``."""
        key, index, entry = self._step._invocation.claim(step_id, RUN)  # noqa: SLF001 - a part of the same API
        return self._step._take(  # noqa: SLF001 - as above
            entry,
            lambda: self._step._execute(key, step_id, index, RUN, fn, args, kwargs),  # noqa: SLF001 - as above
            None,
        )

    def infer(self, step_id: str, *, adapter: Any, body: Any) -> Any:
        """As ``AI.infer``."""
        key, index, entry = self._step._invocation.claim(step_id, INFER)  # noqa: SLF001 - a part of the same API
        request = adapter_request(adapter, body)
        return self._step._take(entry, lambda: Execute(key, step_id, index, INFER, None, (), request), None)  # noqa: SLF001


class GroupSync:
    """``ctx.group`` of a sync function."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    def parallel(
        self, callables: Sequence[Callable[[], Any]], *, parallel_mode: ParallelMode = ParallelMode.WAIT
    ) -> tuple[Any, ...]:
        """As ``Group.parallel``: each callable runs up to its first new step, then all of these are planned."""
        results, interrupt, invocation = [], None, self._invocation
        mode, position = mode_of(parallel_mode), invocation.position
        for number, branch in enumerate(branches_of(callables)):
            context = contextvars.copy_context()
            context.run(GROUP.set, mode)
            with invocation.in_branch(number, position):
                try:
                    results.append(context.run(branch))
                except StepInterrupt as stop:
                    interrupt = stop
                    invocation.phase = BODY
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
