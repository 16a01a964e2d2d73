"""Several accounts in one process, and credentials that change while it runs, against the simulator."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from typing import Dict, Optional

from .harness import IDENTITY, MODIFY, REGIONS, SINGAPORE, Process, image_id
from .simulated import Simulated

HEALTHY, REVOKED, EXPIRING = "100000000001", "100000000002", "100000000003"
IMAGES_EACH = 3
# It has to outlive several of its keys.
IMAGES_OF_THE_EXPIRING = 10
# What finding out that a key is revoked may cost: whose it is, and a call or two that were under way.
CALLS_OF_THE_BROKEN_MAX = 6


def key_of(name: str) -> str:
    return f"AKIDsim{name}"


def world(**accounts: dict) -> dict:
    """A quick world: answers within some 20 ms, and no lag."""
    return {
        "latency": {"min": "10ms", "max": "30ms"},
        "readLag": "0s",
        "syncTime": "0s",
        "accounts": [
            {"name": name, "secretId": key_of(name), "secretKey": f"made-up-{name}", **account}
            for name, account in accounts.items()
        ],
    }  # fmt: skip


def some_images(regions: Optional[list] = None, count: int = IMAGES_EACH) -> list:
    return [{"id": image_id(number), "regions": [region]} for number in range(count) for region in regions or REGIONS]


class Accounts(Simulated):
    def write_key(self, name: str, secret_id: Optional[str] = None, secret_key: Optional[str] = None) -> None:
        """Puts an account's key where its document says, in one step."""
        text = f"[default]\nsecret_id = {secret_id or key_of(name)}\nsecret_key = {secret_key or f'made-up-{name}'}\n"
        path = self.home / name
        beside = path.with_suffix(".new")
        beside.write_text(text)
        beside.chmod(0o600)
        os.rename(beside, path)

    def with_key_file(self, name: str, uin: Optional[str] = None) -> None:
        self.write_key(name)
        self.document_of_account(name, {"from": "file", "path": str(self.home / name)}, uin)

    def share_everywhere(self, name: str, regions: Optional[list] = None, count: int = IMAGES_EACH) -> None:
        wanted = [(region, image_id(number)) for region in regions or REGIONS for number in range(count)]
        self.share(wanted, name=name, account=name)

    def until_shared(self, process: Process, account: str, count: int, timeout: float = 60) -> float:
        started = time.monotonic()
        while self.shared(account) < count:
            if time.monotonic() - started > timeout or not process.running():
                self.fail(f"{account} has {self.shared(account)} of {count} images shared:\n{process.said()[-3000:]}")
            time.sleep(0.05)
        return time.monotonic() - started


