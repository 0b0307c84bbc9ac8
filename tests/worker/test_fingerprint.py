"""The fingerprint changes with what a cell's bits depend on, and with nothing else."""

import ast
import shutil
import sys
from pathlib import Path

import pytest

from worker.fingerprint import ROOT, VALUE_PATH, code_digest, value_files

OWN = ("core", "model", "worker")
ENTRIES = ("worker/kinds/band.py", "worker/kinds/check.py", "core/reader/child.py")

# Modules on the value path's imports that are not hashed, by prefix, each with the reason.
EXCUSED = {
    "core/errors.py": "raises, and computes nothing",
    "core/addresses.py": "forms of path prefixes and origins, which the settings check",
    "core/logs.py": "writes log lines",
    "core/settings.py": "the settings that bits depend on are in the fingerprint by value",
    "core/access/": "who may do what",
    "core/database/": "stores bytes as they are; the slide's record is bound by its sha256",
    "core/work/": "which worker computes a part, never how",
    "core/slides/": "names the file; its bytes are bound by the slide's sha256",
    "core/analyses/cards.py": "reads what workers offer",
    "core/analyses/parts.py": "assembles stored planes, once, in the finish",
    "core/analyses/results.py": "types of the answer",
    "core/analyses/statements.py": "sentences",
    "core/analyses/states.py": "the analysis as a state machine",
    "core/heatmap/regions.py": "regions of the assembled values, once, in the finish",
    "core/heatmap/outlines.py": "outlines of regions, of which no value depends",
    "worker/compute/findings.py": "runs once, in the finish, on values that are stored",
    "worker/kinds/": "hashed are band and check; what they share loads rows",
    "worker/life/": "leases",
    "worker/readers.py": "keeps a reader open",
}
LIBRARIES = {  # imported by hashed files
    "numpy": "numpy", "openslide": "reader", "simplejpeg": "reader", "PIL": "pillow", "torch": "torch",
    "openvino": "openvino", "cv2": "opencv",
}  # fmt: skip
EXCUSED_LIBRARIES = {
    "safetensors": "copies the bytes of the weights, whose sha256 is in the fingerprint",
    "cachetools": "caches what the sandbox says of itself",
    "sqlalchemy": "moves rows",
    "pydantic": "types of the answer",
}


def file_of(root, module):
    path = root.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def imported(root, file):
    """(own files, other top-level names) that a file imports, packages of own modules included."""
    own, others = set(), set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] not in OWN:
                others.add(parts[0])
                continue
            prefixes = [file_of(root, ".".join(parts[:length])) for length in range(1, len(parts) + 1)]
            own |= {prefix for prefix in prefixes if prefix is not None}
    return own, others - set(sys.stdlib_module_names)


def reached(root, entries):
    done, waiting = {}, [root / entry for entry in entries]
    while waiting:
        file = waiting.pop()
        if file not in done:
            done[file] = imported(root, file)
            waiting += done[file][0]
    return done


def is_docstring_only(file):
    return all(isinstance(node, ast.Expr) for node in ast.parse(file.read_text()).body)


def unexcused(root):
    hashed = set(value_files(root))
    missed = [file for file in reached(root, ENTRIES) if file not in hashed and not is_docstring_only(file)]
    names = [str(file.relative_to(root)) for file in missed]
    return sorted(name for name in names if not name.startswith(tuple(EXCUSED)))


def test_every_module_that_a_value_passes_through_is_hashed_or_excused():
    assert unexcused(ROOT) == []


def test_every_library_that_hashed_code_imports_is_named_or_excused():
    libraries = set().union(*(imported(ROOT, file)[1] for file in value_files()))
    assert libraries - set(LIBRARIES) - set(EXCUSED_LIBRARIES) == set()


def test_every_excuse_is_needed():
    missed = {str(file.relative_to(ROOT)) for file in set(reached(ROOT, ENTRIES)) - set(value_files())}
    assert [prefix for prefix in EXCUSED if not any(name.startswith(prefix) for name in missed)] == []


def test_the_guard_sees_a_new_module_on_the_path(tree):
    (tree / "core/heatmap/brightness.py").write_text("FACTOR = 2\n")
    grid = tree / "core/heatmap/grid.py"
    grid.write_text("from core.heatmap import brightness\n" + grid.read_text())
    assert unexcused(tree) == ["core/heatmap/brightness.py"]


@pytest.fixture
def tree(tmp_path):
    for package in OWN:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("shipped", "__pycache__"))
    return tmp_path


def digest_after(tree, name):
    """The digest of the tree with one more comment in a file."""
    file = tree / name
    assert file.is_file()
    file.write_text(file.read_text() + "# one more comment\n")
    code_digest.cache_clear()
    return code_digest(tree)


@pytest.mark.parametrize(
    "name",
    ["model/evidence/measure.py", "model/train/run.py", "core/exports/geojson.py", "core/slides/catalog.py",
     "worker/tasks.py", "worker/compute/findings.py", "core/analyses/statements.py"],
)  # fmt: skip
def test_code_that_no_value_passes_through_changes_no_fingerprint(tree, name):
    assert digest_after(tree, name) == code_digest(ROOT)


@pytest.mark.parametrize(
    "name",
    ["model/inference/dense.py", "model/weights/card.py", "core/pixels/resample.py", "core/reader/operations.py",
     "core/heatmap/grid.py", "core/analyses/mask.py", "worker/compute/bands.py", "model/checks/density.py"],
)  # fmt: skip
def test_code_that_a_value_passes_through_changes_the_fingerprint(tree, name):
    assert digest_after(tree, name) != code_digest(ROOT)


def test_a_new_file_in_a_hashed_folder_changes_the_fingerprint(tree):
    (tree / "model/inference/quantised.py").write_text("")
    assert code_digest(tree) != code_digest(ROOT)


def test_an_entry_without_code_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=VALUE_PATH[0]):
        code_digest(Path(tmp_path))
