// Tests that meet an answer's own classes, exceptions and iterators, or give it functions: what is
// right at home is right here.
#include "tests/reward/code/sealed.h"
#include "tests/support/catch.h"

using namespace temper;
using namespace temper::test;

namespace {

// Each text is one test; the verdict names the first that does not hold.
void check_all(const RewardRule& rule, const std::string& program,
               const std::vector<std::string>& tests) {
  std::string list;
  for (const std::string& test : tests) list += (list.empty() ? "" : ",") + quote_json(test);
  const Verdict verdict = judge_python(rule, program, "{\"tests\":[" + list + "]}");
  INFO(verdict.reason);
  CHECK(verdict.status == VerdictStatus::ok);
}

const std::string kValues = R"(
from dataclasses import dataclass, field
from collections import namedtuple
from enum import Enum, IntEnum
from typing import NamedTuple
@dataclass
class Point:
    x: int
    y: int = 0
    tags: list = field(default_factory=list)
@dataclass(frozen=True)
class Checked:
    x: int
    def __post_init__(self):
        if self.x < 0: raise ValueError('negative')
class Vector:
    def __init__(self, x, y): self.x, self.y = x, y
    def __eq__(self, o): return self.x == o.x and self.y == o.y
    def __add__(self, o): return Vector(self.x + o.x, self.y + o.y)
    def __mul__(self, k): return Vector(self.x * k, self.y * k)
    def __abs__(self): return (self.x ** 2 + self.y ** 2) ** .5
    def __repr__(self): return 'Vector(%r, %r)' % (self.x, self.y)
    def __hash__(self): return hash((self.x, self.y))
    def __lt__(self, o): return abs(self) < abs(o)
class Poly:
    def __init__(self, *terms): self.terms = list(terms)
    def __eq__(self, o): return self.terms == o.terms
class Named:
    __slots__ = ('name',)
    def __init__(self, name):
        if not name: raise ValueError('no name')
        self.name = name
    def __eq__(self, o): return self.name == o.name
class Node:
    def __init__(self, value): self.value, self.next = value, None
class Stack(list):
    def push(self, x): self.append(x)
class Trie:
    def __init__(self): self.words = set()
    def add(self, w): self.words.add(w)
    def __contains__(self, w): return w in self.words
P = namedtuple('P', 'a b', defaults=[7])
class Q(NamedTuple):
    a: int
    b: int = 3
    def total(self): return self.a + self.b
class Color(Enum):
    RED = 1
    GREEN = 2
class Level(IntEnum):
    LOW = 1
def point(x, y): return Point(x, y)
def points(n): return [Point(i, i) for i in range(n)]
def checked(x): return Checked(x)
def named(n): return Named(n)
def poly(n): return Poly(*range(n))
def node(n): return Node(n)
def p(a, b): return P(a, b)
def q(a, b=3): return Q(a, b)
def red(): return Color.RED
def low(): return Level.LOW
def kind(): return int
)";

const std::string kFailures = R"(
class MyError(Exception): pass
class CodeError(MyError):
    def __init__(self, code):
        super().__init__('code %d' % code)
        self.code = code
Alias = ValueError
def fail(n):
    if n == 0: raise MyError('zero')
    if n == 1: raise CodeError(5)
    if n == 2: raise KeyError('k')
    if n == 3: raise ValueError('x' * 500)
    raise SystemExit(3)
def naturals():
    i = 0
    while True:
        yield i
        i += 1
def two():
    yield 1
    yield 2
def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
def nested(n):
    x = []
    for i in range(n): x = [x]
    return x
def ident(x): return x
def match(s):
    import re
    return re.match('a+', s)
def count(s):
    from collections import Counter
    return Counter(s)
)";

const std::string kGiven = R"(
class MyError(Exception): pass
def sort_in_place(l): l.sort()
def fill(d, k):
    d[k] = [1]
    d['x'].append(2)
def reset(l):
    l.clear()
    return l
def apply(f, *a): return f(*a)
def sort_by(l, key): return sorted(l, key=key)
def memo(f):
    cache = {}
    def g(n):
        if n not in cache: cache[n] = f(n)
        return cache[n]
    return g
