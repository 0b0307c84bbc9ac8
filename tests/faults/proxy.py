"""A small TCP proxy whose connections can be cut in the middle, as networks do."""

import contextlib
import socket
import struct
import threading
import time

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close sends RST


class Proxy:
    """Listens on its own port and passes bytes to another: later while `held`, not at all while `away`."""

    def __init__(self, target: int) -> None:
        self._target, self._pairs, self._lock = target, set(), threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.away = self.stalled = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            if self.away:
                _reset(here)
                continue
            try:
                there = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                _reset(here)
                continue
            there.settimeout(None)
            with self._lock:
                self._pairs.add((here, there))
            for source, sink in ((here, there), (there, here)):
                threading.Thread(target=self._pass, args=(source, sink, (here, there)), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(1 << 16):
                while self.stalled:
                    time.sleep(0.05)
                sink.sendall(content)
        for one in pair:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._pairs.discard(pair)

    def cut(self) -> int:
        """Resets every open connection; returns their number."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for one in pair:
                _reset(one)
        return len(pairs)

    def close(self) -> None:
        self._listener.close()
        self.cut()


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
