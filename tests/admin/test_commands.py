"""Operator commands: what each prints, and how each refuses wrong arguments, settings and databases."""

import re
import tomllib

import pytest
from sqlalchemy import text

from admin import __main__ as admin
from core.database import transactions
from core.database.migrations import newest_revision
from core.settings import get_settings

COMMANDS = tuple(admin.COMMANDS)


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """Settings that name an empty data folder, read anew; the folder."""
    monkeypatch.setenv("QUARTERTURN_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(admin, "ROOT", tmp_path)
    forget()
    yield tmp_path
    if transactions.get_engine.cache_info().currsize:
        transactions.get_engine().dispose()
    forget()


def forget():
    get_settings.cache_clear()
    transactions.get_engine.cache_clear()


@pytest.fixture
def run(empty, capsys):
    """Returns a function that runs a command and returns its exit status, output and error output."""

    def call(*arguments):
        try:
            status = admin.main(list(arguments))
        except SystemExit as ended:
            status = ended.code
        return status, *capsys.readouterr()

    return call


def test_help_names_every_command(run):
    status, out, _ = run("--help")
    assert status == 0
    assert all(re.search(rf"^  {name}\b", out, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_of_its_own(run, command):
    status, out, _ = run(command, "--help")
    assert (status, out.startswith(f"usage: python -m admin {command} ")) == (0, True)


def test_the_version_is_that_of_the_project(run, repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert run("--version") == (0, f"Quarterturn {project['version']}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("nonsense",), ("--nonsense",), ("migrate", "more"),
        ("backup",), ("backup", "save"), ("backup", "burn", "x"), ("backup", "save", "x", "y"),
        ("retention", "--days", "-1"), ("retention", "--days", "soon"), ("retention", "--days", "inf"),
        ("audit", "--seal"), ("audit", "seal"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_and_touch_nothing(run, empty, arguments):
    status, out, error = run(*arguments)
    assert (status, out) == (2, "")
    assert error.startswith("usage: python -m admin")
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize("arguments", [("backup", "save", "b"), ("retention",), ("audit",)])
def test_without_a_database_nothing_is_created(run, empty, arguments):
    """SQLite creates a missing file when it opens it: an operator in the wrong folder would see an empty instance."""
    status, out, error = run(*arguments)
    assert (status, out) == (1, "")
    assert re.fullmatch(r"there is no database in .*: set QUARTERTURN_DATA, .*\n", error)
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize("arguments", [("backup", "save", "b"), ("retention",), ("audit",)])
def test_a_database_of_another_version_is_refused(run, arguments):
    assert run("migrate")[0] == 0
    with transactions.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    status, _, error = run(*arguments)
    assert (status, "the database has schema 0001" in error) == (1, True)


def test_a_database_of_a_newer_version_is_not_migrated(run):
    assert run("migrate")[0] == 0
    with transactions.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    status, out, error = run("migrate")
    assert (status, out) == (1, "")
    assert "does not know: use the version that migrated it" in error


def test_every_command_on_a_new_instance(run, empty):
    assert run("migrate") == (0, f"The database has schema {newest_revision()}.\n", "")
    assert run("migrate") == (0, f"The database has schema {newest_revision()}.\n", ""), "a second run changes nothing"
    assert run("audit") == (0, "default: holds; no rows yet\n", "")
    assert run("audit", "--seal", "abc") == (
        1, "default: holds; no rows yet\nabc: no row has this seal; rows were cut off the end\n", ""
    )  # fmt: skip
    assert run("retention") == (0, "0 slides are kept; none would go: there is no retention period.\n", "")
    assert run("retention", "--days", "1.5") == (0, "0 slides are kept; 0 would go after 1.5 days.\n", "")
    folder = empty / "backup"
    status, out, error = run("backup", "save", str(folder))
    assert (status, error) == (0, "")
    assert re.fullmatch(r"\d+ rows, 0 files, 0 bytes saved\.\n", out)
    assert run("backup", "save", str(folder))[::2] == (1, f"{folder} is not empty: name a new folder.\n")
    assert run("backup", "load", str(folder)) == (0, out.replace("saved", "loaded"), "")
    nowhere = empty / "nowhere"
    assert run("backup", "load", str(nowhere))[::2] == (
        1, f"{nowhere} holds no whole backup (backup.json is missing): save it again.\n"
    )  # fmt: skip


@pytest.mark.parametrize("command", ["migrate", "retention"])
def test_a_wrong_setting_is_named_and_its_value_is_not(run, monkeypatch, command):
    monkeypatch.setenv("QUARTERTURN_PORT", "s3cret")
    status, out, error = run(command)
    assert (status, out) == (2, "")
    assert error.startswith("QUARTERTURN_PORT is not valid: ")
    assert "s3cret" not in error


def test_a_short_admin_key_is_refused(run, monkeypatch):
    monkeypatch.setenv("QUARTERTURN_ADMIN_KEY", "short")
    assert run("migrate")[::2] == (1, "QUARTERTURN_ADMIN_KEY is shorter than 32 characters: choose a longer one.\n")


def test_unreachable_database_is_reported_in_one_sentence(run, monkeypatch):
    monkeypatch.setenv("QUARTERTURN_DATABASE_URL", "postgresql+psycopg://someone@127.0.0.1:1/none")
    status, out, error = run("audit")
    assert (status, out, error.startswith("The database does not answer: ")) == (1, "", True)


def test_settings_are_read_from_the_file_that_the_service_reads(run, empty, monkeypatch):
    monkeypatch.delenv("QUARTERTURN_DATA")
    (empty / ".env").write_text(f"QUARTERTURN_DATA={empty / 'elsewhere'}\n")
    try:
        assert run("migrate")[0] == 0
    finally:
        monkeypatch.setenv("QUARTERTURN_DATA", "")  # so that undoing it removes what the file set
    assert (empty / "elsewhere" / "quarterturn.db").exists()
