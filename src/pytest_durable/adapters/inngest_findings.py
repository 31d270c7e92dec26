"""Where the SDK does what nobody wants, and no server notices: it is done here, too, and told with the remedy.

The semantics' sections 10.4 and 10.5. A finding belongs to a run and changes nothing in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inngest._internal import step_lib

from .._core.commands import INFER, INVOKE, RUN, SLEEP, WAIT
from .inngest_wire import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._core.commands import Reply
    from .._core.runs import Entry
    from .inngest_request import Request

OPS = {"Sleep": SLEEP, "WaitForEvent": WAIT, "InvokeFunction": INVOKE, "AIGateway": INFER}
"""The operations that the wire tells from an execution of the author's code."""

GROUP = "let them stand side by side in ctx.group.parallel((lambda: ctx.step.run(...), ...))"
SIBLINGS = (
    "an error that leaves its branch of a group ends all of it; catch it inside the branch, in an async def that the "
    "group is given in place of the lambda"
)


class Seen:
    """What one request does, as far as something may be found in it.

    Attributes:
        executed: the keys of the steps that it executed, and of which it has told nobody yet.
        aside: those that it executed in a task of their own.
        raised: those of which the body has heard at once, by an exception.
        interrupted: the keys of the steps at which it is to end.
        asked: the keys and operations of all steps that the body asks for; for checks.
        doubles: keys that two uses of ids have in common, with the ids.
    """

    def __init__(self) -> None:
        self.executed: list[str] = []
        self.aside: list[str] = []
        self.raised: list[str] = []
        self.interrupted: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.doubles: dict[str, str] = {}
        self._uses: dict[str, tuple[str, int]] = {}

    def executes(self, key: str, *, aside: bool) -> None:
        """A step is executed, perhaps in a task of its own."""
        self.executed.append(key)
        if aside:
            self.aside.append(key)

    def raises(self, key: str) -> None:
        """The body gets the error of a step that was executed in this request, and nobody else does."""
        if key in self.executed:
            self.executed.remove(key)
            self.raised.append(key)

    def use(self, key: str, step_id: str, index: int) -> None:
        """An id is used, for the step of this key."""
        first = self._uses.setdefault(key, (step_id, index))
        if first != (step_id, index):
            self.doubles[key] = first[0] if first[0] != key else step_id

    def watch(self, execution: Any, ops: dict[str, str], *, is_async: bool) -> None:
        """Look at every step that the body asks for, recorded or not."""
        report = execution.report_step

        def note(info: Any) -> str:
            userland = getattr(info, "userland", None)
            step_id, index = (userland.id, userland.index or 0) if userland is not None else (info.display_name, 0)
            key = key_of(step_id, index)
            op = OPS.get(info.op.value, RUN)
            self.asked.append((key, ops.get(key, op) if op == RUN else op))
            return key

        async def reported(info: Any) -> Any:
            key = note(info)
            try:
                return await report(info)
            except step_lib.ResponseInterrupt:
                self.interrupted.append(key)
                raise

        def reported_now(info: Any) -> Any:
            key = note(info)
            try:
                return report(info)
            except step_lib.ResponseInterrupt:
                self.interrupted.append(key)
                raise

        execution.report_step = reported if is_async else reported_now


def doubles(request: Request) -> Iterator[str]:
    """What is to be told of ids that two steps have in common."""
    for key, other in request.seen.doubles.items():
        yield (
            f"two steps have the same final id '{key}': the second use of '{other}' is called like another step. The "
            "server keeps one result for both, and the run stands still; rename one of them"
        )


def findings(request: Request, reply: Reply, target: Entry | None) -> Iterator[str]:
    """What is to be told of a request and its reply."""
    seen = request.seen
    yield from doubles(request)
    if reply.failure is not None:
        yield from _of_a_failure(request, reply, target)
        return
    told = {report.command.key for report in reply.reports or ()}
    lost = [key for key in (*seen.executed, *seen.interrupted) if key not in told]
    if reply.reports is None:
        if lost:
            yield (
                f"the function went on behind step '{lost[0]}', and returned: an `except BaseException`, a bare "
                "`except` or a `suppress` around the step has caught what the SDK ends a request with. The server "
                "takes what was returned for the result of the run; catch Exception"
            )
        elif target is not None and any(not entry.done for entry in request.run.pending.values()):
            yield (
                f"the function returned in the request of step '{target.key}' alone, which knows no other step of its "
                "group: the request was delivered again behind its step, and the result is that of a part of the "
                "group. The server has no guard; check behind the group that all of it is there, or give each branch "
                "a function of its own and invoke that"
            )
        return
    for key in seen.raised:
        yield (
            f"step '{key}' raised NonRetriableError and the function caught it: such a step is not recorded, so it is "
            "executed again in every request that follows. Raise another error in the step and catch StepError, or "
            "return the error as a value"
        )
    executed = [key for key in seen.executed if key not in told]
    seen.aside = [key for key in seen.aside if key not in told]
    if executed and seen.aside:
        yield from in_tasks(request)
    elif executed:
        yield (
            f"step '{executed[0]}' was executed and its result was lost, as the function asked for "
            f"'{next(iter(told), '')}' while it was leaving: in a `finally` block, an `except` or a context manager. "
            "It will be executed again; ask for steps behind such blocks and not in them"
        )


def in_tasks(request: Request) -> Iterator[str]:
    """What is to be told of steps that stood side by side and not in a group."""
    for key in request.seen.aside[:1]:
        yield (
            f"step '{key}' was executed in a task of its own, and its result was thrown away: for the SDK "
            "asyncio.gather, TaskGroup and tasks are no parallel steps. It may be executed again and again; "
            f"{GROUP}"
        )


def _of_a_failure(request: Request, reply: Reply, target: Entry | None) -> Iterator[str]:
    seen, run, failure = request.seen, request.run, reply.failure
    failed = [entry.key for entry in run.stack if entry.failure is not None]
    siblings = [key for key in run.pending if target is not None and key != target.key]
    if target is None or failure is None:
        yield from in_tasks(request)
        return
    if failed and not target.done:
        what = "was executed and its result was thrown away" if target.key in seen.executed else "was never executed"
        yield (
            f"step '{failed[-1]}' has failed, and its sibling '{target.key}' {what}, as the run ended first: {SIBLINGS}"
        )
    elif reply.final and siblings and target.key in (*seen.executed, *seen.raised):
        yield (
            f"step '{target.key}' raised what is not retried, which ends the run at once, with its sibling "
            f"'{siblings[0]}' under way: {SIBLINGS}, and return the error as a value"
        )
