"""The official Python SDK and tccli, unchanged, against `sharekeeper sim`.

Run by tests/it/official_clients.rs in a virtual environment; SHAREKEEPER_BIN names the binary.
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
from tencentcloud.cvm.v20170312 import cvm_client
from tencentcloud.cvm.v20170312 import errorcodes as cvm_errors
from tencentcloud.cvm.v20170312 import models as cvm_models
from tencentcloud.lighthouse.v20200324 import errorcodes as lighthouse_errors
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
      - name: golden-1.5.0
        ids: {ap-tokyo: img-golden01, ap-seoul: img-golden02}
        family: golden
        tags: {release: stable}
        deprecated: true
        shared: true
    generate:
      - {count: 130, prefix: img-many, regions: [ap-bangkok], shared: true}
    instances:
      - {id: lhins-sdk00001, name: web-1, region: ap-tokyo, image: golden-1.5.0, tags: {team: web}}
      - {id: lhins-sdk00002, name: web-2, region: ap-tokyo, blueprint: lhbp-wordpress}
  - name: partner
    uin: "100000000002"
    secretId: AKIDsimpartner
    roles:
      - {name: keeper, trust: {accounts: ["100000000001"], externalId: golden}}
      - {name: simple, trust: {accounts: ["100000000001"]}}
    images:
      - {id: img-partner1, regions: [ap-tokyo]}
"""


class Served(unittest.TestCase):
    """A simulator in a process of its own, with `world`, or with its default one where that is none."""

    world = None

    @classmethod
    def setUpClass(cls):
        if cls is Served:
            raise unittest.SkipTest("what the others have in common")
        cls.directory = tempfile.TemporaryDirectory()
        command = [os.environ["SHAREKEEPER_BIN"], "sim", "--listen", "127.0.0.1:0", "-o", "json"]
        if cls.world is not None:
            file = Path(cls.directory.name, "world.yaml")
            file.write_text(cls.world)
            command += ["--world", str(file)]
        cls.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        cls.said = json.loads(cls.process.stdout.readline())
        cls.address = cls.said["endpoint"].removeprefix("http://")
        account = cls.said["accounts"][0]
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



class DefaultWorld(Served):
    """What a new user meets: `sharekeeper sim`, with no world and no other call before the client's own."""

    def images(self, region):
        request = models.DescribeImagesToShareRequest()
        return {row.ImageName: row for row in self.client(region).DescribeImagesToShare(request).ImageSet}

    def blueprints(self, region):
        rows = self.client(region).DescribeBlueprints(models.DescribeBlueprintsRequest()).BlueprintSet
        return {row.ImageId: row for row in rows if row.ImageId}

    def test_n9_there_are_images_of_each_kind_in_several_regions(self):
        regions = {region: self.images(region) for region in ("ap-singapore", "eu-frankfurt", "na-ashburn")}
        ids = [row.ImageId for images in regions.values() for row in images.values()]
        self.assertEqual(len(ids), len(set(ids)), "an id belongs to one region")
        for region, images in regions.items():
            with self.subTest(region=region):
                self.assertTrue({row.IsShareable for row in images.values()} == {True, False}, list(images))
                self.assertIn(images["golden-ubuntu-1.4.0"].ImageId, self.blueprints(region))
        reasons = {row.UnshareableReason for row in regions["ap-singapore"].values() if not row.IsShareable}
        self.assertEqual(len(reasons), 6, reasons)

    def test_n9_the_sdk_lists_shares_sees_and_cancels(self):
        image = self.images("eu-frankfurt")["golden-debian-12.1"]
        self.assertTrue(image.IsShareable)
        blueprint = self.modify(image.ImageId, "SHARE", region="eu-frankfurt").BlueprintId
        seen = self.blueprints("eu-frankfurt")[image.ImageId]
        self.assertEqual((seen.BlueprintId, seen.BlueprintName), (blueprint, "golden-debian-12.1"))
        self.assertFalse(self.images("eu-frankfurt")["golden-debian-12.1"].IsShareable)
        self.modify(image.ImageId, "CANCEL", region="eu-frankfurt")
        self.assertNotIn(image.ImageId, self.blueprints("eu-frankfurt"))

    def tccli(self, line):
        """Runs a line of tccli as it was printed, in a shell's environment with the printed key."""
        command = line.split()
        command[0] = str(Path(sys.executable).parent / command[0])
        key = {"TENCENTCLOUD_SECRET_ID": self.secret_id, "TENCENTCLOUD_SECRET_KEY": self.secret_key}
        with tempfile.TemporaryDirectory() as home:
            environment = {"PATH": os.environ["PATH"], "HOME": home, **key}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_n9_the_printed_commands_of_tccli_work_as_they_are(self):
        listing, share = self.said["examples"]
        images = {row["ImageId"]: row for row in self.tccli(listing)["ImageSet"]}
        image = next(word for word in share.split() if word.startswith("img-"))
        self.assertTrue(images[image]["IsShareable"])
        blueprint = self.tccli(share)["BlueprintId"]
        blueprints = listing.replace("DescribeImagesToShare", "DescribeBlueprints")
        rows = {row["ImageId"]: row["BlueprintId"] for row in self.tccli(blueprints)["BlueprintSet"]}
        self.assertEqual(rows[image], blueprint)
        self.tccli(share.replace("SHARE", "CANCEL"))
        rows = [row["ImageId"] for row in self.tccli(blueprints)["BlueprintSet"]]
        self.assertNotIn(image, rows)


