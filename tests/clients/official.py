"""The official Python SDK and tccli, unchanged, against `sharekeeper sim`.

Run by tests/official_clients.rs in a virtual environment; SHAREKEEPER_BIN names the binary.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path
from unittest import mock

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.lighthouse.v20200324 import lighthouse_client, models
from tencentcloud.sts.v20180813 import errorcodes as sts_errors  # comes with tccli
from tencentcloud.sts.v20180813 import models as sts_models
from tencentcloud.sts.v20180813 import sts_client

WORLD = """
metadata: {account: default, role: server}
accounts:
  - roles:
      - {name: server}
      - {name: workload, trust: {oidcProvider: cluster, webIdentityToken: made-up}}
    images:
      - {id: img-sdk00001, regions: [ap-tokyo]}
      - {id: img-imported, regions: [ap-tokyo], source: EXTERNAL_IMPORT}
    generate:
      - {count: 130, prefix: img-many, regions: [ap-seoul], shared: true}
  - name: partner
    uin: "100000000002"
    secretId: AKIDsimpartner
    roles:
      - {name: keeper, trust: {accounts: ["100000000001"], externalId: golden}}
      - {name: simple, trust: {accounts: ["100000000001"]}}
    images:
      - {id: img-partner1, regions: [ap-tokyo]}
