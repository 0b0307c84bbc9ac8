"""The embedded mode's doorbell: a message is complete or absent, also for a concurrent reader."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection
from servers import ROOT

from core.work.doorbell import FILES

MESSAGES = 800
WRITER = """
import json, sys
from kombu import Connection
folders = json.loads(sys.argv[1])
for number in range(int(sys.argv[2])):
    if number % 100 == 0:  # a new process binds its queue anew
        channel = Connection("filesystem://", transport=sys.argv[3], transport_options=folders).channel()
        channel._queue_bind("exchange", "", "", f"queue{number}")
    channel._put("queue", {"number": number, "body": "x" * 2000})
"""


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "messages").mkdir()
    messages, control = str(tmp_path / "messages"), str(tmp_path / "control")
    return {"data_folder_in": messages, "data_folder_out": messages, "control_folder": control}


@pytest.fixture
def channel(folders):
    return Connection("filesystem://", transport=FILES, transport_options=folders).channel()


def test_concurrent_reader_gets_each_message_once(folders, channel):
    command = [sys.executable, "-c", WRITER, json.dumps(folders), str(MESSAGES), FILES]
    writer, numbers = subprocess.Popen(command, cwd=ROOT), []
    while writer.poll() is None or channel._size("queue"):
        channel.get_table("exchange")
        if channel._size("queue"):
            numbers.append(channel._get("queue")["number"])
    assert writer.returncode == 0
    assert sorted(numbers) == list(range(MESSAGES))
    assert len(channel.get_table("exchange")) == MESSAGES // 100


def test_broken_message_is_skipped(folders, channel):
    (Path(folders["data_folder_in"]) / f"{0:020d}_cut.queue.msg").write_text("{")
    channel._put("queue", "rung")
    assert channel._size("queue") == 2
    assert channel._get("queue") == "rung"
    with pytest.raises(Empty):
        channel._get("queue")
    assert list(Path(folders["data_folder_in"]).iterdir()) == []


def test_two_readers_share_messages_without_duplicates(folders, channel):
    for number in range(400):
        channel._put("queue", number)
    other = Connection("filesystem://", transport=FILES, transport_options=folders).channel()

    def drain(reader):
        numbers = []
        while reader._size("queue"):
            with suppress(Empty):
                numbers.append(reader._get("queue"))
        return numbers

    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(drain, (channel, other)))
    assert sorted(parts[0] + parts[1]) == list(range(400))
    assert list(Path(folders["data_folder_in"]).iterdir()) == []
