"""The stand-in itself: it must refuse what the service refuses, or the other tests prove nothing."""

from __future__ import annotations

import http.client
import json
import threading
import time
import unittest

from standin.standin import (
    BLUEPRINTS,
    CVM_IMAGES,
    IDENTITY,
    IMAGES,
    INSTANCES,
    MODIFY,
    SECRET_ID,
    SECRET_KEY,
    Answer,
    Fault,
    Image,
    Instance,
    Key,
    PageScript,
    StandIn,
    tc3_signature,
)

REGION, IMAGE = "ap-singapore", "img-00000001"


def send(
    cloud: StandIn,
    action: str,
    parameters: object,
    *,
    key: str = SECRET_KEY,
    age: float = 0,
    service: str = "lighthouse",
    version: str = "2020-03-24",
    **changes: object,
):
    """One signed call on a connection of its own: the status, and the error code or the content."""
    host = changes.pop("host", f"127.0.0.1:{cloud.port}")
    body = json.dumps(parameters).encode()
    timestamp = int(time.time() - age)
    headers = {"content-type": "application/json", "host": host}
    signature = tc3_signature(key, service, timestamp, headers, ["content-type", "host"], body)
    date = time.strftime("%Y-%m-%d", time.gmtime(timestamp))
    headers.update({
        "authorization": f"TC3-HMAC-SHA256 Credential={SECRET_ID}/{date}/{service}/tc3_request, "
        f"SignedHeaders=content-type;host, Signature={signature}",
        "x-tc-action": action, "x-tc-version": version, "x-tc-region": REGION, "x-tc-timestamp": str(timestamp),
    })  # fmt: skip
    for name, value in changes.items():
        headers.pop(name.replace("_", "-"), None)
        if value is not None:
            headers[name.replace("_", "-")] = str(value)
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=10)
    try:
        connection.request("POST", "/", body, headers)
        reply = connection.getresponse()
        content = reply.read()
    finally:
        connection.close()
    if reply.status != 200:
        return reply.status
    content = json.loads(content)["Response"]
    return content["Error"]["Code"] if "Error" in content else content


def share(cloud: StandIn, image: str = IMAGE, permission: str = "SHARE", **changes: object):
    return send(cloud, MODIFY, {"ImageId": image, "Permission": permission}, **changes)


class Signatures(unittest.TestCase):
    def test_published_vector(self) -> None:
        # The worked example of the vendor's signature page (for the cvm service).
        body = b'{"Limit": 1, "Filters": [{"Values": ["\\u672a\\u547d\\u540d"], "Name": "instance-name"}]}'
        headers = {"content-type": "application/json; charset=utf-8", "host": "cvm.tencentcloudapi.com"}
        signature = tc3_signature(
            "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE", "cvm", 1551113065, headers, ["content-type", "host"], body
        )
        self.assertEqual(signature, "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168")

    def test_what_the_service_refuses_is_refused(self) -> None:
        with StandIn([Image(REGION, IMAGE)]) as cloud:
            for expected, changes in (
                ("AuthFailure.SignatureFailure", {"key": SECRET_KEY + "x"}),
                ("AuthFailure.SignatureExpire", {"age": 310}),
                ("AuthFailure.SignatureExpire", {"age": -310}),
                ("AuthFailure.InvalidAuthorization", {"authorization": "TC3-HMAC-SHA256 nonsense"}),
                ("AuthFailure.InvalidAuthorization", {"authorization": None}),
                # Signed with another timestamp than the one that is sent, within the tolerance.
                ("AuthFailure.SignatureFailure", {"x_tc_timestamp": int(time.time()) - 1}),
                ("AuthFailure.SignatureFailure", {"content_type": "application/json; charset=utf-8"}),
                ("AuthFailure.TokenFailure", {"x_tc_token": "unasked"}),
                (415, {"content_type": "text/plain"}),
                (421, {"host": "lighthouse.example.com"}),
                (421, {"host": "127.0.0.1"}),  # the port belongs to the host
                ("NoSuchVersion", {"x_tc_version": "2017-03-12"}),
                ("MissingParameter", {"x_tc_region": None}),
                ("UnsupportedRegion", {"x_tc_region": "ap-mumbai"}),
                ("InvalidAction", {"x_tc_action": "DeleteBlueprints"}),
            ):
                with self.subTest(expected=expected, changes=changes):
                    self.assertEqual(share(cloud, **changes), expected)
            self.assertEqual(cloud.images[REGION, IMAGE].now, "unshared")
            self.assertIn("BlueprintId", share(cloud, age=290), "and yet a proper call must pass")

    def test_token_is_demanded(self) -> None:
        with StandIn([Image(REGION, IMAGE)], keys={SECRET_ID: Key(SECRET_KEY, "session")}) as cloud:
            self.assertEqual(share(cloud), "AuthFailure.TokenFailure")
            self.assertIn("BlueprintId", share(cloud, x_tc_token="session"))

    def test_clock_offset_moves_the_tolerance_and_the_date(self) -> None:
        with StandIn([Image(REGION, IMAGE)], clock_offset=600) as cloud:
            self.assertEqual(share(cloud), "AuthFailure.SignatureExpire")
            self.assertIn("BlueprintId", share(cloud, age=-600))


