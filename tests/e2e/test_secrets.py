"""S12: no secret comes out, whatever the command, the source of the credentials, and what goes wrong."""

from __future__ import annotations

import base64
import http.server
import json
import os
import shutil
import threading
import unittest
import urllib.parse
from typing import Dict, Iterable, List, Optional, Tuple

from .canary import Canaries
from .harness import SECRET_ID, SECRET_KEY, SINGAPORE, TOKYO, Answer, Case, Fault, Key, image_id, images
from .simulated import Simulated

TOKEN = "SessionToken/with+odd=chars&0123456789abcdefghijklmnop"
UIN = "100000000001"
CANARY_KEY = "Qz7/Wm+4=Lp9-Rk2_Xv8Tb6Nc3"
CANARY_TOKEN = "tOkEn/Yh5+Gf1=Jd7-Sa3_Uo9Ei2Mw8Bv4Zk6"
CANARY_IDENTITY = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLW9mLWNhbmFyeQ"
PAGES = ("/", "/?show=all", "/status.json", "/metrics", "/healthz", "/readyz", "/nothing")


class Scanner(unittest.TestCase):
    """A scan that finds nothing must be one that could."""

    def test_eight_bytes_are_found_in_each_of_seven_encodings(self) -> None:
        secret = "p4rt/0f+a=Qk\"\\secret~é"
        canaries = Canaries({"it": [secret]})
        data = secret.encode()
        for start in range(len(data) - 8 + 1):
            run = data[start : start + 8]
            padded = [b"#" * before + run + b"#" * after for before in range(3) for after in range(3)]
            encoded = [
                run,
                *map(base64.b64encode, padded),
                *map(base64.urlsafe_b64encode, padded),
                *(base64.b64encode(text).rstrip(b"=") for text in padded),
                run.hex().encode(),
                b"a" + run.hex().upper().encode() + b"0",
                urllib.parse.quote_from_bytes(run, safe="").encode(),
                urllib.parse.quote_plus(run).encode(),
                json.dumps(run.decode("latin-1")).encode(),
                str(list(run)).encode(),
                ",".join(map(str, run)).encode(),
            ]
            for text in encoded:
                self.assertEqual(canaries.found(b"x: " + text + b" y"), {"it"}, text)
        self.assertEqual(canaries.found("p4rt/0f secret 0f+a= " + "0123456789abcdef" * 10), set())


class OneKey(Case):
    """With a key of the environment, against the stand-in."""

    def _check(self, secrets: Dict[str, Iterable[str]]) -> None:
        canaries = Canaries(secrets)
        texts = {"stdout": self.last.stdout, "stderr": self.last.stderr}
        for path in self.directory.rglob("*"):
            if path.is_file() and self.manifests not in path.parents:
                texts[str(path.relative_to(self.directory))] = path.read_bytes()
        for where, text in texts.items():
            # No message quotes the output here: it would spread the leak.
            self.assertEqual(canaries.found(text), set(), f"S12: {where} holds a secret")

    def _trace(self, document: bool, *arguments: str, key: str = SECRET_KEY, **settings: object) -> None:
        self.refused_signatures_allowed = True
        bad = images(2, first=30, answers=[Answer(fault=Fault("html")), Answer("InternalError.RequestError")])
        self.serve(images(3) + bad, keys={SECRET_ID: Key(SECRET_KEY, TOKEN)}, **settings)
        self.share(images(3) + bad)
        output = ("-o", "json" if document else "text")
        self.run_binary(
            *self.reconcile_command("--timeout", "20s", "--log-level", "trace", *output, *arguments),
            TENCENTCLOUD_SECRET_KEY=key, TENCENTCLOUD_TOKEN=TOKEN, RUST_LOG="trace",
        )  # fmt: skip
        signatures = {call.signature for call in self.cloud.ledger.calls() if call.signature}
        self.assertTrue(signatures, "nothing was signed: the test is void")
        self._check({"secret key": [key], "token": [TOKEN], "signature": signatures})
        self.assertTrue(self.last.stderr, "there is no log at all: the test is void")

    def test_s12_no_secret_at_level_trace(self) -> None:
        self._trace(True)
        self.assertEqual(self.last.status, 0)

    def test_s12_no_secret_in_text_and_json_logs(self) -> None:
        self._trace(False, "--log-format", "json")
        self.assertEqual(self.last.status, 0)

    def test_s12_no_secret_when_the_signature_is_refused(self) -> None:
        self._trace(True, key="Wrong/Key+0=gH7kP2sV9xB4nM6qT1wZ")
        self.assertEqual(self.last.status, 1)

    def test_s12_no_secret_in_a_malformed_credential(self) -> None:
        self.serve(images(1))
        self.share(images(1))
        secret = SECRET_KEY + "\tQ8w7E6r5"
        self.run_binary(*self.reconcile_command("--log-level", "trace"), TENCENTCLOUD_SECRET_KEY=secret)
        self._check({"secret key": [secret, SECRET_KEY]})