class Simulator(Served):
    world = WORLD

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
            page = self.client("ap-bangkok").DescribeBlueprints(request)
            seen |= {row.ImageId for row in page.BlueprintSet}
            request.Offset += 100
            if request.Offset >= page.TotalCount:
                break
        self.assertEqual(len(seen), 130)

    def cvm_images(self, region="ap-tokyo", **parameters):
        request = cvm_models.DescribeImagesRequest()
        for name, value in parameters.items():
            setattr(request, name, value)
        return self.client(region, kind=cvm_client.CvmClient).DescribeImages(request)

    def own_images(self):
        private = cvm_models.Filter()
        private.Name, private.Values = "image-type", ["PRIVATE_IMAGE"]
        return [private]

    def test_cvm_tells_the_name_the_family_and_the_tags_of_an_image(self):
        for region, image in [("ap-tokyo", "img-golden01"), ("ap-seoul", "img-golden02")]:
            reply = self.cvm_images(region, Limit=100, Filters=self.own_images())
            self.assertEqual(reply.TotalCount, len(reply.ImageSet))
            (row,) = [row for row in reply.ImageSet if row.ImageName == "golden-1.5.0"]
            self.assertEqual(row.ImageId, image)
            self.assertEqual((row.ImageFamily, row.ImageDeprecated), ("golden", True))
            self.assertEqual([(tag.Key, tag.Value) for tag in row.Tags], [("release", "stable")])
            self.assertEqual((row.ImageType, row.ImageState), ("PRIVATE_IMAGE", "NORMAL"))
            self.assertRegex(row.CreatedTime, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        # Lighthouse lists it under the same name.
        rows = self.client().DescribeImagesToShare(models.DescribeImagesToShareRequest()).ImageSet
        self.assertIn(("golden-1.5.0", "img-golden01"), [(row.ImageName, row.ImageId) for row in rows])

    def test_what_cvm_and_instances_refuse_has_a_code_the_sdk_knows(self):
        known = lambda codes: {value for name, value in vars(codes).items() if name.isupper()}  # noqa: E731
        for parameters in [{"Limit": 101}, {"Offset": -1}, {"ImageIds": ["img-nowhere1"]}, {"ImageIds": ["x"]},
                           {"ImageIds": ["img-golden01"], "Filters": self.own_images()}]:  # fmt: skip
            with self.assertRaises(TencentCloudSDKException) as caught:
                self.cvm_images(**parameters)
            self.assertIn(caught.exception.get_code(), known(cvm_errors), parameters)
        for parameters in [{"Limit": 101}, {"Offset": -1}, {"InstanceIds": ["lhins-sdk00001"] * 101}]:
            with self.assertRaises(TencentCloudSDKException) as caught:
                self.instances(**parameters)
            self.assertIn(caught.exception.get_code(), known(lighthouse_errors), parameters)

    def instances(self, **parameters):
        request = models.DescribeInstancesRequest()
        for name, value in parameters.items():
            setattr(request, name, value)
        return self.client().DescribeInstances(request)

    def test_instances_are_listed_with_the_blueprint_that_they_use(self):
        blueprints = self.client().DescribeBlueprints(models.DescribeBlueprintsRequest()).BlueprintSet
        (golden,) = [row.BlueprintId for row in blueprints if row.ImageId == "img-golden01"]
        reply = self.instances(Limit=100, Offset=0)
        self.assertEqual(reply.TotalCount, 2)
        uses = {row.InstanceName: row.BlueprintId for row in reply.InstanceSet}
        self.assertEqual(uses, {"web-1": golden, "web-2": "lhbp-wordpress"})
        web = reply.InstanceSet[0]
        self.assertEqual((web.InstanceId, web.InstanceState, web.CPU), ("lhins-sdk00001", "RUNNING", 2))
        self.assertEqual(web.SystemDisk.DiskSize, 50)
        self.assertEqual([(tag.Key, tag.Value) for tag in web.Tags], [("team", "web")])
        self.assertEqual([row.InstanceName for row in self.instances(Limit=1, Offset=1).InstanceSet], ["web-2"])

    def test_tccli_lists_names_and_instances(self):
        key = ["--secretId", self.secret_id, "--secretKey", self.secret_key]
        for words, listed in [
            (["lighthouse", "DescribeInstances"], lambda said: [row["InstanceName"] for row in said["InstanceSet"]]),
            (["cvm", "DescribeImages", "--ImageIds", '["img-golden01"]'], lambda said: [row["ImageName"] for row in said["ImageSet"]]),
        ]:  # fmt: skip
            with tempfile.TemporaryDirectory() as home:
                command = [
                    str(Path(sys.executable).parent / "tccli"), *words, "--endpoint", f"http://{self.address}",
                    "--region", "ap-tokyo", *key,
                ]  # fmt: skip
                environment = {"PATH": os.environ["PATH"], "HOME": home}
                done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            expected = ["web-1", "web-2"] if "DescribeInstances" in words else ["golden-1.5.0"]
            self.assertEqual(listed(json.loads(done.stdout)), expected)

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
