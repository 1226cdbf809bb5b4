#include "reward/code/scripts.h"

namespace temper {

namespace {

constexpr std::string_view kCheckerScript = R"python(
import ast
import builtins
import collections
import copy
import datetime
import gc
import json
import math
import os
import random
import re
import string
import sys
import typing


class Gone(BaseException):
    """The answer's process has ended: no test may catch this."""


class BadTests(BaseException):
    """The tests themselves are unusable."""


class AnswerError(Exception):
    """The answer raised an exception of a kind of its own."""


left = b''


def read_line():
    global left
    while b'\n' not in left:
        block = os.read(3, 1 << 16)
        if not block:
            os._exit(0)
        left += block
    line, left = left.split(b'\n', 1)
    return line.decode('utf-8', 'replace')


def send(kind, text):
    data = (kind + text.replace('\n', ' ') + '\n').encode('ascii', 'backslashreplace')
    while data:
        data = data[os.write(4, data):]


def ask(request):
    send('C', request)
    reply = read_line()
    if reply[0] == 'X':
        raise Gone(reply[1:])
    return value_of(json.loads(reply[1:]))


def value_of(x):
    """The value that a reply describes, of exact built-in types."""
    if type(x) is not list:
        if type(x) is dict:
            raise AnswerError('a reply that is no value')
        return x
    tag, rest = x[0], x[1:]
    if tag == 'l':
        return [value_of(y) for y in rest]
    if tag == 't':
        return tuple([value_of(y) for y in rest])
    if tag == 'd':
        items = [value_of(y) for y in rest]
        return dict(zip(items[::2], items[1::2]))
    if tag in ('s', 'f'):
        return (set if tag == 's' else frozenset)([value_of(y) for y in rest])
    if tag == 'i':
        return int(rest[0], 16)
    if tag in ('b', 'a'):
        return (bytes if tag == 'b' else bytearray).fromhex(rest[0])
    if tag == 'c':
        return complex(*[float(value_of(y)) for y in rest])
    if tag == 'r':
        return range(*[value_of(y) for y in rest])
    if tag in ('q', 'm', 'k', 'e', 'y'):
        return library_value_of(tag, [value_of(y) for y in rest])
    if tag == 'h':
        return Remote('objects[%d]' % int(rest[0]))
    if tag == '!':
        name, message = str(rest[0]), str(rest[1])
        kind = getattr(builtins, name, None)
        # Not what ends a loop in silence.
        quiet = ('StopIteration', 'StopAsyncIteration')
        if isinstance(kind, type) and issubclass(kind, Exception) and name not in quiet:
            try:
                error = kind(message)
            except TypeError:  # a kind that wants more arguments
                error = AnswerError(name + ': ' + message)
            raise error
        raise AnswerError(name + ': ' + message)
    if tag == '?':
        raise NameError('the answer does not define it')
    raise AnswerError('a reply that is no value')


def library_value_of(tag, rest):
    """A value of a class of the standard library."""
    try:
        if tag == 'k':
            return collections.deque(rest)
        if tag == 'e':
            return datetime.timedelta(*rest)
        if tag == 'y':
            kinds = {'date': datetime.date, 'datetime': datetime.datetime, 'time': datetime.time}
            return kinds[rest[0]].fromisoformat(rest[1])
        if tag == 'q':
            return __import__('fractions').Fraction(*rest)
        value = __import__('decimal').Decimal(rest[0])
    except Exception:
        raise AnswerError('a reply that is no value')
    if value.is_finite() and abs(value.adjusted()) > 10000:  # an int of it would be a bomb
        raise AnswerError('a decimal number out of all proportion')
    return value


def text_of(v):
    """A Python expression of a value, for the answer's side."""
    kind = type(v)
    if v is None or kind in (bool, int, float, str, bytes, complex):
        return ascii(v)
    if kind is list:
        return '[' + ','.join([text_of(x) for x in v]) + ']'
    if kind is tuple:
        return '(' + ''.join([text_of(x) + ',' for x in v]) + ')'
    if kind is dict:
        return '{' + ','.join([text_of(k) + ':' + text_of(x) for k, x in v.items()]) + '}'
    if kind is set or kind is frozenset:
        return kind.__name__ + '((' + ''.join([text_of(x) + ',' for x in v]) + '))'
    if kind is bytearray:
        return 'bytearray(' + repr(bytes(v)) + ')'
    if kind is range:
        return repr(v)
    if getattr(builtins, getattr(v, '__name__', ''), None) is v:
        return v.__name__
    if kind is type(text_of) and hasattr(v, 'sent_as'):
        return v.sent_as
    if kind is Remote:
        return object.__getattribute__(v, 'place')
    if kind.__module__ in ('datetime', 'decimal', 'fractions', 'collections'):
        text = repr(v)
        prefix = kind.__module__ + '.'
        text = text[len(prefix):] if text.startswith(prefix) else text
        return "module('%s').%s" % (kind.__module__, text)
    raise BadTests('a test gives the answer a ' + kind.__name__ + ', which cannot be sent')


class Remote:
    """An object in the answer's process. It is equal to nothing but itself."""

    def __init__(self, place):
        object.__setattr__(self, 'place', place)

    def __call__(self, *args, **names):
        return ask("('call',%s,%s,%s)" % (text_of(self), text_of(args), text_of(names)))

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return ask("('get',%s,%r)" % (text_of(self), name))

    def __setattr__(self, name, v):
        ask("('set',%s,%r,%s)" % (text_of(self), name, text_of(v)))

    def __iter__(self):
        return iter(ask("('list',%s)" % text_of(self)))

    def __next__(self):
        return ask("('next',%s)" % text_of(self))

    def __len__(self):
        return ask("('len',%s)" % text_of(self))

