"""Expressions: the server's dialect of CEL, evaluated in virtual time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_durable._core.errors import ExpressionError
from pytest_durable.expressions import compile_expression

NOW = 1_700_000_000_000
ORDER = {
    "name": "shop/order.placed",
    "id": "o-1",
    "ts": NOW,
    "data": {
        "plan": "free",
        "total": 30,
        "rate": 0.5,
        "none": None,
        "paid": True,
        "gift": False,
        "note": "",
        "zero": 0,
        "big": 1_234_567,
        "items": [{"sku": "a", "price": 10}, {"sku": "b"}],
        "sizes": [1, 2, 3],
        "empty": [],
        "buyer": {"name": "Ada", "address": {"city": "Oslo"}},
    },
}


def evaluate(text, event=ORDER, async_=None):
    return compile_expression(text).evaluate(event, async_, now_ms=NOW)


def cases(table):
    return [tuple(line.strip() for line in row.split(" => ")) for row in table.strip().splitlines()]


STANDARD = """
1 + 2 * 3 => 7
2 - 1 - 1 => 0
7 / 2 => 3
-7 / 2 => -3
-7 % 3 => -1
7.0 / 2.0 => 3.5
5u + 1u => 6
0x1F => 31
1e3 => 1000.0
.5 + .25 => 0.75
-9223372036854775808 => -9223372036854775808
1 - -1 => 2
!!true => True
--3 => 3
1 == 1.0 && 1u == 1 => True
[1, 2] == [1.0, 2.0] => True
{'a': 1} == {'a': 1.0} => True
[1, 2,].size() + {'a': 1,}.size() => 3
1 < 2 == true => True
false ? 1 : true ? 2 : 3 => 2
true || false && false => True
2 in [1, 2] => True
'k' in {'k': 1} => True
{'a': {'b': [1, 2]}}.a.b[1] => 2
'''it's''' == "it's" => True
r'a\\d' == R"a\\d" => True
b'ab' == bytes('ab') => True
b'\\xff' => b'\\xff'
size('grüße') => 5
'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c') => True
'abc'.matches('^a.c$') && matches('abc', 'b') => True
[1, 2, 3].all(x, x > 0) => True
[1, 2, 3].exists(x, x == 2) => True
[1, 2, 3].exists_one(x, x > 1) => False
[1, 2, 3].map(x, x * 2) => [2, 4, 6]
[1, 2, 3].map(x, x > 1, x * 2) => [4, 6]
[1, 2, 3].filter(x, x > 1) => [2, 3]
[[1], [2]].exists(x, x.exists(y, y == 2)) => True
{'a': 1}.exists(k, k == 'a') => True
duration('2h') - duration('30m') == duration('90m') => True
timestamp('2024-01-02T00:00:00Z') - duration('24h') == timestamp(1704067200) => True
duration(1000000000) + duration(duration('-1s')) == duration('0') => True
int(timestamp(timestamp('2024-01-01T00:00:00.5Z'))) + int(duration('1us')) => 1704068200
string(timestamp('2024-01-01T00:00:00.5Z')) => '2024-01-01T00:00:00.5Z'
dyn(1.5 - 0.5) == 1 => True
1.0 / 0.0 > 1e300 && -1.0 / 0.0 < -1e300 => True
string(0.0 / 0.0) + string(1.0 / 0.0) => 'NaN+Inf'
string(1e-7) + string(bytes(b'x')) => '1e-07x'
bool(true) && !bool('f') => True
{1: 'one'}[1] + {true: 'yes'}[true] => 'oneyes'
1 in {1: 2} => True
'' + ({'a': null} == {'a': null}) => 'true'
'' + [null] + {'a': null} + b'a' + int + null => '[<nil>]map[a:<nil>][97]intNULL_VALUE'
'' + duration('1s') + timestamp('2024-01-01T00:00:00Z') => '1s2024-01-01 00:00:00 +0000 UTC'
int('5') + int(2.9) + int(3u) => 10
double('1.5') + double(1) => 2.5
uint(7) => 7
bool('true') => True
string(1.5) + string(2) + string(true) => '1.52true'
string(b'ab') => 'ab'
type(1) == int && type(1.0) == double => True
timestamp('2024-01-02T03:04:05Z').getDayOfWeek() => 2
timestamp('2024-01-02T03:04:05.250Z').getMilliseconds() => 250
timestamp('2024-01-02T03:04:05Z').getHours('America/New_York') => 22
timestamp('2024-01-02T03:04:05Z').getHours('-01:30') => 1
duration('90m').getHours() => 1
duration('-90m').getMinutes() => -90
duration('1500ms').getMilliseconds() => 500
string(duration('1h30m')) => '5400s'
timestamp('2024-01-02T00:00:00Z') - timestamp('2024-01-01T00:00:00Z') == duration('24h') => True
timestamp('2024-01-01T00:00:00Z') + duration('1h') > timestamp('2024-01-01T00:30:00Z') => True
"""


@pytest.mark.parametrize(("text", "expected"), cases(STANDARD))
def test_standard(text, expected):
    """Where the server does not differ, standard CEL holds, with all kinds of literals and macros."""
    assert repr(evaluate(text)) == expected


def test_comments_and_blanks():
    """Comments run to the end of the line, and blanks may stand between any two symbols."""
    assert evaluate("// the total\n event . data\n.total == 30 // crowns") is True


MISSING = """
event.data.gone == null => True
event.data.gone != null => False
event.data.gone == 'x' => False
event.data.gone != 'x' => True
event.data.gone == event.data.lost => False
event.data.gone != event.data.lost => True
event.data.gone < 1 => True
event.data.gone <= 1 => True
event.data.gone > 1 => False
event.data.gone >= 1 => False
1 < event.data.gone => False
1 <= event.data.gone => False
1 > event.data.gone => True
1 >= event.data.gone => True
event.data.gone + 'x' => 'x'
1 + event.data.gone => 1
event.data.gone + event.data.lost => False
size(event.data.gone) => 0
event.data.gone.size() => 0
event.data.gone => False
!event.data.gone => False
!(event.data.gone == 'x') => True
-event.data.gone => False
event.data.gone in ['x'] => False
'x' in event.data.gone => False
event.data.gone.startsWith('x') => False
lowercase(event.data.gone) => False
event.data.gone.deeper.still == null => True
event.data.plan.deeper == null => True
event.data.none.deeper == null => True
has(event.data.plan) => True
has(event.data.none) => True
has(event.data.gone) => False
!has(event.data.gone) => False
has(event.data.gone) == null => True
async.data.x == null => True
vars.a == null => True
event.data['gone'] == null => True
event.data.sizes[9] == null => True
event.data.items[1].price == null => True
event.data.gone.exists(x, x == 1) => False
event.data.items.exists(i, !has(i.price)) => True
event.data.items.exists(i, i.price == null) => True
event.data.items.map(i, i.price) => [10.0]
"""


@pytest.mark.parametrize(("text", "expected"), cases(MISSING))
def test_missing(text, expected):
    """A field that the event does not have equals null, is less than anything, and makes most calls false."""
    assert repr(evaluate(text)) == expected


LOOSE = """
event.data.none == null => True
event.data.none == 0 => False
event.data.none != 0 => True
event.data.none < 5 => True
event.data.none > -1 => True
'a' > null => True
event.data.total == 30 => True
event.data.total == 30.0 => True
event.data.total == '30' => False
event.data.total > 29.5 => True
true > false => True
event.data.plan + 1 => 'free1'
'a' + event.data.total => 'a30'
'a' + event.data.big => 'a1.234567e+06'
'a' + event.data.sizes => 'a[1 2 3]'
'a' + event.data.buyer => 'amap[address:map[city:Oslo] name:Ada]'
event.data.plan || false => 'free'
event.data.note || event.data.plan => 'free'
event.data.gone || event.data.paid => True
event.data.paid && event.data.gone => False
event.data.paid && event.data.total => 30.0
event.data.zero && true => 0.0
event.data.empty && true => True
event.data.plan < 1 || event.data.paid => True
event.data.gift && event.data.plan < 1 => False
event.data.plan ? 1 : 2 => 1
event.data.note ? 1 : 2 => 2
event.data.gone ? 1 : 2 => 2
event.data.plan < 1 ? 1 : 2 => 2
event.data.total + 1 => '301'
event.data.total + 1 == 31 => False
event.data.total * 2 == 60 => False
event.data.total - 1 == 29 => False
event.data.total % 7 == 2 => False
event.data.total + 1.0 == 31 => True
event.data.total * event.data.rate == 15 => True
int(event.data.total) % 7 == 2 => True
-event.data.total == -30 => True
event.data.sizes.map(x, x * 2) => []
event.data.sizes.map(x, x * 2.0) => [2.0, 4.0, 6.0]
event.data.total - 1 != 29 => True
event.data.total - 1 < 0 => True
event.data.sizes.exists(x, x) => 1.0
event.data.sizes == [1, 2, 3] => True
event.data.buyer.address == {'city': 'Oslo'} => True
event.data.sizes[0] == 1 => True
event['data'].plan == 'free' => True
"""


@pytest.mark.parametrize(("text", "expected"), cases(LOOSE))
def test_loose(text, expected):
    """Null is zero in an order, conditions take any value, JSON numbers are doubles, inner errors count as missing."""
    assert repr(evaluate(text)) == expected


OWN = """
lowercase('ABC') + uppercase('abc') => 'abcABC'
b64decode('aGk=') => 'hi'
b64decode('?') => ''
json_parse('{"a": 1}').a == 1 => True
json_parse('[1]') => {}
json_parse('nonsense') => {}
date('2023-11-14T22:13:20Z') == now() => True
date('2023-11-14') < now() => True
date('2023-11-14 22:13:20 +0000 UTC') == now() => True
date('Tue, 14 Nov 2023 22:13:20 GMT') == now() => True
date(1700000000) == now() => True
date(1700000000000) == now() => True
date(int(event.ts)) == now() => True
now_plus('1h30m') - now() == duration('90m') => True
now_minus('1d') + duration('24h') == now() => True
now_plus('1w') > now_plus('6d') => True
"""


@pytest.mark.parametrize(("text", "expected"), cases(OWN))
def test_own_functions(text, expected):
    """The server's own functions; the ones about time read the virtual clock."""
    assert repr(evaluate(text)) == expected


