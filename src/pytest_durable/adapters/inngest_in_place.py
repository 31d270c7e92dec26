"""Checkpointing of SDK functions: behind a step that it executed, a request goes on, and none is made anew.

Semantics' section 12. The Python SDK has no checkpointing of its own, so what answers is its memo: the step is put
there, and the SDK is asked for it once more.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from inngest._internal import server_lib, step_lib

from .._core.canonical import NotJSONError, canonical
from .._core.commands import Report
from .._core.results import VALUE, Result
from .inngest_wire import hashed, key_of, memo_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core.runs import Entry
    from .inngest_request import Request

OWN = "inngest._internal."
"""Where the middleware is from that the SDK itself adds."""


def staying(request: Request, step: Any, run: Callable[..., Any], *, is_async: bool) -> Callable[..., Any]:
    """``step.run`` that goes on behind the step, where the request can stay."""
    execution = step._execution  # noqa: SLF001 - the SDK offers no other way to it
    counts = step._step_id_counter._counts  # noqa: SLF001 - as above

    def remember(step_id: str, index: int, entry: Entry) -> None:
        key = hashed(entry.key)
        known = step_lib.StepMemos.from_raw({key: json.loads(memo_of(entry))})
        execution._memos._memos = {**execution._memos._memos, **known._memos}  # noqa: SLF001 - as above
        # The SDK counts the step when it is asked for it again.
        counts[step_id] = index

    if is_async:

        async def run_on(step_id: str, *args: Any, **kwargs: Any) -> Any:
            index = counts.get(step_id, 0)
            try:
                return await run(step_id, *args, **kwargs)
            except step_lib.ResponseInterrupt as interrupt:
                report = _report(request, execution, key_of(step_id, index), interrupt, asyncio.current_task())
                if report is None:
                    raise
            await request.checkpoint(report)
            remember(step_id, index, request.run.entries[report.command.key])
            return await run(step_id, *args, **kwargs)

        return run_on

    def run_now(step_id: str, *args: Any, **kwargs: Any) -> Any:
        index = counts.get(step_id, 0)
        try:
            return run(step_id, *args, **kwargs)
        except step_lib.ResponseInterrupt as interrupt:
            report = _report(request, execution, key_of(step_id, index), interrupt, None)
            if report is None:
                raise
        request.checkpoint_sync(report)
        remember(step_id, index, request.run.entries[report.command.key])
        return run(step_id, *args, **kwargs)

    return run_now


def _report(request: Request, execution: Any, key: str, interrupt: Any, task: Any) -> Report | None:
    """What the server is told of a step that was executed; None if the request must end with it.

    It ends with a step that failed or was only planned, where steps stand side by side, and where there is middleware,
    which sees every request and may change every response.
    """
    response = interrupt.responses[0]
    executed = response.step.op is server_lib.Opcode.STEP_RUN
    if not executed or len(interrupt.responses) > 1 or request.is_crowded(task):
        return None
    # That of the function itself is added when the SDK calls it, behind that of its client.
    if any(not type(one).__module__.startswith(OWN) for one in execution._middleware.middleware):  # noqa: SLF001 - the SDK offers no other way to it
        return None
    try:
        value = canonical(response.output)
    except (NotJSONError, TypeError, ValueError):
        # The SDK says so in its own words.
        return None
    return Report(request.run.entries[key].command, Result(VALUE, value))