    def __getitem__(self, key):
        return ask("('item',%s,%s)" % (text_of(self), text_of(key)))

    def __str__(self):
        return ask("('str',%s)" % text_of(self))

    def __bool__(self):
        raise AnswerError('the answer returned an object of its own')

    def __eq__(self, other):
        return type(other) is Remote and text_of(self) == text_of(other)

    def __hash__(self):
        return hash(text_of(self))


def free_names(tree):
    names, bound = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (names if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound.update((a.asname or a.name).split('.')[0] for a in node.names)
    return names - bound


class LambdasWithText(ast.NodeTransformer):
    """A lambda of built-in names alone can be given to the answer: as its text."""

    def visit_Lambda(self, node):
        if not all([hasattr(builtins, name) for name in free_names(node)]):
            return self.generic_visit(node)
        text = ast.Constant('(' + ast.unparse(node) + ')')
        call = ast.Call(ast.Name('with_text_', ast.Load()), [node, text], [])
        return ast.copy_location(call, node)


def with_text(function, text):
    function.sent_as = text
    return function


builtins.with_text_ = with_text


def parsed(text, what):
    try:
        tree = LambdasWithText().visit(ast.parse(text.replace('\r\n', '\n')))
        return ast.fix_missing_locations(tree)
    except (SyntaxError, ValueError) as error:
        raise BadTests('%s: %s' % (what, error))


def run_trusted(text, space, what):
    try:
        exec(compile(parsed(text, what), what, 'exec'), space)
    except Exception as error:
        raise BadTests('%s: %s: %s' % (what, type(error).__name__, error))


def provide(tree, space, reference):
    """Binds the free names of the tests: modules are ours; what is left is the answer's."""
    names = free_names(tree)
    bases = {node.value.id for node in ast.walk(tree)
             if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)}
    defined = set()
    modules = getattr(sys, 'stdlib_module_names', ())
    for node in parsed(reference, 'the reference').body if reference else []:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound = {(a.asname or a.name).split('.')[0] for a in node.names}
            if bound & names:
                exec(compile(ast.Module([node], []), 'the reference', 'exec'), space)
    for name in sorted(names):
        # The answer may stand for a built-in function only where the reference does.
        if name in space or (hasattr(builtins, name) and name not in defined):
            continue
        if name in modules and name in bases and name not in defined:
            space[name] = __import__(name)
            continue
        try:
            space[name] = ask("('name','%s')" % name)
        except Exception:
            pass  # the tests that use it fail


def reason_of(error, text):
    if isinstance(error, AssertionError):
        trace = error.__traceback__
        while trace.tb_next is not None:
            trace = trace.tb_next
        lines = text.split('\n')
        number = trace.tb_lineno
        return (lines[number - 1].strip() if 0 < number <= len(lines) else '') or 'assertion'
    return '%s: %s' % (type(error).__name__, error)


def run_test(code, space, text):
    """None if the test holds, else why not."""
    try:
        exec(code, space)
        return None
    except Exception as error:
        # Without half characters, which JSON cannot hold.
        reason = reason_of(error, text)[:300].encode('utf-8', 'backslashreplace')
        return reason.decode('utf-8')


def run_asserts(job):
    space = {'__name__': 'tests'}
    setup = parsed(job['setup'], 'the set-up')
    trees = [parsed(text, 'a test') for text in job['tests']]
    whole = ast.Module(setup.body + [s for t in trees for s in t.body], [])
    provide(whole, space, job['reference'])
    fault = run_test(compile(setup, 'setup', 'exec'), space, job['setup'])
    tests = []
    for text, tree in zip(job['tests'], trees):
        # A text of several assertions is several tests; other statements go with the next one.
        pending = []
        for statement in tree.body:
            pending.append(statement)
            if isinstance(statement, ast.Assert):
                tests.append((pending, text))
                pending = []
        if pending:
            tests.append((pending, text))
    return judged(job, tests, space, fault)


def judged(job, tests, space, fault):
    reasons = []
    for statements, text in tests:
        code = compile(ast.Module(statements, []), 'tests', 'exec')
        reasons.append(fault or run_test(code, space, text.replace('\r\n', '\n')))
        if reasons[-1] is not None and job['all']:
            break
    return {'tests': len(tests), 'reasons': reasons}


def run_check(job):
    space = {'__name__': 'tests'}
    reference = job['prompt'] + '\n' + job['reference']
    try:
        run_trusted(reference if job['reference'] else job['prompt'], space, 'the reference')
    except BadTests:
        if job['reference']:
            raise
        space = {'__name__': 'tests'}  # a prompt in words, not in Python
    entry = job['entry']
    candidate = Remote("space['%s']" % entry)
    if not job['reference']:
        space[entry] = candidate
    tree = parsed(job['tests'][0], 'the tests')
    provide(tree, space, '')
    run_trusted(job['tests'][0], space, 'the tests')
    if 'check' not in space:
        raise BadTests('the tests define no check(candidate)')
    space['answer_under_test'] = candidate
    call = ast.parse('check(answer_under_test)').body
    return judged(job, [(call, job['tests'][0])], space, None)


def do(job):
    random.seed(0)
    try:
        result = (run_check if job['kind'] == 'check' else run_asserts)(job)
        send('V', json.dumps(result))
    except Gone as gone:
        send('G', str(gone))
    except BadTests as bad:
        send('B', str(bad)[:300])


def serve():
    gc.freeze()  # so that a child does not copy every page by looking at it
    quiet = os.open('/dev/null', os.O_RDWR)
    os.dup2(quiet, 1)
    while True:
        job = json.loads(read_line()[1:])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                do(job)
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        send('D' if status == 0 else 'E', '')


serve()
)python";

}  // namespace

std::string_view checker_script() {
  return kCheckerScript;
}

}  // namespace temper
