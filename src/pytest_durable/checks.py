"""The battery: checks of durability for a function without any test at all, and old histories against new code."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from ._core.errors import BoundReachedError, DurabilityError, NonDeterminismError, UsageError
from .battery import BATTERY, Subject, Verdict
from .upgrade import replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .events import Event
    from .simulation import Simulation

__all__ = ["BATTERY", "DurabilityError", "Subject", "Verdict", "check_durable", "durable_cases", "replay"]


def _chosen(only: Iterable[str] | str | None, skip: Iterable[str] | str | None) -> list[str]:
    def names(given: Iterable[str] | str | None, what: str) -> list[str]:
        listed = [given] if isinstance(given, str) else list(given or ())
        for name in listed:
            if name not in BATTERY:
                msg = f"{what}={name!r} is not a check; there are {', '.join(BATTERY)}"
                raise UsageError(msg)
        return listed

    wanted, unwanted = names(only, "only"), names(skip, "skip")
    return [name for name in BATTERY if (not wanted or name in wanted) and name not in unwanted]


def check_durable(
    function: Any,
    event: Event | Mapping[str, Any] | None = None,
    *,
    setup: Callable[[Simulation], object] | None = None,
    only: Iterable[str] | str | None = None,
    skip: Iterable[str] | str | None = None,
    allow: Iterable[str] = (),
) -> list[Verdict]:
    """Run the battery on a function.

    Args:
        function: the function.
        event: what starts it: an event, or a dict as the data of one.
        setup: is called with the simulation before each run.
        only: names of checks; all unless given.
        skip: names of checks to leave out.
        allow: impure calls that are fine, by their name ("time.time") or kind ("clock").

    Returns:
        What each check proved and did not reach.

    Raises:
        DurabilityError: one error that lists every violation, each with the schedule that shows it.
        UsageError: there is no check of that name.
    """
    subject = Subject(function, event, setup, allow)
    verdicts = []
    for name in _chosen(only, skip):
        try:
            verdicts.append(BATTERY[name](subject))
        except NonDeterminismError as error:
            verdicts.append(Verdict(name, [str(error)]))
        except BoundReachedError as error:
            verdicts.append(Verdict(name, [str(error)]))
    _raise(function, verdicts)
    return verdicts


def _raise(function: Any, verdicts: list[Verdict]) -> None:
    violations = list(dict.fromkeys(str(verdict) for verdict in verdicts if verdict.violations))
    if violations:
        name = getattr(function, "id", function)
        count = sum(len(verdict.violations) for verdict in verdicts)
        msg = f"{name} has {count} violation{'s' * (count != 1)} of durability:\n" + "\n".join(violations)
        raise DurabilityError(msg)


def durable_cases(
    function: Any,
    event: Event | Mapping[str, Any] | None = None,
    *,
    setup: Callable[[Simulation], object] | None = None,
    only: Iterable[str] | str | None = None,
    skip: Iterable[str] | str | None = None,
    allow: Iterable[str] = (),
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Make one pytest item per check of a test function, which is called with the verdict if it takes an argument.

    Args:
        function: as for ``check_durable``, like all others.
        event: what starts it.
        setup: called before each run.
        only: names of checks.
        skip: names of checks to leave out.
        allow: impure calls that are fine.
    """
    import pytest

    names = _chosen(only, skip)

    def decorate(test: Callable[..., object]) -> Callable[..., object]:
        takes_verdict = bool(inspect.signature(test).parameters)

        def case(durable_check: str) -> None:
            verdicts = check_durable(function, event, setup=setup, only=[durable_check], allow=allow)
            if takes_verdict:
                test(verdicts[0])
            else:
                test()

        functools.update_wrapper(case, test)
        del case.__wrapped__  # type: ignore[attr-defined]  # pytest reads the signature of the case, not of the test
        return pytest.mark.parametrize("durable_check", names)(case)

    return decorate
