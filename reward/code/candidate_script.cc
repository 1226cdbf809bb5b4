#include "reward/code/scripts.h"

namespace temper {

namespace {

constexpr std::string_view kCandidateScript = R"python(
import posix
import sys

try:
    from _json import encode_basestring_ascii as quote
except ImportError:
    from json.encoder import encode_basestring_ascii as quote


def serve():
    objects = []  # what cannot be sent as a value; the other side has its number

    def children(tag, items):
        return '["%s"%s]' % (tag, ''.join([',' + text_of(x) for x in items]))

    def text_of(v):
        kind = type(v)
        if kind is str:
            return quote(v)
        if kind is int:
            return repr(v) if -(1 << 62) < v < 1 << 62 else '["i","%x"]' % v
        if v is None or kind is bool:
            return {None: 'null', True: 'true', False: 'false'}[v]
        if kind is float:
            text = repr(v)
            return {'nan': 'NaN', 'inf': 'Infinity', '-inf': '-Infinity'}.get(text, text)
        if kind is list:
            return children('l', v)
        if kind is tuple:
            return children('t', v)
        if kind is dict:
            return children('d', [x for pair in v.items() for x in pair])
        if kind is set or kind is frozenset:
            return children('s' if kind is set else 'f', v)
        if kind is bytes or kind is bytearray:
            return '["%s","%s"]' % ('b' if kind is bytes else 'a', v.hex())
        if kind is complex:
            return children('c', (v.real, v.imag))
        if kind is range:
            return children('r', (v.start, v.stop, v.step))
        kind = (kind.__module__, kind.__name__)
        if kind == ('fractions', 'Fraction'):
            return children('q', (v.numerator, v.denominator))
        if kind == ('decimal', 'Decimal'):
            return children('m', (str(v),))
        if kind == ('collections', 'deque'):
            return children('k', v)
        if kind == ('datetime', 'timedelta'):
            return children('e', (v.days, v.seconds, v.microseconds))
        if kind in (('datetime', 'date'), ('datetime', 'datetime'), ('datetime', 'time')):
            return children('y', (kind[1], v.isoformat()))
        # Of the answer's own classes only what they hold as a number, text or container counts.
        if isinstance(v, str):
            return text_of(str.__str__(v))
        if isinstance(v, int):
            return text_of(int.__pos__(v))
        if isinstance(v, float):
            return text_of(float.__pos__(v))
        if isinstance(v, list):
            return children('l', list.__iter__(v))
        if isinstance(v, tuple):
            return children('t', tuple.__iter__(v))
        if isinstance(v, dict):
            return children('d', [x for pair in dict.items(v) for x in pair])
        objects.append(v)
        return '["h",%d]' % (len(objects) - 1)

    def do(request):
        action, target, rest = request[0], request[1], request[2:]
        if action == 'name':
            return text_of(space[target]) if target in space else '["?"]'
        if action == 'call':
            return text_of(target(*rest[0], **rest[1]))
        if action == 'get':
            return text_of(getattr(target, rest[0]))
        if action == 'set':
            setattr(target, rest[0], rest[1])
            return 'null'
        if action == 'list':
            return children('l', target)
        if action == 'next':
            return text_of(next(target))
        if action == 'len':
            return text_of(len(target))
        if action == 'item':
            return text_of(target[rest[0]])
        return text_of(str(target))

    def send(line):
        data = line.encode() + b'\n'
        while data:
            data = data[posix.write(4, data):]

    def answer_to(work):
        try:
            return work()
        except BaseException as error:
            return '["!",%s,%s]' % (quote(type(error).__name__), quote(str(error)[:300]))

    def load():
        with open('prompt.py', 'rb') as prompt, open('answer.py', 'rb') as answer:
            before, program = prompt.read(), answer.read()
        try:
            code = compile(before + b'\n' + program, 'answer.py', 'exec')
        except SyntaxError:
            code = compile(program, 'answer.py', 'exec')
        exec(code, space)
        return 'null'

    module = type(sys)('answer')
    sys.modules['answer'] = module
    space = module.__dict__
    known = {'space': space, 'objects': objects, 'module': __import__,
             'nan': float('nan'), 'inf': float('inf')}
    requests = open(3, 'rb')
    send(answer_to(load))
    for line in requests:
        send(answer_to(lambda: do(eval(line, dict(known)))))


serve()
)python";

}  // namespace

std::string_view candidate_script() {
  return kCandidateScript;
}

}  // namespace temper