ERRORS = [
    "event.data.plan < 1",
    "event.data.plan.size() > 'a'",
    "null < null",
    "1 / 0",
    "1 % 0",
    "string(b'\\xff')",
    "bool('maybe')",
    "double('one')",
    "timestamp('2024-13-01T00:00:00Z')",
    "timestamp('yesterday')",
    "duration('1d')",
    "duration('one hour')",
    "uint(-1)",
    "{event.data.none: 1}",
    "event.data.sizes.contains('a')",
    "event.data.plan.matches(event.data.total)",
    "event.data.total.getHours()",
    "event.data.total.filter(x, true)",
    "event.data.items[0].sku.deeper",
    "[event.data.gone]",
    "{'a': event.data.gone}",
    "has(event.data.items[0].sku.deeper)",
    "date(5) == now()",
    "timestamp('2024-01-02T03:04:05Z').getHours(event.data.total)",
    "9223372036854775807 + 1",
    "int('x')",
    "!event.data.total",
    "!event.data.none",
    "date(event.ts) < now()",
    "date('nonsense') < now()",
    "now_plus('soon') > now()",
    "event.data['gone']",
    "event.data.sizes[9]",
    "event.data.total.exists(x, true)",
    "event.data.plan.matches('(')",
    "timestamp('2024-01-02T03:04:05Z').getHours('Nowhere/Town')",
]


