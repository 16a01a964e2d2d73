"""kill -9 at any point, then a rerun: it converges, and the history says what was tried."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Dict, List, Tuple

from .harness import FRANKFURT, SINGAPORE, Case, Image, Process, Run, StandIn, binary, images

# Points at which a run is killed, shared out among workers, each with a world and a state directory of its own.
POINTS = int(os.environ.get("SHAREKEEPER_TEST_KILLS", "200"))
# The runs wait most of the time: for replies that get lost, and for writes to settle.
WORKERS = 12
# Faults whose replies come or fail fast: what counts is where the process dies, not how long it waits.
FAULTS = ("cut", "garbage", "html", "server_error", "truncated", "lost")


class World:
    """What one point is tried on."""

    def __init__(self, seed: int) -> None:
        self.up = images(5) + images(3, FRANKFURT)
        self.down = images(2, first=20, shared=True)
        # Shared by somebody else; no manifest names it, and pruning is on.
        self.foreign = [Image(SINGAPORE, "img-foreign0", shared=True)]
        self.cloud = StandIn(
            [*self.up, *self.down, *self.foreign],
            seed=seed,
            latency=(0.005, 0.025),
            fault_rate=0.08,
            fault_kinds=FAULTS,
            fault_seconds=(0.05, 0.3),
        )

    def manifest(self) -> str:
        documents = []
        for name, region, state, wanted in (
            ("up", SINGAPORE, "shared", self.up[:5]),
            ("far", FRANKFURT, "shared", self.up[5:]),
            ("down", SINGAPORE, "unshared", self.down),
        ):
            lines = "".join(f"    - {{id: {image.image_id}, state: {state}}}\n" for image in wanted)
            documents.append(
                f"apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: {name}}}\n"
                f"spec:\n  region: {region}\n  images:\n{lines}"
            )
        return "---\n".join(documents)


class Kill(Case):
    def test_d4_s9_s18_s19_l9_kill_9_at_random_points(self) -> None:
        self._failures: List[str] = []
        self._killed = 0
        self._lock = threading.Lock()
        workers = [threading.Thread(target=self._work, args=(number,)) for number in range(WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if self._failures:
            raise self.failureException(f"{len(self._failures)} of {POINTS} points:\n" + "\n\n".join(self._failures[:3]))
        self.check(self._killed >= POINTS * 3 // 4, f"only {self._killed} of {POINTS} runs were killed before they ended")
        print(f"measured: killed {self._killed} of {POINTS} runs at random points; each rerun converged", flush=True)

    def _work(self, number: int) -> None:
        dice = random.Random(number)
        longest = 1.0
        for point in range(number, POINTS, WORKERS):
            try:
                killed, seconds = self._point(point, dice.uniform(0.02, longest))
            except Exception as error:  # the other points go on
                with self._lock:
                    self._failures.append(f"point {point}: {error}")
                continue
            with self._lock:
                self._killed += killed
            if not killed:
                longest = max(0.1, seconds * 0.9)

    def _point(self, seed: int, after: float) -> Tuple[bool, float]:
        directory = Path(tempfile.mkdtemp(prefix="sharekeeper-kill-"))
        world = World(seed)
        try:
            (directory / "manifest.yaml").write_text(world.manifest(), encoding="utf-8")
            with world.cloud:
                return self._kill_and_rerun(world, directory, after)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _kill_and_rerun(self, world: World, directory: Path, after: float) -> Tuple[bool, float]:
        endpoint = f"http://{{region}}.localhost:{world.cloud.port}"
        common = ["--state-dir", str(directory / "state"), "-o", "json", "--log-level", "off"]
        command = [
            binary(), "reconcile", str(directory / "manifest.yaml"), "--endpoint", endpoint,
            "--prune", "owned", "--timeout", "60s", *common,
        ]  # fmt: skip
        first = Process(command, self.environment(), directory)
        end = time.monotonic() + after
        while first.running() and time.monotonic() < end:
            time.sleep(0.002)
        killed = first.running()
        ran = first.end()
        again = self._run(command, directory)
        self._demand(again.status == 0, f"the rerun ended with {again.status}", ran, again)
        wrong = [image.image_id for image in world.up if image.now != "shared"]
        wrong += [image.image_id for image in world.down if image.now != "unshared"]
        self._demand(not wrong, f"not as desired: {wrong}", ran, again)
        self._check_writes(world, self._history(directory, common), again)
        return killed, ran.seconds

    def _run(self, command: List[str], directory: Path) -> Run:
        process = Process(command, self.environment(), directory)
        try:
            return process.wait()
        finally:
            process.kill()

    def _history(self, directory: Path, common: List[str]) -> List[dict]:
        history = self._run([binary(), "history", "--limit", "0", *common], directory)
        self._demand(history.status == 0, "history cannot be read", history)
        verified = self._run([binary(), "history", "verify", *common], directory)
        self._demand(verified.status == 0 and json.loads(verified.stdout)["sound"], "the chain is broken", verified)
        return json.loads(history.stdout)["entries"]

    def _check_writes(self, world: World, history: List[dict], run: Run) -> None:
        """Each write that arrived has exactly one intent: those that never arrived are intents without a write."""
        ended = {entry["intent"]: entry["result"] for entry in history if entry["event"] == "outcome"}
        outcomes = [entry for entry in history if entry["event"] == "outcome"]
        self._demand(len(ended) == len(outcomes), "an intent has two outcomes", run)
        intents: Dict[Tuple[str, str], List[Tuple[str, str]]] = {}
        for entry in history:
            if entry["event"] == "intent":
                key = entry["region"], entry["image_id"]
                # Without an outcome the process died with it: the write may have arrived or not.
                intents.setdefault(key, []).append((entry["permission"].upper(), ended.get(entry["seq"], "died")))
        for image in [*world.up, *world.down, *world.foreign]:
            writes = [call.permission for call in world.cloud.ledger.writes(image.image_id, image.region)]
            mine = intents.get((image.region, image.image_id), [])
            certain = [permission for permission, result in mine if result not in ("died", "unknown", "not_sent")]
            possible = [permission for permission, result in mine if result != "not_sent"]
            self._demand(
                len(certain) <= len(writes) <= len(possible) and set(writes) <= set(possible),
                f"{image.image_id}: {writes} arrived, the history has {mine}",
                run,
            )
        self._demand(not world.cloud.ledger.writes(world.foreign[0].image_id), "somebody else's image was written", run)
        self._demand(not world.cloud.ledger.overlapping_writes(), "two writes to one image at a time", run)

    def _demand(self, condition: object, message: str, *runs: Run) -> None:
        if not condition:
            raise AssertionError("\n".join([message, *map(str, runs)]))

