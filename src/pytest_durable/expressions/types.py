"""The type check that the server makes when a function is registered or a wait begins."""

from __future__ import annotations

from typing import Any

from .._core.errors import ExpressionError
from .grammar import Call, Fold, Ident, ListOf, Literal, MapOf, Node, Select, UInt, children, failure

# A type is a tuple: its name, then the types of its parts. Everything from an event is `dyn` and fits everywhere, so
# that only literals and results of functions are ever refused. Operators that compare or add take anything.

Type = tuple[Any, ...]
DYN: Type = ("dyn",)
_NAMES = {
    "event": ("map", ("string",), DYN), "async": ("map", ("string",), DYN), "vars": ("map", ("string",), DYN),
    **dict.fromkeys(
        ("bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"), ("type",)
    ),
}  # fmt: skip
_NUMBERS = "int,int>int uint,uint>uint double,double>double"
_TIME = "timestamp>int timestamp,string>int"
FUNCTIONS = {
    "!": "bool>bool", "&&": "bool,bool>bool", "||": "bool,bool>bool", "-_": "int>int double>double",
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), "dyn,dyn>bool"), "+": "dyn,dyn>dyn",
    "-": _NUMBERS + " timestamp,timestamp>duration timestamp,duration>timestamp duration,duration>duration",
    "*": _NUMBERS, "/": _NUMBERS, "%": "int,int>int uint,uint>uint",
    "size": "string>int bytes>int list>int map>int", "matches": "string,string>bool",
    "int": "int>int uint>int double>int string>int timestamp>int duration>int",
    "uint": "uint>uint int>uint double>uint string>uint",
    "double": "double>double int>double uint>double string>double", "bool": "bool>bool string>bool",
    "string": "string>string bool>string bytes>string double>string duration>string int>string "
    "timestamp>string uint>string",
    "bytes": "bytes>bytes string>bytes", "timestamp": "timestamp>timestamp string>timestamp int>timestamp",
    "duration": "duration>duration string>duration int>duration", "type": "dyn>type", "dyn": "dyn>dyn",
    **dict.fromkeys(("lowercase", "uppercase", "b64decode"), "string>string"), "json_parse": "string>dyn",
    "date": "dyn>timestamp", "now": ">timestamp", "now_plus": "string>timestamp", "now_minus": "string>timestamp",
}  # fmt: skip
METHODS = {
    "size": "string>int bytes>int list>int map>int",
    **dict.fromkeys(("contains", "startsWith", "endsWith", "matches"), "string,string>bool"),
    **dict.fromkeys(("getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek"), _TIME),
    **dict.fromkeys(("getHours", "getMinutes", "getSeconds", "getMilliseconds"), _TIME + " duration>int"),
}  # fmt: skip


def _fits(left: Type, right: Type) -> bool:
    if "dyn" in (left[0], right[0]):
        return True
    if "null" in (left[0], right[0]) and {left[0], right[0]} & {"timestamp", "duration"}:
        return True
    # A signature names only "list" or "map": its parts are then free.
    return bool(left[0] == right[0]) and all(_fits(a, b) for a, b in zip(left[1:], right[1:], strict=False))


def _join(types: list[Type]) -> Type:
    return types[0] if types and all(kind == types[0] for kind in types) else DYN


def check(text: str, tree: Node) -> None:
    """Find undeclared names and calls that no types can make right.

    Raises:
        ExpressionError: the server refuses the expression.
    """
    _Checker(text).check(tree, {})


