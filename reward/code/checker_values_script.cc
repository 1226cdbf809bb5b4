#include "reward/code/scripts.h"

namespace temper {

namespace {

constexpr std::string_view kCheckerValuesScript = R"python(
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
    """The answer raised an exception that is none here, or gave what is no value."""


left = b''
functions = []  # of the tests, which the answer calls by number


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


def reply_to(request):
    """The answer's reply, not yet a value; meanwhile it may call functions of the tests."""
    while True:
        send('C', request)
        reply = read_line()
        if reply[0] == 'X':
            raise Gone(reply[1:])
        reply = json.loads(reply[1:])
        if type(reply) is not list or reply[:1] != ['@']:
            return reply
        request = called_back(*reply[1:])


def called_back(number, args, names):
    try:
        names = value_of(names)
        result = functions[number](*value_of(args), **dict(zip(names[::2], names[1::2])))
        return "('back',%s)" % text_of(result)
    except (Gone, BadTests):
        raise
    except BaseException as error:
        if isinstance(error, StandInError):
            return "('fail',%s)" % text_of(error)
        kind = type(error).__name__
        known = getattr(builtins, kind, None) is type(error)
        return "('fail',%s(%s))" % (kind if known else 'Exception', ascii(str(error)))


def ask(request):
    return value_of(reply_to(request))


def value_of(x):
    """The value that a reply describes: of a built-in type, of the library's, or a stand-in."""
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
    if tag in ('q', 'm', 'k', 'e', 'y', 'u'):
        return library_value_of(tag, [value_of(y) for y in rest])
    if tag == 'h':
        return remote_of(*rest)
    if tag == 'T':
        return class_of(rest[0])
    if tag == 'B':
        return built_in_class(rest[0])
    if tag == 'n':
        return class_of(rest[0])._make([value_of(y) for y in rest[1:]])
    if tag == '!':
        raise error_of(*rest)
    if tag == '?':
        raise NameError('the answer does not define it')
    raise AnswerError('a reply that is no value')


def built_in_class(name):
    kind = getattr(builtins, name, None)
    if not isinstance(kind, type):
        raise AnswerError('a reply that is no value')
    return kind


def library_value_of(tag, rest):
    """A value of a class of the standard library."""
    try:
        if tag == 'k':
            return collections.deque(*rest)
        if tag == 'e':
            return datetime.timedelta(*rest)
        if tag == 'y':
            kinds = {'date': datetime.date, 'datetime': datetime.datetime, 'time': datetime.time}
            return kinds[rest[0]].fromisoformat(rest[1])
        if tag == 'u':
            items = dict(zip(rest[1::2], rest[2::2]))
            if rest[0] in ('Counter', 'OrderedDict'):
                return getattr(collections, rest[0])(items)
            factory = built_in_class(rest[0]) if rest[0] else None
            return collections.defaultdict(factory, items)
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
    if isinstance(v, Remote):
        return place_of(v)
    if isinstance(kind, StandInClass):
        if isinstance(v, tuple):
            return '%s._make(%s)' % (kind.about__.place, text_of(tuple(v)))
        return place_of_error(v)
    if kind is StandInClass:
        return v.about__.place
    if getattr(builtins, getattr(v, '__name__', ''), None) is v:
        return v.__name__
    return library_text_of(v, kind)


def library_text_of(v, kind):
    modules = ('datetime', 'decimal', 'fractions', 'collections')
    if kind is collections.defaultdict:
        return "module('collections').defaultdict(%s,%s)" % (
            text_of(v.default_factory), text_of(dict(v)))
    if kind in (collections.Counter, collections.OrderedDict, collections.deque):
        items = dict(v) if kind is not collections.deque else list(v)
        more = ',' + repr(v.maxlen) if kind is collections.deque else ''
        return "module('collections').%s(%s%s)" % (kind.__name__, text_of(items), more)
    if kind.__module__ in modules:
        text, prefix = repr(v), kind.__module__ + '.'
        text = text[len(prefix):] if text.startswith(prefix) else text
        return "module('%s').%s" % (kind.__module__, text)
    if kind.__module__ == '_io' and hasattr(v, 'getvalue'):
        return "module('io').%s(%s)" % (kind.__name__, text_of(v.getvalue()))
    if hasattr(v, '__next__') and not hasattr(v, 'read'):  # an iterator
        items = []
        for item in v:
            items.append(item)
            if len(items) > 100000:
                raise BadTests('a test gives the answer an iterator without end')
        return 'iter(%s)' % text_of(items)
    if kind in (type({}.keys()), type({}.values()), type({}.items())):
        return text_of(list(v))
    if callable(v):
        functions.append(v)
        return 'callback(%d)' % (len(functions) - 1)
    raise BadTests('a test gives the answer a ' + kind.__name__ + ', which cannot be sent')
)python";

}  // namespace

std::string_view checker_values_script() {
  return kCheckerValuesScript;
}

}  // namespace temper