@pytest.mark.parametrize("text", ERRORS)
def test_evaluation_errors(text):
    """An error that reaches the top is an error of `evaluate`, and no match."""
    with pytest.raises(ExpressionError, match=r"^expression "):
        evaluate(text)
    assert not compile_expression(text).matches(ORDER, now_ms=NOW)


@pytest.mark.parametrize(
    "text", ["event.data.plan", "event.data.total", "1", "'true'", "event.data.gone", "event.data.sizes"]
)
def test_only_true_matches(text):
    """A value that is no boolean does not match, however true it looks."""
    assert not compile_expression(text).matches(ORDER)
    assert compile_expression("event.data.paid").matches(ORDER)


REFUSED = [
    ("", 1, "found nothing"),
    ("  ", 1, "found nothing"),
    ("event.data.x ==", 16, "expected a value, found the end"),
    ("event.data.x == 1 &&", 21, "expected a value, found the end"),
    ("event.data.x ==== 1", 16, "expected a value, found '=='"),
    ("event.data.x = 1", 14, "found '='"),
    ("event.data.x === 1", 16, "found '='"),
    ("event.data.x and true", 14, "expected an operator or the end, found 'and'"),
    ("event.data.null == 1", 12, "expected a field name, found 'null'"),
    ("event.data.in == 1", 12, "expected a field name, found 'in'"),
    ("event.data.true == 1", 12, "expected a field name, found 'true'"),
    ("event.data.", 12, "expected a field name, found the end"),
    ("(event.data.x", 14, "found the end"),
    ("'open", 1, "found"),
    (r"'\w'", 1, r"unknown escape"),
    ("data.x == 1", 1, "unknown name 'data'"),
    ("if.x == 1", 1, "'if' is a reserved word"),
    ("nonsense(event.data.x)", 1, "unknown function 'nonsense'"),
    ("event.data.s.lowerAscii()", 14, "unknown function 'lowerAscii'"),
    ("has(event)", 1, "has() needs a path"),
    ("event.data.l.exists(1, true)", 21, "must be a plain name"),
    ("event.data.l.all(x, 'a')", 21, "needs a condition"),
    ("1.exists(x, true)", 1, "needs a list or a map"),
    ("1 && true", 3, "&& cannot take (int, bool)"),
    ("!1", 1, "! cannot take (int)"),
    ("'a' * 2", 5, "* cannot take (string, int)"),
    ("size(1)", 1, "size cannot take (int)"),
    ("lowercase(1)", 1, "lowercase cannot take (int)"),
    ("now_plus(5)", 1, "now_plus cannot take (int)"),
    ("'a' in 'abc'", 5, "in cannot take (string, string)"),
    ("1 in ['a']", 3, "in cannot take (int, list)"),
    ("true ? 1 : 'a'", 1, "?: cannot take (bool, int, string)"),
    ("'a'.b", 1, "has no fields"),
    ("event[0]", 1, "[] cannot take (map, int)"),
    ("9223372036854775808", 1, "does not fit in 64 bits"),
]