class Identity(unittest.TestCase):
    STS = {"service": "sts", "version": "2018-08-13"}

    def test_a_key_belongs_to_its_root_account(self) -> None:
        with StandIn(keys={SECRET_ID: Key(SECRET_KEY, uin="100000000002")}) as cloud:
            identity = send(cloud, IDENTITY, {}, **self.STS)
            self.assertEqual((identity["AccountId"], identity["Type"]), ("100000000002", "CAMUser"))
            self.assertNotEqual(identity["UserId"], identity["AccountId"])

    def test_what_sts_refuses_is_refused(self) -> None:
        with StandIn([Image(REGION, IMAGE)]) as cloud:
            for expected, action, changes in (
                ("AuthFailure.SignatureFailure", IDENTITY, {**self.STS, "key": SECRET_KEY + "x"}),
                ("AuthFailure.SignatureFailure", IDENTITY, {**self.STS, "service": "cam"}),
                ("NoSuchVersion", IDENTITY, {**self.STS, "version": "2020-03-24"}),
                ("MissingParameter", IDENTITY, {**self.STS, "x_tc_region": None}),
                ("InvalidAction", IDENTITY, {}),
                ("InvalidAction", BLUEPRINTS, self.STS),
                ("NoSuchVersion", BLUEPRINTS, {"version": "2018-08-13"}),
            ):
                with self.subTest(expected=expected, action=action, changes=changes):
                    self.assertEqual(send(cloud, action, {}, **changes), expected)
            self.assertEqual(send(cloud, IDENTITY, {"Extra": 1}, **self.STS), "UnknownParameter")


class NamesAndUses(unittest.TestCase):
    CVM = {"service": "cvm", "version": "2017-03-12"}
    PRIVATE = {"Filters": [{"Name": "image-type", "Values": ["PRIVATE_IMAGE"]}], "Limit": 100}

    def test_names_are_listed_and_only_cvm_tells_the_rest(self) -> None:
        image = Image(REGION, IMAGE, name="golden-1", family="golden", tags={"release": "stable"}, deprecated=True)
        with StandIn([image, Image(REGION, "img-00000002"), Image("ap-tokyo", "img-00000003")]) as cloud:
            rows = send(cloud, IMAGES, self.PRIVATE)["ImageSet"]
            self.assertEqual([row["ImageName"] for row in rows], ["golden-1", "img-00000002"])
            self.assertNotIn("ImageFamily", rows[0])
            row = send(cloud, CVM_IMAGES, self.PRIVATE, **self.CVM)["ImageSet"][0]
            fields = (row["ImageFamily"], row["ImageDeprecated"], row["Tags"])
            self.assertEqual(fields, ("golden", True, [{"Key": "release", "Value": "stable"}]))
            self.assertEqual(send(cloud, CVM_IMAGES, {}), "InvalidAction")
            self.assertEqual(send(cloud, CVM_IMAGES, {}, **{**self.CVM, "version": "2020-03-24"}), "NoSuchVersion")

    def test_there_are_no_instances_unless_given(self) -> None:
        image = Image(REGION, IMAGE, shared=True)
        with StandIn([image]) as cloud:
            self.assertEqual(send(cloud, INSTANCES, {})["TotalCount"], 0)
            cloud.instances += [Instance(REGION, "lhins-00000001", image), Instance("ap-tokyo", "lhins-00000002")]
            (row,) = send(cloud, INSTANCES, {"Limit": 100})["InstanceSet"]
            (shared,) = [row for row in send(cloud, BLUEPRINTS, {})["BlueprintSet"] if row["ImageId"] == IMAGE]
            self.assertEqual(row["BlueprintId"], shared["BlueprintId"])
            by_blueprint = {"Filters": [{"Name": "blueprint-id", "Values": [shared["BlueprintId"]]}]}
            self.assertEqual(send(cloud, INSTANCES, by_blueprint), "InvalidParameter.InvalidFilter")