def ident(x): return x
class Timer:
    def __enter__(self): return 5
    def __exit__(self, *e): return True
)";

}  // namespace

TEST_CASE("code: values of an answer's own classes are equal by what they hold") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}});
  if (!rule) return;
  check_all(
      *rule, kValues,
      {"assert point(1, 2) == Point(1, 2) and Point(1, 2) == point(1, 2)",
       "assert point(1, 2) != Point(1, 3) and point(1, 0) == Point(1)",
       "assert Point(1, 2) == Point(1, 2) and Point(1, 2) != Point(2, 1)",
       "assert points(2) == [Point(0, 0), Point(1, 1)] and Point(1, 1) in points(2)",
       "assert point(1, 2).x == 1 and point(1, 2).tags == []",
       "assert isinstance(point(1, 2), Point) and type(point(1, 2)) is Point",
       "assert repr(point(1, 2)) == 'Point(x=1, y=2, tags=[])'",
       "assert checked(3) == Checked(3)",
       "try:\n    Checked(-1)\n    assert False\nexcept ValueError as e:\n"
       "    assert str(e) == 'negative'",
       "assert named('a') == Named('a') and named('a') != Named('b')",
       "assert poly(3) == Poly(0, 1, 2) and poly(3) != Poly(0, 1)",
       "assert node(1) != node(1) and node(1) != Node(1)",
       "assert p(1, 2) == P(1, 2) == (1, 2) and p(1, 2).a == 1 and p(1, 7) == P(1)",
       "assert p(1, 2)._asdict() == {'a': 1, 'b': 2} and isinstance(p(1, 2), P)",
       "assert q(1) == Q(1) and q(1).total() == 4 and q(1)._replace(a=5) == Q(5)",
       "assert red() == Color.RED and red() is Color.RED and red() != Color.GREEN",
       "assert red().name == 'RED' and red().value == 1 and red() in (Color.RED, Color.GREEN)",
       "assert Color(1) == Color.RED and Color['GREEN'] != red()",
       "assert [c.name for c in Color] == ['RED', 'GREEN'] and len(Color) == 2",
       "assert {red(): 1}[Color.RED] == 1 and low() == 1 and low() == Level.LOW",
       "assert kind() is int"});
}

TEST_CASE("code: operators and methods of an answer's own classes can be used by tests") {
  const auto rule = sealed_rule();
  if (!rule) return;
  check_all(
      *rule, kValues,
      {"assert Vector(1, 2) + Vector(3, 4) == Vector(4, 6) and Vector(1, 2) * 3 == Vector(3, 6)",
       "assert abs(Vector(3, 4)) == 5 and str(Vector(1, 2)) == 'Vector(1, 2)'",
       "assert Vector(1, 2) < Vector(3, 4) and max([Vector(1, 1), Vector(2, 2)]).x == 2",
       "assert len({Vector(1, 1), Vector(1, 1)}) == 1",
       "s = Stack()\ns.push(1)\nassert s == [1] and [1] == s and len(s) == 1 and s[0] == 1",
       "t = Trie()\nt.add('a')\nassert 'a' in t and 'b' not in t",
       "a = Vector(1, 2)\na.x = 5\nassert a == Vector(5, 2) and a != Vector(1, 2)",
       "n = Node(1)\nn.next = Node(2)\nassert n.next.value == 2 and n == n"});
}

