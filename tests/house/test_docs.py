"""The documentation's Python runs, and its links, paths and modules exist."""

import re

PACKAGES = r"(?:admin|api|bench|cli|core|frontend|model|supervisor|tests|worker)"
PATH = re.compile(rf"(?<![\w/.-])({PACKAGES}/[\w./-]*[\w/])")
MODULE = re.compile(rf"python -m ({PACKAGES}(?:\.\w+)*)")
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**/*.md"]  # the CHANGELOG speaks of earlier trees, too


def test_the_theory_page_runs(repository):
    blocks = re.findall(r"```python\n(.*?)```", (repository / "docs/theory.md").read_text(), re.DOTALL)
    assert len(blocks) > 8
    exec(compile("\n".join(blocks), "docs/theory.md", "exec"), {})


def test_links_in_documentation_resolve(repository):
    for page in pages(repository):
        for target in re.findall(r"\]\((?!https?:|#)([\w/.-]+[./][\w/.-]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_test_that_the_security_page_names_is_there(repository):
    named = set(re.findall(r"`((?:\w+/)+test_\w+)`", (repository / "docs/security.md").read_text()))
    assert len(named) > 10
    assert [name for name in named if not (repository / "tests" / f"{name}.py").exists()] == []


def pages(repository):
    return [path for pattern in PAGES for path in sorted(repository.glob(pattern))]


def test_every_path_that_the_pages_name_exists(repository):
    named = {(page.name, path) for page in pages(repository) for path in PATH.findall(page.read_text())}
    assert len(named) > 60
    missing = {(page, path) for page, path in named if not is_there(repository, path)}
    assert missing == set()


def is_there(repository, path):
    """A file, a folder, or a test named without its suffix."""
    is_test = (repository / "tests" / f"{path}.py").exists()
    return is_test or (repository / path).exists() or (repository / f"{path}.py").exists() or "NAME" in path


def test_every_module_that_the_pages_run_exists(repository):
    named = {module for page in pages(repository) for module in MODULE.findall(page.read_text())}
    assert len(named) > 10
    places = {module: repository / module.replace(".", "/") for module in named}
    missing = {m for m, p in places.items() if not p.with_suffix(".py").exists() and not (p / "__main__.py").exists()}
    assert missing == set()
