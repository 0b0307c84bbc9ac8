"""The rules of the frontend's modules: panels with a host and a life, state in stores only, types without holes."""

import json
import re

import pytest

STATIC = "frontend/static"
GENERATED = "api.d.ts"
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
JSDOC = re.compile(r"/\*\*.*?\*/", re.DOTALL)


def modules(repository, pattern="**/*.js"):
    files = sorted((repository / STATIC).glob(pattern))
    assert files
    return files


def code(path):
    return COMMENT.sub("", path.read_text())


def panels(repository):
    return modules(repository, "*/panels/*.js")


def test_no_module_keeps_state(repository):
    """Two viewers may stand on one page: what changes belongs to a store or to a mounted panel."""
    loose = re.compile(r"^(export\s+)?(let|var)\s", re.MULTILINE)
    assert [path for path in modules(repository) if loose.search(code(path))] == []


def test_panels_look_only_into_their_host(repository):
    reaching = re.compile(r"getElementById|document\s*\.\s*(querySelector|getElementsBy|forms)")
    assert [path for path in panels(repository) if reaching.search(code(path))] == []
    assert [path for path in modules(repository) if "getElementById" in code(path)] == []
    assert [path for path in sorted((repository / "frontend/pages").glob("*.html"))
            if path.name != "docs.html" and re.search(r"\sid=", path.read_text())] == []  # fmt: skip


def test_every_panel_mounts_and_unmounts(repository):
    exported = re.compile(r"^export const \{ mount, unmount \} = panel\(", re.MULTILINE)
    assert [path for path in panels(repository) if not exported.search(code(path))] == []


@pytest.mark.parametrize("page", ["people", "slides", "viewer"])
def test_every_panel_has_its_place_on_the_page(repository, page):
    named = re.findall(r'data-panel="(\w+)"', (repository / f"frontend/pages/{page}.html").read_text())
    assert sorted(named) == sorted(path.stem for path in modules(repository, f"{page}/panels/*.js"))


def test_every_page_has_one_main_module(repository):
    pages = sorted((repository / "frontend/pages").glob("*.html"))
    for page in pages:
        assert re.findall(r'script src="(?:\.\./)?static/(\S+)"', page.read_text()) == [f"{page.stem}/main.js"]
    folders = {path.parent.name for path in modules(repository, "*/main.js")}
    assert folders == {page.stem for page in pages}


def types(path):
    """What a file declares as types: the code of a .d.ts, else what stands in the braces of its JSDoc."""
    if path.suffix == ".ts":
        return code(path)
    depth, inside = 0, []
    for letter in "".join(JSDOC.findall(path.read_text())):
        depth += (letter == "{") - (letter == "}")
        inside.append(letter if depth else " ")
    return "".join(inside)


def test_no_type_is_left_open(repository):
    """`any` turns the compiler off, `unknown` does not. What the API sends is typed by the generated api.d.ts."""
    written = [path for path in modules(repository, "**/*.d.ts") if path.name != GENERATED]
    counts = {path: len(re.findall(r"\bany\b", types(path))) for path in [*modules(repository), *written]}
    assert {path: count for path, count in counts.items() if count} == {}
    options = json.loads((repository / "frontend/tsconfig.json").read_text())["compilerOptions"]
    assert (options["strict"], options["checkJs"], options.get("noImplicitAny", True)) == (True, True, True)
    silenced = re.compile(r"@ts-(ignore|nocheck|expect-error)")
    assert [path for path in modules(repository) if silenced.search(path.read_text())] == []


def test_files_and_folders_are_small(repository):
    lengths = {path: len(path.read_text().splitlines()) for path in modules(repository)}
    assert {path: lines for path, lines in lengths.items() if lines > 300} == {}
    for folder in [path for path in (repository / STATIC).rglob("*") if path.is_dir()]:
        assert len([path for path in folder.iterdir() if path.is_file()]) <= 12, folder
