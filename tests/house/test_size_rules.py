"""House rules that no linter checks: short functions and files, no catch-all modules, no unfinished marks."""

import ast
import re
import statistics
from collections import Counter

import pytest

PACKAGES = ("admin", "api", "bench", "cli", "core", "model", "supervisor", "worker")
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "queue"}
# the edges of processes, of threads that nothing watches and of one slide of many, where a broad except may stand
EDGES = {
    "api/app.py",
    "api/edge/correlated.py",
    "cli/camelyon.py",
    "core/reader/child.py",
    "worker/compute/region_loader.py",
    "worker/compute/region_retry.py",
    "worker/life/rounds.py",
    "worker/tasks.py",
}
LONG_FILES: dict[str, str] = {}


def sources(repository):
    return [
        path
        for package in PACKAGES
        for path in sorted((repository / package).rglob("*.py"))
        if "versions" not in path.parts
    ]


def functions(path):
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(node.name, body_lines(node)) for node in ast.walk(tree) if isinstance(node, kinds)]


def body_lines(node):
    body = node.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) and len(body) > 1:
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1


def test_functions_are_short(repository):
    measured = [(path, name, lines) for path in sources(repository) for name, lines in functions(path)]
    too_long = [f"{path.relative_to(repository)}:{name} {lines}" for path, name, lines in measured if lines > 50]
    assert not too_long
    lengths = [lines for _, _, lines in measured]
    assert statistics.median(lengths) <= 10
    assert statistics.quantiles(lengths, n=10)[-1] <= 22


def test_files_are_short(repository):
    lengths = {str(path.relative_to(repository)): len(path.read_text().splitlines()) for path in sources(repository)}
    assert {name: n for name, n in lengths.items() if n > 300 and name not in LONG_FILES} == {}
    assert statistics.median(lengths.values()) <= 150


def test_folders_are_small(repository):
    """Decision 20: a folder of code holds at most twelve files, `__init__.py` left out."""
    sizes = Counter(path.parent for path in sources(repository) if path.name != "__init__.py")
    assert {str(folder.relative_to(repository)): size for folder, size in sizes.items() if size > 12} == {}


def test_no_catch_all_modules(repository):
    assert [path for path in sources(repository) if path.stem in FORBIDDEN_NAMES] == []


def test_nothing_is_marked_unfinished(repository):
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    assert [path for path in sources(repository) if marks.search(path.read_text())] == []


def test_broad_excepts_stand_at_the_process_edges_only(repository):
    broad = re.compile(r"except( Exception| BaseException)?( as \w+)?:")
    measured = {str(path.relative_to(repository)) for path in sources(repository) if broad.search(path.read_text())}
    assert measured <= EDGES


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_have_docstrings(repository, package):
    silent = [p for p in (repository / package).rglob("*.py") if "versions" not in p.parts]
    assert [path for path in silent if ast.get_docstring(ast.parse(path.read_text())) is None] == []