class Parameters(unittest.TestCase):
    def test_unknown_missing_and_mistyped(self) -> None:
        with StandIn([Image(REGION, IMAGE)]) as cloud:
            for expected, action, parameters in (
                ("UnknownParameter", MODIFY, {"ImageId": IMAGE, "Permission": "SHARE", "DryRun": True}),
                ("MissingParameter", MODIFY, {"ImageId": IMAGE}),
                ("InvalidParameter", MODIFY, {"ImageId": 1, "Permission": "SHARE"}),
                ("InvalidParameter", MODIFY, []),
                ("InvalidParameterValue", MODIFY, {"ImageId": IMAGE, "Permission": "CANEL"}),
                ("InvalidParameterValue.InvalidImageIdMalformed", MODIFY, {"ImageId": "img-1", "Permission": "SHARE"}),
                ("InvalidParameterValue.OutOfRange", BLUEPRINTS, {"Limit": 101}),
                ("InvalidParameterValue.Negative", BLUEPRINTS, {"Offset": -1}),
                ("InvalidParameter", BLUEPRINTS, {"Limit": "100"}),
                ("InvalidParameter.InvalidFilter", BLUEPRINTS, {"Filters": [{"Name": "image-id", "Values": [IMAGE]}]}),
                (
                    "InvalidParameter.ParameterConflict",
                    BLUEPRINTS,
                    {"BlueprintIds": ["lhbp-1"], "Filters": [{"Name": "blueprint-type", "Values": ["PRIVATE"]}]},
                ),
            ):
                with self.subTest(parameters=parameters):
                    self.assertEqual(send(cloud, action, parameters), expected)

    def test_state_machine(self) -> None:
        bad = [
            Image(REGION, f"img-bad0000{number}", **attributes)
            for number, attributes in enumerate((
                {"source": "EXTERNAL_IMPORT"}, {"image_class": "InstanceImage"}, {"cloudinit": False},
                {"platform": "FreeBSD"}, {"os_name": "Other Linux"}, {"state": "CREATING"},
            ))
        ]  # fmt: skip
        used = Image(REGION, "img-inuse001", shared=True, in_use=True)
        with StandIn([Image(REGION, IMAGE), used, *bad]) as cloud:
            first = share(cloud)
            self.assertRegex(first["BlueprintId"], "^lhbp-[0-9a-f]{8}$")
            self.assertEqual(share(cloud), "UnsupportedOperation.ImageAlreadyShared")
            listed = send(cloud, BLUEPRINTS, {"Filters": [{"Name": "blueprint-type", "Values": ["PRIVATE"]}]})
            self.assertEqual([row["ImageId"] for row in listed["BlueprintSet"]], [IMAGE, used.image_id])
            self.assertIsNone(share(cloud, permission="CANCEL")["BlueprintId"])
            self.assertEqual(share(cloud, used.image_id, "CANCEL"), "ResourceInUse.ImageInUse")
            self.assertEqual(share(cloud, "img-nowhere0"), "ResourceNotFound.ImageIdNotFound")
            for image in bad:
                self.assertEqual(share(cloud, image.image_id), "UnsupportedOperation.ImageUnableToShare", image)
            effects = [call.effect for call in cloud.ledger.writes() if call.effect]
            self.assertEqual(effects, ["shared", "cancelled"])