TEST_CASE("code: an answer's own exceptions and its iterators come through") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}});
  if (!rule) return;
  const std::string attempt = "try:\n    fail(", caught = ")\n    assert False\nexcept ";
  check_all(*rule, kFailures,
            {attempt + "0" + caught +
                 "MyError as e:\n"
                 "    assert str(e) == 'zero' and e.args == ('zero',)",
             attempt + "1" + caught +
                 "MyError as e:\n"
                 "    assert e.code == 5 and isinstance(e, CodeError) and str(e) == 'code 5'",
             attempt + "2" + caught + "KeyError as e:\n    assert e.args == ('k',)",
             attempt + "3" + caught + "Alias as e:\n    assert len(str(e)) == 500",
             attempt + "4" + caught + "SystemExit as e:\n    assert e.code == 3",
             "assert issubclass(CodeError, MyError) and issubclass(MyError, Exception)",
             "assert next(naturals()) == 0 and list(two()) == [1, 2]",
             "import itertools\nassert list(itertools.islice(naturals(), 5)) == [0, 1, 2, 3, 4]",
             "g = naturals()\nfor x in g:\n    if x == 3: break\nassert next(g) == 4",
             "g = two()\nassert [next(g), next(g), next(g, None)] == [1, 2, None]",
             "assert depth(980) == 980 and nested(400) == nested(400)",
             "assert match('aab') and not match('b') and match('aab').group() == 'aa'",
             "from collections import Counter\nassert count('aab') == Counter('aab') and "
             "count('aab').most_common(1) == [('a', 2)]"});
}

TEST_CASE("code: functions, iterators and containers to change can be given to an answer") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}});
  if (!rule) return;
  check_all(*rule, kGiven,
            {"a = [3, 1, 2]\nsort_in_place(a)\nassert a == [1, 2, 3]",
             "d = {'x': [1]}\ne = d['x']\nfill(d, 'k')\n"
             "assert d == {'x': [1, 2], 'k': [1]} and e == [1, 2]",
             "a = [1]\nassert reset(a) == [] and a == [1]",
             "y = 5\nassert apply(lambda x: x + y, 2) == 7",
             "import operator\nassert apply(operator.add, 2, 3) == 5 and apply(len, 'abc') == 3",
             "assert sort_by(['b', 'A'], key=str.lower) == ['A', 'b']",
             "calls = []\ndef h(n):\n    calls.append(n)\n    return n\nm = memo(h)\n"
             "assert m(1) == 1 and m(1) == 1 and calls == [1]",
             "def h(x):\n    raise MyError('own')\ntry:\n    apply(h, 1)\n    assert False\n"
             "except MyError as e:\n    assert str(e) == 'own'",
             "@memo\ndef fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
             "assert fib(30) == 832040",
             "assert list(ident(iter([1, 2]))) == [1, 2] and sum(ident(x for x in range(4))) == 6",
             "import io\nassert apply(lambda f: len(f.readlines()), io.StringIO('a\\nb')) == 2",
             "with Timer() as t:\n    assert t == 5"});
}

