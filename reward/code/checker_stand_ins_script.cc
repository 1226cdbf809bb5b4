#include "reward/code/scripts.h"

namespace temper {

namespace {

constexpr std::string_view kCheckerStandInsScript = R"python(
remotes, classes = {}, {}  # by the answer's numbers
aliases = {}  # built-in exceptions under a name of the answer's


class StandIn:
    """What is known here of an object of the answer's."""

    def __init__(self, number=None, made=None, record=None):
        self.number = number  # None: a test made it, and the answer has not needed it yet
        self.made = made      # the (arguments, names) of a test that made it
        self.record = record  # what it holds, where it was made here
        self.passed = False   # the tests have given it to the answer
        self.derived = False  # the result of an operator on what a test made
        self.before = {}      # what others held before the answer saw these arguments
        self.ahead = []       # replies: what its iterator gives next


class AboutClass:
    """What is known here of a class of the answer's: `how` it keeps what it is given."""

    def __init__(self, place, by_value, how):
        self.place, self.by_value, self.how = place, by_value, how


class StandInClass(type):
    """A class of the answer's."""

    def __call__(cls, *args, **names):
        return made_by(cls, args, names)

    def __getattr__(cls, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return ask("('get',%s,%r)" % (cls.about__.place, name))

    def __setattr__(cls, name, v):
        ask("('set',%s,%r,%s)" % (cls.about__.place, name, text_of(v)))

    def __iter__(cls):
        return iter(ask("('builtin','list',%s)" % cls.about__.place))

    def __len__(cls):
        return ask("('builtin','len',%s)" % cls.about__.place)

    def __contains__(cls, v):
        return bool(ask("('op','contains',%s,%s)" % (cls.about__.place, text_of(v))))

    def __getitem__(cls, key):
        return ask("('op','getitem',%s,%s)" % (cls.about__.place, text_of(key)))


class Remote:
    """An object in the answer's process. No comparison runs the answer's __eq__."""

    __slots__ = ('stand_in__',)

    def __call__(self, *args, **names):
        return call(place_of(self), args, names)

    def __getattr__(self, name):
        if name.startswith('__') and name not in ('__name__', '__doc__', '__dict__'):
            raise AttributeError(name)
        return ask("('get',%s,%r)" % (place_of(self), name))

    def __setattr__(self, name, v):
        ask("('set',%s,%r,%s)" % (place_of(self), name, text_of(v)))

    def __iter__(self):
        iterator = ask("('builtin','iter',%s)" % place_of(self))
        return ahead_of(iterator) if isinstance(iterator, Remote) else iter(iterator)

    def __next__(self):
        return next_of(self, 1)

    def __len__(self):
        return ask("('builtin','len',%s)" % place_of(self))

    def __getitem__(self, key):
        return ask("('op','getitem',%s,%s)" % (place_of(self), text_of(key)))

    def __setitem__(self, key, v):
        ask("('op','setitem',%s,%s,%s)" % (place_of(self), text_of(key), text_of(v)))

    def __delitem__(self, key):
        ask("('op','delitem',%s,%s)" % (place_of(self), text_of(key)))

    def __contains__(self, v):
        if tests_made(self):
            return bool(ask("('op','contains',%s,%s)" % (place_of(self), text_of(v))))
        return any(x is v or x == v for x in self)

    def __enter__(self):
        return ask("('get',%s,'__enter__')" % place_of(self))()

    def __exit__(self, *error):  # what it says of the error is no verdict
        ask("('get',%s,'__exit__')" % place_of(self))(None, None, None)

    def __bool__(self):
        return bool(ask("('builtin','bool',%s)" % place_of(self)))

    def __eq__(self, other):
        return equal(self, other)

    def __hash__(self):
        return hash(type(self).__name__)


def forward(name, builtin):
    def method(self, *more):
        kind = 'builtin' if builtin else 'op'
        texts = ''.join([',' + text_of(x) for x in (self,) + more])
        return ask("('%s','%s'%s)" % (kind, name, texts))
    return method


def operator_of(name, swapped):
    def method(self, other):
        # The answer must not choose what its own object and an expected value come to.
        if not isinstance(other, Remote) and not tests_made(self):
            return NotImplemented
        left, right = (other, self) if swapped else (self, other)
        result = ask("('op','%s',%s,%s)" % (name, text_of(left), text_of(right)))
        if isinstance(result, Remote) and (tests_made(self) or tests_made(other)):
            stand_in(result).derived = True
        return result
    return method


for name in ('str', 'repr', 'int', 'float', 'complex', 'round', 'format', 'reversed'):
    setattr(Remote, '__%s__' % name, forward(name, True))
for name in ('neg', 'pos', 'abs', 'invert', 'index'):
    setattr(Remote, '__%s__' % name, forward(name, False))
for name in ('lt', 'le', 'gt', 'ge'):
    setattr(Remote, '__%s__' % name, operator_of(name, False))
for name in ('add', 'sub', 'mul', 'matmul', 'truediv', 'floordiv', 'mod', 'pow', 'lshift',
             'rshift', 'and', 'or', 'xor'):
    name_there = name + '_' if name in ('and', 'or') else name
    setattr(Remote, '__%s__' % name, operator_of(name_there, False))
    setattr(Remote, '__r%s__' % name, operator_of(name_there, True))


def stand_in(remote):
    return object.__getattribute__(remote, 'stand_in__')


def tests_made(v):
    return isinstance(v, Remote) and (stand_in(v).made is not None or stand_in(v).derived)


def untouched(remote):
    """Whether a test made it and the answer has had no hand in it since."""
    return stand_in(remote).made is not None and not stand_in(remote).passed


def new_remote(cls, **what):
    remote = object.__new__(cls)
    object.__setattr__(remote, 'stand_in__', StandIn(**what))
    return remote


def remote_of(number, kind):
    if number not in remotes:
        cls = Remote if kind is None else class_of(kind)
        if not issubclass(cls, Remote):
            cls = Remote
        remotes[number] = new_remote(cls, number=number)
    remote = remotes[number]
    if untouched(remote) and by_value(type(remote)):
        raise AnswerError('the answer gave back what it was to be compared with')
    return remote


def by_value(cls):
    return cls is not Remote and cls.about__.by_value


def place_of(remote, passed=True):
    """Where the answer has it, which is given it now if it has not been before."""
    s = stand_in(remote)
    s.passed = s.passed or passed
    if s.number is None:
        text = "('call',%s,%s,%s)" % ((type(remote).about__.place,) +
                                      tuple([text_of(x) for x in s.made]))
        reply = reply_to(text)
        if type(reply) is not list or reply[0] != 'h' or reply[1] in remotes:
            raise AnswerError('a class that makes no object')
        s.number, s.record = reply[1], None
        remotes[s.number] = remote
    return 'objects[%d]' % s.number


def call(place, args, names):
    reply = reply_to("('call',%s,%s,%s)" % (place, text_of(args), text_of(names)))
    if type(reply) is list and reply[0] == 'w':
        if reply[1] is None:
            take_over(list(args) + list(names.values()), value_of(reply[2]))
        reply = reply[1]
    return value_of(reply)


def take_over(old, new):
    """Makes containers hold what the answer has made of its copies of them."""
    for mine, its in zip(old, new):
        if type(mine) is not type(its):
            continue
        if type(mine) is list or type(mine) is bytearray:
            mine[:] = merged(mine, its)
        elif type(mine) is dict:
            values = {k: merged([mine[k]], [v])[0] if k in mine else v for k, v in its.items()}
            mine.clear()
            mine.update(values)
        elif type(mine) is set:
            mine.clear()
            mine.update(its)


def merged(mine, its):
    if type(mine) is bytearray:
        return its
    take_over(mine, its)
    inside = (list, dict, set, bytearray)
    same = [type(a) is type(b) and type(a) in inside for a, b in zip(mine, its)]
    return [a if s else b for a, b, s in zip(mine, its, same)] + its[len(mine):]


def next_of(remote, count):
    s = stand_in(remote)
    if not s.ahead:
        s.ahead = reply_to("('next',%s,%d)" % (place_of(remote), count))[1:]
        # It is the tests that ask for the end, so it may come.
    x = s.ahead.pop(0)
    if type(x) is list and x[0] == '!' and x[1] == 'StopIteration':
        raise StopIteration
    return value_of(x)


def ahead_of(iterator):
    """Its items, more of them at a time the more were taken."""
    count = 1
    while True:
        try:
            item = next_of(iterator, count)
        except StopIteration:
            return
        yield item
        count = min(2 * count, 256)
)python";

}  // namespace

std::string_view checker_stand_ins_script() {
  return kCheckerStandInsScript;
}

}  // namespace temper