@pytest.mark.parametrize(("text", "position", "problem"), REFUSED)
def test_refused(text, position, problem):
    """What the server refuses is an error that names the text, the position, what was expected and a remedy."""
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    message = str(caught.value)
    assert message.startswith(f"expression {text!r}, position {position}: ")
    assert problem in message
    assert message.endswith(".")


@pytest.mark.parametrize(
    "text", ["1", "'a'", "async.data.x == 1", "event.data['null'] == 1", "event.data.if == 1", "'a' < 1"]
)
def test_accepted(text):
    """The type check lets through what may be no condition, and words that are reserved only at the start of a path."""
    assert compile_expression(text).text == text


def test_depth():
    """Nesting without end is refused, not a crash."""
    with pytest.raises(ExpressionError, match="nesting"):
        compile_expression("[" * 2000 + "]" * 2000)


def test_long_rows():
    """A long row of alternatives is no nesting."""
    text = " || ".join(f"event.data.total == {number}" for number in range(2000))
    assert evaluate(text) is True
    assert evaluate(f"({text}) && true && (false || true)") is True


def test_literals_keep_their_escapes():
    """The server takes plain literals out of the text as written: an escape never matches what it stands for."""
    assert evaluate(r"'it\'s' == event.data.s", {"data": {"s": "it's"}}) is False
    assert evaluate(r"'it\'s' == event.data.s", {"data": {"s": r"it\'s"}}) is True


def test_a_missing_part_makes_the_whole_unknown():
    """An object counts as missing where the same expression also reads a field below it that is not there."""
    assert evaluate("has(event.data.buyer)") is True
    assert evaluate("has(event.data.buyer) && event.data.buyer.age == null") is False


def test_equal_texts_are_compiled_once():
    """The cache gives back the same expression."""
    assert compile_expression("event.data.x == 1") is compile_expression("event.data.x == 1")


REASONS = [
    ("event.data.plan == 'pro'", "false: event.data.plan was 'free'"),
    ("event.data.gone == 'x'", "false: event.data.gone was missing"),
    ("event.data.total > 99 && event.data.none != null", "false: event.data.total was 30, event.data.none was null"),
    ("event.data.paid == false", "false: event.data.paid was true"),
    ("event.data.plan", "not a boolean but 'free' (string): event.data.plan was 'free'"),
    ("event.data.plan < 1", "error: < cannot take (string, int): event.data.plan was 'free'"),
    ("has(event.data.gone)", "false: event.data.gone was missing"),
    ("event.data.sizes[0] == 2", "false: event.data.sizes[0] was 1"),
    ("async.data.x == 1", "false: async.data.x was missing"),
    ("event.data.plan == 'free'", "true: event.data.plan was 'free'"),
    ("false", "false"),
    (
        "event.id == '' || event.name == '' || event.data.note == 'x' || event.data.zero == 1 || event.data.plan == ''",
        (
            "false: event.id was 'o-1', event.name was 'shop/order.placed', event.data.note was '', "
            "event.data.zero was 0, and 1 more"
        ),
    ),
]


