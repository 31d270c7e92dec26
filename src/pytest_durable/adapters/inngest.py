"""Functions of the Inngest Python SDK, as they are: the SDK's own request handler executes them.

The seam is ``CommHandler.post`` with ``is_connect=True``, which is how the SDK's own Connect worker calls it: no HTTP,
no signature, and everything else of a request: context, middleware, serializer, errors, operations.
"""

from __future__ import annotations

import asyncio
import os
import re
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import inngest
from inngest._internal import errors, net, server_lib

from .. import functions
from .._core.commands import Asked, Raised, Reply, Returned, Suspended
from .._core.errors import UsageError
from .._core.limits import DEFAULT_RETRIES, MOST_RETRIES
from .._core.requests import Item
from .._core.runs import FunctionSpec
from .._core.wire import load
from ..functions import _cancel, _optional, _trigger
from ..handlers import in_words
from ..invocation import divergence
from . import inngest_client
from .inngest_context import keep
from .inngest_findings import findings
from .inngest_request import CURRENT, Request
from .inngest_steps import surround
from .inngest_wire import DONE, STEPS, Decoder, Memo, hashed, unserializable
from .inngest_worker import sleeps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._core.commands import Answer
    from .._core.runs import Entry, RunState

with warnings.catch_warnings():
    # The SDK uses others in deprecated ways, which is not the user's doing.
    warnings.simplefilter("ignore", DeprecationWarning)
    from inngest._internal import comm_lib

SPEC = "_durable_spec"
"""The attribute of a function under which its spec is remembered."""

SIGNING_KEY = "INNGEST_SIGNING_KEY"

FIELDS = frozenset(comm_lib.CommRequest.model_fields)
"""What a request of this version of the SDK has."""

_SERIALIZER = re.compile(r"Error calling function `serialize_(\w+)`: \w+: ")

PROBE_TURNS = 10_000
"""How often a request that a check makes may go to sleep."""

inngest_client.install()


def spec_for(function: object) -> FunctionSpec | None:
    """What the engine knows of a function of the SDK; None if it is none.

    Raises:
        UsageError: its configuration is not one that the server would accept.
    """
    if not isinstance(function, inngest.Function):
        return None
    known = getattr(function, SPEC, None)
    if isinstance(known, FunctionSpec):
        return known
    try:
        config = function.get_config("http://test")
    except (errors.Error, ValueError) as error:
        raise _refused(function, error) from error
    wire = config.main.to_dict()
    if isinstance(wire, Exception):
        raise _refused(function, wire) from wire
    host = InngestHost(function, inngest_client.client_of(function), function.id, function._handler)  # noqa: SLF001 - the SDK offers no other way to it
    spec = _spec(function, config, wire, host)
    setattr(function, SPEC, spec)
    return spec


def _refused(function: inngest.Function[Any], error: Exception) -> UsageError:
    # The SDK names its own serializers and fields, not what the author wrote.
    told = _SERIALIZER.sub(r"\1: ", str(error)).replace("attempts: ", "retries: ", 1)
    return UsageError(f"function {function.id!r}: {told}")


def _spec(function: inngest.Function[Any], config: Any, wire: dict[str, Any], host: InngestHost) -> FunctionSpec:
    fn_id, main = function.id, config.main
    retries = main.steps["step"].retries
    limits = main.timeouts or server_lib.Timeouts()
    where = f"function {fn_id!r}"
    on_failure = None
    if config.on_failure is not None:
        failing, source = config.on_failure, function._opts.on_failure  # noqa: SLF001 - as above
        on_failure = FunctionSpec(
            failing.id,
            InngestHost(function, host.client, failing.id, source),
            source=source,
            retries=0,
            triggers=[_trigger(one, failing.id) for one in failing.triggers],
            app=host.client.app_id,
        )
    return FunctionSpec(
        fn_id,
        host,
        source=function._handler,  # noqa: SLF001 - as above
        retries=DEFAULT_RETRIES if retries is None else min(retries.attempts, MOST_RETRIES),
        triggers=[_trigger(one, fn_id) for one in main.triggers],
        cancels=[_cancel(one, fn_id) for one in main.cancel or ()],
        start_timeout=_optional(limits.start, f"{where}: timeouts.start"),
        finish_timeout=_optional(limits.finish, f"{where}: timeouts.finish"),
        on_failure=on_failure,
        app=host.client.app_id,
        **_flow(wire),
    )


def _flow(config: dict[str, Any]) -> dict[str, Any]:
    """The one seam to flow control: the configuration as it goes over the wire, read by whoever simulates it."""
    flow_of = getattr(functions, "flow_of", None)
    return {} if flow_of is None else {"flow": flow_of(config)}


