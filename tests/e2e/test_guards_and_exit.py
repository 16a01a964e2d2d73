"""What stops a run before it does harm, and the exit status that says so."""

from __future__ import annotations

import time

from .harness import FRANKFURT, MODIFY, REGIONS, SHORT, SINGAPORE, Answer, Case, Image, images


class Manifests(Case):
    def test_m3_malformed_manifest_stops_everything(self) -> None:
        self.serve(images(3))
        self.share(images(3), name="good")
        self.write("bad.yaml", "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nspec: [unclosed\n")
        self.reconcile(expect=1)
        self.check_nothing_called()
        self.check("bad.yaml" in self.last.stdout + self.last.stderr, "the output does not name the file")

    def test_m1_empty_directory(self) -> None:
        self.serve(images(3, shared=True))
        self.reconcile(expect=1)
        self.check_nothing_called()

    def test_m1_missing_directory(self) -> None:
        self.serve(images(3, shared=True))
        self.manifests.rmdir()
        self.reconcile(expect=1)
        self.check_nothing_called()

    def test_m4_wrong_region(self) -> None:
        self.serve(images(1))
        self.share([(SINGAPORE, "img-00000000"), ("ap-singapur", "img-00000000")])
        self.reconcile(expect=1)
        self.check_nothing_called()
        self.check("ap-singapore" in self.last.stdout + self.last.stderr, "the output does not suggest the right region")

    def test_m4_unknown_field(self) -> None:
        self.serve(images(1))
        self.share(images(1), extra=", untill: 2027-01-31T00:00:00Z")
        self.reconcile(expect=1)
        self.check_nothing_called()

    def test_m5_one_image_both_ways(self) -> None:
        self.serve(images(1))
        self.share(images(1), name="a")
        self.share(images(1), "unshared", name="b")
        self.reconcile(expect=1)
        self.check_nothing_called()

    def test_m3_every_error_is_listed_by_validate(self) -> None:
        self.share([("ap-singapur", "img-00000000")], name="a")
        self.share([(SINGAPORE, "IMG-1")], name="b")
        document = self.expect(self.run_binary("validate", str(self.manifests), "-o", "json"), 1)
        files = {error["file"].rsplit("/", 1)[-1] for error in document["errors"]}
        self.check_equal(files, {"a.yaml", "b.yaml"}, "files with errors")
        for error in document["errors"]:
            self.check(error["line"] > 0 and error["column"] > 0 and error["message"], f"an error without a place: {error}")


class Blocked(Case):
    def test_a15_blocked_images_cost_at_most_one_write_each(self) -> None:
        blocked = [
            Image(SINGAPORE, f"img-block00{number}", **attributes)  # type: ignore[arg-type]
            for number, attributes in enumerate((
                {"source": "EXTERNAL_IMPORT"},
                {"image_class": "InstanceImage"},
                {"cloudinit": False},
                {"platform": "FreeBSD"},
                {"os_name": "Other Linux"},
                {"state": "CREATING"},
                {"absent": True},
            ))
        ]  # fmt: skip
        used = Image(SINGAPORE, "img-inuse000", shared=True, in_use=True)
        good, away = images(4), images(2, first=30, shared=True)
        self.serve([*blocked, used, *good, *away])
        self.share(blocked + good, name="up")
        self.share([used, *away], "unshared", name="down")
        document = self.reconcile("--timeout", "20s", expect=4)
        self.check_outcomes(document, good, "shared")
        self.check_outcomes(document, away, "cancelled")
        self.check_world(good, "shared")
        self.check_world(away, "unshared")
        for entry in self.check_outcomes(document, blocked + [used], "blocked"):
            self.check(entry["message"] or entry["error_code"], f"{entry['image_id']} is blocked without a reason")
        for image in blocked + [used]:
            self.check_writes(image, at_most=1)
        self.check_equal(document["synced"], False, "synced")
        self.check_equal(document["summary"]["blocked"], len(blocked) + 1, "summary.blocked")


