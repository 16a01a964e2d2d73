"""What the network, the service and the clock do to calls."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from datetime import datetime, timezone

from .harness import (
    BLUEPRINTS,
    FRANKFURT,
    IMAGES,
    MODIFY,
    SHORT,
    SINGAPORE,
    TOKYO,
    Answer,
    Case,
    Fault,
    PageScript,
    images,
)


class Weather(Case):
    def test_t19_a_tenth_of_all_replies_goes_wrong(self) -> None:
        for seed in (1, 2):
            with self.subTest(seed=seed):
                up = images(25) + images(15, FRANKFURT)
                down = images(10, TOKYO, first=50, shared=True)
                self.serve(up + down, fault_rate=0.10, seed=seed, latency=(0.01, 0.03))
                self.share(up, name="up")
                self.share(down, "unshared", name="down")
                document = self.reconcile(endpoint=self.regional_endpoint)
                self.check_world(up, "shared")
                self.check_world(down, "unshared")
                self.check(document["synced"], "synced is not true")
                injected = [call for call in self.cloud.ledger.calls() if call.fault]
                self.check(injected, "no fault was injected: the test is void")
                self.check_ledger()
                self.state = self.directory / f"state-after-{seed}"  # the next seed is another installation

    def test_t2_each_fault_before_and_after_the_effect(self) -> None:
        world, wanted = [], {"SHARE": [], "CANCEL": []}
        for index, kind in enumerate(Fault.KINDS):
            for after in (False, True):
                for permission in ("SHARE", "CANCEL"):
                    number = 100 + index * 4 + after * 2 + (permission == "CANCEL")
                    fault = Fault(kind, after, 0.5)
                    image = images(1, first=number, shared=permission == "CANCEL", answers=[Answer(fault=fault)])[0]
                    world.append(image)
                    wanted[permission].append(image)
        # CANCEL again after one that took effect is an error: only an observation shows that all is well.
        self.serve(world, cancel_unshared="FailedOperation.ImageOperationFailed")
        self.share(wanted["SHARE"], name="up")
        self.share(wanted["CANCEL"], "unshared", name="down")
        document = self.reconcile()
        self.check_world(wanted["SHARE"], "shared")
        self.check_world(wanted["CANCEL"], "unshared")
        self.check(document["synced"], "synced is not true")
        for image in world:
            effects = [call for call in self.cloud.ledger.writes(image.image_id) if call.effect]
            self.check_equal(len(effects), 1, f"times that {image.image_id} changed", image.image_id)

    def test_t4_idle_connections_are_dropped_unannounced(self) -> None:
        wanted = images(30)
        self.serve(wanted, drop_idle=True, latency=(0.02, 0.04))
        self.share(wanted)
        self.reconcile()
        self.check_world(wanted, "shared")

    def test_t11_redirects_are_errors(self) -> None:
        for status in (302, 307):
            with self.subTest(status=status), Trap() as trap:
                self.serve(images(2), redirect=(status, f"http://127.0.0.1:{trap.port}/"))
                self.share(images(2))
                self.reconcile(*SHORT, expect=(1, 4))
                self.check_equal(trap.connections, 0, "connections to the redirect's target")
                self.check_equal(len(self.cloud.ledger.writes()), 0, "writes")

    def test_t1_region_whose_access_point_resets(self) -> None:
        good, bad = images(3) + images(3, TOKYO), images(3, FRANKFURT)
        self.serve(good + bad, refuse_hosts=(f"{FRANKFURT}.localhost",))
        self.share(good + bad)
        document = self.reconcile(*SHORT, expect=4, endpoint=self.regional_endpoint)
        self.check_world(good, "shared")
        self.check_outcomes(document, good, "shared")
        self.check_outcomes(document, bad, "not_tried")

    def test_t1_account_whose_access_point_refuses_connections(self) -> None:
        good, bad = images(3), images(3, FRANKFURT)
        self.serve(good + bad)
        with socket.socket() as closed:  # bound but not listening: the port refuses, and nobody else can take it
            closed.bind(("127.0.0.1", 0))
            for name, port in (("up", self.cloud.port), ("down", closed.getsockname()[1])):
                self.write(
                    f"account-{name}.yaml",
                    f"apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {{name: {name}}}\n"
                    f"spec: {{endpoint: 'http://127.0.0.1:{port}', credentials: {{from: environment}}}}\n",
                )
            self.share(good, name="good", account="up")
            self.share(bad, name="bad", account="down")
            run = self.run_binary(
                "reconcile", str(self.manifests), "--state-dir", str(self.state), "-o", "json", *SHORT
            )
        document = self.expect(run, 4)
        self.check_world(good, "shared")
        self.check_outcomes(document, bad, "not_tried")


class Listings(Case):
    def _region_without_listing(self, page: PageScript) -> None:
        good, bad = images(3), images(120, FRANKFURT, shared=True) + images(3, FRANKFURT, first=500)
        to_cancel = images(2, FRANKFURT, first=600, shared=True)
        self.serve(good + bad + to_cancel, [page])
        self.share(good + bad)
        self.share(to_cancel, "unshared", name="to-cancel")
        document = self.reconcile(*SHORT, expect=4, endpoint=self.regional_endpoint)
        self.check_world(good, "shared")
        self.check_outcomes(document, good, "shared")
        self.check_equal(len(self.cloud.ledger.writes(region=FRANKFURT)), 0, "S2: writes in the region that was not seen")
        for entry in self.check_outcomes(document, bad + to_cancel, "not_tried"):
            self.check_equal(entry["actual"], "unknown", f"actual state of {entry['image_id']}")

    def test_a1_second_page_of_a_region_keeps_failing(self) -> None:
        self._region_without_listing(PageScript(BLUEPRINTS, FRANKFURT, 100, code="InternalError"))

    def test_t8_page_of_a_region_is_always_shapeless(self) -> None:
        self._region_without_listing(PageScript(BLUEPRINTS, FRANKFURT, 0, fault=Fault("shapeless")))

    def _row_with(self, doctor: int, reconcile: int, **fields: object) -> dict:
        """What `doctor` finds where one row of the first page has `fields`, and a run ends with `reconcile`."""
        wanted = images(60, shared=True)
        self.serve(wanted, [PageScript(BLUEPRINTS, SINGAPORE, 0, row=57, fields=fields)])
        self.share(wanted)
        self.reconcile(expect=reconcile)
        self.check_equal(self.cloud.ledger.writes(), [], "writes")
        return self.expect(self.run_binary(*self.command("doctor")), doctor)

    def test_t2_a_row_without_an_id_fails_doctor_as_it_fails_a_run(self) -> None:
        document = self._row_with(1, 1, BlueprintId=7)
        failed = [check for check in document["checks"] if check["status"] == "failed"]
        self.check_equal([check["name"] for check in failed], ["access_point"], "failed checks")
        self.check("unexpected shape" in failed[0]["message"], failed[0]["message"])

    def test_t2_a_row_with_nulls_that_nobody_needs_fails_neither(self) -> None:
        odd = {"BlueprintName": None, "SceneIdSet": None, "RequiredSystemDiskSize": "20", "SupportAutomationTools": 1}
        document = self._row_with(0, 0, **odd)
        self.check_equal(document["summary"]["failed"], 0, "failed checks")

    def test_a1_page_fails_once(self) -> None:
        wanted, rest = images(120, shared=True), images(3, first=500)
        self.serve(wanted + rest, [PageScript(BLUEPRINTS, SINGAPORE, 100, times=1, code="InternalError")])
        self.share(wanted + rest)
        document = self.reconcile()
        self.check_outcomes(document, wanted, "in_sync")
        self.check_outcomes(document, rest, "shared")
        self.check_equal(len(self.cloud.ledger.writes()), len(rest), "writes")

    def test_a2_total_changes_between_the_pages_of_the_first_listing(self) -> None:
        wanted, rest = images(130, shared=True), images(2, first=500)
        self.serve(wanted + rest, [PageScript(BLUEPRINTS, SINGAPORE, 100, times=1, total_delta=1)])
        self.share(wanted + rest)
        document = self.reconcile()
        self.check_outcomes(document, wanted, "in_sync")
        self.check_outcomes(document, rest, "shared")
        first_write = self.cloud.ledger.writes()[0]
        before = [call for call in self.cloud.ledger.calls(BLUEPRINTS) if call.seq < first_write.seq]
        self.check(len(before) >= 3, f"S2: it listed again before it wrote: {len(before)} pages")

    def test_s25_reading_is_denied_but_writing_allowed(self) -> None:
        wanted, already = images(3), images(2, first=30, shared=True)
        denied = "UnauthorizedOperation.NoPermission"
        self.serve(wanted + already, deny={BLUEPRINTS: denied, IMAGES: denied})
        self.share(wanted + already)
        document = self.reconcile()
        self.check_world(wanted + already, "shared")
        self.check_outcomes(document, wanted + already, ("shared", "in_sync"))
        for image in wanted + already:
            self.check_writes(image, at_most=1)
        self.check(re.search(r"\bwarn", self.last.stderr, re.IGNORECASE), "there is no warning on stderr")
        reads = [call for call in self.cloud.ledger.calls() if call.action != MODIFY]
        self.check(len(reads) <= 10, f"{len(reads)} reads although reading is denied")


class Service(Case):
    def test_a12_occupied_twice_is_retried_in_the_same_run(self) -> None:
        for code in ("UnsupportedOperation.ImageOccupied", "InternalError.RequestError", "FailedOperation.RequestError"):
            with self.subTest(code=code):
                image, other = images(1, answers=[Answer(code), Answer(code)])[0], images(1, first=9)[0]
                self.serve([image, other])
                self.share([image, other])
                document = self.reconcile()
                self.check_outcomes(document, [image, other], "shared")
                self.check_writes(image, at_least=3, at_most=3)
                self.check_writes(other, at_least=1, at_most=1)
                self.check_ledger()
                self.state = self.directory / code

    def test_a13_operation_failed_although_it_was_done(self) -> None:
        code = "FailedOperation.ImageOperationFailed"
        up = images(1, answers=[Answer(code, applied=True)])[0]
        down = images(1, first=5, shared=True, answers=[Answer(code, applied=True)])[0]
        self.serve([up, down], cancel_unshared=code)
        self.share([up], name="up")
        self.share([down], "unshared", name="down")
        document = self.reconcile()
        self.check(document["synced"], "synced is not true")
        self.check_world([up], "shared")
        self.check_world([down], "unshared")

    def test_a14_missing_role_costs_few_calls(self) -> None:
        wanted = [image for region in (SINGAPORE, FRANKFURT, TOKYO) for image in images(20, region)]
        self.serve(wanted, deny={MODIFY: "ResourceNotFound.RoleNotFound"})
        self.share(wanted)
        self.reconcile(*SHORT, expect=(1, 4))
        writes = len(self.cloud.ledger.writes())
        # One call may be in flight for each region when the first refusal comes back, and each backoff step has a probe.
        self.check(writes <= 8, f"L4: {writes} writes although the account's role is missing")
        self.check("RoleNotFound" in self.last.stdout, "the document does not name the error code")

    def test_a17_unknown_error_code_blocks_its_image_only(self) -> None:
        image, others = images(1, refuse={"SHARE": "OperationDenied.NeverHeardOf"})[0], images(3, first=10)
        self.serve([image, *others])
        self.share([image, *others])
        document = self.reconcile(*SHORT, expect=4)
        (entry,) = self.check_outcomes(document, [image], ("blocked", "failed"))
        self.check_equal(entry["error_code"], "OperationDenied.NeverHeardOf", "error_code", image.image_id)
        self.check_outcomes(document, others, "shared")


class Clock(Case):
    def _clock_off_by(self, seconds: float) -> None:
        self.refused_signatures_allowed = True
        wanted = images(5) + images(5, FRANKFURT)
        self.serve(wanted, clock_offset=seconds)
        self.share(wanted)
        self.reconcile(endpoint=self.regional_endpoint)
        self.check_world(wanted, "shared")
        refused = [call for call in self.cloud.ledger.calls() if call.result.startswith("AuthFailure")]
        self.check({call.result for call in refused} == {"AuthFailure.SignatureExpire"}, "the clock was not the only fault")
        self.check(len(refused) <= 6, f"{len(refused)} calls with a stale signature: the offset was not learnt")

    def test_c1_service_clock_ahead_by_10_minutes(self) -> None:
        self._clock_off_by(600)

    def test_c1_service_clock_behind_by_10_minutes(self) -> None:
        self._clock_off_by(-600)

    def test_c4_the_local_time_zone_and_language_change_nothing(self) -> None:
        # One that is off by 45 minutes, the farthest, one that counts leap seconds, two that do not exist.
        zones = ("Asia/Kathmandu", "Pacific/Kiritimati", "right/UTC", "Nowhere/Land", ":/dev/null")
        wanted = images(len(zones))
        self.serve(wanted)
        for number, zone in enumerate(zones):
            with self.subTest(zone):
                surroundings = {"TZ": zone, "LC_ALL": "tr_TR.UTF-8", "LANG": "ar_SA.UTF-8"}
                self.share(wanted[: number + 1])
                before = time.time()
                # The stand-in refuses a signature of another day, or of another instant.
                self.reconcile(**surroundings)
                self.check_equal(wanted[number].now, "shared", "the image")
                history = ("history", "--state-dir", str(self.state), "-n", "1", "-o", "json")
                run = self.run_binary(*history, **surroundings)
                at = json.loads(run.stdout)["entries"][0]["at"]
                self.check(at.endswith("Z"), f"{at} is not in UTC")
                said = datetime.fromisoformat(at[:-1].split(".")[0]).replace(tzinfo=timezone.utc).timestamp()
                self.check(before - 1 <= said <= time.time(), f"{at} is not when it was")


class Trap:
    """A listener that counts who comes."""

    def __enter__(self) -> "Trap":
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def __exit__(self, *_: object) -> None:
        # A connection that is still in the backlog counts, too.
        self._socket.setblocking(False)
        self._socket.close()
