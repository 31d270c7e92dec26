"""Conditions on events, in the server's dialect of CEL: triggers' ``expression`` and waits' ``if_exp``.

The rules that differ from standard CEL:

* a path that the event does not have equals null, is less than anything, and turns most calls into false;
* an error inside a call counts as such a missing value; only an error that reaches the top is an error;
* ``&&``, ``||`` and ``?:`` take any value as a condition, and the first two return the deciding operand;
* null stands for zero in an order; numbers of different types compare by value, but do not calculate together;
* a condition matches only if it is exactly ``true``.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .._core.errors import ExpressionError
from .fill import fill
from .grammar import Call, Fold, Ident, Literal, Node, Select, children, failure, parse
from .run import Run, compile_node
from .types import check
from .values import MISSING, NAMES, Failure, NoValueError

SHOWN: Final = 4  # paths in an explanation
WIDTH: Final = 60  # characters of a value in an explanation
ROOTS: Final = ("event", "async")
_ALLOWED: Final = ("?:", "&&", "||", "!", "==", "!=", "<", "<=", ">", ">=", "[]", "in", "int", "uint", "double")


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A compiled condition. Make one with `compile_expression`.

    Attributes:
        text: the condition as it was written.
    """

    text: str
    _tree: Node
    _run: Run
    _trigger: Mapping[str, object] | None = None

    def evaluate(
        self, event: Mapping[str, object], async_: Mapping[str, object] | None = None, *, now_ms: int = 0
    ) -> object:
        """The value of the expression.

        Args:
            event: the triggering event, as a mapping with ``name``, ``data``, ``id`` and ``ts``.
            async_: the arriving event of a wait; None where there is none.
            now_ms: the virtual time, in milliseconds since 1970.

        Returns:
            A bool, float (every JSON number is one), int, str, list, dict or None; False if the result is missing.

        Raises:
            ExpressionError: the evaluation failed.
        """
        scope: dict[str, Any] = {"@now": now_ms}
        # The server forgets the trigger once a wait is registered: what it has not filled in is missing.
        if self._trigger is None:
            scope["event"] = event
        if async_ is not None:
            scope["async"] = async_
        try:
            value = self._run(scope)
        except NoValueError as error:
            raise ExpressionError(f"expression {self.text!r}: {error}") from None
        if type(value) is Failure:
            raise ExpressionError(f"expression {self.text!r}: {value.problem}")
        return False if value is MISSING else value

    def matches(
        self, event: Mapping[str, object], async_: Mapping[str, object] | None = None, *, now_ms: int = 0
    ) -> bool:
        """Whether the value is exactly ``true``; errors and other values do not match. Arguments as for `evaluate`."""
        try:
            return self.evaluate(event, async_, now_ms=now_ms) is True
        except ExpressionError:
            return False

    def why(self, event: Mapping[str, object], async_: Mapping[str, object] | None = None, *, now_ms: int = 0) -> str:
        """How the result came about, such as ``false: event.data.plan was 'free'``. Arguments as for `evaluate`."""
        try:
            value = self.evaluate(event, async_, now_ms=now_ms)
        except ExpressionError as error:
            verdict = "error: " + str(error).removeprefix(f"expression {self.text!r}: ")
        else:
            verdict = f"not a boolean but {_shown(value)} ({NAMES.get(type(value), 'value')})"
            if type(value) is bool:
                verdict = "true" if value else "false"
        scope: dict[str, Any] = {"event": event if self._trigger is None else self._trigger, "@now": now_ms}
        if async_ is not None:
            scope["async"] = async_
        paths = _paths(self._tree)
        facts = [f"{name} was {_shown(compile_node(node)(scope))}" for name, node in list(paths.items())[:SHOWN]]
        if len(paths) > SHOWN:
            facts.append(f"and {len(paths) - SHOWN} more")
        return verdict + (": " + ", ".join(facts) if facts else "")

    def bind(self, event: Mapping[str, object], *, now_ms: int = 0) -> Expression:
        """The expression that a wait keeps: what is known of the triggering event is filled in, once and for all.

        Args:
            event: the first triggering event of the run.
            now_ms: the virtual time of the registration, in milliseconds since 1970.

        Returns:
            An expression for ``matches({}, arriving_event)``.

        Raises:
            ExpressionError: the server could not fill in the event, and would send the same request again for ever.
        """
        run = self._run
        # The server's own test, on the text: without it, nothing is filled in at all.
        if "event." in self.text:
            try:
                run = compile_node(fill(self._tree, event, now_ms))
            except (NoValueError, ExpressionError) as error:
                raise ExpressionError(_stuck(self.text, str(error))) from None
        return Expression(self.text, self._tree, run, event)

    def reads(self) -> tuple[str, ...]:
        """The paths under ``event`` and ``async`` that the expression reads, in the order of the text, each once."""
        return tuple(_paths(self._tree))

    def restrictions(self) -> tuple[str, ...]:
        """What the server refuses in the condition of a cancellation: macros, and functions other than comparisons."""
        return tuple(dict.fromkeys(_restricted(self._tree)))


@functools.lru_cache(maxsize=1024)
def compile_expression(text: str) -> Expression:
    """Compile a condition.

    Args:
        text: the condition, such as ``event.data.plan == 'pro'``.

    Returns:
        The compiled condition; the last 1,024 are remembered.

    Raises:
        ExpressionError: the server would refuse the text when the function is registered or the wait begins.
    """
    tree = parse(text)
    try:
        check(text, tree)
        run = compile_node(tree)
    except RecursionError:
        raise failure(text, 0, "the nesting is too deep", "Split it into several conditions.") from None
    return Expression(text, tree, run)


def _stuck(text: str, problem: str) -> str:
    return (
        f"expression {text!r}: the fields of the triggering event cannot be filled in: {problem}. The server sends the "
        "request again for ever. Calculate the value in the function and compare only with async, or use int() or 1.0."
    )


def _shown(value: object) -> str:
    if value is MISSING:
        return "missing"
    if isinstance(value, Failure):
        return "missing" if value.unbound else f"missing ({value.problem})"
    if type(value) is float and value.is_integer():
        value = int(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = repr(value)
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def _path(node: Node) -> str | None:
    match node:
        case Ident(name=name) if name in ROOTS:
            return name
        case Select(operand=operand, field=field):
            above = _path(operand)
            return above and f"{above}.{field}"
        case Call(name="[]", args=(group, Literal(value=key))):
            above = _path(group)
            return above and f"{above}[{key!r}]"
    return None


def _paths(tree: Node) -> dict[str, Node]:
    found: list[tuple[int, str, Node]] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        name = _path(node)
        if name is None:
            stack.extend(children(node))
        else:
            # For has(x.y) the value of x.y says more than whether it is there.
            found.append(
                (node.pos, name, Select(node.pos, node.operand, node.field) if isinstance(node, Select) else node)
            )
    return {name: node for _, name, node in sorted(found, key=lambda row: row[:2])}


def _restricted(node: Node) -> Iterator[str]:
    # Not looked into, by the server: lists, maps, what a macro ranges over, and the target of a method.
    match node:
        case Fold(macro=macro):
            yield f"the macro {macro}()"
        case Select(operand=operand, test=test):
            if test:
                yield "the macro has()"
            yield from _restricted(operand)
        case Call(name=name, args=args):
            if name not in _ALLOWED:
                yield f"the operator {name[0]}" if not name[0].isalpha() else f"the function {name}()"
            for arg in args:
                yield from _restricted(arg)