class Limits(unittest.TestCase):
    def _burst(self, cloud: StandIn, count: int, host: str) -> list:
        # All at once, so that they fall into one second however slow the machine is.
        barrier, results = threading.Barrier(count), []

        def one(number: int) -> None:
            barrier.wait()
            results.append(share(cloud, f"img-{number:08}", host=f"{host}:{cloud.port}"))

        threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        return results

    def test_over_limit_is_refused_per_access_point(self) -> None:
        with StandIn([Image(REGION, f"img-{number:08}") for number in range(21)]) as cloud:
            results = self._burst(cloud, 21, "localhost")
            self.assertEqual(results.count("RequestLimitExceeded"), 1, results)
            self.assertEqual(cloud.ledger.busiest_second(MODIFY), 21)
            refused = next(image for image in cloud.images.values() if image.now == "unshared")
            # Another access point is another bucket; another action, too.
            elsewhere = f"{REGION}.localhost:{cloud.port}"
            self.assertIn("BlueprintId", share(cloud, refused.image_id, host=elsewhere))
            self.assertIn("TotalCount", send(cloud, BLUEPRINTS, {}, host=f"localhost:{cloud.port}"))

    def test_twenty_in_a_second_pass(self) -> None:
        with StandIn([Image(REGION, f"img-{number:08}") for number in range(20)]) as cloud:
            self.assertNotIn("RequestLimitExceeded", self._burst(cloud, 20, "localhost"))


class Faults(unittest.TestCase):
    def test_before_and_after_the_effect(self) -> None:
        for kind in ("lost", "cut", "truncated"):
            for after in (False, True):
                with self.subTest(kind=kind, after=after):
                    image = Image(REGION, IMAGE, answers=[Answer(fault=Fault(kind, after, 0.05))])
                    with StandIn([image]) as cloud:
                        with self.assertRaises((OSError, http.client.HTTPException)):
                            share(cloud)
                        self.assertEqual(image.now, "shared" if after else "unshared")
                        self.assertEqual(share(cloud) == "UnsupportedOperation.ImageAlreadyShared", after)

    def test_read_lag_and_page_scripts(self) -> None:
        scripts = [PageScript(BLUEPRINTS, REGION, 0, times=1, total_delta=1), PageScript(BLUEPRINTS, REGION, 100, code="InternalError")]
        with StandIn([Image(REGION, IMAGE)], scripts, read_lag=3600) as cloud:
            share(cloud)
            self.assertEqual([send(cloud, BLUEPRINTS, {})["TotalCount"] for _ in range(2)], [3, 2])
            self.assertEqual(send(cloud, BLUEPRINTS, {"Offset": 100}), "InternalError")
            cloud.settings.read_lag = 0
            self.assertEqual(send(cloud, BLUEPRINTS, {})["TotalCount"], 3)

    def test_keep_alive_serves_many_calls_on_one_connection(self) -> None:
        with StandIn() as cloud:
            connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=10)
            for _ in range(50):
                connection.request("POST", "/", b"{}", {"Content-Type": "application/json"})
                reply = connection.getresponse()
                self.assertIn(b"AuthFailure.InvalidAuthorization", reply.read())
            connection.close()
            self.assertEqual((len(cloud.ledger), cloud.ledger.connections), (50, 1))

    def test_ledger_sees_overlapping_writes(self) -> None:
        with StandIn([Image(REGION, IMAGE)], latency=(0.3, 0.3)) as cloud:
            threads = [threading.Thread(target=share, args=(cloud,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
            self.assertEqual(len(cloud.ledger.overlapping_writes()), 1)
