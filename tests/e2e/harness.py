"""What the end-to-end tests share: manifests in temporary directories, the binary in a clean environment, good failures.

    SHAREKEEPER_BIN=target/debug/sharekeeper python3 -m unittest discover -s tests/e2e -t tests
    SHAREKEEPER_BIN=… python3 -m unittest discover -s tests/e2e -t tests -k test_a1   # by fault id
    cd tests && SHAREKEEPER_BIN=… python3 -m unittest -v e2e.test_rate                # one subject

`cargo test` runs all of it through tests/it/end_to_end.rs. Test names carry the ids of the invariants and faults they are
about (A: the API's behaviour, T: transport, C: clock and credentials, M: manifests, O: output, P: process, S: invariants).

After every test the stand-in's ledger is held to what must always be true (see `Case.check_ledger`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
import threading
import time
import unittest
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence, Tuple, Union

from standin.standin import (
    BLUEPRINTS,
    CVM_IMAGES,
    IDENTITY,
    IMAGES,
    INSTANCES,
    MODIFY,
    REGIONS,
    SECRET_ID,
    SECRET_KEY,
    UIN,
    Answer,
    Call,
    Fault,
    Image,
    Instance,
    Key,
    PageScript,
    StandIn,
)

SINGAPORE, FRANKFURT, TOKYO = "ap-singapore", "eu-frankfurt", "ap-tokyo"

__all__ = [
    "FRANKFURT", "REPOSITORY", "SHORT", "SINGAPORE", "TOKYO", "Process",
    "BLUEPRINTS", "CVM_IMAGES", "IDENTITY", "IMAGES", "INSTANCES", "MODIFY", "REGIONS", "SECRET_ID", "SECRET_KEY", "UIN",
    "Answer", "Call", "Case", "Fault", "Image", "Instance", "Key", "PageScript", "Run", "StandIn", "image_id", "images",
]  # fmt: skip

REPOSITORY = Path(__file__).resolve().parents[2]

# No run may take longer, whatever it waits for.
HARD_TIMEOUT = 90.0
# For runs that end with their `--timeout` because a fault never goes away.
SHORT = ("--timeout", "6s")


def binary() -> str:
    path = os.environ.get("SHAREKEEPER_BIN")
    if not path:
        raise AssertionError("SHAREKEEPER_BIN is not set: it names the sharekeeper binary to test")
    return str(Path(path).resolve())


def image_id(number: int) -> str:
    return f"img-{number:08}"


def images(count: int, region: str = SINGAPORE, first: int = 0, **attributes: object) -> List[Image]:
    return [Image(region, image_id(number), **attributes) for number in range(first, first + count)]  # type: ignore[arg-type]


@dataclass
class Run:
    """One finished run of the binary."""

    command: List[str]
    status: int
    stdout: str
    stderr: str
    seconds: float

    def __str__(self) -> str:
        def tail(text: str, lines: int) -> str:
            shown = text.splitlines()[-lines:]
            return "\n".join("    " + line[:600] for line in shown) or "    (nothing)"

        return (
            f"command: {' '.join(self.command)}\nexit status: {self.status} after {self.seconds:.2f} s\n"
            f"stdout:\n{tail(self.stdout, 60)}\nstderr (its end):\n{tail(self.stderr, 40)}"
        )


class Process:
    """A running binary. Its output is read all the time, so that it never blocks on a full pipe."""

    def __init__(self, command: List[str], environment: Dict[str, str], directory: Path) -> None:
        self.command = command
        self._started = time.monotonic()
        self._popen = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._output: Dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._more = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True) for name in ("stdout", "stderr")
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        pipe = getattr(self._popen, name)
        while chunk := os.read(pipe.fileno(), 65536):
            with self._more:
                self._output[name] += chunk
                self._more.notify_all()
        with self._more:
            self._more.notify_all()

    def said(self, name: str = "stderr") -> str:
        """What it has printed by now."""
        with self._more:
            return self._output[name].decode("utf-8", "replace")

    def wait_for_line(self, pattern: str, timeout: float = 30.0) -> "re.Match[str]":
        """Waits until a line of its log matches."""
        deadline = time.monotonic() + timeout
        with self._more:
            while True:
                text = self._output["stderr"].decode("utf-8", "replace")
                found = re.search(pattern, text, re.MULTILINE)
                if found:
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or self._popen.poll() is not None:
                    raise AssertionError(f"no line of the log matches {pattern!r}:\n{text}")
                self._more.wait(min(left, 0.2))

    def send(self, number: int) -> float:
        """Sends a signal; gives the moment at which it was sent, on the ledger's clock."""
        moment = time.monotonic()
        self._popen.send_signal(number)
        return moment

    def starve(self) -> None:
        """From now on it gets no more memory than it has."""
        # A process that has just ended needs none.
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self._popen.pid, resource.RLIMIT_DATA, (1, 1))

    def running(self) -> bool:
        return self._popen.poll() is None

    def wait(self, timeout: float = HARD_TIMEOUT) -> Run:
        try:
            status = self._popen.wait(timeout)
            late = ""
        except subprocess.TimeoutExpired:
            self.kill()
            status, late = self._popen.wait(), f"\n[killed: still running after {timeout} s]"
        # As a shell shows it: a death by signal n is status 128 + n, but must not pass for an orderly exit with it.
        if status < 0 and not late:
            late = f"\n[died of signal {-status}]"
        for reader in self._readers:
            reader.join(5)
        out, err = (self.said(name) for name in ("stdout", "stderr"))
        return Run(self.command, status, out, err + late, time.monotonic() - self._started)

    def end(self) -> Run:
        """Kills it, as `kill -9` does, and gives what it had printed by then."""
        if self.running():
            self._popen.kill()
        run = self.wait()
        self.kill()
        return run

    def kill(self) -> None:
        if self.running():
            self._popen.kill()
        self._popen.wait()
        for reader in self._readers:
            reader.join(5)
        for pipe in (self._popen.stdout, self._popen.stderr):
            pipe.close()  # type: ignore[union-attr]


