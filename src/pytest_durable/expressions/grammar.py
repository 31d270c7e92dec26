"""Text to a tree: the CEL grammar and its parser."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.errors import ExpressionError

if TYPE_CHECKING:
    from lark import Lark, Tree

_RAW = r"""\"\"\"[\s\S]*?\"\"\"|\'\'\'[\s\S]*?\'\'\'|\"[^\"\n\r]*\"|\'[^\'\n\r]*\'"""
_ESCAPED = (
    r"""\"\"\"(?:[^\\]|\\[\s\S])*?\"\"\"|\'\'\'(?:[^\\]|\\[\s\S])*?\'\'\'"""
    r"""|\"(?:[^\"\\\n\r]|\\.)*\"|\'(?:[^\'\\\n\r]|\\.)*\'"""
)
GRAMMAR = r"""
start: expr
?expr: or | or "?" or ":" expr -> ternary
?or: and | or OR and -> binary
?and: relation | and AND relation -> binary
?relation: sum | relation (RELATION | IN) sum -> binary
?sum: product | sum (PLUS | MINUS) product -> binary
?product: unary | product TIMES unary -> binary
?unary: member | NOT+ member -> prefix | MINUS+ member -> prefix
?member: primary
    | member DOT IDENT -> select
    | member DOT IDENT OPEN [_items] ")" -> method
    | member "[" expr "]" -> index
?primary: IDENT -> ident
    | DOT IDENT -> ident
    | IDENT OPEN [_items] ")" -> function
    | DOT IDENT OPEN [_items] ")" -> function
    | "(" expr ")"
    | LIST [_items [","]] "]" -> list
    | MAP [_entries [","]] "}" -> map
    | (FLOAT | UINT | INT | STRING | WORD) -> literal
_items: expr | _items "," expr
_entries: expr ":" expr | _entries "," expr ":" expr
OR: "||"
AND: "&&"
RELATION: "==" | "!=" | "<=" | ">=" | "<" | ">"
IN: /in\b/
PLUS: "+"
MINUS: "-"
TIMES: "*" | "/" | "%"
NOT: "!"
DOT: "."
OPEN: "("
LIST: "["
MAP: "{"
WORD: /(?:true|false|null)\b/
IDENT: /(?!(?:true|false|null|in)\b)[_a-zA-Z][_a-zA-Z0-9]*/
FLOAT.3: /[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?/
UINT.2: /(?:0x[0-9a-fA-F]+|[0-9]+)[uU]/
INT.1: /0x[0-9a-fA-F]+|[0-9]+/
STRING.4: /[bB]?(?:[rR](?:%RAW%)|%ESCAPED%)/
COMMENT: /\/\/[^\n]*/
%ignore COMMENT
%ignore /[ \t\r\n\f]+/
""".replace("%RAW%", _RAW).replace("%ESCAPED%", _ESCAPED)

# Words that CEL keeps for itself: they may follow a dot, but may not start a path.
RESERVED = (
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
)  # fmt: skip
MACROS = {"all": (2,), "exists": (2,), "exists_one": (2,), "existsOne": (2,), "map": (2, 3), "filter": (2,)}
_SURROGATES = range(0xD800, 0xE000)
_ASCII = 0x7F
_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "`": "`",
    "?": "?",
}
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"`?])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([\s\S]))"
)


