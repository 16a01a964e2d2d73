"""A running daemon, and what can be seen of it over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
from typing import Callable, Dict, Optional, Tuple

from .harness import MODIFY, Case, Process

# Short, so that a test covers several rounds.
INTERVAL = "2s"


class Live(Case):
    """A test with a daemon."""

    def run_daemon(self, *more: str, **environment: Optional[str]) -> Process:
        """Starts `run` and waits until its port listens. A flag in `more` replaces its default."""
        flags = {
            "--endpoint": self.endpoint if self.cloud else None,
            "--state-dir": str(self.state),
            "--listen": "127.0.0.1:0",
            "--interval": INTERVAL,
            "--poll": "1s",
        }
        given = [item for flag, value in flags.items() if value and flag not in more for item in (flag, value)]
        paths = () if "--git" in more else (str(self.manifests),)
        self.process = self.start("run", *paths, *given, *more, **environment)
        line = self.process.wait_for_line(r"http://127\.0\.0\.1:(\d+)/")
        self.port = int(line.group(1))
        return self.process

    def get(self, path: str, method: str = "GET", **headers: str) -> Tuple[int, str, Dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8")
            return response.status, text, {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()

    def status(self) -> dict:
        code, text, _ = self.get("/status.json")
        self.check_equal(code, 200, "status of /status.json")
        return json.loads(text)

    def metric(self, name: str) -> float:
        """The sum of all series of a metric."""
        _, text, _ = self.get("/metrics")
        values = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}(\{{|\s)", line)]
        self.check(values, f"there is no metric {name}:\n{text[:3000]}")
        return sum(values)

    def until(self, condition: Callable[[], object], what: str, timeout: float = 30.0) -> float:
        """Waits until something holds; how long it took, in seconds."""
        started = time.monotonic()
        while not condition():
            if time.monotonic() - started > timeout:
                said = self.process.said()[-4000:]
                self.fail(f"after {timeout} s still not: {what}\nthe daemon's log:\n{said}")
            if not self.process.running():
                self.fail(f"the daemon has ended, before: {what}\n{self.process.said()}")
            time.sleep(0.02)
        return time.monotonic() - started

    def until_synced(self, images: int) -> None:
        def synced() -> bool:
            summary = self.status()["summary"]
            return summary["in_sync"] == images and not any(
                count for name, count in summary.items() if name not in ("in_sync", "images")
            )

        self.until(synced, f"all {images} images are in sync")

    def rounds(self, count: int = 2) -> None:
        """Waits until every scope was observed `count` times more."""

        def passes() -> float:
            return self.metric("sharekeeper_reconcile_total")

        scopes = max(1, len(self.status()["scopes"]))
        before = passes()
        self.until(lambda: passes() >= before + count * scopes, f"{count} more rounds")

    def replace(self, name: str, text: str) -> None:
        """Writes a manifest beside the old one and renames it into its place, as editors do."""
        beside = self.manifests / f".{name}.tmp"
        beside.write_text(text, encoding="utf-8")
        os.rename(beside, self.manifests / name)

    def writes(self) -> int:
        return len(self.cloud.ledger.calls(MODIFY))

    def end_daemon(self, number: int = 15, status: int = 143) -> str:
        self.process.send(number)
        self.last = run = self.process.wait(15)
        self.check_equal(run.status, status, "exit status")
        return run.stderr
