"""Durable functions in tests: in this process, in virtual time, the same way every time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_WHERE = {
    "._core.errors": (
        "BoundReachedError", "DurabilityError", "DurabilityWarning", "DurableError", "ExpressionError", "InjectedError",
        "InvokeTimeoutError", "LimitError", "NonDeterminismError", "NonRetriableError", "RetryAfterError",
        "RunCancelled",
        "RunFailed", "RunSizeError", "RunStuck", "ScheduleError", "SerializationError", "SignalConflictError",
        "StepError", "StepLimitError", "StepSizeError", "UnusedScriptError", "UsageError", "WorkerCrashError",
    ),
    "._core.limits": ("Limits",),
    ".events": ("Event", "Signal"),
    ".exploration": ("Report", "explore"),
    ".functions": (
        "Batch", "Cancel", "Concurrency", "Debounce", "DurableFunction", "Priority", "RateLimit", "Singleton",
        "Throttle",
        "Timeouts", "TriggerCron", "TriggerEvent", "durable_function",
    ),
    ".history": ("History",),
    ".run": ("Run", "RunError", "RunStatus", "StepRecord"),
    ".moments": ("ANYTIME", "between"),
    ".simulation": ("Simulation",),
    ".step": ("Context", "ParallelMode"),
    ".step_sync": ("ContextSync",),
    ".touching": ("touches",),
}  # fmt: skip
_MODULES = ("checks", "faults", "strategies")
_HOME = {name: module for module, names in _WHERE.items() for name in names}

# Without ``strategies``, which needs Hypothesis: a star import must not.
__all__ = [*sorted(_HOME), "checks", "faults"]  # noqa: PLE0604 - the tables above hold text only

if TYPE_CHECKING:
    from . import checks as checks
    from . import faults as faults
    from . import strategies as strategies
    from ._core.errors import BoundReachedError as BoundReachedError
    from ._core.errors import DurabilityError as DurabilityError
    from ._core.errors import DurabilityWarning as DurabilityWarning
    from ._core.errors import DurableError as DurableError
    from ._core.errors import ExpressionError as ExpressionError
    from ._core.errors import InjectedError as InjectedError
    from ._core.errors import InvokeTimeoutError as InvokeTimeoutError
    from ._core.errors import LimitError as LimitError
    from ._core.errors import NonDeterminismError as NonDeterminismError
    from ._core.errors import NonRetriableError as NonRetriableError
    from ._core.errors import RetryAfterError as RetryAfterError
    from ._core.errors import RunCancelled as RunCancelled
    from ._core.errors import RunFailed as RunFailed
    from ._core.errors import RunSizeError as RunSizeError
    from ._core.errors import RunStuck as RunStuck
    from ._core.errors import ScheduleError as ScheduleError
    from ._core.errors import SerializationError as SerializationError
    from ._core.errors import SignalConflictError as SignalConflictError
    from ._core.errors import StepError as StepError
    from ._core.errors import StepLimitError as StepLimitError
    from ._core.errors import StepSizeError as StepSizeError
    from ._core.errors import UnusedScriptError as UnusedScriptError
    from ._core.errors import UsageError as UsageError
    from ._core.errors import WorkerCrashError as WorkerCrashError
    from ._core.limits import Limits as Limits
    from .events import Event as Event
    from .events import Signal as Signal
    from .exploration import Report as Report
    from .exploration import explore as explore
    from .functions import Batch as Batch
    from .functions import Cancel as Cancel
    from .functions import Concurrency as Concurrency
    from .functions import Debounce as Debounce
    from .functions import DurableFunction as DurableFunction
    from .functions import Priority as Priority
    from .functions import RateLimit as RateLimit
    from .functions import Singleton as Singleton
    from .functions import Throttle as Throttle
    from .functions import Timeouts as Timeouts
    from .functions import TriggerCron as TriggerCron
    from .functions import TriggerEvent as TriggerEvent
    from .functions import durable_function as durable_function
    from .history import History as History
    from .moments import ANYTIME as ANYTIME
    from .moments import between as between
    from .run import Run as Run
    from .run import RunError as RunError
    from .run import RunStatus as RunStatus
    from .run import StepRecord as StepRecord
    from .simulation import Simulation as Simulation
    from .step import Context as Context
    from .step import ParallelMode as ParallelMode
    from .step_sync import ContextSync as ContextSync
    from .touching import touches as touches


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, so that the plugin costs a suite that does not use it almost nothing."""
    if name in _HOME:
        value = getattr(import_module(_HOME[name], __name__), name)
    elif name in _MODULES:
        value = import_module(f".{name}", __name__)
    else:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "strategies"]
