"""Where the SDK does what nobody wants, and no server notices: it is done here, too, and told with the remedy.

The semantics' sections 10.4 and 10.5. A finding belongs to a run and changes nothing in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inngest._internal import step_lib

from .._core.commands import INFER, INVOKE, RUN, SLEEP, WAIT
from .inngest_wire import key_of

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Iterator

    from .._core.commands import Reply
    from .._core.runs import Entry
    from .inngest_request import Request

OPS = {"Sleep": SLEEP, "WaitForEvent": WAIT, "InvokeFunction": INVOKE, "AIGateway": INFER}
"""The operations that the wire tells from an execution of the author's code."""

MOST_INTERRUPTS = 10_000
"""How often a function may catch what is to end its request."""

SWALLOWS = (
    f"{{}} has caught what the SDK ends a request with {MOST_INTERRUPTS:,} times, in a loop, and asks for steps for "
    "ever; a bare `except` or `except BaseException` around a step is the cause: catch Exception"
)

TURNS_BEHIND = 1_000
"""How many timers of forgotten tasks fire behind a response, until they are let go of."""

BEATS = (
    f"a task that the function left behind has gone to sleep {TURNS_BEHIND:,} times behind the response, and is let go "
    "of; on a server it goes on for ever. Cancel it in a `finally`: a request ends at its step, and never reaches the "
    "lines behind it"
)

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
        raised: those of which the body has heard at once, by an exception, with its name.
        interrupts: the responses in what was raised to end it.
        asked: the keys and operations of all steps that the body asks for; for checks.
        doubles: keys that two uses of ids have in common, with the ids.
    """

    executed: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    raised: tuple[tuple[str, str], ...] = ()
    interrupts: tuple[Any, ...] = ()
    asked: tuple[tuple[str, str], ...] = ()
    doubles: tuple[tuple[str, str], ...] = ()

    def executes(self, key: str, step_id: str, index: int, known: Entry | None, *, aside: bool) -> None:
        """A step is executed, perhaps in a task of its own; ``known`` is the step of that key so far."""
        self.executed += (key,)
        if aside:
            self.aside += (key,)
        if known is not None and known.done and (known.id, known.index) != (step_id, index):
            self.doubles += ((key, step_id if known.id == key else known.id),)

    def raises(self, key: str, error: Exception) -> None:
        """The body gets the error of a step that was executed in this request, and nobody else does."""
        if key in self.executed:
            self.executed = tuple(one for one in self.executed if one != key)
            self.raised += ((key, type(error).__name__),)

    def is_plain(self, reply: Reply) -> bool:
        """The one step that it executed is the one that it tells of, as in most requests: there is nothing to find."""
        reports = reply.reports
        if not reports or self.raised or self.doubles or self.aside or len(self.executed) != 1:
            return False
        return len(reports) == 1 and reports[0].command.key == self.executed[0]

    def watch(self, execution: Any, ops: dict[str, str], *, is_async: bool) -> None:
        """Note every step that the body asks for, recorded or not."""
        report = execution.report_step

        def note(info: Any) -> None:
            key = _key(info)
            op = OPS.get(info.op.value, RUN)
            self.asked += ((key, ops.get(key, op) if op == RUN else op),)

        async def reported(info: Any) -> Any:
            note(info)
            return await report(info)

        def reported_now(info: Any) -> Any:
            note(info)
            return report(info)

        execution.report_step = reported if is_async else reported_now


def _key(info: Any) -> str:
    """The key of a step, of what the SDK knows of it. Older versions know its name alone."""
    userland = getattr(info, "userland", None)
    return key_of(userland.id, userland.index or 0) if userland is not None else str(info.display_name)


def interrupted(seen: Seen) -> list[str]:
    """The keys of the steps at which a request was to end."""
    steps = [response.step for responses in seen.interrupts for response in responses]
    return [_key(step) for step in steps if step is not None]


def note_interrupts(current: contextvars.ContextVar[Request]) -> None:
    """From now on every interrupt of a step is noted by the request that it is to end, which may never hear of it."""
    made = step_lib.ResponseInterrupt.__init__

    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        request = current.get(None)
        if request is not None:
            request.interrupted(self)

    step_lib.ResponseInterrupt.__init__ = noted  # type: ignore[method-assign]  # the SDK offers no other way to it


def doubles(request: Request) -> Iterator[str]:
    """What is to be told of ids that two steps have in common."""
    for key, other in request.seen.doubles:
        yield (
            f"two steps have the same final id '{key}': the second use of '{other}' is called like another step. The "
            "server keeps one result for both, and the run stands still; rename one of them"
        )


def findings(request: Request, reply: Reply, target: Entry | None) -> Iterator[str]:
    """What is to be told of a request and its reply."""
    seen = request.seen
    if seen.is_plain(reply):
        return
    yield from doubles(request)
    if reply.failure is not None:
        yield from _of_a_failure(request, reply, target)
        return
    told = {report.command.key for report in reply.reports or ()}
    if reply.reports is None:
        lost = [key for key in (*seen.executed, *interrupted(seen)) if key not in told]
        if lost:
            yield (
                f"the function went on behind step '{lost[0]}', and returned: an `except BaseException`, a bare "
                "`except` or a `suppress` around the step has caught what the SDK ends a request with, or a timeout of "
                "asyncio has cut it off. The server takes what was returned for the result of the run; catch "
                "Exception, and put timeouts into the step"
            )
        elif target is None or all(entry.done for entry in request.run.pending.values()):
            return
        elif seen.raised:
            yield _caught(*seen.raised[0])
        elif not target.done:
            yield (
                f"step '{target.key}' was planned with its group, and in its own request the function returns without "
                "asking for it: what it asks for differs between two requests of one run. The server takes what was "
                "returned for the result; let only what steps have returned decide which steps there are"
            )
        else:
            yield (
                f"the function returned in the request of step '{target.key}' alone, which knows no other step of its "
                "group: the request was delivered again behind its step, and the result is that of a part of the "
                "group. The server has no guard; check behind the group that all of it is there, or give each branch "
                "a function of its own and invoke that"
            )
        return
    for key, name in seen.raised:
        yield _caught(key, name)
    executed = [key for key in seen.executed if key not in told]
    seen.aside = tuple(key for key in seen.aside if key not in told)
    if executed and seen.aside:
        yield from in_tasks(request)
    elif executed:
        yield (
            f"step '{executed[0]}' was executed and its result was lost, as the function asked for "
            f"'{next(iter(told), '')}' while it was leaving: in a `finally` block, an `except` or a context manager. "
            "It will be executed again; ask for steps behind such blocks and not in them"
        )


def _caught(key: str, name: str) -> str:
    return (
        f"step '{key}' raised {name} and the function caught it: such a step is not recorded, so it is "
        "executed again in every request that follows, and in a group the function goes on without its siblings. Raise "
        "another error in the step and catch StepError, or return the error as a value"
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
    elif reply.final and siblings and target.key in (*seen.executed, *(key for key, _ in seen.raised)):
        yield (
            f"step '{target.key}' raised what is not retried, which ends the run at once, with its sibling "
            f"'{siblings[0]}' under way: {SIBLINGS}, and return the error as a value"
        )