def request_to(fn_id: str, target: Entry | None, body: str, job_id: str) -> comm_lib.CommRequest:
    """A request as the SDK's Connect worker receives it. Older versions of the SDK have fewer fields."""
    fields: dict[str, Any] = {
        "body": body.encode(),
        "headers": {"x-inngest-job-id": job_id, "x-request-id": job_id},
        "is_connect": True,
        "public_path": None,
        "query_params": {"fnId": fn_id, "stepId": "step" if target is None else hashed(target.key)},
        "raw_request": None,
        "request_url": "http://test",
        "serve_origin": None,
        "serve_path": None,
    }
    if "timings" in FIELDS:
        # The SDK's own measures how long the loop is blocked, by a task that never ends.
        fields["timings"] = timings = net.ServerTimings()
        timings.async_block = net.ServerTiming("async_block")  # type: ignore[assignment]  # it measures nothing here
    for name in fields.keys() - FIELDS:
        del fields[name]
    return comm_lib.CommRequest(**fields)


class Observed:
    """A function as its request handler sees it, with an eye on each call."""

    def __init__(self, function: inngest.Function[Any]) -> None:
        self._function = function
        # The handler asks for these in every request.
        self.get_id, self.on_failure_fn_id = function.get_id, function.on_failure_fn_id
        self.is_handler_async = function.is_handler_async

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    async def call(self, client: Any, ctx: Any, fn_id: str, middleware: Any) -> Any:
        """As the function's own."""
        request = CURRENT.get()
        request.body = task = asyncio.current_task()
        if task is None:
            # Early versions of the SDK make no task of it.
            return await asyncio.create_task(self.call(client, ctx, fn_id, middleware))
        step = ctx.step
        surround(step, request, is_async=True)
        keep(ctx, request, CURRENT)
        _ended(request, await self._function.call(client, ctx, fn_id, middleware), step)
        return request.result

    def call_sync(self, client: Any, ctx: Any, fn_id: str, middleware: Any) -> Any:
        """As the function's own."""
        request = CURRENT.get()
        step = ctx.step
        surround(step, request, is_async=False)
        keep(ctx, request, CURRENT)
        _ended(request, self._function.call_sync(client, ctx, fn_id, middleware), step)
        return request.result


def _ended(request: Request, result: Any, step: Any) -> None:
    """Take note of what the SDK's own call gave. The ctx may have other step tools by now."""
    request.result = result
    request.left = step._execution._memos._memos  # noqa: SLF001 - what the body has not asked for
    if result.error is None and result.multi is None and result.step is None:
        request.stage.returned(request.run, result.output)


