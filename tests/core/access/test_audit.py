"""The audit's hash chain: it verifies under concurrent writes and shows every later change."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

import admin.audit
from core.access import audit, credentials
from core.access.visitor import Visitor
from core.database import transactions
from core.database.record import DEFAULT_WORKSPACE

pytestmark = pytest.mark.services


@pytest.fixture
def visitor(own_database):
    with transactions.writing() as session:
        administrator = credentials.ensure_administrator(session)
        return Visitor(administrator.id, administrator.workspace_id, administrator.role, administrator.name)


def append(visitor, count=1):
    for number in range(count):
        with transactions.writing() as session:
            audit.write(session, visitor, "slide.label.reveal", f"slide{number}", "127.0.0.1", place=number / 3)


def broken():
    with transactions.reading() as session:
        administrator = audit.verify(session, DEFAULT_WORKSPACE)
    return administrator.number if administrator else None


def test_concurrent_audit_rows_form_one_chain(visitor):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: append(visitor, 5), range(4)))
    assert broken() is None
    with transactions.reading() as session:
        assert [row.number for row in audit.list_rows(session, visitor)] == list(range(20, 0, -1))


def test_failed_transaction_leaves_no_audit_row_and_no_gap(visitor):
    append(visitor)
    with pytest.raises(RuntimeError), transactions.writing() as session:
        audit.write(session, visitor, "slide.label.reveal", "s", "127.0.0.1")
        raise RuntimeError
    append(visitor)
    assert broken() is None


@pytest.mark.parametrize(
    "deed",
    [
        "UPDATE audit SET who = 'somebody else' WHERE number = 3",
        "UPDATE audit SET at = at + 1 WHERE number = 3",
        "UPDATE audit SET detail = '{}' WHERE number = 3",
        "DELETE FROM audit WHERE number = 3",
        "UPDATE audit SET hash = (SELECT hash FROM audit WHERE number = 2) WHERE number = 3",
    ],
)
def test_audit_check_detects_changed_and_removed_rows(visitor, deed):
    append(visitor, 6)
    assert broken() is None
    with transactions.writing() as session:
        session.execute(text(deed))
    assert broken() == 3


def test_audit_row_content_cannot_forge_another_row(visitor):
    """Content is one JSON value: line breaks and quotes in a name make no row of their own."""
    with transactions.writing() as session:
        row = audit.write(session, visitor, "slide.label.reveal", 'x","y\r\n2026', "127.0.0.1")
    assert row.number == 1
    assert broken() is None


def test_audit_command_detects_changed_rows_and_truncation(visitor, capsys):
    append(visitor, 3)
    assert admin.audit.main([]) == 0
    seal = capsys.readouterr().out.split()[-1]
    append(visitor)
    assert admin.audit.main(["--seal", seal]) == 0
    with transactions.writing() as session:
        session.execute(text("DELETE FROM audit WHERE number >= 3"))
    assert admin.audit.main([]) == 0, "the chain alone does not show it"
    assert admin.audit.main(["--seal", seal]) == 1
    assert "cut off the end" in capsys.readouterr().out
    with transactions.writing() as session:
        session.execute(text("UPDATE audit SET who = 'somebody else' WHERE number = 2"))
    assert admin.audit.main([]) == 1
    assert "row 2 is missing or was changed" in capsys.readouterr().out