class Many(Accounts):
    """Three accounts in all regions: one whose key is revoked, one whose keys expire all the time, one that is well."""

    TOTAL = IMAGES_EACH * len(REGIONS)
    TOTAL_EXPIRING = IMAGES_OF_THE_EXPIRING * len(REGIONS)

    def setUp(self) -> None:
        super().setUp()
        every, more = some_images(), some_images(count=IMAGES_OF_THE_EXPIRING)
        healthy, revoked = {"uin": HEALTHY, "images": every}, {"uin": REVOKED, "images": every, "revoked": True}
        expiring = {"uin": EXPIRING, "images": more, "roles": [{"name": "keeper"}]}
        self.simulate({
            **world(healthy=healthy, revoked=revoked, expiring=expiring),
            "tokenLifetime": "8s",
            "metadata": {"account": "expiring", "role": "keeper"},
        })  # fmt: skip
        self.surroundings: Dict[str, Optional[str]] = {
            "SHAREKEEPER_METADATA_URL": self.endpoint,
            "TENCENTCLOUD_SECRET_ID": None,
            "TENCENTCLOUD_SECRET_KEY": None,
        }
        self.with_key_file("healthy", HEALTHY)
        self.share_everywhere("healthy")

    def add_the_others(self) -> None:
        self.with_key_file("revoked", REVOKED)
        self.document_of_account("expiring", {"from": "cvm-role", "role": "keeper"}, EXPIRING)
        self.share_everywhere("revoked")
        self.share_everywhere("expiring", count=IMAGES_OF_THE_EXPIRING)

    def unshare(self, account: str) -> None:
        for region in REGIONS:
            for number in range(IMAGES_EACH):
                self.sim("share", {"account": account, "region": region, "image": image_id(number), "shared": False})

    def check_expiring(self) -> None:
        """It went through several keys, which is what it is for."""
        self.check_equal(self.shared("expiring"), self.TOTAL_EXPIRING, "images of the expiring account that are shared")
        keys = {call.secret_id for call in self.wire.sent() if call.secret_id.startswith("AKIDsimtmp")}
        self.check(len(keys) >= 2, f"its keys did not expire, the test is void: {keys}")

    def test_c6_c9_l2_reconcile_with_one_broken_and_one_expiring_account(self) -> None:
        alone_process = self.start(*self.reconcile_command(), **self.surroundings)
        alone = self.until_shared(alone_process, "healthy", self.TOTAL)
        self.check_equal(alone_process.wait().status, 0, "exit status of the healthy account alone")
        self.unshare("healthy")
        self.add_the_others()
        process = self.start(*self.reconcile_command("--state-dir", str(self.directory / "other")), **self.surroundings)
        among = self.until_shared(process, "healthy", self.TOTAL)
        document = self.expect(process.wait(), (1, 4))
        print(
            f"measured: healthy account among a broken and an expiring one: {among:.2f} s, "
            f"alone {alone:.2f} s, ratio {among / alone:.2f}"
        )
        self.check_expiring()
        entries = document["images"]
        wrong = {entry["account"] for entry in entries if entry["actual"] != "shared"}
        self.check_equal(wrong, {"revoked"}, "accounts that did not converge")
        broken = self.calls_of(key_of("revoked"))
        self.check(1 <= len(broken) <= CALLS_OF_THE_BROKEN_MAX, f"{len(broken)} calls with the revoked key: {broken}")
        lines = [line for line in self.last.stderr.splitlines() if "account revoked" in line]
        self.check_equal(len(lines), 1, f"lines of the log about the revoked account: {lines}")

    def test_c6_c9_l2_run_with_one_broken_and_one_expiring_account(self) -> None:
        self.add_the_others()
        process = self.run_daemon("--interval", "1s", "--log-format", "json", **self.surroundings)
        self.until_shared(process, "healthy", self.TOTAL)
        self.until_shared(process, "expiring", self.TOTAL_EXPIRING)
        both = self.TOTAL + self.TOTAL_EXPIRING
        self.until(lambda: self.status()["summary"]["in_sync"] == both, "two accounts are in sync")
        self.check_expiring()
        # The pauses between probes grow from 10 s on.
        broken = self.calls_of(key_of("revoked"))
        self.check(1 <= len(broken) <= CALLS_OF_THE_BROKEN_MAX, f"{len(broken)} calls with the revoked key in a few seconds")
        log = [json.loads(line) for line in self.end_daemon().splitlines() if line.startswith("{")]
        stalled = [line for line in log if line.get("kind") == "stalled"]
        self.check_equal([line["subject"] for line in stalled], ["account revoked"], "what is reported as stalled")
        self.check("AuthFailure.SecretIdNotFound" in stalled[0]["message"], "with the reason")
        lines = [line for line in log if "account revoked" in json.dumps(line)]
        self.check_equal(lines, stalled, "lines of the log about the revoked account")


class Silent(Accounts):
    def test_c12_l2_a_metadata_service_that_never_answers_holds_nobody_else_up(self) -> None:
        here = some_images([SINGAPORE], 2)
        self.simulate(world(healthy={"uin": HEALTHY, "images": here}, machine={"uin": EXPIRING, "images": here}))
        self.with_key_file("healthy", HEALTHY)
        self.document_of_account("machine", {"from": "cvm-role"}, EXPIRING)
        for name in ("healthy", "machine"):
            self.share_everywhere(name, [SINGAPORE], 2)
        # The system takes the connections, and nobody ever reads from them.
        with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            document = self.reconcile(expect=(1, 4), SHAREKEEPER_METADATA_URL=url)
            listener.setblocking(False)
            asked = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()
                    asked += 1
        self.check_equal(self.shared("healthy"), 2, "images of the healthy account that are shared")
        self.check_equal(self.shared("machine"), 0, "images of the other account that are shared")
        self.check(1 <= asked <= 6, f"the metadata service was asked {asked} times")
        lines = [line for line in self.last.stderr.splitlines() if "machine" in line]
        self.check(len(lines) == 1 and "the role of this machine" in lines[0], f"reported once, with the reason: {lines}")
        self.check({entry["account"] for entry in document["images"] if entry["actual"] != "shared"} == {"machine"}, "entries")


