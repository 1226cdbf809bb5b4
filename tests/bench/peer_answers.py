"""How far `math` agrees with another verifier's own tests.

    python3 tests/bench/peer_answers.py build/temper TEST_FILE.py...

Reads pytest and unittest files without running them: the rows of `parametrize`, and every assertion
that a function of two answers is true or false. Where the names tell the gold from the answer the
answer is taken as a whole completion, else both ways in a box. Prints each row on which the two
disagree, and the count; which of them is wrong is for the reader to say.
"""

import ast
import json
import subprocess
import sys
import tempfile

GOLDS = {"gold", "gold_str", "target", "reference", "ref", "ground_truth", "answer_key"}


def value_of(node, names):
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    try:
        return ast.literal_eval(node)
    except (ValueError, SyntaxError, TypeError):
        pass
    if isinstance(node, ast.Subscript):
        index, whole = value_of(node.slice, names), value_of(node.value, names)
        return whole[index] if isinstance(whole, (list, tuple)) and index is not None else None
    return None


def rows_of(function):
    """The values of the function's parameters, one dict for each row of its `parametrize`."""
    rows = [{}]
    for mark in function.decorator_list:
        if not isinstance(mark, ast.Call) or getattr(mark.func, "attr", "") != "parametrize":
            continue
        names = value_of(mark.args[0], {})
        names = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
        table = []
        for row in getattr(mark.args[1], "elts", []):
            cells = row.elts if len(names) > 1 and hasattr(row, "elts") else [row]
            table.append(dict(zip(names, (value_of(cell, {}) for cell in cells))))
        rows = [{**old, **new} for old in rows for new in table]
    return rows


def comparison(node, names):
    """(the call, what it should give) of an expression that is asserted; None for any other."""
    if isinstance(node, ast.Name) and isinstance(names.get(node.id), ast.Call):
        node = names[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        found = comparison(node.operand, names)
        return found and (found[0], not found[1])
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        found, wanted = comparison(node.left, names), value_of(node.comparators[0], names)
        return found and wanted in (True, False, 1.0, 0.0) and (found[0], found[1] == bool(wanted))
    if isinstance(node, ast.Call) and len(node.args) >= 2:
        return node, True
    return None


def asserted(statement, names):
    if isinstance(statement, ast.Assert):
        return comparison(statement.test, names)
    call = getattr(statement, "value", None)
    if not isinstance(call, ast.Call) or not call.args:
        return None
    name = getattr(call.func, "attr", "")
    found = comparison(call.args[0], names) if name in ("assertTrue", "assertFalse") else None
    return found and (found[0], found[1] == (name == "assertTrue"))


def pairs_of(path):
    for function in ast.walk(ast.parse(open(path).read())):
        if not isinstance(function, ast.FunctionDef):
            continue
        for names in rows_of(function):
            for statement in function.body:
                if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                    value = value_of(statement.value, names)
                    names[statement.targets[0].id] = statement.value if value is None else value
                found = asserted(statement, names)
                if not found:
                    continue
                call, expected = found
                sides = [value_of(argument, names) for argument in call.args[:2]]
                if any(not isinstance(side, (str, int, float)) for side in sides):
                    continue
                first, second = (str(side) for side in sides)
                labels = [getattr(argument, "id", "") for argument in call.args[:2]]
                if labels[0] in GOLDS or labels[1] in GOLDS:
                    gold, answer = (first, second) if labels[0] in GOLDS else (second, first)
                    yield gold, answer, expected
                else:
                    yield first, "\\boxed{" + second + "}", expected
                    yield second, "\\boxed{" + first + "}", expected


def main():
    temper, files = sys.argv[1], sys.argv[2:]
    pairs = list(dict.fromkeys(pair for path in files for pair in pairs_of(path)))
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as data:
        for gold, answer, _ in pairs:
            data.write(json.dumps({"gold": gold, "completion": answer}) + "\n")
        data.flush()
        score = [temper, "reward", "score", "--rule", "math", "--data", data.name]
        lines = subprocess.run(score, capture_output=True, text=True).stdout.splitlines()
    verdicts = [json.loads(line) for line in lines if line.startswith("{")]
    agree = 0
    for (gold, answer, expected), verdict in zip(pairs, verdicts, strict=True):
        same = (verdict["status"] == "ok") == expected
        agree += same
        if not same:
            label = "equal" if expected else "not equal"
            print(f"theirs {label}, ours {verdict['status']}: {gold!r} | {answer[-200:]!r}")
    print(f"{agree} of {len(pairs)} agree")


main()