class Receiver:
    """Takes the bodies that webhooks get."""

    def __init__(self) -> None:
        self.bodies: List[bytes] = []
        bodies = self.bodies

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                bodies.append(bytes(str(self.headers), "latin-1") + body)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class EverySource(Simulated):
    """Each command with each source of credentials, while all goes well and while it does not."""

    SPECS: Dict[str, dict] = {
        "environment": {"from": "environment"},
        "profile": {"from": "profile", "profile": "work"},
        "file": {"from": "file"},
        "cvm-role": {"from": "cvm-role"},
        "tke-oidc": {"from": "tke-oidc"},
        "assume-role": {
            "from": "assume-role",
            "roleArn": f"qcs::cam::uin/{UIN}:roleName/keeper",
            "source": {"from": "file"},
        },
    }

    def setUp(self) -> None:
        super().setUp()
        self.outputs: Dict[str, bytes] = {}
        self.simulate({
            "latency": {"min": "0s", "max": "0s"}, "readLag": "0s", "syncTime": "0s",
            "metadata": {"account": "prod", "role": "keeper"},
            "accounts": [{
                "name": "prod", "uin": UIN, "secretId": "AKIDsimprod", "secretKey": CANARY_KEY, "token": CANARY_TOKEN,
                "roles": [
                    {"name": "keeper", "trust": {"accounts": [UIN]}},
                    {"name": "workload", "trust": {"oidcProvider": "cluster", "webIdentityToken": CANARY_IDENTITY}},
                ],
                "images": [{"id": image_id(n), "regions": [region]} for n in range(3) for region in (SINGAPORE, TOKYO)],
            }],
        })  # fmt: skip
        self.secret_places()

    def secret_places(self) -> None:
        """Puts the key wherever a source looks for it; gives nobody else's."""

        def put(path: str, text: str) -> str:
            file = self.home / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o600)
            return str(file)

        profile = {"secretId": "AKIDsimprod", "secretKey": CANARY_KEY, "token": CANARY_TOKEN}
        put(".tccli/work.credential", json.dumps(profile))
        put(
            ".tencentcloud/credentials",
            f"[default]\nsecret_id = AKIDsimprod\nsecret_key = {CANARY_KEY}\ntoken = {CANARY_TOKEN}\n",
        )
        self.surroundings: Dict[str, Optional[str]] = {
            "SHAREKEEPER_METADATA_URL": self.endpoint,
            "TENCENTCLOUD_SECRET_ID": "AKIDsimprod",
            "TENCENTCLOUD_SECRET_KEY": CANARY_KEY,
            "TENCENTCLOUD_TOKEN": CANARY_TOKEN,
            "TKE_PROVIDER_ID": "cluster",
            "TKE_WEB_IDENTITY_TOKEN_FILE": put("identity", CANARY_IDENTITY + "\n"),
            "TKE_ROLE_ARN": f"qcs::cam::uin/{UIN}:roleName/workload",
            "RUST_LOG": "trace",
            "RUST_BACKTRACE": "full",
        }

    def keep(self, what: str, text: "str | bytes") -> None:
        self.outputs[what] = text.encode() if isinstance(text, str) else text

    def do(self, *arguments: str, forms: Tuple[str, str], expect: Tuple[int, ...] = (0,)) -> None:
        output, log = forms
        all_of_it = (*arguments, "--state-dir", str(self.state), "--log-level", "trace", "-o", output, "--log-format", log)
        run = self.run_binary(*all_of_it, **self.surroundings)
        self.check(run.status in expect, f"exit status {run.status} of {arguments[0]}, not one of {expect}")
        self.keep(f"{arguments[0]} {forms} stdout", run.stdout)
        self.keep(f"{arguments[0]} {forms} stderr", run.stderr)

    def commands(self, forms: Tuple[str, str]) -> None:
        paths, api = (str(self.manifests),), ("--endpoint", self.endpoint)
        saved, imported = (str(self.directory / name) for name in (f"saved-{forms[0]}", f"imported-{forms[0]}"))
        self.do("validate", *paths, forms=forms)
        self.do("plan", *paths, *api, "--out", saved, forms=forms)
        self.do("reconcile", *paths, *api, "--plan", saved, forms=forms)
        self.do("reconcile", *paths, *api, forms=forms)
        self.do("adopt", *paths, *api, "--all", forms=forms)
        self.do("import", *paths, *api, "--out", imported, "--region", TOKYO, forms=forms)
        self.do("suspend", "--reason", "because", "--image", image_id(1), forms=forms)
        self.do("status", forms=forms)
        self.do("resume", "--all", forms=forms)
        self.do("history", forms=forms)
        self.do("history", "verify", forms=forms)
        self.do("doctor", *paths, *api, forms=forms, expect=(0, 1))
        self.do("doctor", *paths, "--cam-policy", forms=forms)

    def failures(self, forms: Tuple[str, str]) -> None:
        """The API takes neither the key nor what comes of it."""
        paths, api = (str(self.manifests),), ("--endpoint", self.endpoint)
        for code in ("AuthFailure.SignatureFailure", "AuthFailure.TokenFailure"):
            self.sim("faults", [{"kind": "error", "code": code}])
            for command in ("plan", "reconcile", "adopt", "import", "doctor"):
                more = {"reconcile": ("--timeout", "2s"), "adopt": ("--all",), "import": ("--out", str(self.directory / "none"))}
                self.do(command, *paths, *api, *more.get(command, ()), forms=forms, expect=(1, 2, 4))
            forms = (forms[1], forms[0])
        self.sim("faults", [])

    def daemon(self, forms: Tuple[str, str]) -> None:
        """`run` with everything that it has, first well and then without a key that works."""
        hook = Receiver()
        self.addCleanup(hook.close)
        notify = self.directory / "notify.yaml"
        notify.write_text(
            "webhooks:\n" + "".join(
                f"  - {{name: {name}, format: {name}, url: 'http://127.0.0.1:{hook.server.server_port}/{name}'}}\n"
                for name in ("json", "slack")
            )
        )
        notify.chmod(0o600)
        repository = self.directory / "repository"
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(repository)]
        self.command_line("git", "init", "-q", "-b", "main", str(repository))
        shutil.copytree(self.manifests, repository / "share")
        self.command_line(*git, "add", "-A")
        self.command_line(*git, "commit", "-q", "-m", "change")
        self.run_daemon(
            "--git", f"file://{repository}", "--ref", "main", "--path", "share", "--interval", "1s", "--notify", str(notify),
            "--log-level", "trace", "--log-format", forms[1], **self.surroundings, PATH=self.path_with_curious_git(),
        )  # fmt: skip
        self.until_synced(6)
        self.check_outputs("well")
        self.sim("faults", [{"kind": "error", "code": "AuthFailure.TokenFailure"}])
        self.until(lambda: len(hook.bodies) >= 2, "webhooks report that the account is broken")
        self.check_outputs("broken")
        self.keep("the daemon's log", self.end_daemon())
        self.keep("the daemon's stdout", self.last.stdout)
        for number, body in enumerate(hook.bodies):
            self.keep(f"webhook {number}", body)
        self.sim("faults", [])
        shutil.rmtree(repository)

    def check_outputs(self, when: str) -> None:
        for page in PAGES:
            self.keep(f"page {page}, {when}", self.get(page)[1])

    def path_with_curious_git(self) -> str:
        """A git that records what it was given."""
        tools = self.directory / "tools"
        tools.mkdir()
        curious = tools / "git"
        given = self.directory / "given-to-git"
        curious.write_text(f'#!/bin/sh\n{{ env; printf "%s\\n" "$@"; }} >> {given}\nexec {shutil.which("git")} "$@"\n')
        curious.chmod(0o755)
        return f"{tools}{os.pathsep}{os.environ['PATH']}"

    def check_silent(self) -> None:
        found = self.wire.secrets()
        self.check(found["signature"], "nothing was signed, the test is void")
        self.check(found["token"], "no token was sent, the test is void")
        canaries = Canaries({
            **found,
            "secret key": [CANARY_KEY],
            "own token": [CANARY_TOKEN],
            "identity": [CANARY_IDENTITY],
        })  # fmt: skip
        for path in self.directory.rglob("*"):
            inside = {self.manifests, self.home, self.directory / "tools"}
            if path.is_file() and not inside.intersection(path.parents):
                self.keep(str(path.relative_to(self.directory)), path.read_bytes())
        self.check(b"PATH=" in self.outputs["given-to-git"], "git was not asked, the test is void")
        for where, text in self.outputs.items():
            # No message quotes the output here: it would spread the leak.
            self.assertEqual(canaries.found(text), set(), f"S12: {where} holds a secret")

    def _source(self, source: str, forms: Tuple[str, str]) -> None:
        self.document_of_account("prod", self.SPECS[source], UIN)
        self.share([(region, image_id(n)) for region in (SINGAPORE, TOKYO) for n in range(3)], account="prod")
        self.commands(forms)
        self.failures(forms)
        self.daemon(forms)
        self.check_silent()

    def test_o2_s12_environment(self) -> None:
        self._source("environment", ("text", "json"))

    def test_o2_s12_profile(self) -> None:
        self._source("profile", ("json", "text"))

    def test_o2_s12_file(self) -> None:
        self._source("file", ("json", "json"))

    def test_o2_s12_role_of_the_machine(self) -> None:
        self._source("cvm-role", ("text", "text"))

    def test_o2_s12_service_account_of_a_pod(self) -> None:
        self._source("tke-oidc", ("json", "text"))

    def test_o2_s12_assumed_role(self) -> None:
        self._source("assume-role", ("text", "json"))
