"""From what is to what should be, and then silence."""

from __future__ import annotations

import shutil

from .harness import (
    BLUEPRINTS,
    FRANKFURT,
    REPOSITORY,
    SINGAPORE,
    Answer,
    Case,
    Image,
    images,
)


class Simulator(Case):
    def _twice(self) -> None:
        command = ("reconcile", "manifests", "--sim", "--state-dir", str(self.state), "-o", "json", "--timeout", "60s")
        first = self.expect(self.run_binary(*command), 0)
        self.check(first["synced"] and first["images"], "the first run ends in sync, with images")
        second = self.expect(self.run_binary(*command), 0)
        self.check_equal(second["calls"]["writes"], 0, "S17: writes of the second run")
        self.check_equal({entry["outcome"] for entry in second["images"]}, {"in_sync"}, "outcomes of the second run")

    def test_s17_fresh_clone_reconciles_its_sample_and_then_rests(self) -> None:
        sample = REPOSITORY / "manifests"
        self.check(sample.is_dir(), "the repository has no directory manifests")
        shutil.copytree(sample, self.manifests, dirs_exist_ok=True)
        self._twice()

    def test_s17_own_manifests_against_the_simulator(self) -> None:
        self.share(images(3) + images(2, FRANKFURT))
        self._twice()

    def test_the_simulator_works_on_a_machine_without_ca_certificates(self) -> None:
        self.share(images(1))
        command = ("reconcile", "manifests", "--sim", "--state-dir", str(self.state), "-o", "json")
        nowhere = {"SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": "/nonexistent"}
        self.expect(self.run_binary(*command, **nowhere), 0)

    def test_an_edited_manifest_shows_its_effect_and_a_reset_begins_anew(self) -> None:
        command = ("reconcile", "manifests", "--sim", "--state-dir", str(self.state), "-o", "json")
        self.share(images(2))
        self.check_equal(self.expect(self.run_binary(*command), 0)["summary"]["shared"], 2, "shared at first")
        self.share(images(2), "unshared")
        self.check_equal(self.expect(self.run_binary(*command), 0)["summary"]["cancelled"], 2, "cancelled after the edit")
        self.share(images(2))
        again = self.expect(self.run_binary(*command, "--sim-reset"), 0)
        self.check_equal(again["images"][0]["blueprint_id"], "lhbp-00000003", "ids count from the start")


class Convergence(Case):
    def test_s17_shares_and_cancels_and_then_rests(self) -> None:
        up, down, right, gone = images(5), images(3, first=20, shared=True), images(2, first=40, shared=True), images(2, first=60)
        bystander = Image(SINGAPORE, "img-bystand0", shared=True)
        self.serve([*up, *down, *right, *gone, bystander])
        self.share(up + right, name="up")
        self.share(down + gone, "unshared", name="down")

        document = self.reconcile()
        self.check_outcomes(document, up, "shared")
        self.check_outcomes(document, down, "cancelled")
        self.check_outcomes(document, right + gone, "in_sync")
        self.check_world(up + right, "shared")
        self.check_world(down + gone, "unshared")
        self.check_equal(bystander.now, "shared", "an image that no manifest names", bystander.image_id)
        for image in up + down:
            self.check_writes(image, at_least=1, at_most=1)
        self.check_equal(document["calls"]["writes"], len(self.cloud.ledger.writes()), "calls.writes against the ledger")

        before = len(self.cloud.ledger.writes())
        again = self.reconcile()
        self.check_equal(len(self.cloud.ledger.writes()) - before, 0, "writes of the second run")
        self.check_outcomes(again, up + down + right + gone, "in_sync")

    def _130_shared(self, **settings: object) -> None:
        wanted = images(130)
        self.serve(wanted, **settings)
        self.share(wanted)
        self.reconcile()
        self.check_world(wanted, "shared")
        before = len(self.cloud.ledger.calls(BLUEPRINTS)), len(self.cloud.ledger.writes())
        document = self.reconcile()
        after = len(self.cloud.ledger.calls(BLUEPRINTS)), len(self.cloud.ledger.writes())
        self.check_outcomes(document, wanted, "in_sync")
        self.check_equal(after[1] - before[1], 0, "writes of the second run")
        self.check_equal(after[0] - before[0], 2, "DescribeBlueprints calls of the second run (two pages)")

    def test_s2_two_pages_of_private_blueprints(self) -> None:
        self._130_shared()

    def test_s2_shared_blueprints_of_others_are_ignored(self) -> None:
        wanted, other = images(4, shared=True), images(2, first=50)
        self.serve([*wanted, *other], blueprint_type="SHARED", foreign_blueprints=7)
        self.share(wanted + other)
        document = self.reconcile()
        self.check_outcomes(document, wanted, "in_sync")
        self.check_outcomes(document, other, "shared")

    def test_a8_already_shared_is_success(self) -> None:
        # The list lags far behind: the reply of the write is the first to know.
        image = Image(SINGAPORE, "img-already0")
        self.serve([image], read_lag=2)
        image.answers = [Answer(code="UnsupportedOperation.ImageAlreadyShared", applied=True)]
        self.share([image])
        document = self.reconcile()
        self.check_outcomes(document, [image], ("shared", "in_sync"))
        self.check_writes(image, at_most=1)

    def test_a18_share_with_null_blueprint(self) -> None:
        image = Image(SINGAPORE, "img-null0000", answers=[Answer(null_blueprint=True)])
        self.serve([image])
        self.share([image])
        document = self.reconcile()
        self.check_outcomes(document, [image], "shared")
        self.check_writes(image, at_least=1, at_most=1)

    def test_a6_reads_lag_behind_writes_by_3_s(self) -> None:
        up, down = images(6), images(3, first=30, shared=True)
        self.serve([*up, *down], read_lag=3.0)
        self.share(up, name="up")
        self.share(down, "unshared", name="down")
        document = self.reconcile()
        self.check_outcomes(document, up, "shared")
        self.check_outcomes(document, down, "cancelled")
        for image in up + down:
            self.check_writes(image, at_least=1, at_most=1)
        for entry in document["images"]:
            self.check_equal(entry["actual"], entry["desired"], f"actual state of {entry['image_id']}", entry["image_id"])

    def test_account_documents_name_their_access_point(self) -> None:
        wanted = images(2) + images(2, FRANKFURT)
        self.serve(wanted)
        self.write(
            "account.yaml",
            "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: prod}\n"
            f"spec:\n  endpoint: '{self.regional_endpoint}'\n  credentials: {{from: environment}}\n",
        )
        self.share(wanted, account="prod")
        run = self.run_binary(
            "reconcile", str(self.manifests), "--state-dir", str(self.state), "-o", "json", "--timeout", "60s"
        )
        document = self.expect(run, 0)
        self.check_equal({entry["account"] for entry in document["images"]}, {"prod"}, "accounts")
        for call in self.cloud.ledger.calls():
            self.check_equal(call.host, f"{call.region}.localhost:{self.cloud.port}", f"host of {call}")
