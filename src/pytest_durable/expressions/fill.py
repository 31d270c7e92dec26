"""What a wait keeps of its condition: the triggering event filled in, as the server does when the wait begins."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from .._core.errors import ExpressionError
from .grammar import Call, Fold, Ident, ListOf, Literal, MapOf, Node, Select, walk
from .run import Scope, compile_node
from .values import ABSENT, Duration, Failure, Timestamp, TypeName, to_text

_OPPOSITE: Final = {"==": "!=", "!=": "==", ">": "<=", ">=": "<", "<": ">=", "<=": ">"}
_ESCAPES: Final = str.maketrans(
    {
        "\\": "\\\\",
        '"': '\\"',
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\a": "\\a",
        "\b": "\\b",
        "\f": "\\f",
        "\v": "\\v",
    }
)
_BROKEN: Final = Literal(
    0, Failure("with a field missing in the triggering event, the server rewrites it into no condition")
)
_PAIR: Final = 2


class _BrokenError(Exception):
    """The server's rewriting makes a text that it cannot read again: the wait begins, but nothing matches."""


def fill(tree: Node, event: Mapping[str, object], now_ms: int) -> Node:
    """The tree with every part that is known without the arriving event replaced by its value.

    Raises:
        ExpressionError: a calculation fails, or a macro remains, which the server cannot write down.
    """
    scope: Scope = {"event": event, "@now": now_ms}
    value = _value(tree, tree, scope)
    if isinstance(value, Failure):
        raise ExpressionError(value.problem)
    rest = _prune(tree, tree, scope)
    macro = next((node.macro for node in walk(rest) if isinstance(node, Fold)), None)
    if macro is not None:
        raise ExpressionError(f"{macro}() over the arriving event cannot stand beside event.*")
    if not any(map(_mentions_event, walk(rest))):
        return rest
    try:
        return _rewrite(rest)
    except _BrokenError:
        return _BROKEN


# --- filling in what is known --------------------------------------------------------------------------


def _value(node: Node, tree: Node, scope: Scope) -> object:
    return compile_node(node, strict=True, within=tree)(scope)


def _prune(node: Node, tree: Node, scope: Scope) -> Node:
    value = _value(node, tree, scope)
    if type(value) not in ABSENT:
        known = _literal(value, node.pos)
        if known is not None:
            return known
    prune = functools.partial(_prune, tree=tree, scope=scope)
    match node:
        case Call(name="[]"):
            return node
        case Call(name=name, args=args, target=target):
            pruned = Call(node.pos, name, tuple(map(prune, args)), None if target is None else prune(target))
            return _settle(pruned, [_value(arg, tree, scope) for arg in args])
        case ListOf(items=items):
            return ListOf(node.pos, tuple(map(prune, items)))
        case MapOf(entries=entries):
            return MapOf(node.pos, tuple((prune(key), prune(value)) for key, value in entries))
    return node


def _settle(call: Call, values: list[object]) -> Node:
    """A condition of which one side is known: what is left of it."""
    known = [type(value) not in ABSENT for value in values]
    if call.name in ("&&", "||") and any(known):
        # Of two known sides the first counts: then the other was no boolean.
        side = known.index(True)
        deciding = call.name == "||"
        return Literal(call.pos, deciding) if values[side] is deciding else call.args[1 - side]
    if call.name == "?:" and type(values[0]) is bool:
        return call.args[1 if values[0] else 2]
    if call.name == "in" and values[1] in ([], {}):
        return Literal(call.pos, value=False)
    return call


def _literal(value: Any, pos: int) -> Node | None:
    match value:
        case list():
            items = [_literal(item, pos) for item in value]
            return None if None in items else ListOf(pos, tuple(item for item in items if item is not None))
        case dict():
            pairs = [(_literal(key, pos), _literal(item, pos)) for key, item in value.items()]
            return MapOf(pos, tuple((key, item) for key, item in pairs if key is not None and item is not None))
        case Timestamp() | Duration():
            return Call(pos, type(value).__name__.lower(), (Literal(pos, to_text(value)),))
        case TypeName():
            return None
        case str():
            return Literal(pos, value, _quoted(value))
    return Literal(pos, value)


