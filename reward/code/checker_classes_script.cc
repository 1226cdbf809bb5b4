#include "reward/code/scripts.h"

namespace temper {

namespace {

constexpr std::string_view kCheckerClassesScript = R"python(
def class_of(number):
    if number not in classes:
        place = 'objects[%d]' % number
        name, bases, kind, more, by_value, how = ask("('described',%s)" % place)
        parents = tuple([class_of(base) for base in bases])
        body = {'about__': AboutClass(place, by_value, how)}
        if kind == 'exception':
            base = built_in_class(more)
            base = base if issubclass(base, Exception) else Exception
            parents = tuple([p for p in parents if issubclass(p, StandInError)]) or \
                (StandInError, base)
        elif kind == 'tuple':
            parents = parents or (collections.namedtuple(name, more[0], defaults=more[1]),)
            body['__getattr__'] = attribute_of_tuple
        else:
            body['__slots__'] = ()
            parents = tuple([p for p in parents if issubclass(p, Remote)]) or (Remote,)
        classes[number] = type.__new__(StandInClass, str(name), parents, body)
    return classes[number]


def attribute_of_tuple(v, name):
    if name.startswith('__'):
        raise AttributeError(name)
    return ask("('get',%s,%r)" % (text_of(v), name))


def made_by(cls, args, names):
    how = cls.about__.how
    if issubclass(cls, StandInError):
        return new_error(cls, args, (args, names))
    if issubclass(cls, tuple) and how:
        return type.__call__(cls, *args, **names)
    record = how and not issubclass(cls, tuple) and record_made(how, args, names)
    if record:
        return new_remote(cls, made=(args, names), record=record)
    return constructed(cls.about__.place, cls.__name__, args, names)


def constructed(place, name, args, names):
    """What the answer makes of arguments that a test expects to find in it."""
    before = snapshot()
    reply = reply_to("('call',%s,%s,%s)" % (place, text_of(args), text_of(names)))
    if type(reply) is list and reply[:1] == ['h'] and reply[1] in remotes:
        return remotes[reply[1]]  # a singleton
    v = value_of(reply[1] if type(reply) is list and reply[:1] == ['w'] else reply)
    if isinstance(v, Remote):
        stand_in(v).made, stand_in(v).before = (args, names), before
    elif not keeps((args, names), [v]):
        raise AnswerError(name + ' does not keep what it is given')
    return v


answers_names = set()  # of the tests' names those that are the answer's


def kept_by(function, name):
    """Of a function of the answer's that has a class's name, in a comparison."""
    if name not in answers_names or isinstance(function, StandInClass):
        return function
    if type(function) is Remote:
        return lambda *args, **names: constructed(place_of(function), name, args, names)