"""


class Simulator(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        folder = Path(cls.directory.name)
        (folder / "world.yaml").write_text(WORLD)
        command = [
            os.environ["SHAREKEEPER_BIN"], "sim", "--listen", "127.0.0.1:0",
            "--world", str(folder / "world.yaml"), "-o", "json",
        ]  # fmt: skip
        cls.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = json.loads(cls.process.stdout.readline())
        cls.address = said["endpoint"].removeprefix("http://")
        account = said["accounts"][0]
        cls.uin, cls.secret_id, cls.secret_key = (account[name] for name in ("uin", "secret_id", "secret_key"))

    @classmethod
    def tearDownClass(cls):
        cls.process.terminate()
        assert cls.process.wait(10) == 143
        cls.process.stdout.close()
        cls.directory.cleanup()

    def client(self, region="ap-tokyo", secret_key=None, kind=lighthouse_client.LighthouseClient, key=None):
        key = key or credential.Credential(self.secret_id, secret_key or self.secret_key)
        profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=self.address), language="en-US")
        return kind(key, region, profile)

    def modify(self, image, permission, **client):
        request = models.ModifyImageSharePermissionRequest()
        request.ImageId, request.Permission = image, permission
        return self.client(**client).ModifyImageSharePermission(request)

    def refused(self, *arguments, **client):
        with self.assertRaises(TencentCloudSDKException) as caught:
            self.modify(*arguments, **client)
        return caught.exception.get_code()

    def test_share_list_and_cancel(self):
        blueprint = self.modify("img-sdk00001", "SHARE").BlueprintId
        self.assertTrue(blueprint.startswith("lhbp-"), blueprint)
        self.assertEqual(self.refused("img-sdk00001", "SHARE"), "UnsupportedOperation.ImageAlreadyShared")
        rows = self.client().DescribeBlueprints(models.DescribeBlueprintsRequest()).BlueprintSet
        self.assertIn(("img-sdk00001", blueprint), [(row.ImageId, row.BlueprintId) for row in rows])
        self.assertIsNone(self.modify("img-sdk00001", "CANCEL").BlueprintId)

    def test_what_cannot_be_shared_says_why(self):
        self.assertEqual(self.refused("img-imported", "SHARE"), "UnsupportedOperation.ImageUnableToShare")
        request = models.DescribeImagesToShareRequest()
        request.ImageIds = ["img-imported"]
        (row,) = self.client().DescribeImagesToShare(request).ImageSet
        self.assertFalse(row.IsShareable)
        self.assertIn("Imported", row.UnshareableReason)

    def test_pages_add_up(self):
        seen = set()
        request = models.DescribeBlueprintsRequest()
        request.Limit, request.Offset = 100, 0
        private = models.Filter()
        private.Name, private.Values = "blueprint-type", ["PRIVATE", "SHARED"]
        request.Filters = [private]
        while True:
            page = self.client("ap-seoul").DescribeBlueprints(request)
            seen |= {row.ImageId for row in page.BlueprintSet}
            request.Offset += 100
            if request.Offset >= page.TotalCount:
                break
        self.assertEqual(len(seen), 130)

    def test_sts_tells_whose_the_key_is(self):
        identity = self.client(kind=sts_client.StsClient).GetCallerIdentity(sts_models.GetCallerIdentityRequest())
        self.assertEqual((identity.AccountId, identity.Type), (self.uin, "CAMUser"))
        self.assertEqual(identity.Arn, f"qcs::cam:{self.uin}:uin/{self.uin}")

    def test_a_wrong_signature_is_refused(self):
        self.assertEqual(self.refused("img-sdk00001", "SHARE", secret_key="wrong"), "AuthFailure.SignatureFailure")

    def assume(self, role="keeper", **parameters):
        request = sts_models.AssumeRoleRequest()
        request.RoleArn = f"qcs::cam::uin/100000000002:roleName/{role}"
        request.RoleSessionName = "official"
        for name, value in parameters.items():
            setattr(request, name, value)
        return self.client(kind=sts_client.StsClient).AssumeRole(request)

    def whose(self, key):
        request = sts_models.GetCallerIdentityRequest()
        identity = self.client(kind=sts_client.StsClient, key=key).GetCallerIdentity(request)
        self.assertEqual(identity.Type, "CAMRole")
        return identity.AccountId

    def test_sts_assumes_a_role_of_another_account(self):
        reply = self.assume(ExternalId="golden", DurationSeconds=1800)
        self.assertAlmostEqual(reply.ExpiredTime, time.time() + 1800, delta=60)
        given = reply.Credentials
        key = credential.Credential(given.TmpSecretId, given.TmpSecretKey, given.Token)
        self.assertEqual(self.whose(key), "100000000002")
        self.assertTrue(self.modify("img-partner1", "SHARE", key=key).BlueprintId)
        key.token = "another"
        self.assertEqual(self.refused("img-partner1", "CANCEL", key=key), "AuthFailure.TokenFailure")

    def test_a_role_that_does_not_trust_is_refused_with_a_code_the_sdk_knows(self):
        known = {value for name, value in vars(sts_errors).items() if name.isupper()}
        for parameters, code in [
            ({"ExternalId": "wrong"}, sts_errors.UNAUTHORIZEDOPERATION),
            ({"role": "none"}, sts_errors.RESOURCENOTFOUND_ROLENOTFOUND),
            ({"ExternalId": "golden", "DurationSeconds": 50_000}, sts_errors.INVALIDPARAMETER_OVERTIMEERROR),
            ({"RoleArn": "none"}, sts_errors.INVALIDPARAMETER_PARAMERROR),
        ]:
            with self.assertRaises(TencentCloudSDKException) as caught:
                self.assume(**parameters)
            self.assertEqual(caught.exception.get_code(), code)
            self.assertIn(code, known)

    def test_the_sdks_assume_role_credential_works(self):
        arn = "qcs::cam::uin/100000000002:roleName/simple"
        key = credential.STSAssumeRoleCredential(
            self.secret_id, self.secret_key, arn, "official", endpoint=f"http://{self.address}"
        )
        self.assertEqual(self.whose(key), "100000000002")

    def test_the_sdks_credential_of_a_workload_works(self):
        with tempfile.NamedTemporaryFile("w") as token:
            token.write("made-up")
            token.flush()
            variables = {
                "TKE_REGION": "ap-tokyo",
                "TKE_PROVIDER_ID": "cluster",
                "TKE_WEB_IDENTITY_TOKEN_FILE": token.name,
                "TKE_ROLE_ARN": f"qcs::cam::uin/{self.uin}:roleName/workload",
            }
            with mock.patch.dict(os.environ, variables):
                key = credential.DefaultTkeOIDCRoleArnProvider().get_credentials()
                key.endpoint = f"http://{self.address}"
                self.assertEqual(self.whose(key), self.uin)

    def test_the_sdks_credential_of_a_server_works(self):
        # The SDK's address is fixed; the simulator answers as the proxy on the way to it.
        urllib.request.install_opener(None)
        self.addCleanup(urllib.request.install_opener, None)
        with mock.patch.dict(os.environ, self.proxied()):
            key = credential.CVMRoleCredential()
            self.assertEqual(key.get_role_name(), "server")
            self.assertEqual(self.whose(key), self.uin)

    def proxied(self):
        return {"http_proxy": f"http://{self.address}", "no_proxy": "127.0.0.1"}

    def tccli(self, image, *arguments, configure=None, **variables):
        command = [
            str(Path(sys.executable).parent / "tccli"), "lighthouse", "DescribeImagesToShare",
            "--endpoint", f"http://{self.address}", "--region", "ap-tokyo", "--ImageIds", json.dumps([image]),
            *arguments,
        ]  # fmt: skip
        with tempfile.TemporaryDirectory() as home:
            if configure:
                path = Path(home, ".tccli", "default.configure")
                path.parent.mkdir()
                path.write_text(json.dumps(configure))
            environment = {"PATH": os.environ["PATH"], "HOME": home, **variables}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(json.loads(done.stdout)["ImageSet"][0]["ImageId"], image, done.stdout)

    def test_tccli_works(self):
        self.tccli("img-sdk00001", "--secretId", self.secret_id, "--secretKey", self.secret_key)

    def test_tccli_works_with_a_temporary_key(self):
        given = self.assume(ExternalId="golden").Credentials
        key = ["--secretId", given.TmpSecretId, "--secretKey", given.TmpSecretKey, "--token", given.Token]
        self.tccli("img-partner1", *key)

    def test_tccli_assumes_a_role(self):
        arn = "qcs::cam::uin/100000000002:roleName/simple"
        key = ["--secretId", self.secret_id, "--secretKey", self.secret_key]
        role = ["--role-arn", arn, "--role-session-name", "official"]
        self.tccli("img-partner1", *key, *role, configure={
            "_sys_param": {"output": "json", "region": "ap-tokyo"},
            "sts": {"endpoint": f"http://{self.address}"},
        })  # fmt: skip

    def test_tccli_works_with_the_role_of_a_server(self):
        self.tccli("img-sdk00001", "--use-cvm-role", **self.proxied())

    def callers(self, files, document=None, **variables):
        """Whose account tccli and sharekeeper call, in one and the same environment."""
        with tempfile.TemporaryDirectory() as home:
            configure = {
                "_sys_param": {"output": "json", "region": "ap-tokyo"},
                "lighthouse": {"endpoint": f"http://{self.address}", "version": "2020-03-24"},
                "sts": {"endpoint": f"http://{self.address}", "version": "2018-08-13"},
            }
            Path(home, ".tccli").mkdir()
            for profile, content in {"default": None, **files}.items():
                Path(home, ".tccli", f"{profile}.configure").write_text(json.dumps(configure))
                if content is not None:
                    Path(home, ".tccli", f"{profile}.credential").write_text(json.dumps(content))
            environment = {"PATH": os.environ["PATH"], "HOME": home, **variables}
            tccli = [str(Path(sys.executable).parent / "tccli"), "sts", "GetCallerIdentity"]
            if document:
                tccli += ["--profile", document]
            theirs = subprocess.run(tccli, env=environment, capture_output=True, text=True, timeout=120)
            self.assertEqual(theirs.returncode, 0, theirs.stdout + theirs.stderr)
            manifests = Path(home, "manifests")
            manifests.mkdir()
            account = {"apiVersion": "sharekeeper.dev/v1", "kind": "Account", "metadata": {"name": "default"}}
            if document:
                account["spec"] = {"credentials": {"from": "profile", "profile": document}}
                (manifests / "account.yaml").write_text(json.dumps(account))
            ours = subprocess.run(
                [os.environ["SHAREKEEPER_BIN"], "doctor", str(manifests), "-o", "json", "--endpoint", f"http://{self.address}",
                 "--state-dir", str(Path(home, "state"))],
                env=environment, capture_output=True, text=True, timeout=120,
            )  # fmt: skip
            checks = json.loads(ours.stdout)["checks"]
            said = [check["message"] for check in checks if check["name"] == "identity"]
            return json.loads(theirs.stdout)["AccountId"], said

    def test_sharekeeper_takes_the_role_that_tccli_takes(self):
        key = {"secretId": self.secret_id, "secretKey": self.secret_key}
        of_environment = {"TENCENTCLOUD_SECRET_ID": self.secret_id, "TENCENTCLOUD_SECRET_KEY": self.secret_key}
        arn = "qcs::cam::uin/100000000002:roleName/simple"
        role = {"TENCENTCLOUD_ROLE_ARN": arn, "TENCENTCLOUD_ROLE_SESSION_NAME": "official"}
        own, partner = "100000000001", "100000000002"
        with_role = {**key, "role-arn": arn, "role-session-name": "official"}
        for uin, files, document, variables in [
            (own, {}, None, of_environment),
            (partner, {}, None, {**of_environment, **role}),
            (partner, {"default": key}, None, role),
            (partner, {"prod": key}, None, {**role, "TCCLI_PROFILE": "prod"}),
            (own, {"prod": key}, "prod", role),
            (partner, {"prod": with_role}, "prod", {}),
            (own, {"default": key}, None, {"TENCENTCLOUD_ROLE_ARN": "", "TENCENTCLOUD_ROLE_SESSION_NAME": ""}),
            (own, {"default": key}, None, {"TENCENTCLOUD_TOKEN": "", "TENCENTCLOUD_REGION": ""}),
        ]:
            with self.subTest(files=list(files), document=document, variables=list(variables)):
                theirs, ours = self.callers(files, document, **variables)
                self.assertEqual(theirs, uin)
                self.assertEqual(len(ours), 1, ours)
                self.assertIn(f"uin {uin}", ours[0])


if __name__ == "__main__":
    unittest.main()
