"""The reader that a process keeps open: one at most, for all threads."""

import threading
import time
from types import SimpleNamespace

import pytest

from worker import readers
from worker.readers import OpenReader

PATIENCE = 20.0


class Child:
    """A reader that counts how many are open at a time."""

    opened: list["Child"]

    def __init__(self, slide):
        self.slide_id, self.alive = slide.id, True
        time.sleep(0.002)  # starting a process takes its time
        self.opened.append(self)

    def close(self):
        time.sleep(0.001)
        self.alive = False


@pytest.fixture(autouse=True)
def children(monkeypatch):
    Child.opened = []
    monkeypatch.setattr(readers, "_open", Child)
    monkeypatch.setattr(readers.opening, "require_unaltered", lambda _: None)
    return Child.opened


def slide(name):
    return SimpleNamespace(id=name)


def test_a_slide_is_opened_once_and_again_after_its_reader_ended(children):
    process = OpenReader()
    first = process.get(slide("a"))
    assert process.get(slide("a")) is first
    first.alive = False
    assert process.get(slide("a")) is not first
    assert len(children) == 2


def test_another_slide_closes_the_first_slides_reader(children):
    process = OpenReader()
    first, second = process.get(slide("a")), process.get(slide("b"))
    assert (first.alive, second.alive, second.slide_id) == (False, True, "b")


def test_threads_that_open_and_close_at_once_leave_no_reader_behind(children):
    """The thread that reads ahead opens while the one that computes closes after a fault."""
    process, faults = OpenReader(), []

    def work(step):
        try:
            for _ in range(40):
                step()
        except Exception as error:  # noqa: BLE001 - reported by the assertion
            faults.append(error)

    steps = [lambda: process.get(slide("a")), lambda: process.get(slide("b")), process.close]
    threads = [threading.Thread(target=work, args=(step,)) for step in steps * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    process.close()
    assert faults == []
    assert [child for child in children if child.alive] == []