@pytest.mark.parametrize(("text", "expected"), REASONS)
def test_why(text, expected):
    """The explanation gives the result and the values of at most four paths."""
    assert compile_expression(text).why(ORDER) == expected


def test_why_shortens_long_values():
    """A long value is cut."""
    assert (
        compile_expression("event.data.s == ''").why({"data": {"s": "x" * 200}})
        == f"false: event.data.s was '{'x' * 56}..."
    )


def test_reads():
    """The paths stand in the order of the text, each once, without variables of macros."""
    expression = compile_expression(
        "event.data.a == async.data.b[0].c && event.data.l.exists(x, x.k == event.data.a) && has(event.id)"
    )
    assert expression.reads() == ("event.data.a", "async.data.b[0].c", "event.data.l", "event.id")


TRIGGER = {
    "name": "a/start",
    "id": "1",
    "ts": 5,
    "data": {
        "id": "u1",
        "n": 5,
        "yes": True,
        "no": False,
        "empty": [],
        "o": {"k": "v"},
        "at": "2023-11-14T00:00:00Z",
        "hour": "1h",
        "none": None,
        "l": ["pro", "team"],
        "q": 'a"b',
    },
}
ARRIVING = {
    "name": "a/next",
    "id": "2",
    "ts": 9,
    "data": {
        "id": "u1",
        "n": 5,
        "plan": "pro",
        "price": 12.5,
        "o": {"k": "v"},
        "when": "2023-11-15T00:00:00Z",
        "span": "2h",
        "none": None,
        "q": 'a"b',
        "l": [1],
    },
}
WAITS = [
    ("event.data.id == async.data.id", True),
    ("event.data.id != async.data.id", False),
    ("async.id != event.id", True),
    ("async.ts >= event.ts", True),
    ("event.data.n < async.data.price", True),
    ("event.data.none == async.data.none", True),
    ("event.data.yes && async.data.plan == 'pro'", True),
    ("event.data.id == 'no' || async.data.plan == 'pro'", True),
    ("async.data.plan in event.data.l", True),
    ("event.data.yes ? async.data.n == 5 : false", True),
    ("has(event.data.id) && async.data.n == 5", True),
    ("event.data.l.exists(x, x == 'pro') && async.data.n == 5", True),
    ("int(event.data.n) + 1 == 6 && async.data.n == 5", True),
    ("async.data.plan.startsWith('p')", True),
    ("async.data.l.exists(x, x == 1)", True),
    ("async.data.plan", False),
    ("event.data.n + 1.0 == 6 && async.data.n == 5", True),
    ("event.data.no || async.data.n == 5", True),
    ("event.data.yes || async.data.n == 6", True),
    ("async.data.n == 6 && event.data.yes", False),
    ("async.data.n == 6 || event.data.yes", True),
    ("async.data.n in event.data.nobody", False),
    ("async.data.n in event.data.empty || async.data.n == 5", True),
    ("async.data.l == [event.data.n - 4.0]", True),
    ("event.data.l[async.data.l[0]] == 'team'", False),
    ("type(event.data.n) == type(async.data.n)", True),
    ("event.data.o == async.data.o", True),
    ("event.data.l.filter(x, x != 'pro') == ['team'] && async.data.n == 5", True),
    ("event.data.l.map(x, x != 'pro', x) == ['team'] && async.data.n == 5", True),
    ("event.data.l.exists_one(x, x == 'pro') && event.data.l.all(x, x != '') && async.data.n == 5", True),
    ("event.data.yes && date('2023-11-14') < date(async.data.when)", True),
    ("event.data.yes && duration('1h') < duration(async.data.span)", True),
    ("event.data.yes && timestamp(event.data.at) < timestamp(async.data.when)", True),
    ("event.data.yes && duration(event.data.hour) < duration(async.data.span)", True),
    ("!event.data.yes || async.data.n == 5", True),
    # A field that the trigger lacks becomes null.
    ("event.data.gone == async.data.l[0] || async.data.n == 5", True),
    ("event.data.gone[0] == async.data.gone", True),
    ("async.data.gone == event.data.gone[0]", False),
    ("event.data.gone == {'a': async.data.n}", False),
    ("event.data.gone == [async.data.n]", True),
    ("event.data.gone > -1 && async.data.n == 6", False),
    ("event.data.gone == event.data.lost || async.data.n == 6", True),
    ("event.data.gone == 'it' || async.data.plan == 'pro'", True),
    ("event.data.gone == 1 || async.data.n + 1 == 6", False),
    ("event.data.gone in async.data.l", False),
    ("event.data.gone == async.data.gone", True),
    ("event.data.gone == async.data.id", False),
    ("event.data.gone != async.data.id", True),
    ("event.data.gone == null", True),
    ("event.data.gone == 1", False),
    ("event.data.gone == async.data.gone && async.data.plan == 'pro'", True),
    ("event.data.gone == async.data.gone && async.data.plan == 'free'", False),
    ("(event.data.gone == 1 || async.data.n == 5) && async.data.id == 'u1'", True),
    ("!(event.data.gone == 1)", True),
    # Accidents of how the server does that: only a field on the left becomes null, an order is turned round, what is no
    # comparison falls out, and what is left may be no condition at all.
    ("async.data.gone == event.data.gone", False),
    ("event.data.gone < async.data.price", False),
    ("event.data.gone == async.data.gone && lowercase(async.data.plan) == 'free'", True),
    ("!event.data.gone", False),
    ("event.data.gone in ['x'] || async.data.n == 5", False),
    # Nothing is filled in where the text does not say "event.".
    ("event['data'].id == async.data.id", False),
    # A text with a quote is written into the condition with a backslash, and compared with it.
    ("event.data.q == async.data.q", False),
    ("async.data.q == event.data.q", False),
]


