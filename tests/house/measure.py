"""Prints the figures of the code's structure: python -m tests.house.measure [--root DIR ...] [--time].

Several roots (for example a clone of an earlier commit and this checkout) are measured side by side. `--time` also runs
`make check` and `make test` in each root, one after the other, and prints their wall-clock seconds.
"""

import argparse
import ast
import io
import re
import statistics
import subprocess
import sys
import time
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.house.banned_names import BANNED

PACKAGES = ("admin", "api", "bench", "cli", "core", "model", "supervisor", "worker")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
JS_ANY = re.compile(r"[{<(,|]\s*any\b|\bany\[\]")


def sources(root: Path) -> list[Path]:
    """Python files of the packages, without migration revisions."""
    files = (path for package in PACKAGES for path in sorted((root / package).rglob("*.py")))
    return [path for path in files if "versions" not in path.parts]


def trees(root: Path) -> Iterator[ast.Module]:
    return (ast.parse(path.read_text()) for path in sources(root))


def nodes(root: Path) -> Iterator[ast.AST]:
    return (node for tree in trees(root) for node in ast.walk(tree))


def largest_folder(root: Path) -> str:
    """The folder with the most Python files directly in it (`__init__.py` left out)."""
    sizes = Counter(path.parent for path in sources(root) if path.name != "__init__.py")
    folder, size = sizes.most_common(1)[0]
    return f"{size} ({folder.relative_to(root)})"


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1


def function_lines(root: Path) -> str:
    """Median / 90th percentile / longest."""
    lengths = [body_lines(node) for node in nodes(root) if isinstance(node, FUNCTIONS)]
    return f"{statistics.median(lengths):.0f} / {statistics.quantiles(lengths, n=10)[-1]:.0f} / {max(lengths)}"


def file_lines(root: Path) -> str:
    """Files; median / longest."""
    lengths = [len(path.read_text().splitlines()) for path in sources(root)]
    return f"{len(lengths)}; {statistics.median(lengths):.0f} / {max(lengths)}"


def comments_per_100_lines(root: Path) -> str:
    """Comments per 100 lines of code; blank lines and docstrings count as neither."""
    comments = code = 0
    for path in sources(root):
        tokens = list(tokenize.generate_tokens(io.StringIO(path.read_text()).readline))
        comments += sum(token.type == tokenize.COMMENT for token in tokens)
        code += len(_code_lines(tokens))
    return f"{100 * comments / code:.1f}"


def _code_lines(tokens: list[tokenize.TokenInfo]) -> set[int]:
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    previous = tokenize.NEWLINE
    for token in tokens:
        if token.type in layout:
            previous = token.type if token.type != tokenize.COMMENT else previous
            continue
        is_docstring = token.type == tokenize.STRING and previous in layout
        if not is_docstring:
            lines.update(range(token.start[0], token.end[0] + 1))
        previous = token.type
    return lines


def bound_names(root: Path) -> list[str]:
    """Names that the code binds: variables, parameters, functions."""
    names = []
    for node in nodes(root):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, ast.arg):
            names.append(node.arg)
        elif isinstance(node, FUNCTIONS):
            names.append(node.name)
    return names


def banned_names(root: Path) -> str:
    """Names that are a bare participle or a vague verb, and their share of all bound names."""
    names = bound_names(root)
    banned = sum(name.strip("_") in BANNED for name in names)
    return f"{banned} ({100 * banned / len(names):.1f} %)"


def any_in_contract(root: Path) -> str:
    """Fields typed with `Any` in the request and response models of the API."""
    files = [path for path in sources(root) if path.is_relative_to(root / "api")]
    classes = (
        node for path in files for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)
    )
    fields = (field.annotation for node in classes for field in node.body if isinstance(field, ast.AnnAssign))
    return str(sum(isinstance(part, ast.Name) and part.id == "Any" for field in fields for part in ast.walk(field)))


def any_in_viewer(root: Path) -> str:
    """Uses of `any` in the JSDoc types of the pages' modules."""
    files = sorted((root / "frontend" / "static").rglob("*.js"))
    return str(sum(len(JS_ANY.findall(path.read_text())) for path in files))


def longest_folder_listing(root: Path) -> str:
    """Folders of more than 12 Python files."""
    sizes = Counter(path.parent for path in sources(root) if path.name != "__init__.py")
    return str(sum(size > 12 for size in sizes.values()))


FIGURES: dict[str, Callable[[Path], str]] = {
    "Python files; lines median / max": file_lines,
    "largest folder (files)": largest_folder,
    "folders of more than 12 files": longest_folder_listing,
    "function lines median / p90 / max": function_lines,
    "comments per 100 lines of code": comments_per_100_lines,
    "bare participles as names": banned_names,
    "fields of the API typed with `Any`": any_in_contract,
    "`any` in the viewer's types": any_in_viewer,
}


def seconds_of(root: Path, target: str) -> str:
    """Wall-clock seconds of a make target, or how it failed."""
    start = time.monotonic()
    done = subprocess.run(["make", target], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return f"{time.monotonic() - start:.0f}" if done.returncode == 0 else f"exit status {done.returncode}"


def table(roots: list[Path], rows: dict[str, list[str]]) -> str:
    """A Markdown table: one row per figure, one column per root."""
    head = "| | " + " | ".join(root.name for root in roots) + " |"
    lines = [head, "|---" * (len(roots) + 1) + "|"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items())])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.house.measure", description="Measure the code's structure.")
    parser.add_argument("--root", type=Path, action="append", help="a checkout; may be given several times")
    parser.add_argument("--time", action="store_true", help="also time make check and make test")
    options = parser.parse_args(arguments)
    roots = [root.resolve() for root in options.root or [Path.cwd()]]
    rows = {name: [figure(root) for root in roots] for name, figure in FIGURES.items()}
    if options.time:
        rows |= {f"seconds of make {t}": [seconds_of(root, t) for root in roots] for t in ("check", "test")}
    print(table(roots, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
