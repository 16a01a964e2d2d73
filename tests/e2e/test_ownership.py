"""What is sharekeeper's own, what may be pruned, and what never causes a CANCEL."""

from __future__ import annotations

import shutil
from typing import List

from .harness import BLUEPRINTS, FRANKFURT, SECRET_ID, SECRET_KEY, SINGAPORE, Case, Image, Key, PageScript, images

OWNED = ("--prune", "owned")


class Owning(Case):
    """A world in which sharekeeper has shared images. It has no tests: those of a base class would run once for each class below it."""

    def cancels(self) -> List[str]:
        return [str(call) for call in self.cloud.ledger.writes() if call.permission == "CANCEL"]

    def check_no_cancel(self) -> None:
        self.check_equal(self.cancels(), [], "CANCELs")

    def said(self) -> str:
        return self.last.stdout + self.last.stderr

    def check_said(self, *words: str) -> None:
        for word in words:
            self.check(word in self.said(), f"the output does not say {word!r}")

    def own(self, count: int = 12, region: str = SINGAPORE, more: tuple = ()) -> List[Image]:
        """A world in which sharekeeper has shared `count` images; `more` are somebody else's."""
        mine = images(count, region)
        self.serve([*mine, *more])
        self.share(mine)
        self.reconcile()
        self.check_world(mine, "shared")
        return mine


class Prune(Owning):
    def test_s1_s10_only_what_sharekeeper_shared_itself_is_pruned(self) -> None:
        already = Image(SINGAPORE, "img-already0", shared=True)
        foreign = Image(SINGAPORE, "img-foreign0", shared=True)
        mine = images(3)
        self.serve([*mine, already, foreign])
        self.share([*mine, already])
        self.reconcile(*OWNED)
        self.check_no_cancel()
        self.share(mine[:1])
        document = self.reconcile(*OWNED)
        self.check_world(mine[1:], "unshared")
        self.check_world([mine[0], already, foreign], "shared")
        for entry in self.check_outcomes(document, mine[1:], "cancelled"):
            self.check_equal(entry["cause"], "pruned", "the cause")
            self.check_equal(entry["source"], None, "the source")

    def test_s1_without_prune_nothing_unnamed_is_touched(self) -> None:
        mine = self.own(3)
        self.share(mine[:1])
        self.reconcile()
        self.check_no_cancel()
        self.plan()
        self.check_equal(self.document(self.last)["unmanaged"], {"ours": 2, "foreign": 0}, "unmanaged")

    def test_s1_exclusive_prunes_whoever_shared_it_within_the_caps(self) -> None:
        foreign = images(3, first=100, shared=True)
        mine = self.own(3, more=tuple(foreign))
        self.reconcile("--prune", "exclusive", "--max-cancels", "2", expect=3)
        self.check_no_cancel()
        self.check_said("--max-cancels 3")
        self.reconcile("--prune", "exclusive", "--max-cancels", "3")
        self.check_world(foreign, "unshared")
        self.check_world(mine, "shared")

    def test_s7_a_cap_withholds_all_cancels_and_names_the_remedy(self) -> None:
        mine = images(12) + images(2, FRANKFURT)
        down = Image(SINGAPORE, "img-down0000", shared=True)
        self.serve([*mine, down])
        self.share(mine)
        self.reconcile()
        self.share([mine[0], mine[12]])
        self.share([down], "unshared", name="down")
        document = self.reconcile(*OWNED, expect=3)
        self.check_world(mine[:12] + [down], "shared")
        self.check_equal(mine[13].now, "unshared", "the other scope goes on")
        self.check_outcomes(document, mine[1:12] + [down], "withheld")
        self.check_said("--max-cancels 11 --max-cancels-percent 92")
        self.reconcile(*OWNED, "--max-cancels", "11", "--max-cancels-percent", "92")
        self.check_world(mine[1:12] + [down], "unshared")

    def test_declared_and_expired_cancels_are_not_capped(self) -> None:
        mine = self.own(12)
        self.share(mine, "unshared")
        self.reconcile(*OWNED)
        self.check_world(mine, "unshared")

    def test_s1_narrowing_never_makes_a_named_image_look_unnamed(self) -> None:
        mine = self.own(3)
        self.share(mine[:2])
        self.reconcile(*OWNED, "--image", mine[0].image_id)
        self.check_no_cancel()
        self.reconcile(*OWNED, "-l", "team=web", expect=64)
        self.check_no_cancel()
        self.reconcile(*OWNED, "--image", mine[2].image_id)
        self.check_world(mine[:2], "shared")
        self.check_equal(mine[2].now, "unshared", "the one that is selected and unnamed")

    def test_a_protected_entry_that_is_deleted_is_still_protected(self) -> None:
        mine = images(2)
        self.serve(mine)
        self.share(mine, extra=", protect: true")
        self.reconcile()
        self.share(mine[:1], extra=", protect: true")
        self.reconcile(*OWNED, expect=3)
        self.check_no_cancel()
        self.check_said("was protected when a manifest last named it")


