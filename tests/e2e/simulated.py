"""The binary against its own simulator (`sharekeeper sim`), which has what the stand-in has not: several accounts, roles,
temporary keys and a metadata service. What goes over the wire is recorded on the way."""

from __future__ import annotations

import collections
import contextlib
import json
import re
import socket
import threading
import time
import urllib.request
from typing import Dict, List, NamedTuple, Optional

from .harness import Process
from .live import Live


class Sent(NamedTuple):
    """A request that went over the wire."""

    action: str
    secret_id: str
    answer: bytes


class Wire:
    """Passes TCP on to a port of this machine, and keeps what it passed on."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        # The two directions of each connection.
        self._streams: List[List[bytearray]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # What is blocked in `accept` is woken by this, and not by `close` alone.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._to)
            except OSError:
                return
            streams = [bytearray(), bytearray()]
            with self._lock:
                self._streams.append(streams)
            threading.Thread(target=self._connection, args=(near, far, streams), daemon=True).start()

    def _connection(self, near: socket.socket, far: socket.socket, streams: List[bytearray]) -> None:
        with near, far:
            back = threading.Thread(target=self._pass_on, args=(far, near, streams[1]), daemon=True)
            back.start()
            self._pass_on(near, far, streams[0])
            back.join()

    def _pass_on(self, source: socket.socket, sink: socket.socket, stream: bytearray) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                with self._lock:
                    stream += chunk
                sink.sendall(chunk)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def streams(self) -> List[List[bytes]]:
        with self._lock:
            return [[bytes(stream) for stream in pair] for pair in self._streams]

    def sent(self) -> List[Sent]:
        """All calls of the API so far. Each connection has one at a time, so that answers follow in the order of the calls."""
        calls = []
        for asked, answered in self.streams():
            answers = re.split(rb"(?=HTTP/1\.1 \d{3} )", answered)[1:]
            for number, request in enumerate(re.split(rb"(?=(?:POST|GET) /[^ ]* HTTP/1\.1\r\n)", asked)[1:]):
                action = re.search(rb"(?i)\r\nx-tc-action: *(\w+)", request)
                if not action:
                    continue
                secret_id = re.search(rb"Credential=([^/]+)/", request)
                answer = answers[number] if number < len(answers) else b""
                calls.append(Sent(action[1].decode(), secret_id[1].decode() if secret_id else "", answer))
        return calls

    def secrets(self) -> Dict[str, set]:
        """What must show nowhere else: each kind with all of its values."""
        kinds = {
            "signature": rb"Signature=([0-9a-f]{64})",
            "token": rb"(?i)\r\nx-tc-token: *([^\r\n]+)",
            "given token": rb'"Token" *: *"([^"]+)"',
            "given key": rb'"TmpSecretKey" *: *"([^"]+)"',
            "web identity token": rb'"WebIdentityToken" *: *"([^"]+)"',
        }
        found: Dict[str, set] = collections.defaultdict(set)
        for pair in self.streams():
            for stream in pair:
                for kind, pattern in kinds.items():
                    found[kind].update(re.findall(pattern, stream))
        return found


class Simulated(Live):
    """A test with a simulator in a process of its own. Worlds are JSON, which is YAML as well."""

    def simulate(self, world: dict) -> None:
        path = self.directory / "world.yaml"
        path.write_text(json.dumps(world))
        self.simulator: Process = self.start("sim", "--listen", "127.0.0.1:0", "--world", str(path), "-o", "json")
        deadline = time.monotonic() + 20
        while not self.simulator.said("stdout").endswith("\n"):
            if time.monotonic() > deadline or not self.simulator.running():
                self.fail(f"the simulator does not start:\n{self.simulator.said()}")
            time.sleep(0.01)
        # It printed its keys and is no longer asked to be silent of them.
        path.unlink()
        self._direct = json.loads(self.simulator.said("stdout"))["endpoint"]
        self.wire = Wire(int(self._direct.rsplit(":", 1)[1]))
        self.addCleanup(self.wire.close)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.wire.port}"

    def run_daemon(self, *more: str, **environment: Optional[str]) -> Process:
        return super().run_daemon("--endpoint", self.endpoint, *more, **environment)

    def sim(self, path: str, change: Optional[dict] = None) -> dict:
        """Asks the simulator, past the wire."""
        data = json.dumps(change).encode() if change is not None else None
        with urllib.request.urlopen(f"{self._direct}/_sim/{path}", data, timeout=10) as response:
            return json.load(response)

    def change_account(self, name: str, **change: object) -> None:
        self.sim("accounts", {"account": name, **change})

    def shared(self, account: str) -> int:
        (found,) = [item for item in self.sim("state")["accounts"] if item["name"] == account]
        return sum(image["shared"] for image in found["images"])

    def calls_of(self, secret_id: str) -> List[Sent]:
        return [call for call in self.wire.sent() if call.secret_id == secret_id]

    def document_of_account(self, name: str, credentials: dict, uin: Optional[str] = None) -> None:
        spec = {"credentials": credentials, **({"uin": uin} if uin else {})}
        document = {"apiVersion": "sharekeeper.dev/v1", "kind": "Account", "metadata": {"name": name}, "spec": spec}
        self.write(f"account-{name}.yaml", json.dumps(document))
