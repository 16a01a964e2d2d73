"""What comes out: one document, and its fields."""

from __future__ import annotations

import json
import re

from .harness import FRANKFURT, SHORT, SINGAPORE, Case, images


class Text(Case):
    def test_o1_messages_of_the_service_cannot_forge_lines(self) -> None:
        # What a hostile or broken service says is shown, but not obeyed.
        message = 'x\n{"level":"info","forged":1}\n::error::forged\x1b[2J\u202eabc'
        self.serve(images(1, refuse={"SHARE": "UnsupportedOperation.ImageUnableToShare"}), message=message)
        self.share(images(1))
        for output in ("text", "json"):
            with self.subTest(output=output):
                run = self.run_binary(*self.reconcile_command("--log-format", "json", "-o", output))
                self.check_equal(run.status, 4, "exit status")
                for text in (run.stdout, run.stderr):
                    self.check("\x1b[2J" not in text and "\u202e" not in text, "S22: a terminal escape came through")
                    forged = re.search(r'^(\{"level":"info","forged"|::error::forged)', text, re.MULTILINE)
                    self.check(not forged, "S22: the message forged a line")


class Documents(Case):
    def test_reconcile_document_has_the_fields_of_the_contract(self) -> None:
        good, bad = images(2), images(1, first=30, refuse={"SHARE": "UnsupportedOperation.ImageUnableToShare"})
        self.serve(good + bad)
        self.share(good + bad)
        document = self.reconcile(expect=4)
        self.check_equal(
            set(document)
            >= {"format_version", "exit_code", "synced", "summary", "images", "calls", "elapsed_seconds"},
            True,
            f"all top-level fields (there are {sorted(document)})",
        )
        summary = {"in_sync", "shared", "cancelled", "blocked", "failed", "withheld", "not_tried"}
        self.check(summary <= set(document["summary"]), f"summary lacks {summary - set(document['summary'])}")
        self.check(isinstance(document["elapsed_seconds"], (int, float)), "elapsed_seconds is no number")
        for name in ("reads", "writes", "throttled"):
            self.check(isinstance(document["calls"].get(name), int), f"calls.{name} is no integer")
        self.check_equal(document["calls"]["writes"], len(self.cloud.ledger.writes()), "calls.writes against the ledger")
        reads = len(self.cloud.ledger) - len(self.cloud.ledger.writes())
        self.check_equal(document["calls"]["reads"], reads, "calls.reads against the ledger")
        fields = {
            "account", "region", "image_id", "desired", "actual", "outcome", "cause", "blueprint_id",
            "error_code", "message", "request_id", "source",
        }  # fmt: skip
        for entry in document["images"]:
            self.check(fields <= set(entry), f"{entry.get('image_id')} lacks {fields - set(entry)}")
            self.check_equal((entry["account"], entry["region"], entry["desired"]), ("default", SINGAPORE, "shared"), "entry")
            self.check(entry["source"]["file"].endswith("e2e.yaml") and entry["source"]["line"] > 0, "source names no place")
        for entry in self.check_outcomes(document, good, "shared"):
            self.check_equal((entry["actual"], entry["cause"]), ("shared", "declared"), "actual and cause")
            self.check(re.fullmatch("lhbp-[0-9a-f]{8}", entry["blueprint_id"] or ""), "blueprint_id")
        (entry,) = self.check_outcomes(document, bad, "blocked")
        self.check_equal(entry["actual"], "unshared", "actual state of the blocked image")
        counted = {name: 0 for name in summary}
        for entry in document["images"]:
            counted[entry["outcome"]] += 1
        self.check_equal({name: document["summary"][name] for name in summary}, counted, "summary against the entries")

    def test_plan_document_has_the_fields_of_the_contract(self) -> None:
        self.serve(images(2) + images(1, FRANKFURT, shared=True))
        self.share(images(2) + images(1, FRANKFURT))
        document = self.plan()
        for name in ("changes", "withheld", "summary", "budget"):
            self.check(name in document, f"the document lacks {name}")
        self.check({"share", "cancel", "withheld", "in_sync"} <= set(document["summary"]), "summary lacks a field")
        self.check({"reads", "writes", "eta_seconds"} <= set(document["budget"]), "budget lacks a field")
        for change in document["changes"]:
            lacking = {"account", "region", "image_id", "action", "cause", "source"} - set(change)
            self.check(not lacking, f"a change lacks {lacking}")

    def test_validate_document(self) -> None:
        self.share(images(3))
        document = self.expect(self.run_binary("validate", str(self.manifests), "-o", "json"), 0)
        self.check_equal((document["documents"], document["images"], document["errors"]), (1, 3, []), "document")

    def test_s24_one_document_for_each_kind_of_failure(self) -> None:
        self.serve(images(1), redirect=(302, "http://127.0.0.1:9/"))
        with self.subTest("no manifests"):
            self.reconcile(expect=1)
        with self.subTest("no credentials"):
            self.share(images(1))
            self.reconcile(expect=1, TENCENTCLOUD_SECRET_ID=None)
        with self.subTest("API unreachable"):
            self.reconcile(*SHORT, expect=(1, 4))
        with self.subTest("plain http to another machine"):
            self.reconcile(endpoint="http://lighthouse.example.com", expect=(1, 64))

    def test_usage_error(self) -> None:
        run = self.run_binary("reconcile", "--no-such-flag", "-o", "json")
        self.check_equal(run.status, 64, "exit status")
        self.check("no-such-flag" in run.stdout + run.stderr, "the output does not name the flag")
        # Nobody can know that JSON was asked for on a command line that does not parse; but if there is output, it is one document.
        if run.stdout.strip():
            self.document(run)

    def test_s24_full_disk_behind_stdout_is_not_success(self) -> None:
        self.serve(images(1, shared=True))
        self.share(images(1))
        command = ["sh", "-c", 'exec "$0" "$@" > /dev/full']
        run = self.run_binary_through(command, *self.reconcile_command())
        self.check(run.status > 0, "the document was lost, and yet the exit status is 0")
