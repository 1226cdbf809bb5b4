#include "reward/code/scripts.h"

namespace temper {

namespace {

constexpr std::string_view kCandidateClassesScript = R"python(
import ast
import sys


def set_up(*tools):
    global text_of, number_of, types, source
    text_of, number_of, types, source = tools


def declared_fields(cls):
    """The fields that a dataclass compares; None if it is none."""
    if not hasattr(cls, '__dataclass_fields__'):
        return None
    return [f for f in cls.__dataclass_fields__.values() if f._field_type.name == '_FIELD']


def fields(v):
    """What an object holds: as a container, and by names."""
    content, named = None, {}
    for kind in (list, dict, set, frozenset, bytes, bytearray):
        if isinstance(v, kind):
            content = kind(kind.items(v)) if kind is dict else kind(kind.__iter__(v))
    for cls in type(v).__mro__:
        slots = vars(cls).get('__slots__', ())
        for name in (slots,) if type(slots) is str else slots:
            if name not in ('__dict__', '__weakref__') and hasattr(v, name):
                named[name] = getattr(v, name)
    named.update(getattr(v, '__dict__', {}))
    declared = declared_fields(type(v))
    if declared is not None:
        named = {f.name: getattr(v, f.name) for f in declared if f.compare}
    return text_of([content, named])


def function_at(line):
    tree = ast.parse(source[0])
    found = [n for n in ast.walk(tree)
             if isinstance(n, ast.FunctionDef) and n.name == '__init__' and n.lineno == line]
    return found[0] if len(found) == 1 else None


def kept(value, parameters):
    """The (parameter, form) that an expression keeps, or (None, a constant)."""
    if isinstance(value, ast.Name) and value.id in parameters:
        return value.id, ''
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and not value.keywords:
        form, args = value.func.id, value.args
        if form in ('list', 'tuple', 'set', 'dict', 'float') and len(args) < 2:
            if not args:
                return None, types_by_name[form]()
            if isinstance(args[0], ast.Name) and args[0].id in parameters:
                return args[0].id, form
    return None, ast.literal_eval(value)


types_by_name = {'list': list, 'tuple': tuple, 'set': set, 'dict': dict, 'float': float}


def assignments(statement):
    """The (target, value) pairs of an assignment; ValueError for another statement."""
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        return [(statement.target, statement.value)]
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        raise ValueError
    target, value = statement.targets[0], statement.value
    if isinstance(target, ast.Tuple):
        if not isinstance(value, ast.Tuple) or len(value.elts) != len(target.elts):
            raise ValueError
        return list(zip(target.elts, value.elts))
    return [(target, value)]


def fields_of_init(cls, function):
    """The fields that an __init__ sets, where it does nothing but keep what it is given."""
    code = function.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    names = code.co_varnames[1:count]
    star = [code.co_varnames[count]] if code.co_flags & 4 else []
    node = function_at(code.co_firstlineno)
    if node is None or code.co_flags & 8 or code.co_posonlyargcount or not code.co_argcount:
        raise ValueError
    found = {}
    for statement in node.body:
        if isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and
                                               isinstance(statement.value, ast.Constant)):
            continue
        for target, value in assignments(statement):
            if not (isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and
                    target.value.id == code.co_varnames[0]) or target.attr in found:
                raise ValueError
            if hasattr(getattr(cls, target.attr, None), '__set__') and \
                    type(getattr(cls, target.attr)).__name__ != 'member_descriptor':
                raise ValueError
            found[target.attr] = kept(value, list(names) + star)
    defaults = function.__defaults__ or ()
    plain = code.co_argcount - 1
    parameters = [[n, i >= plain, i < plain and i >= plain - len(defaults),
                   defaults[i - plain] if plain > i >= plain - len(defaults) else None]
                  for i, n in enumerate(names)]
    for parameter in parameters:
        if parameter[1] and parameter[0] in (function.__kwdefaults__ or {}):
            parameter[2:] = [True, function.__kwdefaults__[parameter[0]]]
    return [parameters, star, [[name, *how, True] for name, how in found.items()]]


def constructor(cls):
    """What calling the class does, if that is to keep what it is given; else None."""
    if type(cls) is not type or cls.__new__ is not object.__new__ or \
            cls.__setattr__ is not object.__setattr__ or hasattr(cls, '__post_init__'):
        return None
    function = cls.__init__
    declared = declared_fields(cls)
    if declared is None or function.__code__.co_filename != '<string>':
        return fields_of_init(cls, function)
    if len(declared) != len(cls.__dataclass_fields__):
        return None
    parameters, kept_fields = [], []
    for f in declared:
        has = f.default is not MISSING() or f.default_factory is not MISSING()
        value = None
        if has:
            value = f.default if f.default is not MISSING() else f.default_factory()
        if f.init:
            parameters.append([f.name, getattr(f, 'kw_only', False), has, value])
            kept_fields.append([f.name, f.name, '', f.compare])
        elif f.compare:
            if not has:
                return None
            kept_fields.append([f.name, None, value, True])
    return [parameters, [], kept_fields]


def MISSING():
    return sys.modules['dataclasses'].MISSING


def described(cls):
    kind, more, how = 'object', None, None
    if issubclass(cls, BaseException):
        kind = 'exception'
        more = [types[c] for c in cls.__mro__ if c in types and issubclass(c, BaseException)][0]
    elif issubclass(cls, tuple) and hasattr(cls, '_fields'):
        kind = 'tuple'
        more = [list(cls._fields), list(cls._field_defaults.values())]
        makers = [c for c in cls.__mro__ if '__new__' in vars(c) or '__init__' in vars(c)]
        how = '_fields' in vars(makers[0]) or None
    else:
        try:
            how = constructor(cls)
        except Exception:
            pass
    bases = [number_of(c) for c in cls.__bases__ if c.__module__ == cls.__module__]
    by_value = cls.__eq__ is not object.__eq__
    return text_of([cls.__name__, bases, kind, more, by_value, how])
)python";

}  // namespace

std::string_view candidate_classes_script() {
  return kCandidateClassesScript;
}

}  // namespace temper
