"""The version stands in one place, and CITATION.cff and the CHANGELOG agree with it."""

import re
import tomllib

import pytest
import yaml


@pytest.fixture
def version(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]["version"]


@pytest.fixture
def changelog(repository):
    return (repository / "CHANGELOG.md").read_text()


def test_the_citation_names_the_version_and_its_date(repository, version, changelog):
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    assert citation["version"] == version
    assert f"## [{version}] - {citation['date-released'].isoformat()}" in changelog


def test_the_changelog_keeps_its_form(changelog):
    """Keep a Changelog 1.1.0: Unreleased first, then versions newest first, with the six kinds of change."""
    headings = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    dates = [re.fullmatch(r"\[\d+\.\d+\.\d+\] - (\d{4}-\d{2}-\d{2})", heading)[1] for heading in headings[1:]]
    assert dates == sorted(dates, reverse=True)
    kinds = set(re.findall(r"^### (.+)$", changelog, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_issue_templates_and_hooks_are_valid_yaml(repository):
    files = [*(repository / ".github").rglob("*.yml"), repository / ".pre-commit-config.yaml"]
    assert len(files) >= 4
    for path in files:
        assert yaml.safe_load(path.read_text()), path
