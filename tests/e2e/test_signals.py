"""A signal to stop in the middle of the work, and an end without any signal."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import time

from .harness import MODIFY, SINGAPORE, Answer, Case, Fault, Image, Process, image_id, images

# Long enough that a client which goes on writing is caught at it while its calls in flight settle.
LATENCY = (2.0, 2.4)
# The signal has to be delivered, on a machine that runs other tests, and a call that just leaves may leave.
GRACE = 1.2
# Shells that start the tests may have it ignored, and it would be in what the tests start, too.
HEARS_HANGUPS = ("sh", "-c", 'trap - HUP; exec "$0" "$@"')
# As `nohup` does it.
IGNORES_HANGUPS = ("sh", "-c", 'trap "" HUP; exec "$0" "$@"')


class Signals(Case):
    def _begun(self, process: Process, writes: int) -> None:
        begun = self.cloud.ledger.wait_for(lambda ledger: sum(bool(call.effect) for call in ledger.writes()) >= writes, 60)
        if not begun:
            self.last = process.end()
        self.check(begun, "the run never got going")

    def _stopped_by(self, number: int, status: int) -> None:
        wanted = images(400)
        cloud = self.serve(wanted, latency=LATENCY)
        self.share(wanted)
        process = self.start(*self.reconcile_command("--timeout", "80s"))
        self._begun(process, 15)
        moment = process.send(number)
        self.last = run = process.wait(30)
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

    def test_p2_sighup(self) -> None:
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            self.skipTest("whoever runs the tests has SIGHUP ignored, and no shell can undo that")
        self._stopped_by(signal.SIGHUP, 129)

    def test_p2_sighup_that_was_to_be_ignored_is(self) -> None:
        wanted = images(40)
        self.serve(wanted)
        self.share(wanted)
        process = self.start_through(IGNORES_HANGUPS, *self.reconcile_command())
        self._begun(process, 5)
        process.send(signal.SIGHUP)
        self.expect(process.wait(), 0)
        self.check_world(wanted, "shared")

    def test_p2_second_sigint_leaves_at_once(self) -> None:
        # Far longer than anybody would wait for calls in flight.
        silence = Answer(fault=Fault("lost", after=True, seconds=60.0))
        wanted = [Image(SINGAPORE, image_id(number), answers=[silence]) for number in range(30)]
        self.serve(wanted)
        self.share(wanted)
        process = self.start(*self.reconcile_command("--timeout", "80s"))
        self._begun(process, 3)
        process.send(signal.SIGINT)
        time.sleep(GRACE)
        self.check(process.running(), "it left with calls in flight though it was asked only once")
        end = time.monotonic() + 20
        while process.running() and time.monotonic() < end:
            # Two of a kind that come at once are one.
            process.send(signal.SIGINT)
            time.sleep(0.05)
        self.last = run = process.end()
        self.check_equal(run.status, 130, "exit status")
        self.check("died of" not in run.stderr, "it did not leave by itself")

        for image in wanted:
            image.answers.clear()
        self.reconcile()
        self.check_world(wanted, "shared")
        for image in wanted:
            self.check_writes(image, at_least=1, at_most=1)

    def _stop_between_commits(self, process: Process) -> float:
        """Within one it would keep everybody else from writing to the state."""
        for _ in range(100):
            stopped = process.send(signal.SIGSTOP)
            with contextlib.closing(sqlite3.connect(self.state / "state.db", timeout=0.2)) as database:
                try:
                    database.execute("BEGIN IMMEDIATE")
                    return stopped
                except sqlite3.OperationalError:
                    process.send(signal.SIGCONT)
            time.sleep(0.03)
        raise AssertionError("it commits all the time")

    def test_p5_s6_a_request_made_during_a_pause_holds_from_the_next_write(self) -> None:
        wanted = images(150)
        cloud = self.serve(wanted)
        self.share(wanted)
        process = self.start(*self.reconcile_command())
        self._begun(process, 15)
        stopped = self._stop_between_commits(process)
        suspend = self.run_binary("suspend", "--all", "--reason", "freeze", "--state-dir", str(self.state), "-o", "json")
        self.expect(suspend, 0)
        # So long that a plan which is not asked about again, and turns saved up in the bucket, would show.
        time.sleep(max(0.0, stopped + 1.5 - time.monotonic()))
        moment = process.send(signal.SIGCONT)
        self.last = run = process.wait()
        self.check_equal(run.status, 3, "exit status")
        late = [call for call in cloud.ledger.calls(MODIFY) if call.received > moment]
        # One may have been on its way from the last question to the socket.
        self.check(len(late) <= 1, f"S5: {len(late)} writes of a plan that holds no longer left")

        self.expect(self.run_binary("resume", "--all", "--state-dir", str(self.state), "-o", "json"), 0)
        self.reconcile()
        self.check_world(wanted, "shared")
        for image in wanted:
            self.check_writes(image, at_least=1, at_most=1)
