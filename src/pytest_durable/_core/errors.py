"""Every exception of the package, in one tree. A message says the rule, the value and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta


class DurableError(Exception):
    """The root of the tree.

    ``is_retriable`` says what the engine does when the error leaves a body or a step: try again after the
    table's backoff, or fail at once.
    """

    is_retriable = True


class DurabilityWarning(UserWarning):
    """Something in a test that has no effect and probably should."""


class UsageError(DurableError, ValueError):
    """The API was used wrongly. Raised at the call; inside a run it fails the run at once, without retries."""

    is_retriable = False


class ExpressionError(UsageError):
    """An expression cannot be parsed or evaluated."""


class SerializationError(UsageError):
    """A value that JSON cannot carry was returned from a step or put into an event."""


class LimitError(DurableError):
    """A limit of the engine was exceeded: it names the limit, the step and the size, and ends the run."""

    is_retriable = False


class StepLimitError(LimitError):
    """The run asked for more steps than it may have (1,000 unless the simulation says otherwise)."""


class StepSizeError(LimitError):
    """The output of one step is larger than it may be (4 MB unless the simulation says otherwise)."""


class RunSizeError(LimitError):
    """The outputs of a run are together larger than they may be (32 MB unless the simulation says otherwise)."""


class NonRetriableError(DurableError):
    """Raised by an author to say: do not try again.

    Args:
        message: what went wrong.
        quiet: accepted for compatibility with the Inngest SDK.
    """

    is_retriable = False

    def __init__(self, message: str | None = None, quiet: bool = False) -> None:  # noqa: FBT001, FBT002 - the SDK's
        super().__init__(message or "")
        self.message = message or ""
        self.quiet = quiet


class RetryAfterError(DurableError):
    """Raised by an author to say when to try again.

    Args:
        message: what went wrong.
        retry_after: milliseconds, a timedelta or an aware datetime; kept between one second and one day.
        quiet: accepted for compatibility with the Inngest SDK.
    """

    def __init__(self, message: str, retry_after: int | timedelta | datetime, quiet: bool = False) -> None:  # noqa: FBT001, FBT002
        super().__init__(message)
        fits = isinstance(retry_after, int) and not isinstance(retry_after, bool) and retry_after >= 0
        if hasattr(retry_after, "utcoffset"):
            fits = retry_after.utcoffset() is not None
        elif hasattr(retry_after, "total_seconds"):
            fits = retry_after.total_seconds() >= 0
        if not fits:
            msg = (
                f"RetryAfterError({message!r}): retry_after={retry_after!r} is not a moment to try again; give whole "
                "milliseconds, a timedelta or an aware datetime"
            )
            raise UsageError(msg)
        self.message = message
        self.retry_after = retry_after
        self.quiet = quiet


class StepError(DurableError):
    """What a body receives at a step whose attempts are used up.

    Attributes:
        message: the message of the original error.
        name: the class name of the original error.
        stack: its traceback as text, or None.
    """

    is_retriable = False

    def __init__(self, message: str, name: str = "Error", stack: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.name = name
        self.stack = stack


class NonRetriableStepError(StepError, NonRetriableError):
    """A StepError whose original was a NonRetriableError; ``except`` finds it under both names."""

    def __init__(self, message: str, name: str = "NonRetriableError", stack: str | None = None) -> None:
        StepError.__init__(self, message, name, stack)
        self.quiet = False


class InvokeTimeoutError(StepError):
    """The invoked function did not end within the timeout of the invocation; it runs on."""


class SignalConflictError(StepError):
    """Another run already waits for this signal, and the step said ``on_conflict="fail"``."""


class InjectedError(DurableError):
    """The failure that the fault ``step_error`` puts in place of an attempt."""


class WorkerCrashError(DurableError):
    """The worker died, or its answer was lost: the attempt in flight counts and is tried again."""


class RunFailed(DurableError):
    """Raised by ``run.wait()`` for a run that failed; ``__cause__`` is the original exception."""


class RunCancelled(DurableError):
    """Raised by ``run.wait()`` for a run that was cancelled."""


class RunStuck(DurableError):
    """Nothing can wake the run: the message names each wait, since when, and what would satisfy it."""


class BoundReachedError(DurableError):
    """A drive handled more happenings than its bound: a livelock or a storm, named by the message."""

    is_retriable = False


class DurabilityError(DurableError, AssertionError):
    """A check found a violation of durability; the message lists each with its schedule."""

    is_retriable = False


class NonDeterminismError(DurabilityError):
    """The steps of a body differ between two of its invocations."""


class UnusedScriptError(DurableError, AssertionError):
    """A script that no step has used; ``maybe()`` allows it."""


class ScheduleError(UsageError):
    """A schedule does not fit this test: another version of it, or truncated text."""
