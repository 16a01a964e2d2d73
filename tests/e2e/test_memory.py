"""Memory that runs out at any point, then a rerun: it converges, as after a kill."""

from __future__ import annotations

import resource
import unittest

from .harness import REGIONS, Case, images

# After so many writes of one run it gets no more memory. What it lacks first differs: room for a reply, for the history,
# for the report.
POINTS = (0, 5, 40, 120)
# In each region, which has a line of its own: enough that no run gets through with what it has at its beginning.
IMAGES = 20


class Memory(Case):
    @unittest.skipUnless(hasattr(resource, "prlimit"), "this system cannot limit a process that runs")
    def test_p4_s18_l9_out_of_memory(self) -> None:
        wanted = [image for region in REGIONS for image in images(IMAGES, region)]
        cloud = self.serve(wanted)
        self.share(wanted)
        command = self.reconcile_command("--endpoint", self.regional_endpoint)
        ended_at = []
        for point in POINTS:
            before, calls = len(cloud.ledger.writes()), len(cloud.ledger)
            process = self.start(*command)
            cloud.ledger.wait_for(lambda ledger: len(ledger) > calls and len(ledger.writes()) - before >= point, 30)
            process.starve()
            self.last = run = process.wait()
            self.check("[killed" not in run.stderr, "it neither went on nor died")
            if run.status != 0:
                ended_at.append(len(cloud.ledger.writes()) - before)
        self.check(len(ended_at) >= 2, f"memory ran out in {len(ended_at)} runs only: the test is void")
        self.check(any(ended_at), "no run had written before memory ran out: the test is void")

        self.reconcile(endpoint=self.regional_endpoint)
        self.check_world(wanted, "shared")
        state = ("--state-dir", str(self.state), "-o", "json")
        self.check(self.expect(self.run_binary("history", "verify", *state), 0)["sound"], "the chain is broken")
        twice = [image for image in wanted if len(cloud.ledger.writes(image.image_id, image.region)) > 1]
        # Of those that were in flight when it died the next run cannot know, so it observes.
        self.check(not twice, f"{len(twice)} images were written again, such as {twice[:1]}")
        print(f"measured: out of memory after {ended_at} writes; the rerun converged", flush=True)
