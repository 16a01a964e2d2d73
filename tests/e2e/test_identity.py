"""Whose the key is: nothing is called with a key of another account than the manifests name by its `uin`."""

from __future__ import annotations

from .harness import (
    BLUEPRINTS,
    FRANKFURT,
    IDENTITY,
    REGIONS,
    SECRET_ID,
    SECRET_KEY,
    SINGAPORE,
    TOKYO,
    UIN,
    Case,
    Fault,
    Key,
    PageScript,
    images,
)

OTHER_UIN = "100000000002"
STAGING_ID, STAGING_KEY = "AKIDstagingEXAMPLE0000000000000000000", "StagingKey/3+4=5aB6cD7eF8gH9iJ0k"


class Identity(Case):
    def check_only_asked(self, times: int = 1) -> None:
        """No call of Lighthouse whatsoever, and the given number of STS."""
        self.check_equal([call.action for call in self.cloud.ledger.calls()], [IDENTITY] * times, "calls")

    def check_says(self, document: dict, *words: str) -> None:
        for word in words:
            self.check(word in document["error"], f"the error does not name {word}: {document['error']}")
            self.check(word in self.last.stderr, f"stderr does not name {word}")

    def test_c8_s13_a_matching_uin_is_asked_for_once_and_then_written(self) -> None:
        wanted = [image for region in REGIONS for image in images(2, region)]
        self.serve(wanted, latency=(0.02, 0.05))
        self.account("prod", UIN)
        self.share(wanted, account="prod")
        document = self.reconcile(endpoint=self.regional_endpoint)
        self.check_outcomes(document, wanted, "shared")
        self.check_world(wanted, "shared")
        calls = self.cloud.ledger.calls()
        self.check_equal([calls[0].action, calls[0].service, calls[0].result], [IDENTITY, "sts", "ok"], "the first call")
        self.check_equal(len(self.cloud.ledger.calls(IDENTITY)), 1, "calls of STS")
        # One at a time until it is known: nothing else was under way.
        self.check(calls[1].received >= calls[0].ended, "a call was made before the answer was there")

    def test_c8_s13_a_key_that_now_belongs_to_another_account_calls_nothing(self) -> None:
        wanted, rest = images(2), images(2, first=10)
        self.serve(wanted + rest)
        self.account("prod", UIN)
        self.share(wanted, account="prod")
        self.reconcile()
        before = len(self.cloud.ledger)
        self.cloud.settings.keys[SECRET_ID] = Key(SECRET_KEY, uin=OTHER_UIN)
        self.share(wanted + rest, account="prod")
        document = self.reconcile(expect=1)
        self.check_says(document, UIN, OTHER_UIN, "prod", "uin")
        self.check_equal([call.action for call in self.cloud.ledger.calls()[before:]], [IDENTITY], "calls since")
        self.check_world(rest, "unshared")

    def test_p10_s13_the_staging_key_with_the_prod_manifest_calls_nothing(self) -> None:
        keys = {SECRET_ID: Key(SECRET_KEY), STAGING_ID: Key(STAGING_KEY, uin=OTHER_UIN)}
        away = [image for region in REGIONS for image in images(20, region, shared=True)]
        self.serve(away, keys=keys)
        self.account("prod", UIN)
        self.share(away, "unshared", account="prod")
        staging = {"TENCENTCLOUD_SECRET_ID": STAGING_ID, "TENCENTCLOUD_SECRET_KEY": STAGING_KEY}
        document = self.reconcile(expect=1, endpoint=self.regional_endpoint, **staging)
        self.check_only_asked()
        self.check_says(document, UIN, OTHER_UIN, "prod", "credentials")
        self.check_equal(document["error"].count(OTHER_UIN), 1, "findings for the account")
        self.check_outcomes(document, away, "not_tried")
        self.check_world(away, "shared")
        self.expect(self.run_binary(*self.command("plan"), **staging), 1)
        self.check_only_asked(times=2)

    def test_s13_of_two_accounts_the_one_that_matches_is_done(self) -> None:
        own, foreign = images(3), images(3, FRANKFURT)
        self.serve(own + foreign)
        self.account("own", UIN)
        self.account("foreign", OTHER_UIN)
        self.share(own, name="own", account="own")
        self.share(foreign, name="foreign", account="foreign")
        document = self.reconcile(expect=4)
        self.check_outcomes(document, own, "shared")
        for entry in self.check_outcomes(document, foreign, "not_tried"):
            self.check_equal((entry["account"], entry["error_code"]), ("foreign", "WrongAccount"), "the finding")
            self.check(UIN in entry["message"] and OTHER_UIN in entry["message"], f"both uins: {entry['message']}")
        self.check_world(own, "shared")
        self.check_world(foreign, "unshared")
        self.check_equal({call.region for call in self.cloud.ledger.calls(BLUEPRINTS)}, {SINGAPORE}, "regions listed")

    def test_s13_sts_denied_holds_still_with_the_way_out(self) -> None:
        wanted = images(3)
        self.serve(wanted, deny={IDENTITY: "UnauthorizedOperation.NoPermission"})
        self.account("prod", UIN)
        self.share(wanted, account="prod")
        document = self.reconcile(expect=1)
        self.check_only_asked()
        self.check_says(document, "UnauthorizedOperation.NoPermission", "sts:GetCallerIdentity", "remove `uin`")
        self.check_world(wanted, "unshared")
        # The way out that it names is one.
        self.account("prod", None)
        self.reconcile()
        self.check_world(wanted, "shared")

    def test_s13_without_a_uin_sts_is_not_asked(self) -> None:
        wanted, elsewhere = images(3), images(1, TOKYO, first=9)
        self.serve([*wanted, *elsewhere])
        self.account("prod", None)
        self.share(wanted[:2], name="named", account="prod")
        self.share(elsewhere, name="unnamed")
        self.reconcile()
        self.check_world([*wanted[:2], *elsewhere], "shared")
        # Both names have one key: no call is needed to know that they are one account.
        self.share([*wanted[2:], *elsewhere], name="unnamed")
        document = self.reconcile(expect=1)
        messages = [image["message"] for image in document["images"] if image["region"] == SINGAPORE]
        self.check(all("their keys have the same secret id" in message for message in messages), f"{messages}")
        self.check_world(wanted[2:], "unshared")
        self.check_equal(len(self.cloud.ledger.calls(IDENTITY)), 0, "calls of STS")

    def test_t1_s13_answers_of_sts_that_go_wrong_are_asked_for_again(self) -> None:
        wanted = images(3)
        faults = ("cut", "html", "shapeless")
        scripts = [PageScript(IDENTITY, times=1, fault=Fault(kind)) for kind in faults]
        scripts.append(PageScript(IDENTITY, times=1, code="InternalError"))
        self.serve(wanted, scripts)
        self.account("prod", UIN)
        self.share(wanted, account="prod")
        self.reconcile()
        self.check_world(wanted, "shared")
        actions = [call.action for call in self.cloud.ledger.calls()]
        self.check_equal(actions.count(IDENTITY), len(scripts) + 1, "calls of STS")
        self.check_equal(set(actions[: len(scripts) + 1]), {IDENTITY}, "what was called before it was known")

    def test_c1_s13_a_wrong_clock_is_learned_from_sts(self) -> None:
        self.refused_signatures_allowed = True
        wanted = images(3)
        self.serve(wanted, clock_offset=600)
        self.account("prod", UIN)
        self.share(wanted, account="prod")
        self.reconcile()
        self.check_world(wanted, "shared")
        self.check_equal([call.result for call in self.cloud.ledger.calls(IDENTITY)], ["AuthFailure.SignatureExpire", "ok"], "STS")
