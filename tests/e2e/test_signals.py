"""Being told to stop in the middle of the work."""

from __future__ import annotations

import signal

from .harness import MODIFY, Case, images

# Long enough that a client which goes on writing is caught at it while its calls in flight settle.
LATENCY = (0.8, 1.0)
# The signal has to be delivered, and what was just leaving may leave.
GRACE = 0.4


class Signals(Case):
    def _stopped_by(self, number: int, status: int) -> None:
        wanted = images(400)
        cloud = self.serve(wanted, latency=LATENCY)
        self.share(wanted)
        process = self.start(*self.reconcile_command("--timeout", "80s"))
        begun = cloud.ledger.wait_for(lambda ledger: sum(bool(call.effect) for call in ledger.writes()) >= 15, 60)
        if not begun:
            process.kill()
        moment = process.send(number) if begun else 0.0
        self.last = run = process.wait(30)
        self.check(begun, "the run never got going")
        self.check_equal(run.status, status, "exit status")
        writes = cloud.ledger.calls(MODIFY)
        self.check(len(writes) < len(wanted), "it had finished before the signal: the test is void")
        late = [call for call in writes if call.received > moment + GRACE]
        self.check(not late, f"L7: {len(late)} writes were started after the signal")
        hanging = [call for call in writes if call.how != "replied"]
        self.check(not hanging, f"L7: {len(hanging)} calls in flight were abandoned, such as {hanging[0] if hanging else ''}")
        document = self.document(run)
        reported = {entry["image_id"] for entry in document["images"] if entry["outcome"] == "shared"}
        shared = {image.image_id for image in wanted if image.now == "shared"}
        self.check_equal(reported, shared, "S19: images reported as shared against those that are")

        # And the next run finishes the job, without a second write to what was done.
        cloud.settings.latency = (0.0, 0.0)
        self.share(wanted[:60])
        self.reconcile()
        self.check_world(wanted[:60], "shared")
        for image in wanted[:60]:
            self.check_writes(image, at_least=1, at_most=1)

    def test_p1_sigterm(self) -> None:
        self._stopped_by(signal.SIGTERM, 143)

    def test_p2_sigint(self) -> None:
        self._stopped_by(signal.SIGINT, 130)