    def made(*args, **names):
        v = function(*args, **names)
        if not keeps((args, names), [v]):
            raise AnswerError(name + ' does not keep what it is given')
        return v
    return made


builtins.kept_by_ = kept_by


def record_made(how, args, names):
    """What an object will hold, by the class's description; None if it is not as simple."""
    parameters, star, fields = how
    values, given = {}, list(args)
    for name, only_named, has_default, default in parameters:
        if given and not only_named:
            values[name] = given.pop(0)
        elif name in names:
            values[name] = names[name]
        elif has_default:
            values[name] = default
        else:
            return None
    if (given and not star) or [n for n in names if n not in [p[0] for p in parameters]] or \
            len(args) - len(given) + len(names) > len(parameters):
        return None
    for name in star:
        values[name] = tuple(given)
    forms = {'': lambda x: x, 'list': list, 'tuple': tuple, 'set': set, 'dict': dict,
             'float': float}
    try:
        record = {f: forms[form](values[p]) if p is not None else form
                  for f, p, form, compared in fields if compared}
    except Exception:
        return None
    return [None, record] if keeps((args, names), list(record.values())) else None


def items_of(v):
    return list(v) if isinstance(v, (list, tuple, set, frozenset, dict, range)) else None


def keeps(made, holders):
    """Whether each argument is there again, itself or item by item."""
    args, names = list(made[0]), list(made[1].values())
    left = list(holders)
    whole = [h for h in holders if args and items_of(h) == args]
    for v in names + ([] if whole else args):
        same = [i for i, h in enumerate(left)
                if h is v or h == v or (items_of(v) is not None and items_of(v) == items_of(h))]
        if not same:
            return False
        left.pop(same[0])
    return True


def record_of(remote):
    record = stand_in(remote).record
    return record if record else ask("('fields',%s)" % place_of(remote, False))


def snapshot():
    """What the answer's objects hold before it sees what a test expects."""
    found, at = {}, 0
    while at < len(remotes) and len(found) < 200:
        remote = list(remotes.values())[at]
        at += 1
        if by_value(type(remote)) and not untouched(remote):
            found[stand_in(remote).number] = record_of(remote)
    return found


def equal(a, b):
    """By what they are and hold. The answer's __eq__ decides only between two that tests made."""
    if a is b:
        return True
    if not isinstance(b, Remote):
        content = record_of(a)[0] if by_value(type(a)) else None
        return content is not None and content == b
    if type(a) is not type(b) or not by_value(type(a)):
        return False
    if untouched(a) and untouched(b):
        return bool(ask("('op','eq',%s,%s)" % (place_of(a, False), place_of(b, False))))
    its, mine = (b, a) if untouched(a) else (a, b)
    if not untouched(mine):
        return record_of(its) == record_of(mine)
    if stand_in(mine).record:
        wanted = stand_in(mine).record[1]
        has = record_of(its)[1]
        return all(name in has and has[name] == v for name, v in wanted.items())
    # The answer has seen the arguments: only what was there before counts, and only if they show.
    before = stand_in(mine).before.get(stand_in(its).number)
    if before is None:
        return False
    wanted = record_of(mine)
    holders = list(wanted[1].values()) + [wanted[0]] + (items_of(wanted[0]) or [])
    return keeps(stand_in(mine).made, holders) and before == wanted


class StandInError(Exception):
    """An exception of a class of the answer's."""

    def __str__(self):
        message = vars(self)['message__']
        return Exception.__str__(self) if message is None else message

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return ask("('get',%s,%r)" % (place_of_error(self), name))


def new_error(cls, args, made, message=None, number=None):
    error = cls.__new__(cls, *args)
    vars(error).update(made__=made, message__=message, number__=number)
    return error


def place_of_error(error):
    known = vars(error)
    if known['number__'] is None:
        args, names = known['made__']
        known['number__'] = stand_in(call(type(error).about__.place, args, names)).number
    return 'objects[%d]' % known['number__']


def alias_of(kind):
    """A built-in exception under a name of the answer's: it catches only what the answer raises."""
    if kind not in aliases:
        aliases[kind] = type(kind.__name__, (kind,), {})
    return aliases[kind]


def error_of(name, message, built_in, own, args, number):
    kind = getattr(builtins, built_in, None)
    quiet = ('StopIteration', 'StopAsyncIteration', 'GeneratorExit')  # these end in silence
    if not isinstance(kind, type) or not issubclass(kind, BaseException) or built_in in quiet:
        return AnswerError(name + ': ' + message)
    args = value_of(args) if args is not None else [message]
    if own:
        kind = class_of(own[0])
        return new_error(with_aliases(kind), args, None, message, number)
    kind = with_aliases(kind)
    try:
        error = kind(*args)
    except TypeError:  # a kind that wants other arguments
        error = AnswerError(name + ': ' + message)
    return error


def with_aliases(kind):
    known = tuple([aliases[k] for k in kind.__mro__ if k in aliases])
    try:
        return type.__new__(type(kind), kind.__name__, known + (kind,), {}) if known else kind
    except TypeError:
        return kind
)python";

}  // namespace

std::string_view checker_classes_script() {
  return kCheckerClassesScript;
}

}  // namespace temper
