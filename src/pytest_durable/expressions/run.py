"""A checked tree to a closure: evaluation for matching (loose) and for filling in a wait (strict)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

from .functions import STANDARD, Function, loose_call, strict_call
from .grammar import Call, Fold, Ident, ListOf, Literal, MapOf, Node, Select, children
from .values import ABSENT, MISSING, Failure, Timestamp, TypeName, equal, from_json, no_overload, shift, truthy

# A scope holds `event` and `async` as far as there are any, the variables of macros, and `@now` in milliseconds.
Scope = dict[str, Any]
Run = Callable[[Scope], object]
Path = tuple[str, ...]

_SAME: Final = frozenset((str, float, bool, int))
_NOWHERE: Final = object()


def compile_node(node: Node, *, strict: bool = False, within: Node | None = None) -> Run:
    """A closure over a scope that returns a value, `MISSING` or a `Failure`.

    Plain string literals keep their escapes as written: the server lifts them out of the text before it parses it.
    Only filling in a wait (``strict``) reads the escapes. ``within`` is the whole tree of which the node is a part.
    """
    return _Compiler(_used(node if within is None else within), strict=strict).compile(node, frozenset())


def path_of(node: Node) -> Path | None:
    """``("event", "data", "x")`` for ``event.data.x``; None for what is no plain path."""
    fields: list[str] = []
    while isinstance(node, Select):
        fields.append(node.field)
        node = node.operand
    return (node.name, *reversed(fields)) if isinstance(node, Ident) else None


def _used(tree: Node) -> tuple[Path, ...]:
    """The paths whose absence the server notices before it evaluates; elsewhere an absent key is a failure.

    It looks into operands and arguments and into what a macro ranges over; not into targets of methods, bodies of
    macros, lists and maps.
    """
    found: dict[Path, None] = {}
    stack = [tree]
    while stack:
        node = stack.pop()
        match node:
            case Fold(over=over):
                stack.append(over)
            case Call(args=args):
                stack.extend(args)
            case Select():
                path = path_of(node)
                if path is not None:
                    found[path] = None
    return tuple(found)


def _resolve(scope: Scope, path: Path) -> object:
    value: Any = scope.get(path[0], _NOWHERE)
    if value is _NOWHERE:
        return Failure(f"there is no {path[0]} here", unbound=True)
    for key in path[1:]:
        if not isinstance(value, Mapping):
            return Failure(f"there is no {key} in {'.'.join(path)}")
        value = value.get(key, _NOWHERE)
        if value is _NOWHERE:
            return Failure(f"there is no {key} in {'.'.join(path)}")
    return value


def _has(scope: Scope, path: Path) -> bool:
    return type(_resolve(scope, path)) is not Failure


class _Compiler:
    def __init__(self, used: tuple[Path, ...], *, strict: bool) -> None:
        self._used = used
        self._strict = strict
        self._call = strict_call if strict else loose_call

    def compile(self, node: Node, names: frozenset[str]) -> Run:
        """``names`` are the variables of the macros around the node."""
        match node:
            case Literal(value=value, text=text):
                constant = value if text is None or self._strict else text
                return lambda _scope: constant
            case Ident(name=name):
                return self._ident(name, names)
            case Select():
                return self._select(node, names)
            case ListOf(items=items):
                return _list([self.compile(item, names) for item in items])
            case MapOf(entries=entries):
                return _map([(self.compile(key, names), self.compile(value, names)) for key, value in entries])
            case Fold():
                return self._fold(node, names)
            case Call():
                return self._any_call(node, names)
        raise AssertionError(f"unknown node {node!r}: this is our bug")

    def _ident(self, name: str, names: frozenset[str]) -> Run:
        if name in names:
            return lambda scope: scope[name]
        if name in ("event", "async", "vars"):
            return self._path((name,), test=False)
        kind = TypeName(name)
        return lambda _scope: kind

    # --- paths ---

    def _select(self, node: Select, names: frozenset[str]) -> Run:
        path = path_of(node)
        if path is not None and path[0] not in names and path[0] in ("event", "async", "vars"):
            return self._path(path, test=node.test)
        operand, field, test = self._operand(node.operand, names), node.field, node.test

        def select(scope: Scope) -> object:
            group = operand(scope)
            if type(group) in ABSENT:
                return group
            if type(group) is not dict:
                return no_overload(f".{field}", group)
            if test:
                return field in group
            return group[field] if field in group else Failure(f"there is no key {field!r}")

        return select

    def _operand(self, node: Node, names: frozenset[str]) -> Run:
        """What a key is taken from: absent paths below it do not matter, as the key says which one is meant."""
        path = path_of(node)
        if path is not None and path[0] not in names and path[0] in ("event", "async", "vars"):
            return self._path(path, test=False, longer=False)
        return self.compile(node, names)

    def _path(self, path: Path, *, test: bool, longer: bool = True) -> Run:
        """A path is unknown as a whole if the server noticed that it, a part of it or something below it is absent."""
        noticed = tuple(
            used for used in self._used if used == path[: len(used)] or (longer and path == used[: len(path)])
        )
        if noticed == (path,) and not test and len(path) > 1:
            return _simple_path(path)

        def resolve(scope: Scope) -> object:
            for used in noticed:
                if not _has(scope, used):
                    return MISSING
            if test:
                above = _resolve(scope, path[:-1])
                if type(above) is Failure:
                    return above
                return path[-1] in above if isinstance(above, Mapping) else no_overload("has", from_json(above))
            return from_json(_resolve(scope, path))

        return resolve

    # --- calls ---

    def _any_call(self, node: Call, names: frozenset[str]) -> Run:
        if node.target is None:
            if node.name in ("&&", "||"):
                left, right = (self.compile(arg, names) for arg in node.args)
                return self._logic(left, right, deciding=node.name == "||")
            if node.name == "?:":
                return self._choice(*(self.compile(arg, names) for arg in node.args))
            if node.name in ("now", "now_plus", "now_minus"):
                return self._now(node, names)
        runs = [self.compile(part, names) for part in children(node)]
        if node.name == "[]":
            # Taking an element belongs to the path, not to the calls that the server makes loose.
            group, key = self._operand(node.args[0], names), runs[1]
            take = STANDARD["[]"]
            return lambda scope: strict_call("[]", take, (group(scope), key(scope)))
        return self._plain_call(node.name, runs)

    def _plain_call(self, name: str, runs: list[Run]) -> Run:
        call, function = self._call, STANDARD[name]
        if len(runs) != 2:  # noqa: PLR2004 - a pair of operands
            return lambda scope: call(name, function, tuple(run(scope) for run in runs))
        left, right = runs
        if name == "==":

            def equals(scope: Scope) -> object:
                a, b = left(scope), right(scope)
                if type(a) is type(b) and type(a) in _SAME:
                    return a == b
                return call("==", equal, (a, b))

            return equals
        return lambda scope: call(name, function, (left(scope), right(scope)))

    def _now(self, node: Call, names: frozenset[str]) -> Run:
        if not node.args:
            return lambda scope: Timestamp(scope["@now"] * 1_000_000)
        call, name, span = self._call, node.name, self.compile(node.args[0], names)
        sign = 1 if name == "now_plus" else -1

        def moved(scope: Scope) -> object:
            return call(name, functools.partial(shift, scope["@now"], sign), (span(scope),))

        return moved

    # --- conditions ---

    def _logic(self, left: Run, right: Run, *, deciding: bool) -> Run:
        """``deciding`` is the value that settles the result: true for ``||``, false for ``&&``."""
        combine = self._combine(deciding=deciding)

        def logic(scope: Scope) -> object:
            return combine(left(scope), right(scope))

        return logic

    def _combine(self, *, deciding: bool) -> Function:
        def loose(a: object, b: object) -> object:
            return a if truthy(a) is deciding else b

        def strict(a: object, b: object) -> object:
            if a is deciding or b is deciding:
                return deciding
            if type(a) is bool and type(b) is bool:
                return b
            if a is MISSING or b is MISSING:
                return MISSING
            return a if type(a) is Failure else b if type(b) is Failure else no_overload("&&, ||", a, b)

        return strict if self._strict else loose

    def _condition(self, value: object) -> object:
        """True or false, or in strict evaluation what prevents an answer."""
        if not self._strict:
            return truthy(value)
        return value if type(value) is bool or type(value) in ABSENT else no_overload("?:", value)

    def _choice(self, condition: Run, then: Run, otherwise: Run) -> Run:
        def choose(scope: Scope) -> object:
            holds = self._condition(condition(scope))
            if type(holds) is not bool:
                return holds
            return then(scope) if holds else otherwise(scope)

        return choose

    # --- macros ---

    def _fold(self, node: Fold, names: frozenset[str]) -> Run:
        inner = names | {node.var}
        over, body = self.compile(node.over, names), self.compile(node.body, inner)
        test = None if node.test is None else self.compile(node.test, inner)
        steps = {"all": self._quantify, "exists": self._quantify, "exists_one": self._count}
        finish = steps.get(node.macro, self._collect)
        macro, var = node.macro, node.var

        def fold(scope: Scope) -> object:
            group = over(scope)
            if type(group) in ABSENT:
                return group
            if type(group) not in (list, dict):
                return no_overload(macro, group)
            items: list[object] = list(group)  # type: ignore[call-overload]  # narrowed by type(), which mypy does not follow
            return finish(macro, items, [(run, var) for run in (body, test) if run is not None], scope)

        return fold

    def _quantify(self, macro: str, items: list[object], runs: list[tuple[Run, str]], scope: Scope) -> object:
        # The macro is a loop over `&&` or `||`, which here are the server's: they may carry a value that is no boolean,
        # and the server's `!` of such a value ends the loop of `exists`.
        ((body, var),) = runs
        deciding = macro == "exists"
        combine = self._combine(deciding=deciding)
        result: object = not deciding
        for item in items:
            if result is deciding or (
                not self._strict and type(result) is not bool and (deciding or type(result) in ABSENT)
            ):
                break
            result = combine(result, body({**scope, var: item}))
        return result

    def _count(self, _macro: str, items: list[object], runs: list[tuple[Run, str]], scope: Scope) -> object:
        ((body, var),) = runs
        count = 0
        for item in items:
            holds = self._condition(body({**scope, var: item}))
            if type(holds) is not bool:
                return holds
            count += holds
        return count == 1

    def _collect(self, macro: str, items: list[object], runs: list[tuple[Run, str]], scope: Scope) -> object:
        body, var = runs[0]
        test = runs[1][0] if len(runs) > 1 else body if macro == "filter" else None
        result: list[object] = []
        for item in items:
            inner = {**scope, var: item}
            holds = True if test is None else self._condition(test(inner))
            if type(holds) is not bool:
                return holds
            if not holds:
                continue
            value = item if macro == "filter" else body(inner)
            if type(value) not in ABSENT:
                result.append(value)
            elif self._strict:
                return value
            # Else the server adds something missing to the list, which leaves the list as it was.
        return result


def _simple_path(path: Path) -> Run:
    root, *fields = path

    def resolve(scope: Scope) -> object:
        value = scope.get(root, _NOWHERE)
        for key in fields:
            if not isinstance(value, Mapping) or key not in value:
                return MISSING
            value = value[key]
        return value if type(value) in (str, bool, float) else from_json(value)

    return resolve


def _list(items: list[Run]) -> Run:
    def build(scope: Scope) -> object:
        values = [item(scope) for item in items]
        return next((value for value in values if type(value) in ABSENT), values)

    return build


def _map(entries: list[tuple[Run, Run]]) -> Run:
    def build(scope: Scope) -> object:
        result: dict[Any, object] = {}
        for key_run, value_run in entries:
            key, value = key_run(scope), value_run(scope)
            for part in (key, value):
                if type(part) in ABSENT:
                    return part
            if type(key) not in (str, int, bool, float):
                return no_overload("a map's key", key)
            result[key] = value
        return result

    return build
