"""Uploads as a state machine: any interleaving of PATCH, kill, resume, expiry and termination, on real files.

The model is what a client was told. Whatever happens, bytes that were acknowledged are on disk, in place and right.
"""

import base64
import hashlib
import shutil

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import update

from core.access.visitor import Visitor
from core.database import transactions
from core.database.analyses import Work
from core.database.record import DEFAULT_WORKSPACE
from core.database.slides import Slide, Upload
from core.errors import Conflict, Gone, TooLarge
from core.slides import storage, uploads

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("own_database")]
WHO = Visitor("p", DEFAULT_WORKSPACE, "analyst", "someone")


class Sending(RuleBasedStateMachine):
    """One upload and its client, which disconnects, sends wrong offsets, resumes or terminates."""

    @initialize(content=st.binary(min_size=1, max_size=400))
    def begin(self, content):
        self.content, self.acknowledged, self.state, self.under_way = content, 0, "open", None
        with transactions.writing() as session:
            upload = uploads.create(session, WHO, len(content), "filename eC5zdnM=", {})
            self.id, self.file = upload.id, session.get_one(Slide, upload.slide_id).file

    def records(self):
        with transactions.reading() as session:
            upload = uploads.find(session, WHO, self.id)
            return upload, session.get_one(Slide, upload.slide_id)

    def alone(self):
        """Whether the upload is open and no PATCH is in flight."""
        return self.state == "open" and self.under_way is None

    def opened(self, offset, checksum=None):
        return uploads.Writer(*self.records(), offset, checksum)

    @precondition(lambda self: self.alone())
    @rule(size=st.integers(0, 150), pieces=st.integers(1, 4))
    def patch(self, size, pieces):
        writer, chunk = self.opened(self.acknowledged), self.content[self.acknowledged : self.acknowledged + size]
        step = max(1, len(chunk) // pieces)
        for start in range(0, len(chunk), step):
            writer.write(chunk[start : start + step])
        writer.close(True)
        self.acknowledged += len(chunk)

    @precondition(lambda self: self.alone())
    @rule(size=st.integers(1, 150), honest=st.booleans(), complete=st.booleans())
    def patch_with_checksum(self, size, honest, complete):
        chunk = self.content[self.acknowledged : self.acknowledged + size]
        digest = hashlib.sha256(chunk if honest else chunk + b"!").digest()
        writer = self.opened(self.acknowledged, f"sha256 {base64.b64encode(digest).decode()}")
        writer.write(chunk if complete else chunk[: len(chunk) // 2])
        if complete and not honest:
            with pytest.raises(uploads.ChecksumMismatch):
                writer.close(True)
            return
        writer.close(complete)
        self.acknowledged += len(chunk) if complete else 0

    @precondition(lambda self: self.alone())
    @rule(size=st.integers(1, 150))
    def cut(self, size):
        """The connection breaks: received bytes stay, and the next HEAD returns their number."""
        writer = self.opened(self.acknowledged)
        writer.write(self.content[self.acknowledged : self.acknowledged + size])
        writer.close(False)
        self.acknowledged = self.records()[0].offset

    @precondition(lambda self: self.alone())
    @rule()
    def begin_patch(self):
        """Starts a PATCH that stays in flight while other rules run."""
        self.under_way = self.opened(self.acknowledged)

    @precondition(lambda self: self.under_way and self.state == "open")
    @rule()
    def another_patch(self):
        """A PATCH of another process, which has no record of the first."""
        with pytest.raises(Conflict, match="still writes"):
            self.opened(self.acknowledged)

    @precondition(lambda self: self.under_way)
    @rule(size=st.integers(1, 150))
    def go_on(self, size):
        writer = self.under_way
        writer.write(self.content[writer.offset : writer.offset + size])

    @precondition(lambda self: self.under_way)
    @rule(complete=st.booleans())
    def end_patch(self, complete):
        """The PATCH in flight ends: its bytes count, unless the upload ended meanwhile."""
        writer, self.under_way = self.under_way, None
        writer.close(complete)
        if self.state == "open":
            self.acknowledged = writer.offset

    @precondition(lambda self: self.under_way)
    @rule()
    def kill_under_way(self):
        """The process dies with its PATCH: unacknowledged bytes are discarded, and the next PATCH may write."""
        self.under_way.file.close()
        self.under_way = None

    @precondition(lambda self: self.state == "open")
    @rule()
    def head(self):
        """The offset of a HEAD is on disk."""
        assert self.records()[0].offset == self.acknowledged
        assert storage.absolute(self.file).stat().st_size >= self.acknowledged

    @precondition(lambda self: self.alone())
    @rule(garbage=st.binary(min_size=1, max_size=200))
    def kill(self, garbage):
        """The process dies: bytes of any kind may stand beyond the offset, unacknowledged (never past the length)."""
        with storage.absolute(self.file).open("r+b") as file:
            file.seek(self.acknowledged)
            file.write(garbage[: len(self.content) - self.acknowledged])

    @precondition(lambda self: self.alone())
    @rule(wrong=st.integers(-5, 500))
    def wrong_offset(self, wrong):
        if wrong != self.acknowledged:
            with pytest.raises(Conflict):
                self.opened(wrong)

    @precondition(lambda self: self.alone())
    @rule()
    def too_much(self):
        writer = self.opened(self.acknowledged)
        with pytest.raises(TooLarge):
            writer.write(self.content[self.acknowledged :] + b"x")
        writer.close(False)

    @rule()
    def finish(self):
        complete = self.state == "open" and self.acknowledged == len(self.content)
        with transactions.writing() as session:
            assert (uploads.finish(session, self.id) is not None) == complete
        if complete:
            self.state = "finished"

    @rule()
    def terminate(self):
        with transactions.writing() as session:
            upload = session.get_one(Upload, self.id)
            if self.state == "open":
                uploads.terminate(session, upload)
                self.state = "gone"
            else:
                with pytest.raises(Conflict):
                    uploads.terminate(session, upload)
        if self.state == "gone":
            storage.remove(self.id)

    @rule(late=st.booleans())
    def expire(self, late):
        if late:
            with transactions.writing() as session:
                session.execute(update(Upload).where(Upload.id == self.id).values(expires_at=0))
        was_open = self.state == "open"
        count = uploads.expire()
        assert count == (was_open and late)
        if count:
            self.state = "gone"

    @invariant()
    def what_was_told_is_true(self):
        if not hasattr(self, "id"):
            return
        path = storage.absolute(self.file)
        if self.state == "gone":
            assert not path.exists()
            with pytest.raises(Gone):
                self.records()
            return
        assert self.records()[0].offset == self.acknowledged
        assert path.read_bytes()[: self.acknowledged] == self.content[: self.acknowledged]
        with transactions.reading() as session:
            inspections = session.query(Work).filter_by(slide_id=self.id, kind="inspect").count()
        assert inspections == (self.state == "finished")
        if self.state == "finished":
            assert path.read_bytes() == self.content

    def teardown(self):
        if getattr(self, "under_way", None):
            self.under_way.file.close()
        with transactions.writing() as session:
            for table in (Work, Upload, Slide):
                session.query(table).delete()
        shutil.rmtree(storage.absolute("slides"), ignore_errors=True)


def test_upload_state_machine():
    Sending.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
    Sending.TestCase().runTest()