class _Checker:
    """Finds undeclared names and calls that no types can make right."""

    def __init__(self, text: str) -> None:
        self._text = text

    def _refuse(
        self, node: Node, problem: str, remedy: str = "The server would refuse this expression."
    ) -> ExpressionError:
        return failure(self._text, node.pos, problem, remedy)

    def check(self, node: Node, scope: dict[str, Type]) -> Type:
        match node:
            case Literal():
                return self._literal(node)
            case Ident(name=name):
                if name not in scope and name not in _NAMES:
                    raise self._refuse(
                        node,
                        f"expected event or async, found the unknown name {name!r}",
                        "Write event.data.x or async.data.x.",
                    )
                return scope.get(name) or _NAMES[name]
            case Select():
                kind = self.check(node.operand, scope)
                if kind[0] not in ("dyn", "map"):
                    raise self._refuse(
                        node, f"{node.field!r} is taken from a value of type {kind[0]}, which has no fields"
                    )
                return ("bool",) if node.test else kind[2] if kind[0] == "map" else DYN
            case ListOf(items=items):
                return ("list", _join([self.check(item, scope) for item in items]))
            case MapOf(entries=entries):
                keys = [self.check(key, scope) for key, _ in entries]
                return ("map", _join(keys), _join([self.check(value, scope) for _, value in entries]))
            case Fold():
                return self._fold(node, scope)
            case Call():
                return self._call(node, scope)
        raise AssertionError(f"unknown node {node!r}: this is our bug")

    def _literal(self, node: Literal) -> Type:
        value = node.value
        low, high = (0, 2**64) if type(value) is UInt else (-(2**63), 2**63)
        if isinstance(value, int) and not low <= value < high:
            raise self._refuse(
                node, f"the integer {value} does not fit in 64 bits", "Write it as a double, such as 1e30."
            )
        names = {
            type(None): "null",
            bool: "bool",
            int: "int",
            UInt: "uint",
            float: "double",
            str: "string",
            bytes: "bytes",
        }
        return (names[type(value)],)

    def _fold(self, node: Fold, scope: dict[str, Type]) -> Type:
        over = self.check(node.over, scope)
        if over[0] not in ("dyn", "list", "map"):
            raise self._refuse(node, f"{node.macro}() needs a list or a map, found {over[0]}")
        inner = {**scope, node.var: DYN if over[0] == "dyn" else over[1]}
        body = self.check(node.body, inner)
        test = body if node.test is None else self.check(node.test, inner)
        if (node.macro != "map" or node.test is not None) and not _fits(test, ("bool",)):
            raise self._refuse(node.body, f"{node.macro}() needs a condition, found {test[0]}")
        if node.macro in ("map", "filter"):
            return ("list", body if node.macro == "map" else inner[node.var])
        return ("bool",)

    def _call(self, node: Call, scope: dict[str, Type]) -> Type:
        kinds = [self.check(part, scope) for part in children(node)]
        if node.target is None and node.name in ("?:", "in", "[]"):
            return self._special(node, kinds)
        table = FUNCTIONS if node.target is None else METHODS
        if node.name not in table:
            known = ", ".join(name for name in table if name[0].isalpha())
            raise self._refuse(node, f"unknown function {node.name!r}", f"Known are: {known}.")
        found: list[Type] = []
        for signature in table[node.name].split(" "):
            params, _, result = signature.partition(">")
            wanted = [(name,) for name in params.split(",") if name]
            if len(wanted) == len(kinds) and all(map(_fits, kinds, wanted)):
                found.append((result,))
        if not found:
            raise self._refuse(node, f"{node.name} cannot take ({', '.join(kind[0] for kind in kinds)})")
        return _join(found)

    def _special(self, node: Call, kinds: list[Type]) -> Type:
        last = kinds[-1]
        if node.name == "?:" and _fits(kinds[0], ("bool",)) and _fits(kinds[1], last):
            return _join(kinds[1:])
        if node.name == "in" and (last[0] == "dyn" or (last[0] in ("list", "map") and _fits(kinds[0], last[1]))):
            return ("bool",)
        if node.name == "[]":
            over = kinds[0]
            if over[0] == "dyn":
                return DYN
            if (over[0] == "list" and _fits(last, ("int",))) or (over[0] == "map" and _fits(last, over[1])):
                result: Type = over[-1]
                return result
        raise self._refuse(node, f"{node.name} cannot take ({', '.join(kind[0] for kind in kinds)})")
