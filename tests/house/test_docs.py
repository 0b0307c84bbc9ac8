"""What the pages claim in Python is run."""

import re


def test_the_theory_page_runs(repository):
    blocks = re.findall(r"```python\n(.*?)```", (repository / "docs/theory.md").read_text(), re.DOTALL)
    assert len(blocks) > 8
    exec(compile("\n".join(blocks), "docs/theory.md", "exec"), {})


def test_every_link_of_the_pages_leads_somewhere(repository):
    for page in [repository / "README.md", *(repository / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([\w/.-]+[./][\w/.-]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_test_that_the_security_page_names_is_there(repository):
    named = set(re.findall(r"`((?:\w+/)+test_\w+)`", (repository / "docs/security.md").read_text()))
    assert len(named) > 10
    assert [name for name in named if not (repository / "tests" / f"{name}.py").exists()] == []