def _quoted(text: str) -> str:
    """What stands between the quotes when Go writes a string, and what arriving events are compared with."""
    escaped = text.translate(_ESCAPES)
    return "".join(char if char.isprintable() else _numbered(ord(char)) for char in escaped)


def _numbered(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - widths


def _mentions_event(node: Node) -> bool:
    # The server looks for "event." in the text, so a literal that says it counts as well.
    match node:
        case Select(operand=Ident(name="event")):
            return True
        case Literal(text=str(text)):
            return "event." in text
    return False


# --- fields that the triggering event does not have -----------------------------------------------------
# Where such a field is left over, the server takes the condition apart into comparisons, joined by && and ||, puts
# null for the field, and writes it down again. Whatever is no comparison of a path falls out on the way; so does the
# structure of several || joined by &&, and of && and || under !. These are accidents, but they decide what matches.


def _rewrite(node: Node, *, negated: bool = False) -> Node:
    ands: list[Node] = []
    ors: list[Node] = []
    queue = [(node, negated)]
    while queue:
        part, inverse = queue.pop(0)
        match part:
            case Call(name="!", args=(inner,)):
                queue.append((inner, not inverse))
            case Call(name="||"):
                ors += [_rewrite(leaf, negated=inverse) for leaf in _leaves(part, "||")]
            case Call(name="&&"):
                queue += [(leaf, inverse) for leaf in _leaves(part, "&&")]
            case Call():
                ands += _comparison(part, negated=inverse)
            case Select() | Literal(value=str() | float()):
                raise _BrokenError
            case Literal(value=int() as value) if type(value) is not bool:
                raise _BrokenError
    parts = [*ands, functools.reduce(functools.partial(_join, "||"), ors)] if ors else ands
    if not parts:
        raise _BrokenError
    return functools.reduce(functools.partial(_join, "&&"), parts)


def _join(name: str, left: Node, right: Node) -> Node:
    return Call(left.pos, name, (left, right))


def _leaves(node: Node, name: str) -> list[Node]:
    if isinstance(node, Call) and node.name == name:
        return [leaf for arg in node.args for leaf in _leaves(arg, name)]
    return [node]


def _comparison(call: Call, *, negated: bool) -> list[Node]:
    """The comparison as rewritten, or nothing if it falls out."""
    name = _OPPOSITE.get(call.name, call.name) if negated else call.name
    if len(call.args) != _PAIR or any(map(_is_operation, call.args)):
        return []
    if any(isinstance(arg, MapOf) for arg in call.args):
        raise _BrokenError
    literal = next((arg for arg in reversed(call.args) if isinstance(arg, Literal)), Literal(call.pos, None))
    paths = [replace(arg, test=False) if isinstance(arg, Select) else arg for arg in call.args if _is_path(arg)]
    if len(paths) == _PAIR:
        left, right = paths
        return [Call(call.pos, name, (right, literal) if _under_event(left) else (left, right))]
    ordered = type(literal.value) in (str, int, float)
    if name not in ("==", "!=") and not (ordered and (name in _OPPOSITE or name == "in")):
        return []
    if not paths or name == "in":
        raise _BrokenError
    # The path always goes to the left, also in an order, where this turns the comparison round.
    path = Literal(call.pos, None) if _under_event(paths[0]) else paths[0]
    return [Call(call.pos, name, (path, _rewritten(literal)))]


def _is_path(node: Node) -> bool:
    return isinstance(node, Select | Ident | Call)


def _is_operation(node: Node) -> bool:
    match node:
        case Call(name="[]", args=(_, Literal(value=int()))):
            return False
        case Literal(value=int() | float() as value):
            # A sign is an operation too.
            return value < 0
    return isinstance(node, Call)


def _rewritten(literal: Literal) -> Literal:
    return literal if literal.text is None else replace(literal, text=_quoted(literal.text))


def _under_event(node: Node) -> bool:
    if isinstance(node, Call):
        return _under_event(node.args[0])
    while isinstance(node, Select):
        node = node.operand
    return isinstance(node, Ident) and node.name == "event"
