"""A state directory that is removed, replaced or set back under a running process."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from typing import Callable, Dict

from .harness import Image, image_id, images
from .live import Live

DATABASE = ("state.db", "state.db-wal", "state.db-shm")


class Tampered(Live):
    """Each of these is done to a daemon that is in sync, and then a manifest asks for one image more."""

    def _tampered(self, tamper: Callable[[], None], *words: str) -> None:
        wanted = images(3)
        new = Image(wanted[0].region, image_id(9))
        self.serve([*wanted, new])
        self.share(wanted)
        self.run_daemon("--interval", "60s", "--prune", "owned")
        self.until_synced(3)
        self.check_equal(self.get("/healthz")[0], 200, "status of /healthz before")
        backup = self.directory / "backup"
        shutil.copytree(self.state, backup, ignore=shutil.ignore_patterns("*.new"))
        tamper()
        self.share([*wanted, new])
        self.until(lambda: self.get("/healthz")[0] == 503, "/healthz fails")
        code, text, _ = self.get("/healthz")
        for word in (str(self.state), "nothing more is sent", "start it again", *words):
            self.check(word in text, f"/healthz says {word!r}: {text}")
        self.check_equal(self.get("/readyz")[0], 503, "status of /readyz")
        status = self.status()
        self.check_equal(status["state"], "lost", "state in /status.json")
        self.check_equal(status["state_problem"], text.strip(), "state_problem in /status.json")
        self.check_equal(self.metric("sharekeeper_state_lost"), 1.0, "sharekeeper_state_lost")
        self.check("The state cannot be used any longer" in self.get("/")[1], "the page says so")
        self.check_equal(self.writes(), 3, "writes")
        log = self.end_daemon()
        self.check_equal(self.writes(), 3, "writes to the end")
        errors = [line for line in log.splitlines() if re.search("ERROR", line)]
        self.check_equal(len(errors), 1, f"one cause is reported once: {errors}")
        self.check(words[0] in errors[0], errors[0])

    def _remove(self, *names: str) -> None:
        for name in names:
            (self.state / name).unlink()

    def test_b5_the_database_is_removed(self) -> None:
        self._tampered(lambda: self._remove(*DATABASE), "removed or moved away")

    def test_b5_the_directory_is_removed(self) -> None:
        self._tampered(lambda: shutil.rmtree(self.state), "removed or moved away")

    def test_b5_the_directory_is_moved_away(self) -> None:
        self._tampered(lambda: os.rename(self.state, self.directory / "old"), "removed or moved away")

    def test_b5_a_backup_is_moved_into_place(self) -> None:
        backup = self.directory / "backup"
        self._tampered(lambda: os.rename(backup / "state.db", self.state / "state.db"), "replaced by another file")

    def test_b5_a_backup_is_copied_into_place(self) -> None:
        def copy() -> None:
            shutil.copyfile(self.directory / "backup" / "state.db", self.state / "state.db")

        self._tampered(copy, "written to by another program")

    def test_b5_the_database_is_emptied(self) -> None:
        self._tampered(lambda: os.truncate(self.state / "state.db", 0), "emptied")

    def test_b5_s20_the_lock_is_removed(self) -> None:
        self._tampered(lambda: self._remove("lock"), "another process may reconcile beside this one")

    def test_b5_the_owner_is_another(self) -> None:
        self._tampered(lambda: (self.state / "owner").write_text("somebody\n"), "names the owner")

    def test_b5_a_name_that_is_missing_for_a_moment_changes_nothing(self) -> None:
        wanted = images(3)
        self.serve(wanted)
        self.share(wanted[:1])
        self.run_daemon()
        self.until_synced(1)
        for round_, count in enumerate((2, 3)):
            name = ("state.db", "lock")[round_]
            os.rename(self.state / name, self.directory / "away")
            self.share(wanted[:count])
            time.sleep(0.3)
            os.rename(self.directory / "away", self.state / name)
            self.until_synced(count)
        self.check_equal(self.get("/healthz")[0], 200, "status of /healthz")
        self.end_daemon()

    def test_b5_c7_the_watchdog_is_not_fed_any_longer(self) -> None:
        wanted = images(1)
        self.serve(wanted)
        self.share(wanted)
        path = self.directory / "notify"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(str(path))
        listener.settimeout(20)
        process = self.run_daemon(NOTIFY_SOCKET=str(path), WATCHDOG_USEC="400000")

        def wait_for(word: str) -> str:
            """All that is said until then; who does not listen holds the daemon up."""
            said = ""
            while word not in said:
                said += listener.recv(4096).decode() + "\n"
            return said

        wait_for("STATUS=1 of 1 image as desired")
        wait_for("WATCHDOG=1")
        shutil.rmtree(self.state)
        wait_for("STATUS=nothing is done")
        self.check_equal(self.get("/healthz")[0], 503, "status of /healthz")
        time.sleep(1)
        process.send(15)
        self.check("WATCHDOG=1" not in wait_for("STOPPING=1"), "the watchdog is fed")
        process.wait()

    def test_b5_c7_a_one_shot_run_ends_with_1_and_one_cause(self) -> None:
        wanted = images(60)
        self.serve(wanted)
        self.share(wanted)
        process = self.start(*self.reconcile_command("-o", "json"))
        deadline = time.monotonic() + 30
        while self.writes() < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        self._remove(*DATABASE)
        run = process.wait()
        document = self.document(run)
        self.check_equal(run.status, 1, "exit status")
        self.check("was removed or moved away" in document["error"], document["error"])
        self.check_equal(run.stderr.count("was removed or moved away"), 1, "the cause is reported once")
        shared = document["summary"]["shared"]
        self.check(5 <= shared < 60, f"{shared} shared")
        others = {image["message"] for image in document["images"] if image["outcome"] in ("failed", "not_tried")}
        self.check(not any("removed" in message for message in others), f"{others}")


class New(Live):
    def test_b5_state_new_is_said_once_where_something_is_to_be_pruned(self) -> None:
        wanted = images(2)
        self.serve(wanted)
        self.share(wanted)
        plan = self.plan("--prune", "owned")
        self.check_equal(plan["state"], "new", "state of a plan")
        self.check("is new" in self.last.stderr, "the plan says so on stderr")
        self.run_daemon("--prune", "owned")
        self.until_synced(2)
        self.check_equal(self.status()["state"], "new", "state in /status.json")
        log = self.end_daemon()
        self.check_equal(log.count(" is new, so no share counts"), 1, "warnings")
        self.run_daemon("--prune", "owned")
        self.until_synced(2)
        self.check("state" not in self.status(), "it is not new any longer")
        self.check(" is new, so" not in self.end_daemon(), "and nothing says so")