@pytest.mark.parametrize(("text", "expected"), WAITS)
def test_waits(text, expected):
    """A wait keeps its condition with the triggering event filled in."""
    assert compile_expression(text).bind(TRIGGER).matches({}, ARRIVING) is expected


def test_wait_without_id():
    """Without the id in the trigger, any event that also lacks it matches, and no other."""
    bound = compile_expression("event.data.id == async.data.id").bind({"name": "a", "data": {}})
    assert bound.matches({}, {"name": "b", "data": {}})
    assert not bound.matches({}, {"name": "b", "data": {"id": "u1"}})
    assert bound.why({}, {"data": {"id": "u1"}}) == "false: event.data.id was missing, async.data.id was 'u1'"


@pytest.mark.parametrize(
    "text",
    [
        "event.data.n + 1 == async.data.n",
        "event.data.id < 1 || event.data.n == 4",
        "event.data.id == async.data.id && async.data.l.exists(x, x == 1)",
        "event.data.yes && async.data.plan.startsWith('p')",
        "date(event.ts) < now()",
        "[event.data.n, async.data.n].size() == 2",
        "{'a': event.data.n, 'b': async.data.n} == {'a': 5, 'b': 5}",
    ],
)
def test_waits_that_cannot_begin(text):
    """Where the server fails to fill in the trigger, and asks again for ever, binding is an error that says so."""
    with pytest.raises(ExpressionError, match="again for ever"):
        compile_expression(text).bind(TRIGGER)


def test_now_is_filled_in_when_the_wait_begins():
    """Beside event.*, now() is the time of the registration; alone it is that of the arriving event."""
    late = {"async_": ARRIVING, "now_ms": NOW + 60_000}
    alone = compile_expression("now() > date('2023-11-14T22:13:20Z')")
    beside = compile_expression("now() > date('2023-11-14T22:13:20Z') && event.data.yes")
    assert alone.bind(TRIGGER, now_ms=NOW).matches({}, **late)
    assert not beside.bind(TRIGGER, now_ms=NOW).matches({}, **late)


RESTRICTED = [
    ("event.data.id == async.data.id || async.data.all", ()),
    ("async.data.x in ['a']", ()),
    ("async.data.x > -1 ? int(async.data.y) == 1 : false", ()),
    ("async.data.l.exists(x, x == 1)", ("the macro exists()",)),
    ("has(async.data.x)", ("the macro has()",)),
    ("async.data.n + 1 == 2", ("the operator +",)),
    ("async.data.s.startsWith('a')", ("the function startsWith()",)),
    (
        "size(async.data.l) == 1 && date(async.data.x) < now()",
        ("the function size()", "the function date()", "the function now()"),
    ),
]


@pytest.mark.parametrize(("text", "expected"), RESTRICTED)
def test_restrictions(text, expected):
    """Conditions of cancellations may only compare."""
    assert compile_expression(text).restrictions() == expected


def test_parser_is_loaded_late():
    """Importing the module does not load the parser."""
    code = "import sys, pytest_durable.expressions; sys.exit('lark' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False
        ).returncode
        == 0
    )
