"""The rate: never over the limit, whatever the number of access points. Times are printed, never asserted."""

from __future__ import annotations

import sys
import time

from .harness import BLUEPRINTS, IMAGES, MODIFY, REGIONS, SINGAPORE, Case, images

RATE = 19.0
LATENCY = (0.060, 0.120)


class Rate(Case):
    def _report(self, what: str, seconds: float, bound: float) -> None:
        busiest = {action: self.cloud.ledger.busiest_second(action) for action in (MODIFY, BLUEPRINTS, IMAGES)}
        print(
            f"\nmeasured: {what}: {seconds:.2f} s = {seconds / bound:.2f} x the bound of {bound:.2f} s; busiest second: {busiest}",
            file=sys.stderr,
        )

    def test_s6_15_regions_of_40_images_behind_their_access_points(self) -> None:
        wanted = [image for region in REGIONS for image in images(40, region)]
        self.serve(wanted, latency=LATENCY)
        self.share(wanted)
        start = time.monotonic()
        document = self.reconcile(endpoint=self.regional_endpoint)
        self._report("15 x 40 images, regional access points", time.monotonic() - start, 40 / RATE)
        self.check_world(wanted, "shared")
        self.check_outcomes(document, wanted, "shared")
        self.check_equal(len(self.cloud.ledger.writes()), len(wanted), "writes")
        for call in self.cloud.ledger.calls():
            self.check_equal(call.host, f"{call.region}.localhost:{self.cloud.port}", f"host of {call}")

    def test_s6_15_regions_behind_one_access_point(self) -> None:
        wanted = [image for region in REGIONS for image in images(12, region)]
        self.serve(wanted, latency=LATENCY)
        self.share(wanted)
        start = time.monotonic()
        document = self.reconcile()
        self._report(f"{len(wanted)} images, one access point", time.monotonic() - start, len(wanted) / RATE)
        self.check_world(wanted, "shared")
        self.check_outcomes(document, wanted, "shared")
        self.check_equal(len(self.cloud.ledger.writes()), len(wanted), "writes")

    def _shared_quota(self, count_refused: bool) -> None:
        # Somebody else spends three quarters of the quota.
        self.throttling_allowed = True
        wanted = images(30)
        self.serve(wanted, limits={MODIFY: 5, BLUEPRINTS: 10, IMAGES: 20}, count_refused=count_refused, latency=LATENCY)
        self.share(wanted)
        document = self.reconcile()
        self.check_world(wanted, "shared")
        self.check_outcomes(document, wanted, "shared")
        self.check(document["calls"]["throttled"] > 0, "calls.throttled says nothing")
        writes = len(self.cloud.ledger.writes(region=SINGAPORE))
        self.check(writes <= 4 * len(wanted), f"{writes} writes for {len(wanted)} images: it hardly slowed down")

    def test_a16_throttled_below_the_limit(self) -> None:
        self._shared_quota(count_refused=False)

    def test_a16_throttled_below_the_limit_and_refused_calls_count(self) -> None:
        self._shared_quota(count_refused=True)