class Credentials(Case):
    def _wrong(self, **environment: str) -> None:
        self.refused_signatures_allowed = True
        wanted = [image for region in REGIONS for image in images(40, region)]
        self.serve(wanted)
        self.share(wanted)
        self.reconcile(expect=1, endpoint=self.regional_endpoint, **environment)
        self.check(len(self.cloud.ledger) <= 5, f"L4: {len(self.cloud.ledger)} calls with a wrong key")

    def test_a14_wrong_secret_key(self) -> None:
        self._wrong(TENCENTCLOUD_SECRET_KEY="WrongKey000000000000000000000000")

    def test_c9_unknown_secret_id(self) -> None:
        self._wrong(TENCENTCLOUD_SECRET_ID="AKIDunknown00000000000000000000000000")

    def test_c11_half_set_credentials(self) -> None:
        self.serve(images(1))
        self.share(images(1))
        self.reconcile(expect=1, TENCENTCLOUD_SECRET_KEY=None)
        self.check_nothing_called()
        self.check("TENCENTCLOUD_SECRET_KEY" in self.last.stdout + self.last.stderr, "the output does not name the variable")


class Guards(Case):
    def test_until_in_the_past_cancels_as_expired(self) -> None:
        wanted = images(2, shared=True)
        self.serve(wanted)
        self.share(wanted, extra=", until: 2020-01-31T00:00:00Z")
        document = self.reconcile()
        for entry in self.check_outcomes(document, wanted, "cancelled"):
            self.check_equal(entry["cause"], "expired", f"cause of {entry['image_id']}")
        self.check_world(wanted, "unshared")

    def test_s7_protected_image_is_withheld(self) -> None:
        wanted, others = images(1, shared=True), images(2, first=30)
        self.serve(wanted + others)
        self.share(wanted, extra=", until: 2020-01-31T00:00:00Z, protect: true", name="kept")
        self.share(others)
        document = self.reconcile(expect=3)
        self.check_outcomes(document, wanted, "withheld")
        self.check_outcomes(document, others, "shared")
        self.check_world(wanted + others, "shared")
        self.check_writes(wanted[0], at_most=0)

    def test_s1_what_no_manifest_names_is_left_alone(self) -> None:
        foreign, own = images(2, first=100, shared=True), images(3)
        self.serve(foreign + own)
        self.share(own)
        self.reconcile()
        self.share(own[:1])
        self.reconcile()
        self.check_world(foreign + own, "shared")


class Plan(Case):
    def test_s16_plan_never_writes(self) -> None:
        up, down = images(3), images(2, first=30, shared=True)
        self.serve(up + down)
        self.share(up, name="up")
        self.share(down, "unshared", name="down")
        document = self.plan()
        actions = sorted((change["image_id"], change["action"]) for change in document["changes"])
        expected = sorted([(image.image_id, "share") for image in up] + [(image.image_id, "cancel") for image in down])
        self.check_equal(actions, expected, "changes")
        self.check_equal((document["summary"]["share"], document["summary"]["cancel"]), (3, 2), "summary")
        self.plan("--detailed-exitcode", expect=2)
        self.check_equal(len(self.cloud.ledger.calls(MODIFY)), 0, "writes")
        self.reconcile()
        writes = len(self.cloud.ledger.writes())
        self.check_equal(self.plan("--detailed-exitcode", expect=0)["changes"], [], "changes after reconcile")
        self.check_equal(len(self.cloud.ledger.writes()), writes, "writes")


class Timeout(Case):
    def test_s24_run_that_cannot_finish_in_time_says_so(self) -> None:
        stuck = images(1, answers=[Answer("UnsupportedOperation.ImageOccupied")] * 1000)[0]
        good = images(3, FRANKFURT)
        self.serve([stuck, *good])
        self.share([stuck, *good])
        start = time.monotonic()
        document = self.reconcile(*SHORT, expect=4)
        # Not a measurement: only that --timeout is honoured at all.
        self.check(time.monotonic() - start < 45, "--timeout 6s was not honoured")
        self.check_outcomes(document, good, "shared")
        self.check_outcomes(document, [stuck], ("failed", "blocked"))
