"""Sets in another order: what a body would do in a process with another hash seed, without starting one.

The sets that a body makes, by ``set(...)``, ``frozenset(...)``, in braces or from the keys of dicts, itself or in
functions of its own module, are replaced by sets that are iterated in one order and in the opposite one, unless all
that they hold is numbers, whose order no seed changes.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from contextlib import contextmanager, suppress
from functools import partial
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from ._core.commands import Asked, Execute, Raised, Send
from ._core.errors import NonDeterminismError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._core.runs import RunState
    from .simulation import Simulation

SEEDLESS = (bool, int, float, complex)
"""Types whose hash is the same in every process."""

PLAIN = (str, bytes, bool, int, float, type(None), list, tuple, dict)
MAKES_SETS = "make_set_in_another_order"
TURNS_SETS = "turn_set_the_other_way_round"


MOST_HELPERS = 50
"""How many functions that a body calls are rebuilt with it."""

SETS = (
    ", as they are in a process with another hash seed; sort the set, or drop doubles with dict.fromkeys, which keeps "
    "the order"
)


class _Kind(type):
    """Ordinary sets are instances, too: a body that asks gets the answer that it would get."""

    plain: type

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.plain)


_descending = [False]


def _other_way_round(elements: Iterator[Any]) -> Iterator[Any]:
    listed = list(elements)
    return iter(listed if all(map(_is_seedless, listed)) else sorted(listed, key=repr, reverse=_descending[0]))


def _is_seedless(value: object) -> bool:
    return type(value) in SEEDLESS or (type(value) is tuple and all(map(_is_seedless, value)))


class OtherSet(set, metaclass=_Kind):  # type: ignore[type-arg]  # of anything
    """A set that is iterated the other way round."""

    plain = set

    def __iter__(self) -> Iterator[Any]:
        return _other_way_round(super().__iter__())

    def pop(self) -> Any:
        """Take out the element that comes first now."""
        if not self:
            return super().pop()
        first = next(iter(self))
        self.discard(first)
        return first


class OtherFrozenSet(frozenset, metaclass=_Kind):  # type: ignore[type-arg]  # of anything
    """A frozen set that is iterated the other way round."""

    plain = frozenset

    def __iter__(self) -> Iterator[Any]:
        return _other_way_round(super().__iter__())


def _wrapping(base: type, name: str) -> Callable[..., Any]:
    made = getattr(base, name)

    def method(self: Any, *others: Any) -> Any:
        result = made(self, *others)
        return type(self)(result) if isinstance(result, base) else result

    return method


for _other, _base in ((OtherSet, set), (OtherFrozenSet, frozenset)):
    for _name in ("__and__", "__or__", "__sub__", "__xor__", "__rand__", "__ror__", "__rsub__", "__rxor__",
                  "copy", "difference", "intersection", "symmetric_difference", "union"):  # fmt: skip
        setattr(_other, _name, _wrapping(_base, _name))


def turned(value: Any) -> Any:
    """A set the other way round; anything else as it is."""
    return OtherSet(value) if type(value) is set else value


class _Braces(ast.NodeTransformer):
    """Sets in braces become calls."""

    def visit_Set(self, node: ast.Set) -> ast.AST:
        self.generic_visit(node)
        return self._call(node, ast.List(node.elts, ast.Load()))

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        # The keys of a dict give a set where they are taken apart or put together.
        self.generic_visit(node)
        if isinstance(node.op, (ast.Sub, ast.BitAnd, ast.BitOr, ast.BitXor)):
            return ast.copy_location(ast.Call(ast.Name(TURNS_SETS, ast.Load()), [node], []), node)
        return node

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        self.generic_visit(node)
        return self._call(node, ast.ListComp(node.elt, node.generators))

    @staticmethod
    def _call(node: ast.AST, elements: ast.expr) -> ast.AST:
        return ast.copy_location(ast.Call(ast.Name(MAKES_SETS, ast.Load()), [elements], []), node)


def rebuilt(function: FunctionType) -> FunctionType:
    """A function whose sets in braces are made by calls; itself if its source is not to be had."""
    with suppress(OSError, SyntaxError, TypeError, ValueError):
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        (definition,) = tree.body
        if isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)):
            ast.increment_lineno(definition, function.__code__.co_firstlineno - 1)
            return _compiled(function, definition)
    return function


def _compiled(function: FunctionType, definition: ast.FunctionDef | ast.AsyncFunctionDef) -> FunctionType:
    definition.decorator_list = []
    definition.args.defaults, definition.args.kw_defaults = [], [None] * len(definition.args.kwonlyargs)
    definition.returns = None
    body: Any = ast.fix_missing_locations(_Braces().visit(definition))
    free = function.__code__.co_freevars
    # Names of the enclosing function are names of the enclosing function here, too.
    holders = [ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None)) for name in free]
    outer = ast.FunctionDef("outer", ast.arguments([], [], None, [], [], None, []), [*holders, body], [])
    module = compile(ast.fix_missing_locations(ast.Module([outer], [])), function.__code__.co_filename, "exec")
    code = _code_named(_code_named(module, "outer"), definition.name)
    cells = dict(zip(free, function.__closure__ or (), strict=True))
    closure = tuple(cells[name] for name in code.co_freevars)
    made = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _code_named(code: CodeType, name: str) -> CodeType:
    return next(one for one in code.co_consts if isinstance(one, CodeType) and one.co_name == name)


@contextmanager
def other_order(host: Any, *, descending: bool) -> Iterator[bool]:
    """While it lasts, the body of a host makes sets in another order; False if it is no plain function."""
    body = getattr(host, "body", None)
    if not isinstance(body, FunctionType):
        yield False
        return
    names = body.__globals__
    given = {"set": OtherSet, "frozenset": OtherFrozenSet, MAKES_SETS: OtherSet, TURNS_SETS: turned}
    added = [name for name in given if name not in names]
    helpers = _helpers(body)
    names.update({name: given[name] for name in added})
    names.update({name: rebuilt(helper) for name, helper in helpers.items()})
    host.body = rebuilt(body)
    _descending[0] = descending
    try:
        yield True
    finally:
        _descending[0] = False
        host.body = body
        names.update(helpers)
        for name in added:
            del names[name]


def _helpers(body: FunctionType) -> dict[str, FunctionType]:
    """The functions of its own module that a body calls by name, and those that these call."""
    names = body.__globals__
    found: dict[str, FunctionType] = {}
    queue: list[CodeType] = [body.__code__]
    while queue:
        code = queue.pop()
        queue += [const for const in code.co_consts if isinstance(const, CodeType)]
        for name in code.co_names:
            helper = names.get(name)
            if name in found or len(found) >= MOST_HELPERS or not isinstance(helper, FunctionType):
                continue
            if helper.__globals__ is names:
                found[name] = helper
                queue.append(helper.__code__)
    return found


def asks(answer: Any) -> list[tuple[str, str]]:
    """What an answer asks for, so far as it can be compared: each step, and its plain arguments as text."""
    if isinstance(answer, Raised) and isinstance(answer.error, NonDeterminismError):
        return [("", str(answer.error))]
    if not isinstance(answer, Asked):
        return []
    return [(command.key, _arguments(command)) for command in answer.commands]


def _arguments(command: Any) -> str:
    if isinstance(command, Send):
        return ", ".join(_text([event["name"], event["data"]]) for event in command.events)
    if not isinstance(command, Execute):
        return ""
    handler = command.handler
    values = [*command.args, *command.kwargs.values(), *(getattr(handler, "__defaults__", None) or ())]
    if isinstance(handler, partial):
        values += [*handler.args, *handler.keywords.values()]
    for cell in getattr(handler, "__closure__", None) or ():
        with suppress(ValueError):  # not yet filled
            values.append(cell.cell_contents)
    return ", ".join(_text(value) for value in values if type(value) in PLAIN)


def _text(value: Any) -> str:
    """A value as text; a collection without its order, as a step that is given all of a set may take it as it comes."""
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(f"{_text(key)}: {_text(part)}" for key, part in value.items())) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(sorted(map(_text, value))) + "]"
    return repr(value) if type(value) in PLAIN else type(value).__name__


def order_of_sets(simulation: Simulation, state: RunState, limit: int) -> str:
    """Whether the body asks for the same with the same arguments when its sets are in another order."""
    host: Any = state.spec.host

    def probe() -> list[tuple[str, str]]:
        with simulation.driving:  # bodies run as they do in a drive
            return asks(host.probe(state, limit)[0])

    usual = probe()
    other: list[tuple[str, str]] = []
    for descending in (False, True):
        # Of two opposite orders one at least is not the usual one.
        with other_order(host, descending=descending) as possible:
            other = probe() if possible else []
        if other and other != usual:
            break
    else:
        return ""
    if probe() != usual:
        return ""
    if other[0][0] == "":
        return f"with its sets in another order{SETS}: {other[0][1]}"
    pairs = zip(usual, other, strict=False)
    one, two = next((pair for pair in pairs if pair[0] != pair[1]), (usual[:1] or [("nothing", "")]) + other[:1])
    return (
        f"entered with {limit} recorded steps, the body asks for '{one[0]}' with {one[1] or 'no argument'}, and for "
        f"'{two[0]}' with {two[1] or 'no argument'} when its sets are in another order{SETS}"
    )
