"""The official Python SDK and tccli, unchanged, against `sharekeeper sim`.

Run by tests/official_clients.rs in a virtual environment; SHAREKEEPER_BIN names the binary.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.lighthouse.v20200324 import lighthouse_client, models
from tencentcloud.sts.v20180813 import models as sts_models  # comes with tccli
from tencentcloud.sts.v20180813 import sts_client

WORLD = """
accounts:
  - images:
      - {id: img-sdk00001, regions: [ap-tokyo]}
      - {id: img-imported, regions: [ap-tokyo], source: EXTERNAL_IMPORT}
    generate:
      - {count: 130, prefix: img-many, regions: [ap-seoul], shared: true}
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

    def client(self, region="ap-tokyo", secret_key=None, kind=lighthouse_client.LighthouseClient):
        key = credential.Credential(self.secret_id, secret_key or self.secret_key)
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

    def test_tccli_works(self):
        command = [
            str(Path(sys.executable).parent / "tccli"), "lighthouse", "DescribeImagesToShare",
            "--endpoint", f"http://{self.address}", "--region", "ap-tokyo", "--ImageIds", '["img-sdk00001"]',
            "--secretId", self.secret_id, "--secretKey", self.secret_key,
        ]  # fmt: skip
        with tempfile.TemporaryDirectory() as home:
            environment = {"PATH": os.environ["PATH"], "HOME": home}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(json.loads(done.stdout)["ImageSet"][0]["ImageId"], "img-sdk00001", done.stdout)


if __name__ == "__main__":
    unittest.main()
