"""The battery: checks of durability for a function without any test at all, and old histories against new code."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from ._core.errors import BoundReachedError, DurabilityError, NonDeterminismError, UsageError
from .battery import BATTERY
from .subjects import Subject, Verdict
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
    __tracebackhide__ = True
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
    __tracebackhide__ = True
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

    The verdict goes to its first argument, behind ``self``; all others are fixtures and parameters, as of any test.

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
        signature = inspect.signature(test)
        given = list(signature.parameters.values())
        method = given[:1] if given and given[0].name == "self" else []
        # The first of the others is the verdict, and what follows are fixtures and parameters of the test.
        verdict, fixtures = given[len(method) : len(method) + 1], given[len(method) + 1 :]

        def called(durable_check: str, args: tuple[Any, ...], fixed: dict[str, Any]) -> Any:
            verdicts = check_durable(function, event, setup=setup, only=[durable_check], allow=allow)
            if verdict:
                fixed[verdict[0].name] = verdicts[0]
            return test(*args, **fixed)

        def case(*args: Any, durable_check: str, **fixed: Any) -> None:
            called(durable_check, args, fixed)

        async def case_async(*args: Any, durable_check: str, **fixed: Any) -> None:
            await called(durable_check, args, fixed)

        made: Any = case_async if inspect.iscoroutinefunction(test) else case
        functools.update_wrapper(made, test)
        del made.__wrapped__  # pytest reads the signature of the case, not of the test
        check = inspect.Parameter("durable_check", inspect.Parameter.KEYWORD_ONLY)
        made.__signature__ = signature.replace(parameters=[*method, *fixtures, check])
        wrapped: Callable[..., object] = pytest.mark.parametrize("durable_check", names)(made)
        return wrapped

    return decorate