class InngestHost:
    """Executes one function of the SDK, or its ``on_failure``."""

    def __init__(self, function: inngest.Function[Any], client: inngest.Inngest, fn_id: str, source: object) -> None:
        self.function = function
        self.client = client
        self.fn_id = fn_id
        self.is_async = function.is_handler_async
        """Whether the handler is a coroutine function; that of ``on_failure`` is of the same kind."""
        self.sleeps = not self.is_async and sleeps(source)
        """Whether others go on while a request of it sleeps; those of async functions always let them."""
        self._handler: comm_lib.CommHandler | None = None

    @property
    def handler(self) -> comm_lib.CommHandler:
        """The SDK's own request handler. It asks a client in cloud mode for a key, which nobody needs here."""
        if self._handler is None:
            before = os.environ.get(SIGNING_KEY)
            os.environ[SIGNING_KEY] = before or "signkey-test-00"
            try:
                observed: Any = Observed(self.function)
                options: dict[str, Any] = {
                    "client": self.client,
                    "enable_unauthed_sync": None,
                    "framework": server_lib.Framework.CONNECT,
                    "functions": [observed],
                    "streaming": None,
                }
                # Older versions take fewer of them.
                wanted = comm_lib.CommHandler.__init__.__annotations__
                self._handler = comm_lib.CommHandler(**{k: v for k, v in options.items() if k in wanted})
            finally:
                if before is None:
                    del os.environ[SIGNING_KEY]
        return self._handler

    def invoke(self, run: RunState, target: Entry | None) -> Answer:
        """Make a request; one for a step that is recorded is a request that is delivered again."""
        if target is not None and target.done:
            return self._again(run, target)
        return self._request(run, target, None)[0]

    def _again(self, run: RunState, target: Entry) -> Answer:
        """The server has no guard: what the request of a planned step says is heard again.

        Behind another step the request finds the next one, and that has a request of its own; so it executes nothing.
        """
        if target.command.planned:
            answer = self._request(run, target, None)[0]
            run.surroundings.stage.engine.remote.take(Item(run, target, 0), answer, run.surroundings.now())
            return answer
        planning, run.planning = run.planning, True
        try:
            return self._request(run, None, None)[0]
        finally:
            run.planning = planning

    def resume(self, run: RunState, entry: Entry | None) -> Answer | None:
        """Go on in the request that waits behind exactly this step."""
        request: Request = run.live
        if entry is None or not entry.done or entry.key != request.waits_for:
            self.drop(run)
            return None
        run.live = None
        return request.go_on()

    def drop(self, run: RunState) -> None:
        """Let go of a request that waits for its step to be recorded."""
        request: Request | None = run.live
        run.live = None
        if request is not None:
            request.close()

    def leave(self, run: RunState) -> None:
        """A request ends with its answer; nothing of it stands open."""

    def probe(self, run: RunState, limit: int) -> tuple[Answer, int]:
        """Make a request that shows the first ``limit`` recorded steps and executes none, for a check.

        Returns:
            How it answers, and how many steps it asks for.
        """
        clock, planning = run.surroundings.stage.clock, run.planning
        known = [(entry.key, entry.op) for entry in run.entries.values()]
        shown, receive = clock.micros, clock.receive
        run.planning, clock.receive = True, lambda events: ["probe"] * len(events)
        try:
            answer, request = self._request(run, None, limit, probing=True)
            for _ in range(PROBE_TURNS):
                if not isinstance(answer, Suspended):
                    break
                clock.show(answer.at)
                answer = answer.resume()
        finally:
            run.planning, clock.receive = planning, receive
            clock.show(shown)
        assert isinstance(answer, Reply), "this is our bug: a probe that never ends"
        if not known:
            for key, op in request.seen.asked:
                run.ask(key, key, 0, op, None)
        wrong = _difference(run, limit, known or list(request.seen.asked), list(request.seen.asked))
        return wrong or _plain(answer), len(request.seen.asked)

    def _request(
        self, run: RunState, target: Entry | None, limit: int | None, *, probing: bool = False
    ) -> tuple[Reply | Suspended, Request]:
        memo = run.kept
        if memo is None:
            memo = run.kept = Memo(run)
        request = Request(run, partial(self._invokable, run))
        request.probing = probing
        request.stays = run.checkpoint and not (run.attempt or run.planning or probing) and target is None
        asked = request_to(self.fn_id, target, memo.body(target, limit), f"{run.id}-{run.invocations}")
        read = partial(self._read, request, target)
        if self.is_async:
            return request.run_async(self.handler.post(asked), read), request
        aside = (self.sleeps or request.stays) and not probing
        return request.run_sync(lambda: self.handler.post_sync(asked), read, aside=aside), request

    def _read(self, request: Request, target: Entry | None, response: Any) -> Reply:
        """What a response says."""
        run, raised = request.run, request.errors
        around = run.surroundings
        if response.status_code not in {DONE, STEPS} and request.result is not None and not any(raised):
            raised = [unserializable(request.result, run)]
        elif response.status_code != STEPS:
            raised = [in_words(error, f"the body of {run.spec.id}") if error is not None else None for error in raised]
        reply = Decoder(run, request.world.now, around.known, request.ops).reply(response, raised)
        if around.stage.strict and target is None and reply.failure is None:
            forgotten = self._forgotten(run, request.left, reply)
            if forgotten is not None:
                return Reply(failure=around.stage.engine.failure_of(forgotten), final=True)
        if not request.probing:
            run.find(findings(request, reply, target))
        return reply

    @staticmethod
    def _forgotten(run: RunState, left: Mapping[str, Any], reply: Reply) -> BaseException | None:
        """A recorded step that the body has not asked for, although it went on or ended; None if all were.

        A failure among the members of a group hides those behind it, and is no such case.
        """
        if not left or any(entry.failure is not None for entry in run.stack):
            return None
        first = reply.reports[0].command if reply.reports else None
        instead = (first.key, first.op) if first is not None else None
        for entry in run.stack:
            if hashed(entry.key) in left:
                return divergence(run, entry.key, instead, None)
        return None

    def _invokable(self, run: RunState, function: object) -> None:
        """A function that is invoked as an object is known from then on, as if it were served beside the caller."""
        if not isinstance(function, inngest.Function) or function.id in run.surroundings.known:
            # The wire carries the id alone: whoever is known by it is invoked.
            return
        if function.id == f"{self.client.app_id}-{function.local_id}":
            run.surroundings.spec_of(function, "invoke")


def _difference(run: RunState, limit: int, before: list[tuple[str, str]], now: list[tuple[str, str]]) -> Raised | None:
    """The first recorded step that is not asked for any more, or the first that nobody has asked for before."""
    asked = dict(now)
    for entry in run.stack[:limit]:
        if entry.key not in asked and entry.key in run.entries:
            return Raised(divergence(run, entry.key, None, None))
    known = dict(before)
    for position, (key, op) in enumerate(now):
        if known.get(key) != op and limit < len(run.stack):
            return Raised(divergence(run, list(run.entries)[min(position, len(run.entries) - 1)], (key, op), None))
    return None


def _plain(reply: Reply) -> Answer:
    """A reply in the words of native functions."""
    failure = reply.failure
    if failure is not None:
        return Raised(failure.exception or UsageError(str(failure)))
    if reply.reports is None:
        return Returned(load(reply.result))
    return Asked([report.command for report in reply.reports])