class Nothing(Owning):
    """Emptiness is never evidence: each of these ends with no CANCEL, and with a message that names the way out."""

    def test_m1_s3_an_emptied_directory(self) -> None:
        self.own()
        (self.manifests / "e2e.yaml").unlink()
        self.reconcile(*OWNED, expect=1)
        self.check_no_cancel()
        self.check_said("holds no manifests", "declare them `state: unshared`")

    def test_m1_s3_a_directory_that_is_gone(self) -> None:
        self.own()
        shutil.rmtree(self.manifests)
        self.reconcile(*OWNED, expect=1)
        self.check_no_cancel()
        self.check_said("does not exist", "check the path")

    def test_m3_s3_one_broken_file(self) -> None:
        mine = self.own()
        self.share(mine[:4], name="e2e")
        self.write("other.yaml", "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nspec: [\n")
        self.reconcile(*OWNED, expect=1)
        self.check_no_cancel()
        self.check_said("other.yaml")

    def test_m3_s3_partial_ok_shares_from_the_good_files_and_cancels_nothing(self) -> None:
        more, down = images(2, first=50), images(1, first=70, shared=True)
        mine = self.own(more=tuple(more + down))
        self.share(mine[:4] + more)
        self.share(down, "unshared", name="down")
        self.write("other.yaml", "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nspec: [\n")
        document = self.reconcile(*OWNED, "--partial-ok", expect=4)
        self.check_no_cancel()
        self.check_world(mine + more + down, "shared")
        self.check(document["errors"], "the errors of the rest are not in the document")
        self.check_said("other.yaml", "some manifests have errors")

    def test_s2_a1_page_3_of_7_fails(self) -> None:
        far = images(2, FRANKFURT)
        world = images(650, shared=True)
        self.serve(world + far, pages=[PageScript(BLUEPRINTS, region=SINGAPORE, offset=200, code="InternalError")])
        self.share(world[:1] + far)
        self.reconcile("--prune", "exclusive", "--max-cancels", "1000", "--max-cancels-percent", "100", expect=4)
        self.check_no_cancel()
        self.check_world(far, "shared")
        self.check_said("not observed")

    def test_a4_total_count_0(self) -> None:
        mine = self.own()
        for image in mine:
            image.hide()
        self.share(mine[:6])
        writes = len(self.cloud.ledger.writes())
        self.reconcile(*OWNED, expect=3)
        self.check_equal(len(self.cloud.ledger.writes()), writes, "writes on a suspicious view")
        self.check_said("12 of 12 images", "--accept-lost default/ap-singapore=12")

    def test_p10_the_wrong_account(self) -> None:
        mine = self.own()
        # As a key of another account sees it: none of our images, and some of theirs.
        theirs = images(5, first=500, shared=True)
        self.serve(theirs, keys={SECRET_ID: Key(SECRET_KEY, uin="100000000002")})
        self.share(mine[:6])
        self.reconcile("--prune", "exclusive", expect=3)
        self.check_no_cancel()
        self.check_said("check that these are the right account and credentials")
        self.check_world(theirs, "shared")

