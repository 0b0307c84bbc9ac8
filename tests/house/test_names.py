"""Names are nouns of the field: no variable, parameter, attribute, function or method is a bare participle."""

import ast
import functools
import re

import pytest
from house.banned_names import BANNED

PYTHON = ("admin", "api", "bench", "cli", "core", "model", "supervisor", "worker", "tests")
FIELDS = {  # the API's fields, the database's columns and other people's names stay as they are
    "api/contract/evaluations.py": {"found"},
    "api/contract/people.py": {"who"},
    "api/contract/slides.py": {"made"},
    "core/database/people.py": {"who"},
    "core/marks/froc.py": {"found"},
    "core/pixels/levels.py": {"made"},
}
JS_DECLARATION = re.compile(r"\b(?:const|let|var|function\*?|class)\s+(?:([$\w]+)|[{[]([^=;]*?)[}\]]\s*(?:=|of\b))")
JS_PARAMETERS = re.compile(r"(?:\bfunction\*?\s*[$\w]*\s*|=>?\s*|\()\(([^()]*)\)\s*(?:=>|\{)|\b([$\w]+)\s*=>")
JS_METHOD = re.compile(r"^\s*(?:async\s+|static\s+|get\s+|set\s+)*#?([$\w]+)\(([^()]*)\)\s*\{", re.MULTILINE)
JS_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
JS_KEYWORDS = {"if", "for", "while", "switch", "catch"}


def python_files(repository):
    files = (path for package in PYTHON for path in sorted((repository / package).rglob("*.py")))
    return [path for path in files if "versions" not in path.parts]


def python_names(tree):
    """Every name that the code binds: variables, parameters, attributes, functions, methods, aliases."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.alias(asname=str(name)):
                yield name


def javascript_names(text):
    """Declared variables, functions, methods and parameters, as far as regular expressions find them."""
    code = JS_COMMENT.sub("", text)
    for name, pattern in JS_DECLARATION.findall(code):
        yield from [name] if name else parts(pattern)
    for several, one in JS_PARAMETERS.findall(code):
        yield from [one] if one else parts(several)
    for name, parameters in JS_METHOD.findall(code):
        if name not in JS_KEYWORDS:
            yield from (name, *parts(parameters))


def parts(pattern):
    """The names that `a, b: c, ...d = 1` binds."""
    for part in pattern.split(","):
        bound = part.split("=")[0].split(":")[-1]
        yield from re.findall(r"[$\w]+", bound)


@functools.cache
def banned_by_file(repository):
    """{file: banned names that it binds}, without those that stay."""
    bound = {path: python_names(ast.parse(path.read_text())) for path in python_files(repository)}
    for path in sorted((repository / "frontend" / "static").rglob("*.js")):
        if "vendor" not in path.parts:
            bound[path] = javascript_names(path.read_text())
    by_file = {}
    for path, names in bound.items():
        file = str(path.relative_to(repository))
        by_file[file] = sorted({name for name in names if name.strip("_#$") in BANNED} - FIELDS.get(file, set()))
    return {file: names for file, names in by_file.items() if names}


def test_names_say_what_they_name(repository):
    assert banned_by_file(repository) == {}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("const told = 1; let { a, b: held } = c;", {"told", "a", "held"}),
        ("function look(found, { seen }) {}", {"look", "found", "seen"}),
        ("items.map((said) => said.x); rows.filter(kept => kept)", {"said", "kept"}),
        ("// const known = 1\nfor (const gone of rows) {}", {"gone"}),
        ("class A {\n  tell(asked) {\n  }\n  if (x) {\n}", {"A", "tell", "asked"}),
    ],
)
def test_declarations_of_javascript_are_read(code, names):
    assert set(javascript_names(code)) == names


def test_bindings_of_python_are_read():
    code = (
        "def look(told, *held):\n    self.kept = (found := 1)\n    for seen, of in x:\n        pass\nimport a as what\n"
    )
    assert set(python_names(ast.parse(code))) == {"look", "told", "held", "kept", "found", "seen", "of", "what"}