class Changing(Accounts):
    """One account, whose credentials change while the daemon runs."""

    def setUp(self) -> None:
        super().setUp()
        here = some_images([SINGAPORE], 3)
        self.simulate(world(
            prod={"uin": HEALTHY, "images": here},
            other={"uin": REVOKED, "images": here},
        ))  # fmt: skip
        self.with_key_file("prod", HEALTHY)
        self.share_everywhere("prod", [SINGAPORE], 2)
        self.run_daemon("--interval", "1s")
        self.until_synced(2)

    def drift(self) -> None:
        """Somebody cancels a share, so that there is something to do."""
        self.sim("share", {"account": "prod", "region": SINGAPORE, "image": image_id(0), "shared": False})

    def stalls(self) -> list:
        news = self.status()["transitions"]
        return [(item["kind"], item["account"]) for item in news if item["kind"] in ("stalled", "recovered")]

    def test_c6_a_key_that_is_rotated_is_used_without_a_restart(self) -> None:
        self.write_key("prod", "AKIDsimnew", "made-up-new")
        self.change_account("prod", secretId="AKIDsimnew", secretKey="made-up-new")
        self.drift()
        self.until(lambda: self.shared("prod") == 2, "the drift is repaired with the new key")
        self.check(any(call.action == MODIFY for call in self.calls_of("AKIDsimnew")), "with the new key")
        self.until_synced(2)
        self.check_equal(self.stalls(), [], "what was reported")

    def test_c6_l8_a_key_that_is_replaced_late_is_used_without_a_restart(self) -> None:
        self.change_account("prod", secretId="AKIDsimnew", secretKey="made-up-new")
        self.until(lambda: self.stalls() == [("stalled", "prod")], "it is reported")
        self.drift()
        self.write_key("prod", "AKIDsimnew", "made-up-new")
        took = self.until(lambda: self.shared("prod") == 2, "the drift is repaired with the new key", 40)
        print(f"measured: key replaced in its file to repair, after it was found revoked: {took:.1f} s")
        self.until(lambda: self.stalls() == [("recovered", "prod"), ("stalled", "prod")], "its end is reported")

    def test_c9_l8_a_key_that_is_revoked_and_restored_works_again_by_itself(self) -> None:
        self.change_account("prod", revoked=True)
        self.until(lambda: self.stalls() == [("stalled", "prod")], "it is reported")
        self.drift()
        before = len(self.calls_of(key_of("prod")))
        self.change_account("prod", revoked=False)
        self.until(lambda: self.shared("prod") == 2, "the drift is repaired", 40)
        self.until_synced(2)
        self.check(len(self.calls_of(key_of("prod"))) > before, "with the same key")
        self.check_equal(self.stalls(), [("recovered", "prod"), ("stalled", "prod")], "what was reported, the newest first")

    def test_c8_s13_a_key_of_another_account_in_the_file_is_not_used(self) -> None:
        self.write_key("prod", key_of("other"), "made-up-other")
        self.drift()
        self.until(lambda: self.stalls() == [("stalled", "prod")], "it is reported")
        message = self.status()["transitions"][0]["message"]
        self.check(HEALTHY in message and REVOKED in message, f"with both accounts: {message}")
        self.check({call.action for call in self.calls_of(key_of("other"))} == {IDENTITY}, "a call was made with the wrong key")
        self.check_equal(self.shared("prod"), 1, "images that are shared")
        self.check_equal(self.shared("other"), 0, "images of the other account that are shared")
