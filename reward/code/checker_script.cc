#include "reward/code/scripts.h"

namespace temper {

namespace {

constexpr std::string_view kCheckerTestsScript = R"python(
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


def is_class_name(node):
    return isinstance(node, ast.Name) and node.id[0].isupper() and not node.id.isupper()


class ConstructorsInComparisons(ast.NodeTransformer):
    """Where both sides are calls, what has a class's name must keep what it is given."""

    def visit_Compare(self, node):
        calls = [[n for n in ast.walk(side) if isinstance(n, ast.Call) and
                  isinstance(n.func, ast.Name) and not hasattr(builtins, n.func.id)]
                 for side in [node.left] + node.comparators]
        if len([side for side in calls if side]) > 1:
            for call in [c for side in calls for c in side if is_class_name(c.func)]:
                name = ast.Name('kept_by_', ast.Load())
                its = [call.func, ast.Constant(call.func.id)]
                call.func = ast.copy_location(ast.Call(name, its, []), call.func)
        return node


def with_text(function, text):
    function.sent_as = text
    return function


builtins.with_text_ = with_text


def parsed(text, what):
    try:
        tree = LambdasWithText().visit(ast.parse(text.replace('\r\n', '\n')))
        tree = ConstructorsInComparisons().visit(tree)
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
            v = ask("('name','%s')" % name)
        except Exception:
            continue  # the tests that use it fail
        answers_names.add(name)
        built_in = isinstance(v, type) and not isinstance(v, StandInClass)
        space[name] = alias_of(v) if built_in and issubclass(v, BaseException) else v


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
    except (Gone, BadTests):
        raise
    except BaseException as error:  # an answer may also ask for the end of the program
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


def answers_function(name):
    """The answer's, or one that fails when the tests call it."""
    try:
        return ask("('name','%s')" % name)
    except Exception:
        return lambda *args, **names: ask("('name','%s')" % name)


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
    candidate = answers_function(entry)
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
    sys.setrecursionlimit(5000)
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

std::string checker_script() {
  std::string script;
  for (const std::string_view part : {checker_values_script(), checker_stand_ins_script(),
                                      checker_classes_script(), kCheckerTestsScript}) {
    script += part;
    script += "\n\n";
  }
  return script;
}

}  // namespace temper