class Case(unittest.TestCase):
    """A test with a stand-in, a directory of manifests and a state directory of its own."""

    longMessage = True
    maxDiff = None

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="sharekeeper-e2e-"))
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.manifests = self.directory / "manifests"
        self.manifests.mkdir()
        self.state = self.directory / "state"
        self.home = self.directory / "home"
        self.home.mkdir()
        self.cloud: Optional[StandIn] = None
        self.last: Optional[Run] = None
        # What a test may switch off when the fault it injects makes it untrue.
        self.throttling_allowed = False
        self.refused_signatures_allowed = False

    # -- the world

    def serve(self, world: Iterable[Image] = (), pages: Iterable[PageScript] = (), **settings: object) -> StandIn:
        self.cloud = StandIn(world, pages, **settings)
        self.cloud.__enter__()
        self.addCleanup(self.cloud.__exit__)
        return self.cloud

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.cloud.port}"

    @property
    def regional_endpoint(self) -> str:
        return f"http://{{region}}.localhost:{self.cloud.port}"

    # -- manifests

    def write(self, name: str, text: str) -> Path:
        path = self.manifests / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def share(
        self,
        wanted: Union[Sequence[Image], Sequence[Tuple[str, str]]],
        state: str = "shared",
        name: str = "e2e",
        extra: str = "",
        account: Optional[str] = None,
    ) -> None:
        """Writes one manifest with a document for each region. `extra` is added to each image, as flow YAML."""
        by_region: Dict[str, List[str]] = {}
        for item in wanted:
            region, identifier = (item.region, item.image_id) if isinstance(item, Image) else item
            by_region.setdefault(region, []).append(identifier)
        documents = []
        for region, identifiers in by_region.items():
            lines = [f"    - {{id: {identifier}, state: {state}{extra}}}" for identifier in identifiers]
            documents.append(
                "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\n"
                f"metadata: {{name: {name}-{region}}}\nspec:\n"
                + (f"  account: {account}\n" if account else "")
                + f"  regions: [{region}]\n  images:\n"
                + "\n".join(lines)
                + "\n"
            )
        self.write(f"{name}.yaml", "---\n".join(documents))

    def account(self, name: str, uin: Optional[str]) -> None:
        """Writes an `Account` document."""
        spec = f'{{uin: "{uin}"}}' if uin else "{}"
        self.write(f"account-{name}.yaml", f"apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {{name: {name}}}\nspec: {spec}\n")

    # -- the binary

    def environment(self, **changes: Optional[str]) -> Dict[str, str]:
        environment = {
            name: value
            for name, value in os.environ.items()
            # Nothing of the developer's own cloud, proxy or settings gets in.
            if not name.upper().startswith(("SHAREKEEPER_", "TENCENTCLOUD_", "TKE_", "XDG_", "TCCLI_"))
            and not name.upper().endswith("_PROXY")
            and name not in ("RUST_LOG", "HOME", "NO_COLOR", "CLICOLOR_FORCE")
        }
        environment.update(
            HOME=str(self.home),
            XDG_STATE_HOME=str(self.home / "state"),
            TENCENTCLOUD_SECRET_ID=SECRET_ID,
            TENCENTCLOUD_SECRET_KEY=SECRET_KEY,
        )
        for name, value in changes.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        return environment

    def start(self, *arguments: str, directory: Optional[Path] = None, **environment: Optional[str]) -> Process:
        process = Process([binary(), *arguments], self.environment(**environment), directory or self.directory)
        self.addCleanup(process.kill)
        return process

    def run_binary(self, *arguments: str, directory: Optional[Path] = None, **environment: Optional[str]) -> Run:
        self.last = self.start(*arguments, directory=directory, **environment).wait()
        return self.last

    def command_line(self, *words: str) -> str:
        """Runs another program, which must succeed; gives what it printed."""
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        return done.stdout

    def start_through(self, wrapper: Sequence[str], *arguments: str) -> Process:
        """Starts the binary as the last arguments of another command."""
        process = Process([*wrapper, binary(), *arguments], self.environment(), self.directory)
        self.addCleanup(process.kill)
        return process

    def run_binary_through(self, wrapper: Sequence[str], *arguments: str) -> Run:
        self.last = self.start_through(wrapper, *arguments).wait()
        return self.last

    def command(self, name: str, *more: str, **defaults: str) -> Tuple[str, ...]:
        """A command on the manifests. A flag in `more` replaces its default: flags may not be given twice."""
        flags = {"--endpoint": self.endpoint, "--state-dir": str(self.state), "--log-level": "info", "-o": "json"}
        flags.update((f"--{flag}", value) for flag, value in defaults.items())
        given = [item for flag, value in flags.items() if flag not in more for item in (flag, value)]
        return (name, str(self.manifests), *given, *more)

    def reconcile_command(self, *more: str) -> Tuple[str, ...]:
        return self.command("reconcile", *more, timeout="60s")

    def reconcile(
        self, *more: str, expect: Union[int, Sequence[int]] = 0, endpoint: Optional[str] = None, **environment: Optional[str]
    ) -> dict:
        """Runs `reconcile -o json`, demands the exit status and one document that agrees with it; gives the document."""
        if endpoint:
            more += ("--endpoint", endpoint)
        run = self.run_binary(*self.reconcile_command(*more), **environment)
        return self.expect(run, expect)

    def plan(self, *more: str, expect: int = 0) -> dict:
        return self.expect(self.run_binary(*self.command("plan", *more)), expect)

    def expect(self, run: Run, expect: Union[int, Sequence[int]]) -> dict:
        statuses = (expect,) if isinstance(expect, int) else tuple(expect)
        if run.status not in statuses:
            self.fail(f"exit status {run.status}, not {' or '.join(map(str, statuses))}")
        return self.document(run)

    def document(self, run: Run) -> dict:
        """The one JSON document on stdout; its exit code is the process's."""
        self.last = run
        try:
            document = json.loads(run.stdout)
        except ValueError as error:
            self.fail(f"stdout is not one JSON document: {error}")
        if not isinstance(document, dict):
            self.fail("the document is not an object")
        self.check_equal(document.get("format_version"), 1, "format_version")
        self.check_equal(document.get("exit_code"), run.status, "exit_code against the exit status")
        return document

    # -- assertions

    def fail(self, msg: object = None) -> None:  # type: ignore[override]
        raise self.failureException(f"{msg}\n{self.evidence()}")

    def evidence(self, identifiers: Iterable[str] = ()) -> str:
        parts = [str(self.last)] if self.last else []
        if self.cloud:
            parts.append(f"the stand-in's ledger: {self.cloud.ledger.describe(identifiers)}")
        return "\n".join(parts)

    def check(self, condition: object, message: str, *identifiers: str) -> None:
        """Like assertTrue, with the run and the ledger (of these images first) in the failure message."""
        if not condition:
            raise self.failureException(f"{message}\n{self.evidence(identifiers)}")

    def check_equal(self, actual: object, expected: object, what: str, *identifiers: str) -> None:
        self.check(actual == expected, f"{what}: {actual!r}, not {expected!r}", *identifiers)

    def check_world(self, wanted: Iterable[Image], state: str) -> None:
        wrong = [image.image_id for image in wanted if image.now != state]
        self.check(not wrong, f"{len(wrong)} images are not {state} in the end, such as {wrong[:5]}", *wrong[:5])

    def check_outcomes(self, document: dict, wanted: Iterable[Image], outcomes: Union[str, Sequence[str]]) -> List[dict]:
        """Every image has exactly one entry, with one of the outcomes; gives the entries."""
        allowed = (outcomes,) if isinstance(outcomes, str) else tuple(outcomes)
        entries: Dict[Tuple[str, str], List[dict]] = {}
        for entry in document["images"]:
            entries.setdefault((entry["region"], entry["image_id"]), []).append(entry)
        found = []
        for image in wanted:
            matching = entries.get((image.region, image.image_id), [])
            self.check_equal(len(matching), 1, f"entries for {image.image_id} in {image.region}", image.image_id)
            outcome = matching[0]["outcome"]
            self.check(outcome in allowed, f"{image.image_id}: {outcome}, not {' or '.join(allowed)}", image.image_id)
            found += matching
        return found

    def check_writes(self, image: Image, at_most: int, at_least: int = 0) -> None:
        count = len(self.cloud.ledger.writes(image.image_id, image.region))
        self.check(
            at_least <= count <= at_most,
            f"{image.image_id} in {image.region} was written {count} times, not {at_least}..={at_most}",
            image.image_id,
        )

    def check_nothing_called(self) -> None:
        self.check_equal(len(self.cloud.ledger), 0, "calls")

    def check_ledger(self) -> None:
        """What holds in every test, whatever goes wrong."""
        ledger = self.cloud.ledger
        self.assertIsNone(self.cloud.crash, "the stand-in itself has a bug")
        overlaps = ledger.overlapping_writes()
        self.check(
            not overlaps,
            "S8: two writes to one image at a time: " + "; ".join(f"{a} and {b}" for a, b in overlaps[:3]),
            *[call.image for pair in overlaps[:3] for call in pair],
        )
        # Some codes only a faulty client ever sees.
        faulty = ("http ", "Invalid", "Unknown", "Missing", "NoSuchVersion", "UnsupportedRegion")
        if not self.refused_signatures_allowed:
            faulty += ("AuthFailure",)
        bad = [call for call in ledger.calls() if call.result.startswith(faulty)]
        self.check(not bad, f"{len(bad)} calls were malformed, such as {bad[0] if bad else ''}")
        if not self.throttling_allowed:
            throttled = [call for call in ledger.calls() if call.result.startswith("RequestLimitExceeded")]
            self.check(not throttled, f"S6: {len(throttled)} calls were over the limit")
            for action, limit in ((MODIFY, 20), (BLUEPRINTS, 10), (IMAGES, 20), (IDENTITY, 20), (INSTANCES, 10), (CVM_IMAGES, 10)):
                busiest = ledger.busiest_second(action)
                self.check(busiest <= limit, f"S6: {busiest} {action} calls in one second; the limit is {limit}")

    def _callTestMethod(self, method):  # type: ignore[no-untyped-def]
        # After the test, and only if it passed: a failing test has its own, more telling message.
        method()
        if self.cloud:
            self.check_ledger()
