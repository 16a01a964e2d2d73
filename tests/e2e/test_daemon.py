"""`run`: a daemon that watches manifests and the cloud."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time

from .harness import MODIFY, SECRET_KEY, SINGAPORE, TOKYO, Image, image_id, images
from .live import Live


class Converging(Live):
    def test_an_edit_leads_to_a_write_and_what_is_in_sync_to_none(self) -> None:
        wanted = images(5)
        new = Image(SINGAPORE, image_id(9))
        cloud = self.serve([*wanted, new])
        self.share(wanted)
        self.run_daemon()
        self.until_synced(5)
        self.rounds()
        self.check_equal(self.writes(), 5, "writes")
        edited = time.monotonic()
        self.share([*wanted, new])
        self.until(lambda: self.writes() == 6, "the new image is written")
        first = cloud.ledger.calls(MODIFY)[-1].received - edited
        print(f"measured: edit to first write {first * 1000:.0f} ms (debounce 200 ms)")
        self.until_synced(6)
        self.rounds()
        self.check_equal(self.writes(), 6, "writes")

    def test_drift_is_repaired_within_the_interval(self) -> None:
        wanted = images(5)
        self.serve(wanted)
        self.share(wanted)
        self.run_daemon()
        self.until_synced(5)
        wanted[2].set_shared(False, time.monotonic())
        took = self.until(lambda: wanted[2].now == "shared", "the drift is repaired")
        print(f"measured: drift to repair {took:.2f} s (interval 2 s)")
        self.until_synced(5)
        kinds = [transition["kind"] for transition in self.status()["transitions"]]
        self.check_equal(kinds, ["drift_resolved", "drift_appeared"], "transitions, the newest first")
        log = self.end_daemon()
        self.check_equal(log.count("drift_appeared"), 1, "log lines about the drift")

    def test_s16_observe_only_finds_drift_and_writes_nothing(self) -> None:
        wanted = images(3, shared=True)
        self.serve(wanted)
        self.share(wanted)
        self.run_daemon("--observe-only")
        self.until_synced(3)
        wanted[1].set_shared(False, time.monotonic())
        self.until(lambda: self.status()["summary"]["drifted"] == 1, "the drift is seen")
        self.rounds()
        self.check_equal(self.writes(), 0, "writes")
        self.check(not (self.state / "state.db").exists(), "it keeps no state")
        # So it can run beside a process that reconciles.
        self.reconcile()

    def test_d9_a_second_daemon_on_one_state_refuses(self) -> None:
        wanted = images(1)
        self.serve(wanted)
        self.share(wanted)
        first = self.run_daemon()
        self.until_synced(1)
        second = self.run_binary("run", str(self.manifests), "--endpoint", self.endpoint, "--state-dir", str(self.state), "--listen", "off")
        self.check_equal(second.status, 1, "exit status")
        self.check("run" in second.stderr and str(first._popen.pid) in second.stderr, "it names who holds the state")


class Manifests(Live):
    def _five(self) -> list:
        wanted = images(5)
        self.serve(wanted)
        self.share(wanted)
        return wanted

    def _holds_still(self, what: str) -> None:
        self.until(lambda: self.status()["manifests"]["problems"], what)
        self.rounds()
        self.check_equal(self.writes(), 5, "writes")

    def test_m1_an_emptied_or_missing_directory_changes_nothing(self) -> None:
        self._five()
        self.run_daemon("--prune", "exclusive", "--max-cancels", "100", "--max-cancels-percent", "100")
        self.until_synced(5)
        kept = self.directory / "kept"
        shutil.copytree(self.manifests, kept)
        (self.manifests / "e2e.yaml").unlink()
        self._holds_still("the empty directory is reported")
        self.check_equal(self.get("/readyz")[0], 200, "status of /readyz")
        shutil.rmtree(self.manifests)
        self.until(lambda: "does not exist" in str(self.status()["manifests"]["problems"]), "the missing directory is reported")
        self.rounds()
        shutil.copytree(kept, self.manifests)
        self.until(lambda: not self.status()["manifests"]["problems"], "its return is noticed")
        self.rounds()
        self.check_equal(self.writes(), 5, "writes")

    def test_m3_one_broken_file_cancels_nothing_and_is_reported_with_its_place(self) -> None:
        wanted = self._five()
        self.run_daemon()
        self.until_synced(5)
        self.share(wanted, state="unshared")
        self.write("broken.yaml", "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\npiVersion: x\n")
        self._holds_still("the broken file is reported")
        self.check("broken.yaml:3" in str(self.status()["manifests"]["problems"]), "with its place")
        (self.manifests / "broken.yaml").unlink()
        self.until(lambda: all(image.now == "unshared" for image in wanted), "the rest is done once it is mended")

    def test_m12_atomic_renames_are_each_noticed(self) -> None:
        wanted = images(4)
        self.serve(wanted)
        self.share(wanted[:1])
        self.run_daemon("--poll", "1h")
        self.until_synced(1)
        text = (self.manifests / "e2e.yaml").read_text()
        for count in (2, 3, 4):
            text += f"    - {{id: {wanted[count - 1].image_id}, state: shared}}\n"
            self.replace("e2e.yaml", text)
            self.until_synced(count)

    def test_m11_a_config_maps_volume_is_swapped_as_a_whole(self) -> None:
        wanted = images(3)
        self.serve(wanted)
        self.share(wanted[:1])
        text = (self.manifests / "e2e.yaml").read_text()
        (self.manifests / "e2e.yaml").unlink()

        def version(name: str, text: str) -> None:
            (self.manifests / name).mkdir()
            (self.manifests / name / "e2e.yaml").write_text(text)
            beside = self.manifests / "..data_tmp"
            os.symlink(name, beside)
            os.rename(beside, self.manifests / "..data")

        version("..2026_01", text)
        os.symlink("..data/e2e.yaml", self.manifests / "e2e.yaml")
        self.run_daemon("--poll", "1h")
        self.until_synced(1)
        for count in (2, 3):
            text += f"    - {{id: {wanted[count - 1].image_id}, state: shared}}\n"
            version(f"..2026_0{count}", text)
            shutil.rmtree(self.manifests / f"..2026_0{count - 1}")
            self.until_synced(count)

    def test_sighup_reads_and_looks_at_once(self) -> None:
        wanted = images(2)
        self.serve(wanted)
        self.share(wanted)
        process = self.run_daemon("--interval", "1h", "--poll", "1h")
        self.until_synced(2)
        wanted[0].set_shared(False, time.monotonic())
        process.send(signal.SIGHUP)
        self.until(lambda: wanted[0].now == "shared", "the drift is repaired")

    def test_a_git_repository_is_followed(self) -> None:
        wanted = images(3)
        self.serve(wanted)
        repository = self.directory / "repository"
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(repository)]

        def commit() -> str:
            self.command_line(*git, "add", "-A")
            self.command_line(*git, "commit", "-q", "-m", "change")
            return self.command_line(*git, "rev-parse", "HEAD").strip()

        self.command_line("git", "init", "-q", "-b", "main", str(repository))
        self.manifests = repository / "share"
        self.manifests.mkdir()
        self.share(wanted[:2])
        first = commit()
        url = f"file://{repository}"
        process = self.run_daemon("--git", url, "--ref", "main", "--path", "share", "--git-interval", "1s")
        self.until_synced(2)
        self.check_equal(self.status()["manifests"]["commit"], first, "commit")
        self.write("broken.yaml", "kind: [")
        commit()
        self.until(lambda: self.status()["manifests"]["problems"], "the broken commit is reported")
        self.check_equal(self.status()["manifests"]["commit"], first, "commit")
        (self.manifests / "broken.yaml").unlink()
        self.share(wanted)
        third = commit()
        self.until_synced(3)
        self.check_equal(self.status()["manifests"]["commit"], third, "commit")
        process.send(signal.SIGTERM)
        process.wait()
        history = self.run_binary("history", "--state-dir", str(self.state), "-o", "json")
        commits = [entry.get("commit") for entry in json.loads(history.stdout)["entries"] if entry["event"] == "intent"]
        self.check_equal(commits, [first, first, third], "the commits in the history")

    def test_s3_observing_another_branch_leaves_the_writers_copy_alone(self) -> None:
        wanted = images(3)
        self.serve(wanted)
        repository = self.directory / "repository"
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(repository)]
        self.command_line("git", "init", "-q", "-b", "main", str(repository))
        self.manifests = repository / "share"
        self.manifests.mkdir()
        self.share(wanted)
        self.command_line(*git, "add", "-A")
        self.command_line(*git, "commit", "-q", "-m", "main")
        self.command_line(*git, "checkout", "-q", "-b", "other")
        self.share(wanted, state="unshared")
        self.command_line(*git, "commit", "-q", "-a", "-m", "other")
        common = ("--git", f"file://{repository}", "--path", "share", "--git-interval", "1s")
        writer = self.run_daemon(*common, "--ref", "main")
        self.until_synced(3)
        self.run_daemon(*common, "--ref", "other", "--observe-only")
        self.until(lambda: self.status()["summary"]["drifted"] == 3, "the other branch is seen")
        self.rounds(4)
        self.check(writer.running(), "the writer goes on")
        self.check_world(wanted, "shared")
        self.check_equal(self.writes(), 3, "writes")
        homes = sorted(path.name for path in self.state.iterdir() if path.is_dir() and path.name.startswith("git"))
        self.check_equal(homes, ["git", "git.1"], "private copies")


class Living(Live):
    def test_l7_p1_sigterm_lets_calls_in_flight_settle(self) -> None:
        wanted = images(400)
        cloud = self.serve(wanted, latency=(0.8, 1.0))
        self.share(wanted)
        process = self.run_daemon()
        cloud.ledger.wait_for(lambda ledger: len(ledger.calls(MODIFY)) >= 15, 60)
        moment = process.send(signal.SIGTERM)
        self.last = run = process.wait(30)
        self.check_equal(run.status, 143, "exit status")
        self.check(time.monotonic() - moment < 10, "it left within 10 s")
        writes = cloud.ledger.calls(MODIFY)
        self.check(len(writes) < len(wanted), "it had finished before the signal: the test is void")
        self.check(not [call for call in writes if call.how != "replied"], "a call in flight was abandoned")
        cloud.settings.latency = (0.0, 0.0)
        self.share(wanted[:40])
        self.reconcile()
        for image in wanted[:40]:
            self.check_writes(image, at_least=1, at_most=1)

    def test_p2_a_second_signal_leaves_at_once(self) -> None:
        wanted = images(200)
        cloud = self.serve(wanted, latency=(5.0, 5.0))
        self.share(wanted)
        process = self.run_daemon()
        cloud.ledger.wait_for(lambda ledger: len(ledger.calls()) >= 1, 60)
        process.send(signal.SIGINT)
        process.wait_for_line("repeat the signal to exit at once")
        process.send(signal.SIGINT)
        self.last = run = process.wait(4)
        self.check_equal(run.status, 130, "exit status")

    def test_systemd_is_notified(self) -> None:
        wanted = images(1)
        self.serve(wanted)
        self.share(wanted)
        path = self.directory / "notify"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(str(path))
        listener.settimeout(20)

        def wait_for(word: str) -> str:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                said = listener.recv(4096).decode()
                if word in said:
                    return said
            return self.fail(f"systemd does not get {word!r}")

        process = self.run_daemon(NOTIFY_SOCKET=str(path), WATCHDOG_USEC="1000000")
        wait_for("READY=1")
        wait_for("STATUS=1 of 1 image as desired")
        for _ in range(3):
            wait_for("WATCHDOG=1")
        process.send(signal.SIGHUP)
        self.check("MONOTONIC_USEC=" in wait_for("RELOADING=1"), "when it began")
        wait_for("READY=1")
        process.send(signal.SIGTERM)
        wait_for("STOPPING=1")
        process.wait()

    def test_readiness_waits_for_the_first_look_and_tells_why(self) -> None:
        wanted = images(1)
        cloud = self.serve(wanted, latency=(3.0, 3.0))
        self.share(wanted)
        self.run_daemon()
        code, text, _ = self.get("/readyz")
        self.check_equal(code, 503, "status before the first observation")
        self.check(text.strip(), "with a reason")
        self.check_equal(self.get("/healthz")[0], 200, "it is alive all the while")
        cloud.settings.latency = (0.0, 0.0)
        self.until(lambda: self.get("/readyz")[0] == 200, "it is ready")


class Seen(Live):
    def test_o1_o2_s12_secrets_stay_hidden_and_foreign_text_stays_text(self) -> None:
        hostile = "<script>alert(1)</script>\n{\"level\":\"info\"}\x1b[2J\u202e"
        wanted = [*images(3), Image(TOKYO, image_id(8), refuse={"SHARE": "UnsupportedOperation.ImageUnableToShare"}, name=hostile)]
        self.serve(wanted)
        self.share(wanted)
        self.run_daemon("--log-level", "trace", "--log-format", "json")
        self.until(lambda: self.status()["summary"]["blocked"] == 1, "the bad image is blocked")
        shown = [self.get(path)[1] for path in ("/", "/status.json", "/metrics", "/healthz", "/readyz", "/page.js", "/page.css")]
        log = self.end_daemon()
        for text in (*shown, log):
            self.check(SECRET_KEY not in text, "the key shows")
            self.check("<script>alert" not in text, "a name broke out")
            self.check("\x1b" not in text and "\u202e" not in text, "a control character got through")
        for line in log.splitlines():
            if line.startswith("stopping:"):
                continue
            json.loads(line)

    def test_o4_s23_the_port_only_shows(self) -> None:
        wanted = images(1)
        self.serve(wanted)
        self.share(wanted)
        self.run_daemon()
        self.until_synced(1)
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            self.check_equal(self.get("/", method)[0], 405, f"status of {method}")
        self.check_equal(self.get("/", Host="evil.example")[0], 421, "status for a foreign Host")
        code, _, headers = self.get("/")
        self.check_equal(code, 200, "status of the page")
        self.check("default-src 'none'" in headers["content-security-policy"], "a strict policy")

    def test_idle_rounds_leave_no_line_in_the_log(self) -> None:
        wanted = images(3)
        self.serve(wanted)
        self.share(wanted)
        process = self.run_daemon()
        self.until_synced(3)
        self.rounds(1)
        before = process.said()
        self.rounds(3)
        self.check_equal(process.said()[len(before) :], "", "what it said meanwhile")
        changes = [line for line in before.splitlines() if "request_id" in line]
        self.check_equal(len(changes), 3, "one line for each change, with its RequestId")