class UInt(int):
    """An unsigned integer, a type of its own in CEL."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the tree; ``pos`` is the offset in the text where it starts."""

    pos: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A literal; ``text`` is what stands between plain quotes, escapes untouched (see `compile_node`)."""

    value: object
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Ident(Node):
    """A name."""

    name: str


@dataclass(frozen=True, slots=True)
class Select(Node):
    """``operand.field``, or ``has(operand.field)`` with ``test``."""

    operand: Node
    field: str
    test: bool = False


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A call of a function or operator, of a method if there is a target."""

    name: str
    args: tuple[Node, ...]
    target: Node | None = None


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """A list literal."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf(Node):
    """A map literal: pairs of key and value."""

    entries: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Fold(Node):
    """A macro over a list or the keys of a map; ``test`` is the filter of a three-argument ``map``."""

    macro: str
    var: str
    over: Node
    body: Node
    test: Node | None = None


def children(node: Node) -> tuple[Node, ...]:
    """The direct parts of a node, in the order of the text."""
    match node:
        case Select(operand=operand):
            return (operand,)
        case Call(args=args, target=target):
            return args if target is None else (target, *args)
        case ListOf(items=items):
            return items
        case MapOf(entries=entries):
            return tuple(part for entry in entries for part in entry)
        case Fold(over=over, body=body, test=test):
            return (over, body) if test is None else (over, test, body)
    return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)


def failure(text: str, pos: int, problem: str, remedy: str) -> ExpressionError:
    """The error for a text that the server refuses."""
    return ExpressionError(f"expression {text!r}, position {pos + 1}: {problem}. {remedy}")


def parse(text: str) -> Node:
    """Parse a text.

    Raises:
        ExpressionError: the text is not CEL.
    """
    if not text.strip():
        raise failure(
            text, 0, "expected an expression, found nothing", "Leave the condition out if everything should match."
        )
    parser, refused = _parser()
    try:
        return _Builder(text).build(parser.parse(text).children[0])
    except refused as error:
        raise _syntax_error(text, error) from None
    except RecursionError:
        raise failure(text, 0, "the nesting is too deep", "Split it into several conditions.") from None


@functools.cache
def _parser() -> tuple[Lark, type[Exception]]:
    # Reading the grammar takes tens of milliseconds: only suites with expressions pay for it. The exception goes with
    # the parser: a test runner may forget modules and import them again, and then their classes are others.
    from lark import Lark
    from lark.exceptions import UnexpectedInput

    # The basic lexer, because a contextual one would accept a reserved word such as `null` as a field name.
    lark = Lark(GRAMMAR, parser="lalr", lexer="basic", propagate_positions=True, maybe_placeholders=False)
    return lark, UnexpectedInput


def _syntax_error(text: str, error: Any) -> ExpressionError:
    pos = getattr(error, "pos_in_stream", None)
    token = getattr(error, "token", None)
    if token is not None and token.type != "$END":
        pos, found = token.start_pos, repr(str(token))
    elif pos is None or token is not None:
        pos, found = len(text), "the end"
    else:
        found = repr(text[pos])
    expected = getattr(error, "expected", None) or getattr(error, "allowed", None) or ()
    if token is None:
        wanted = "a CEL symbol"
    elif "INT" in expected:
        wanted = "a value"
    elif "IDENT" in expected:
        wanted = "a field name"
    else:
        wanted = "an operator or the end"
    remedy = "CEL writes ==, !=, &&, ||, ! and 'text'."
    if wanted == "a field name":
        remedy = "The words null, true, false and in cannot be field names after a dot: write event.data['null']."
    return failure(text, pos, f"expected {wanted}, found {found}", remedy)


class _Builder:
    """Turns lark's tree into nodes: folds signs, expands macros, decodes literals."""

    def __init__(self, text: str) -> None:
        self._text = text

    def build(self, tree: Any) -> Node:
        make: Callable[[Tree[Any], int], Node] = getattr(self, f"_{tree.data}")
        return make(tree, tree.meta.start_pos)

    def _many(self, parts: list[Any]) -> tuple[Node, ...]:
        return tuple(self.build(part) for part in parts if hasattr(part, "data"))

    def _ternary(self, tree: Any, pos: int) -> Node:
        return Call(pos, "?:", tuple(self.build(part) for part in tree.children))

    def _binary(self, tree: Any, _pos: int) -> Node:
        left, operator, right = tree.children
        if operator.type in ("OR", "AND"):
            return self._chain(tree, operator.type)
        return Call(operator.start_pos, str(operator), (self.build(left), self.build(right)))

    def _chain(self, tree: Any, kind: str) -> Node:
        """Balance a row of ``&&`` or ``||``, as CEL does: its length then does not count as nesting."""
        terms, operators = [], []
        while tree.data == "binary" and tree.children[1].type == kind:
            tree, operator, right = tree.children
            terms.append(right)
            operators.append(operator)
        nodes = [self.build(term) for term in (tree, *reversed(terms))]
        operators.reverse()

        def balanced(low: int, high: int) -> Node:
            if low == high:
                return nodes[low]
            middle = (low + high) // 2
            operator = operators[middle]
            return Call(operator.start_pos, str(operator), (balanced(low, middle), balanced(middle + 1, high)))

        return balanced(0, len(nodes) - 1)

    def _prefix(self, tree: Any, pos: int) -> Node:
        *signs, operand = tree.children
        node = self.build(operand)
        # Pairs of signs cancel in the parser itself: `!!x` is x, not a boolean made of x.
        if len(signs) % 2 == 0:
            return node
        if signs[0] == "!":
            return Call(pos, "!", (node,))
        if isinstance(node, Literal) and type(node.value) in (int, float):
            return Literal(pos, -node.value)  # type: ignore[operator]  # narrowed by type(), which mypy does not follow
        return Call(pos, "-_", (node,))

    def _ident(self, tree: Any, pos: int) -> Node:
        name = str(tree.children[-1])
        if name in RESERVED:
            raise failure(self._text, pos, f"{name!r} is a reserved word", "Start a path with event or async.")
        return Ident(pos, name)

    def _select(self, tree: Any, pos: int) -> Node:
        return Select(pos, self.build(tree.children[0]), str(tree.children[2]))

    def _index(self, tree: Any, pos: int) -> Node:
        operand, key = (part for part in tree.children if hasattr(part, "data"))
        return Call(pos, "[]", (self.build(operand), self.build(key)))

    def _list(self, tree: Any, pos: int) -> Node:
        return ListOf(pos, self._many(tree.children))

    def _map(self, tree: Any, pos: int) -> Node:
        flat = self._many(tree.children)
        return MapOf(pos, tuple(zip(flat[::2], flat[1::2], strict=True)))

    def _function(self, tree: Any, pos: int) -> Node:
        name = next(str(part) for part in tree.children if getattr(part, "type", "") == "IDENT")
        args = self._many(tree.children)
        if name == "has" and len(args) == 1:
            if not isinstance(args[0], Select):
                raise failure(self._text, pos, "has() needs a path that ends in a field", "Write has(event.data.name).")
            return Select(pos, args[0].operand, args[0].field, test=True)
        return Call(pos, name, args)

    def _method(self, tree: Any, pos: int) -> Node:
        target, _, name, *rest = tree.children
        args = self._many(rest)
        if len(args) not in MACROS.get(name, ()):
            return Call(name.start_pos, str(name), args, self.build(target))
        if not isinstance(args[0], Ident):
            raise failure(
                self._text,
                args[0].pos,
                f"the first argument of {name}() must be a plain name",
                "Write l.exists(x, x == 1).",
            )
        macro = "exists_one" if name == "existsOne" else str(name)
        return Fold(pos, macro, args[0].name, self.build(target), args[-1], args[1] if args[1:-1] else None)

    def _literal(self, tree: Any, pos: int) -> Node:
        token = tree.children[0]
        if token.type == "WORD":
            return Literal(pos, {"true": True, "false": False, "null": None}[token])
        if token.type == "FLOAT":
            return Literal(pos, float(token))
        if token.type in ("INT", "UINT"):
            digits = token.rstrip("uU")
            number = int(digits, 16 if digits.startswith("0x") else 10)
            return Literal(pos, UInt(number) if token.type == "UINT" else number)
        return self._string(str(token), pos)

    def _string(self, token: str, pos: int) -> Node:
        prefix = token[: min(token.find(quote) for quote in "'\"" if quote in token)]
        quoted = token[len(prefix) :]
        width = 3 if quoted[:3] in ('"""', "'''") else 1
        body = quoted[width:-width]
        binary = "b" in prefix.lower()
        if "r" in prefix.lower():
            return Literal(pos, body.encode() if binary else body)
        value = _ESCAPE.sub(lambda found: self._escape(found, pos, binary=binary), body)
        if binary:
            # An escape in bytes stands for one byte: it was kept as a surrogate, apart from the text around it.
            return Literal(pos, value.encode("utf-8", "surrogateescape"))
        return Literal(pos, value, body if width == 1 and not prefix else None)

    def _escape(self, found: re.Match[str], pos: int, *, binary: bool) -> str:
        plain, pair, four, eight, octal, bad = found.groups()
        code = int(octal, 8) if octal else int(pair or four or eight or "0", 16)
        if bad is not None or code > sys.maxunicode or code in _SURROGATES or (binary and (four or eight)):
            raise failure(self._text, pos, f"unknown escape {found[0]!r} in a literal", r"Write \\ for a backslash.")
        if plain:
            return _ESCAPES[plain]
        return chr(0xDC00 + code) if binary and code > _ASCII else chr(code)