TEST_CASE("code: no class of an answer's own makes a wrong value equal") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}});
  if (!rule) return;
  const std::string any = "def __eq__(self, other): return True\n";
  struct Case {
    std::string program, test;
  };
  const std::string wanted = "assert point(1, 2) == Point(1, 2)";
  const std::string expects = "try:\n    f(1)\n    assert False\nexcept MyError:\n    pass";
  const std::vector<Case> cases = {
      {"class Point:\n    def __init__(self, *a): pass\n    " + any +
           "def point(x, y): return Point()",
       wanted},
      {"from dataclasses import dataclass, field\n@dataclass\nclass Point:\n"
       "    x: int = field(compare=False)\n    y: int = field(compare=False)\n"
       "def point(x, y): return Point(0, 0)",
       wanted},
      {"class Point(__import__('collections').namedtuple('Point', 'x y')):\n"
       "    def __new__(cls, *a): return super().__new__(cls, 0, 0)\ndef point(x, y): return "
       "Point()",
       wanted},
      {"def Point(*a): return 5\ndef point(x, y): return 5", wanted},
      {"Name = bool\ndef f(x): return True", "assert f(1) == Name('x')"},
      {"Name = type\ndef f(x): return str", "assert f(1) == Name('x')"},
      // What a test made, but the answer had in hand.
      {"class Point:\n    def __init__(self, x, y): self.x = x; self.y = y\n"
       "    def move(self, x, y): pass\n    " +
           any,
       "p = Point(1, 2)\np.move(1, 1)\nassert p == Point(2, 3)"},
      {"class Point:\n    def __init__(self, x, y): self.x = x; self.y = y\n    " + any +
           "def move(p, x, y): return p",
       "p = Point(1, 2)\nassert move(p, 1, 1) == Point(2, 3)"},
      // Arguments changed by what is not None.
      {"import os\nos.write(4, b'null\\n' + "
       "b'[\"h\",0,null]\\n[\"w\",[\"l\"],[\"l\",[\"l\"]]]\\n')",
       "x = [3, 1]\nassert f(x) == sorted(x)"},
      {"class Point(int):\n    def __new__(c, *a): return int.__new__(c, 5)\n"
       "def point(x, y): return 5",
       wanted},
      // What it was to be compared with, or an older object that becomes it.
      {"class Point:\n    def __init__(self, x, y):\n        self.x = x; self.y = y; Point.last = "
       "self\n"
       "    " +
           any + "def point(x, y): return Point.last",
       "assert Point(1, 2) == point(1, 2)"},
      {"class Point:\n    def __init__(self, x, y):\n        self.x = x; self.y = y\n"
       "        first.__dict__.update(self.__dict__)\n    " +
           any +
           "first = object.__new__(Point)\nfirst.x = first.y = 0\ndef point(x, y): return first",
       "p = point(1, 2)\ne = Point(1, 2)\nassert p == e"},
      {"class V:\n    def __init__(self, x): self.x = x\n    def __add__(self, o): return V.z\n   "
       " " +
           any + "V.z = V(0)",
       "assert V(1) + V(2) == V(3)"},
      {"class A(list):\n    " + any + "def f(x): return A()", "assert f(1) == [1]"},
      {"class A:\n    def __hash__(self): return hash(5)\n    " + any + "def f(x): return A()",
       "assert {f(1)} == {5}"},
      {"class A:\n    def __sub__(s, o): return 0\n    def __abs__(s): return 0\ndef f(x): return "
       "A()",
       "assert abs(f(1) - 5) < 1e-6"},
      {"class A:\n    def __lt__(s, o): return True\n    def __gt__(s, o): return True\n"
       "def f(x): return A()",
       "assert 4 < f(1) < 6"},
      {"class A:\n    def __contains__(s, o): return True\n    def __iter__(s): return iter(())\n"
       "def f(x): return A()",
       "assert 5 in f(1)"},
      {"class Timer:\n    def __enter__(self): return 5\n    def __exit__(self, *e): return True",
       "with Timer() as t:\n    assert t == 6"},
      {"class M(type):\n    def __eq__(c, o): return True\n    def __hash__(c): return 1\n"
       "    def __getattr__(c, n): return 5\nclass A(metaclass=M): pass\ndef f(x): return A",
       "assert f(1) == 5"},
      {"MyError = Exception\ndef f(x): pass", expects},
      {"MyError = BaseException\ndef f(x): pass", expects},
      {"class MyError(AssertionError): pass\ndef f(x): pass", expects},
      {"def f(x): raise StopIteration", "for x in [1]:\n    assert f(1) == 2"},
      // Forged replies about classes and functions.
      {"import os\nos.write(4, b'null\\n' + b'[\"h\",0,0]\\n' * 50)", "assert f(1) == A(1)"},
      {"import os\nos.write(4, b'null\\n' + b'[\"T\",0]\\n[\"l\",\"A\",[\"l\",0],\"object\"]\\n' * "
       "50)",
       "assert f(1) == A(1)"},
      {"import os\nos.write(4, b'null\\n' + b'[\"@\",7,[\"l\"],[\"l\"]]\\n' * 50)",
       "assert f(1) == 2"},
      {"def f(g):\n    for i in range(200): g(i)\n    return 2",
       "n = []\nassert f(n.append) == 2 and n == []"}};
  for (const Case& each : cases) {
    INFO(each.program << "\n" << each.test);
    const Verdict verdict =
        judge_python(*rule, each.program, "{\"tests\":[" + quote_json(each.test) + "]}");
    INFO(verdict.reason);
    CHECK(verdict.status == VerdictStatus::wrong);
    CHECK(verdict.value == 0.0);
  }
}
