#!/usr/bin/env python3
"""A strict stand-in for the image-sharing part of the Lighthouse API with the instances that use images, for the part of STS
that tells whose a key is, and for the part of CVM that tells an image's family, tags and deprecation.

It is written from the API's documentation alone and shares no code with sharekeeper, so that the two cannot agree on the
same mistake. Where the documentation is silent it plays the least convenient answer that is still plausible. It speaks
HTTP/1.1 with keep-alive on loopback, checks what the service checks (and refuses what the service would refuse), and keeps
a ledger of every call: what tests assert is what arrived here, not what the client says it did.

As a library:

    with StandIn([Image("ap-singapore", "img-00000001")]) as cloud:
        ...  # http://127.0.0.1:{cloud.port}, or http://ap-singapore.localhost:{cloud.port}
        cloud.ledger.writes()

As a command: `python3 standin.py --help`.

Standard library only, Python 3.9 or newer.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import collections
import dataclasses
import email.utils
import hashlib
import hmac
import json
import random
import re
import signal
import socket
import struct
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Callable, Dict, Iterable, List, Optional, Sequence, Tuple

REGIONS = (
    "ap-bangkok", "ap-beijing", "ap-chengdu", "ap-guangzhou", "ap-hongkong", "ap-jakarta", "ap-nanjing", "ap-seoul",
    "ap-shanghai", "ap-singapore", "ap-tokyo", "eu-frankfurt", "na-ashburn", "na-siliconvalley", "sa-saopaulo",
)  # fmt: skip
MODIFY, BLUEPRINTS, IMAGES, LIST_REGIONS, IDENTITY, INSTANCES, CVM_IMAGES = (
    "ModifyImageSharePermission", "DescribeBlueprints", "DescribeImagesToShare", "DescribeRegions", "GetCallerIdentity",
    "DescribeInstances", "DescribeImages",
)  # fmt: skip
LIMITS = {MODIFY: 20, BLUEPRINTS: 10, IMAGES: 20, LIST_REGIONS: 10, IDENTITY: 20, INSTANCES: 10, CVM_IMAGES: 10}
# Service → its version and actions. The real services have a host each; here the signature tells which is called.
SERVICES = {
    "lighthouse": ("2020-03-24", (MODIFY, BLUEPRINTS, IMAGES, LIST_REGIONS, INSTANCES)),
    "sts": ("2018-08-13", (IDENTITY,)),
    "cvm": ("2017-03-12", (CVM_IMAGES,)),
}

SECRET_ID = "AKIDstandinEXAMPLE0000000000000000000"
UIN = "100000000001"
SECRET_KEY = "StandinKey/0+1=2Zq8Yx7Wv6Ut5Sr4Q"  # holds characters that change when URL-encoded

CLOCK_TOLERANCE = 300  # seconds either way
MAX_HEAD, MAX_BODY = 64 * 1024, 10 * 1024 * 1024


# --- what can go wrong -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """One way for a reply to go wrong on its way; `after` says that the call itself had taken effect by then."""

    kind: str  # one of KINDS
    after: bool = False
    seconds: float = 0.0

    # lost: no reply, and the connection goes away only after `seconds`     cut: the connection is reset at once
    # delay: the right reply, `seconds` late                                garbage, html: status 200, not JSON
    # server_error: a 5xx page of some gateway                              truncated: fewer bytes than announced
    # shapeless: valid JSON that is no reply of this API                    empty: status 200, no bytes
    KINDS = ("lost", "cut", "delay", "garbage", "html", "server_error", "truncated", "shapeless", "empty")


@dataclass(frozen=True)
class Answer:
    """What one write gets instead of the ordinary treatment."""

    code: Optional[str] = None  # this error …
    applied: bool = False  # … although the write took effect
    fault: Optional[Fault] = None
    null_blueprint: bool = False  # success, with BlueprintId null


@dataclass
class PageScript:
    """What happens to pages of a listing (or to answers of STS) that match; `times` counts down."""

    action: str
    region: Optional[str] = None
    offset: Optional[int] = None
    times: float = float("inf")
    code: Optional[str] = None
    fault: Optional[Fault] = None
    total_delta: int = 0  # TotalCount is off by this much
    row: int = 0  # the row of the page, from its beginning, that …
    fields: Optional[dict] = None  # … has these instead of its own

    def take(self, call: "Call") -> bool:
        wanted = (self.action, self.region or call.region, call.offset if self.offset is None else self.offset)
        if wanted != (call.action, call.region, call.offset) or self.times <= 0:
            return False
        self.times -= 1
        return True


# --- the world -------------------------------------------------------------------------------------------------------


@dataclass
class Image:
    region: str
    image_id: str
    shared: bool = False  # at the start; `now` tells what it is now
    name: str = ""  # unique in its region, as the service has it: the id stands in for it
    os_name: str = "Ubuntu Server 22.04 LTS 64bit"
    platform: str = "Ubuntu"
    architecture: str = "x86_64"
    source: str = "CREATE_IMAGE"
    image_class: str = "SystemImage"
    state: str = "NORMAL"
    cloudinit: bool = True
    created: str = "2026-01-02T08:00:00Z"
    family: str = ""  # what only CVM tells, like the next two
    tags: Dict[str, str] = field(default_factory=dict)
    deprecated: bool = False
    in_use: bool = False  # CANCEL is refused
    absent: bool = False  # the account has no such image
    answers: List[Answer] = field(default_factory=list)  # one per write, used up first
    refuse: Dict[str, str] = field(default_factory=dict)  # permission → error code, each time

    def __post_init__(self) -> None:
        self.name = self.name or self.image_id
        # (since when, blueprint id or None): reads that lag look some seconds back in it.
        self.history: List[Tuple[float, Optional[str]]] = [(float("-inf"), self._blueprint_id() if self.shared else None)]

    def _blueprint_id(self) -> str:
        return "lhbp-" + hashlib.sha256(f"{self.region}/{self.image_id}".encode()).hexdigest()[:8]

    @property
    def now(self) -> str:
        return "shared" if self.history[-1][1] else "unshared"

    def blueprint_at(self, moment: float) -> Optional[str]:
        return next(blueprint for since, blueprint in reversed(self.history) if since <= moment)

    def set_shared(self, shared: bool, moment: float) -> Optional[str]:
        self.history.append((moment, self._blueprint_id() if shared else None))
        return self.history[-1][1]

    def hide(self) -> None:
        """From now on no list shows it as shared, nor lets it be shared: what a cut reply or a wrong account looks like."""
        self.history.append((time.monotonic(), None))

    def unshareable(self) -> str:
        """Why the image can never be shared as it is; empty if it can. Texts are made up: clients must not match on them."""
        if self.source == "EXTERNAL_IMPORT":
            return "imported image"
        if self.image_class == "InstanceImage":
            return "full-instance image"
        if not self.cloudinit:
            return "no cloud-init"
        if self.platform not in ("Ubuntu", "CentOS", "Debian", "Windows", "TencentOS"):
            return "platform not supported"
        if self.os_name.startswith("Other"):
            return "operating system not supported"
        return "" if self.state == "NORMAL" else "state is not NORMAL"


@dataclass
class Instance:
    """A server; its blueprint is that of an image, or another one."""

    region: str
    instance_id: str
    image: Optional[Image] = None  # the blueprint that it is shared as, or was at last
    blueprint: str = "lhbp-public01"
    name: str = "web"
    state: str = "RUNNING"

    @property
    def blueprint_id(self) -> str:
        return self.image._blueprint_id() if self.image else self.blueprint


@dataclass
class Key:
    secret_key: str
    token: Optional[str] = None
    uin: str = UIN  # of the root account it belongs to


@dataclass
class Settings:
    keys: Dict[str, Key] = field(default_factory=lambda: {SECRET_ID: Key(SECRET_KEY)})
    limits: Dict[str, int] = field(default_factory=lambda: dict(LIMITS))
    count_refused: bool = True  # calls over the limit use up quota, too
    latency: Tuple[float, float] = (0.0, 0.0)  # half of it before the call arrives at the limiter, half after
    read_lag: float = 0.0  # reads show the world as it was that long ago
    clock_offset: float = 0.0  # this server's clock minus the machine's
    seed: int = 1
    fault_rate: float = 0.0  # share of calls that meet a random fault
    fault_kinds: Sequence[str] = ("lost", "cut", "delay", "garbage", "html", "server_error", "truncated")
    fault_seconds: Tuple[float, float] = (0.3, 1.5)
    deny: Dict[str, str] = field(default_factory=dict)  # action → error code, each time
    refuse_hosts: Sequence[str] = ()  # host names whose connections are reset unanswered
    redirect: Optional[Tuple[int, str]] = None  # (status, Location) for everything
    drop_idle: bool = False  # closes each connection right after a reply without having announced it
    blueprint_type: str = "PRIVATE"  # how a shared CVM image shows in DescribeBlueprints
    foreign_blueprints: int = 0  # SHARED blueprints of other accounts, ImageId ""
    cancel_unshared: Optional[str] = None  # error code for CANCEL of an image that is not shared; None: success
    message: Optional[str] = None  # replaces the message of every error


class Refusal(Exception):
    """An API error, which this API sends with HTTP status 200."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code, self.message = code, message


# --- the ledger ------------------------------------------------------------------------------------------------------


@dataclass
class Call:
    seq: int
    connection: int
    received: float  # monotonic; when the last byte was read here
    arrival: float  # monotonic; when it counts for the limiter
    host: str = ""
    secret_id: str = ""
    signature: str = ""
    region: str = ""
    service: str = ""
    action: str = ""
    image: str = ""
    permission: str = ""
    offset: Optional[int] = None
    result: str = ""  # "ok" or the error code
    effect: str = ""  # "shared" | "cancelled": the state changed
    fault: str = ""
    ended: Optional[float] = None  # reply handed over, or the connection gone
    how: str = "pending"  # replied | client left | dropped

    @property
    def key(self) -> Tuple[str, str]:
        return self.region, self.image

    def __str__(self) -> str:
        what = " ".join(filter(None, (self.permission, self.image, "" if self.offset is None else f"offset={self.offset}")))
        took = "" if self.ended is None else f" {(self.ended - self.received) * 1000:.0f} ms"
        extra = "".join(f" {name}={value}" for name, value in (("effect", self.effect), ("fault", self.fault)) if value)
        return f"#{self.seq} c{self.connection} {self.host} {self.region} {self.action} {what} → {self.result}{extra} [{self.how}{took}]"


class Ledger:
    """Every call, in the order in which they were received. Safe to read while the server runs."""

    def __init__(self) -> None:
        self._calls: List[Call] = []
        self._changed = threading.Condition()
        self.connections = 0

    def _add(self, call: Call) -> None:
        with self._changed:
            self._calls.append(call)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._calls)

    def calls(self, action: Optional[str] = None, image: Optional[str] = None, region: Optional[str] = None) -> List[Call]:
        return [
            call
            for call in list(self._calls)
            if action in (None, call.action) and image in (None, call.image) and region in (None, call.region)
        ]

    def writes(self, image: Optional[str] = None, region: Optional[str] = None) -> List[Call]:
        return self.calls(MODIFY, image, region)

    def wait_for(self, condition: Callable[["Ledger"], bool], timeout: float) -> bool:
        """Waits until the condition holds; looks whenever a call was decided or ended."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition(self):
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return condition(self)
        return True

    def busiest_second(self, action: str) -> int:
        """The most calls of one limiter's bucket that arrived in any sliding second, refused ones included."""
        buckets = collections.defaultdict(list)
        for call in self.calls(action):
            buckets[call.secret_id, call.host].append(call.arrival)
        busiest = 0
        for arrivals in buckets.values():
            arrivals.sort()
            first = 0
            for last, arrival in enumerate(arrivals):
                while arrival - arrivals[first] >= 1.0:
                    first += 1
                busiest = max(busiest, last - first + 1)
        return busiest

    def overlapping_writes(self) -> List[Tuple[Call, Call]]:
        """Pairs of writes to one image of which the second was received before the first had ended."""
        latest: Dict[Tuple[str, str], Call] = {}
        overlaps = []
        for call in sorted(self.writes(), key=lambda call: call.received):
            before = latest.get(call.key)
            if before and (before.ended is None or before.ended > call.received):
                overlaps.append((before, call))
            latest[call.key] = call
        return overlaps

    def describe(self, images: Iterable[str] = (), last: int = 25) -> str:
        """The calls that concern these images, and the last few of all others."""
        wanted = set(images)
        calls = self.calls()
        shown = [call for call in calls if call.image in wanted]
        rest = [call for call in calls if call.image not in wanted][-last:]
        start = calls[0].received if calls else 0.0
        lines = [f"{call.received - start:8.3f} s {call}" for call in sorted(shown + rest, key=lambda call: call.seq)]
        tally = collections.Counter(f"{call.action}/{call.result}" for call in calls)
        return "\n".join([f"{len(calls)} calls: {dict(tally)}", *lines])


# --- signatures ------------------------------------------------------------------------------------------------------

_AUTHORIZATION = re.compile(
    r"TC3-HMAC-SHA256 Credential=(?P<id>[^/, ]+)/(?P<date>\d{4}-\d\d-\d\d)/(?P<service>[a-z]+)/tc3_request, "
    r"SignedHeaders=(?P<signed>[a-z0-9-]+(?:;[a-z0-9-]+)*), Signature=(?P<signature>[0-9a-f]{64})"
)


def tc3_signature(
    secret_key: str, service: str, timestamp: int, headers: Dict[str, str], signed: Sequence[str], body: bytes
) -> str:
    """The TC3-HMAC-SHA256 signature of a POST to `/`. `headers` has lower-case names and the values as they were sent."""

    def mac(key: bytes, message: str) -> bytes:
        return hmac.new(key, message.encode(), hashlib.sha256).digest()

    lines = "".join(f"{name}:{headers[name].strip().lower()}\n" for name in signed)
    canonical = f"POST\n/\n\n{lines}\n{';'.join(signed)}\n{hashlib.sha256(body).hexdigest()}"
    date = time.strftime("%Y-%m-%d", time.gmtime(timestamp))
    to_sign = f"TC3-HMAC-SHA256\n{timestamp}\n{date}/{service}/tc3_request\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = mac(mac(mac(b"TC3" + secret_key.encode(), date), service), "tc3_request")
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def authenticate(headers: Dict[str, str], body: bytes, keys: Dict[str, Key], now: float, call: Call) -> None:
    """Raises a Refusal unless one of the keys signed this request recently. Notes in `call` whose it claims to be."""
    parts = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if not parts:
        raise Refusal("AuthFailure.InvalidAuthorization", "The Authorization header is malformed.")
    call.secret_id, call.service, call.signature = parts["id"], parts["service"], parts["signature"]
    signed = parts["signed"].split(";")
    if signed != sorted(set(signed)) or not {"content-type", "host"} <= set(signed) or not set(signed) <= set(headers):
        raise Refusal("AuthFailure.InvalidAuthorization", "SignedHeaders is wrong.")
    stamp = headers.get("x-tc-timestamp", "")
    if not re.fullmatch(r"[1-9]\d{0,10}", stamp):
        raise Refusal("InvalidParameter", "X-TC-Timestamp is missing or malformed.")
    timestamp = int(stamp)
    if call.service not in SERVICES or parts["date"] != time.strftime("%Y-%m-%d", time.gmtime(timestamp)):
        raise Refusal("AuthFailure.SignatureFailure", "The credential scope does not match the request.")
    if abs(now - timestamp) > CLOCK_TOLERANCE:
        raise Refusal("AuthFailure.SignatureExpire", "The signature has expired.")
    key = keys.get(call.secret_id)
    if not key:
        raise Refusal("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
    expected = tc3_signature(key.secret_key, call.service, timestamp, headers, signed, body)
    if not hmac.compare_digest(expected, call.signature):
        raise Refusal("AuthFailure.SignatureFailure", "The signature does not match.")
    if headers.get("x-tc-token") != key.token:
        raise Refusal("AuthFailure.TokenFailure", "The token is wrong.")


# --- requests --------------------------------------------------------------------------------------------------------

_STRINGS = (list, str)
_FILTERS = (list, dict)
_PARAMETERS: Dict[str, Dict[str, object]] = {
    MODIFY: {"ImageId": str, "Permission": str},
    BLUEPRINTS: {"BlueprintIds": _STRINGS, "Offset": int, "Limit": int, "Filters": _FILTERS},
    IMAGES: {"ImageIds": _STRINGS, "Offset": int, "Limit": int, "Filters": _FILTERS},
    INSTANCES: {
        "InstanceIds": _STRINGS, "Offset": int, "Limit": int, "Filters": _FILTERS, "OrderField": str, "Order": str,
    },
    CVM_IMAGES: {"ImageIds": _STRINGS, "Offset": int, "Limit": int, "Filters": _FILTERS, "InstanceType": str},
    LIST_REGIONS: {},
    IDENTITY: {},
}
_FILTER_NAMES = {
    BLUEPRINTS: {
        "blueprint-id": "BlueprintId", "blueprint-type": "BlueprintType", "platform-type": "PlatformType",
        "blueprint-name": "BlueprintName", "blueprint-state": "BlueprintState",
    },
    IMAGES: {"image-id": "ImageId", "image-name": "ImageName", "image-type": "_type"},
    # There is none for the blueprint.
    INSTANCES: {"instance-name": "InstanceName", "instance-state": "InstanceState", "zone": "Zone", "bundle-id": "BundleId"},
    CVM_IMAGES: {"image-id": "ImageId", "image-name": "ImageName", "image-type": "ImageType"},
}  # fmt: skip
_MAX_FILTERS, _MAX_VALUES = 10, 5  # older pages allow 5 values, newer ones 100: the stricter holds here


def _note(call: Call, headers: Dict[str, str], body: bytes) -> None:
    """Fills the ledger's entry in before anything is checked: a call that is refused was about something, too."""
    call.action, call.region = headers.get("x-tc-action", ""), headers.get("x-tc-region", "")
    try:
        parameters = json.loads(body)
    except ValueError:
        return
    if not isinstance(parameters, dict):
        return
    if call.action == MODIFY:
        call.image, call.permission = str(parameters.get("ImageId", "")), str(parameters.get("Permission", ""))
    elif "Offset" in _PARAMETERS.get(call.action, {}):
        call.offset = parameters.get("Offset", 0)


def _fits(value: object, kind: object) -> bool:
    if isinstance(kind, tuple):
        return isinstance(value, list) and all(isinstance(item, kind[1]) for item in value)
    return isinstance(value, kind) and not isinstance(value, bool)  # type: ignore[arg-type]


def parse_parameters(action: str, body: bytes) -> dict:
    """The parameters of a call, all of them known and of the right type."""

    def no_duplicates(pairs: List[Tuple[str, object]]) -> dict:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("duplicate name")
        return dict(pairs)

    try:
        parameters = json.loads(body.decode("utf-8"), object_pairs_hook=no_duplicates)
    except ValueError:
        raise Refusal("InvalidParameter", "The body is not a JSON object.") from None
    if not isinstance(parameters, dict):
        raise Refusal("InvalidParameter", "The body is not a JSON object.")
    kinds = _PARAMETERS[action]
    for name, value in parameters.items():
        if name not in kinds:
            raise Refusal("UnknownParameter", f"The parameter `{name}` is not recognized.")
        if not _fits(value, kinds[name]):
            raise Refusal("InvalidParameter", f"The parameter `{name}` is of the wrong type.")
    return parameters


def _page(parameters: dict) -> Tuple[int, int]:
    offset, limit = parameters.get("Offset", 0), parameters.get("Limit", 20)
    if offset < 0:
        raise Refusal("InvalidParameterValue.Negative", "Offset is negative.")
    if not 1 <= limit <= 100:
        raise Refusal("InvalidParameterValue.OutOfRange", "Limit is not in 1..100.")
    return offset, limit


def _select(action: str, ids_name: str, id_field: str, rows: List[dict], parameters: dict) -> List[dict]:
    ids, filters = parameters.get(ids_name), parameters.get("Filters")
    if ids and filters:
        raise Refusal("InvalidParameter.ParameterConflict", f"{ids_name} and Filters cannot be combined.")
    if ids:
        if len(ids) > 100:
            raise Refusal("InvalidParameterValue.TooLong", f"{ids_name} has more than 100 items.")
        if len(set(ids)) != len(ids):
            raise Refusal("InvalidParameterValue.Duplicated", f"{ids_name} repeats an item.")
        return [row for row in rows if row[id_field] in ids]
    if filters and len(filters) > _MAX_FILTERS:
        raise Refusal("InvalidParameterValue.LimitExceeded", "There are too many filters.")
    for item in filters or []:
        if set(item) != {"Name", "Values"} or not _fits(item["Values"], _STRINGS) or not item["Values"]:
            raise Refusal("InvalidParameter.InvalidFilter", "A filter is malformed.")
        if item["Name"] not in _FILTER_NAMES[action]:
            raise Refusal("InvalidParameter.InvalidFilter", "A filter's name is not supported.")
        if len(item["Values"]) > _MAX_VALUES:
            raise Refusal("InvalidParameter.FilterValueLimitExceeded", "A filter has too many values.")
        rows = [row for row in rows if row[_FILTER_NAMES[action][item["Name"]]] in item["Values"]]
    return rows


# --- the server ------------------------------------------------------------------------------------------------------


class StandIn:
    """The server, with its world. As a context manager it runs in a thread of its own."""

    def __init__(
        self,
        images: Iterable[Image] = (),
        pages: Iterable[PageScript] = (),
        instances: Iterable[Instance] = (),
        **settings: object,
    ) -> None:
        self.settings = Settings(**settings)  # type: ignore[arg-type]
        self.images: Dict[Tuple[str, str], Image] = {}
        for image in images:
            self.images[image.region, image.image_id] = image
        self.pages = list(pages)
        self.instances = list(instances)
        self.ledger = Ledger()
        self.port = 0
        self.crash: Optional[BaseException] = None  # a bug of the stand-in itself
        self._dice = random.Random(self.settings.seed)
        self._arrivals: Dict[Tuple[str, str, str], List[float]] = collections.defaultdict(list)
        self._tasks: set = set()

    # -- life

    def __enter__(self) -> "StandIn":
        started = threading.Event()
        self._loop = asyncio.new_event_loop()

        def main() -> None:
            asyncio.set_event_loop(self._loop)
            self._server = self._loop.run_until_complete(self.listen("127.0.0.1", 0))
            started.set()
            self._loop.run_forever()

        self._thread = threading.Thread(target=main, name="stand-in", daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the stand-in did not start")
        return self

    def __exit__(self, *_: object) -> None:
        async def close() -> None:
            self._server.close()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def listen(self, host: str, port: int) -> asyncio.AbstractServer:
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), host, port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def clock(self) -> float:
        return time.time() + self.settings.clock_offset

    # -- one call

    def _over_limit(self, call: Call) -> bool:
        limit = self.settings.limits.get(call.action)
        if limit is None:
            return False
        arrivals = self._arrivals[call.secret_id, call.host, call.action]
        # Half-open: a call exactly one second earlier is out of the window.
        del arrivals[: bisect.bisect_right(arrivals, call.arrival - 1.0)]
        over = len(arrivals) >= limit
        if not over or self.settings.count_refused:
            bisect.insort(arrivals, call.arrival)
        return over

    def decide(self, call: Call, headers: Dict[str, str], body: bytes) -> Tuple[dict, Optional[Fault]]:
        """Treats a call at its arrival. Gives the reply, and what becomes of it on its way."""
        request_id = str(uuid.UUID(int=self._dice.getrandbits(128), version=4))
        fault: Optional[Fault] = None
        if self._dice.random() < self.settings.fault_rate:
            fault = Fault(
                self._dice.choice(list(self.settings.fault_kinds)),
                self._dice.random() < 0.5,
                self._dice.uniform(*self.settings.fault_seconds),
            )
        try:
            content, scripted = self._answer(call, headers, body, fault)
            fault = scripted or fault
            call.result = "ok"
            if fault and not fault.after and fault.kind != "delay":
                call.result = "never got there"
        except Refusal as refusal:
            call.result = refusal.code
            content = {"Error": {"Code": refusal.code, "Message": self.settings.message or refusal.message}}
        if fault:
            call.fault = f"{fault.kind}-{'after' if fault.after else 'before'}"
        return {"Response": {**content, "RequestId": request_id}}, fault

    def _answer(self, call: Call, headers: Dict[str, str], body: bytes, fault: Optional[Fault]) -> Tuple[dict, Optional[Fault]]:
        authenticate(headers, body, self.settings.keys, self.clock(), call)
        if self._over_limit(call):
            raise Refusal("RequestLimitExceeded", "Too many requests.")
        version, actions = SERVICES[call.service]
        if headers.get("x-tc-version") != version:
            raise Refusal("NoSuchVersion", "There is no such version.")
        if call.action not in actions:
            raise Refusal("InvalidAction", "There is no such action.")
        if call.action != LIST_REGIONS:
            if not call.region:
                raise Refusal("MissingParameter", "X-TC-Region is missing.")
            if call.region not in REGIONS:
                raise Refusal("UnsupportedRegion", "The region is not supported.")
        parameters = parse_parameters(call.action, body)
        if call.action in self.settings.deny:
            raise Refusal(self.settings.deny[call.action], "The call is denied.")
        if call.action == MODIFY:
            return self._modify(call, fault)
        if call.action == LIST_REGIONS:
            rows = [
                {"Region": region, "RegionName": region, "RegionState": "AVAILABLE", "IsChinaMainland": False}
                for region in REGIONS
            ]
            return {"TotalCount": len(rows), "RegionSet": rows}, None
        if call.action == IDENTITY:
            return self._identity(call)
        return self._list(call, parameters)

    def _modify(self, call: Call, fault: Optional[Fault]) -> Tuple[dict, Optional[Fault]]:
        for name in ("ImageId", "Permission"):
            if not getattr(call, {"ImageId": "image", "Permission": "permission"}[name]):
                raise Refusal("MissingParameter", f"The parameter `{name}` is missing.")
        if call.permission not in ("SHARE", "CANCEL"):  # the documentation's own example says CANEL; it is a typo
            raise Refusal("InvalidParameterValue", "Permission is neither SHARE nor CANCEL.")
        if not re.fullmatch(r"img-[0-9a-z]{8}", call.image):
            raise Refusal("InvalidParameterValue.InvalidImageIdMalformed", "Malformed image id.")
        image = self.images.get(call.key)
        if not image or image.absent:
            raise Refusal("ResourceNotFound.ImageIdNotFound", "The image does not exist.")
        answer = image.answers.pop(0) if image.answers else Answer()
        fault = answer.fault or fault
        if answer.code and not answer.applied:
            raise Refusal(answer.code, "Scripted.")
        if call.permission in image.refuse:
            raise Refusal(image.refuse[call.permission], "Scripted.")
        if fault and not fault.after and fault.kind != "delay":
            return {}, fault  # it never reaches the image
        shared = image.now == "shared"
        if call.permission == "SHARE":
            if shared:
                raise Refusal("UnsupportedOperation.ImageAlreadyShared", "The image has already been shared.")
            if image.unshareable():
                raise Refusal("UnsupportedOperation.ImageUnableToShare", "The image cannot be shared.")
        else:
            if image.in_use:
                raise Refusal("ResourceInUse.ImageInUse", "The image is in use.")
            if not shared and self.settings.cancel_unshared:
                raise Refusal(self.settings.cancel_unshared, "The image is not shared.")
        blueprint = None
        if shared != (call.permission == "SHARE"):
            blueprint = image.set_shared(not shared, time.monotonic())
            call.effect = "cancelled" if shared else "shared"
        if answer.code:
            raise Refusal(answer.code, "Scripted, although it was done.")
        return {"BlueprintId": None if answer.null_blueprint else blueprint}, fault

    def _script(self, call: Call) -> Optional[PageScript]:
        script = next((script for script in self.pages if script.take(call)), None)
        if script and script.code:
            raise Refusal(script.code, "Scripted.")
        return script

    def _identity(self, call: Call) -> Tuple[dict, Optional[Fault]]:
        script = self._script(call)
        uin = self.settings.keys[call.secret_id].uin
        # A user of the account, as most keys are: its own number is not the account's.
        user = str(int(uin) + 500)
        content = {
            "Arn": f"qcs::cam:{uin}:uin/{user}", "AccountId": uin, "UserId": user, "PrincipalId": user, "Type": "CAMUser",
        }  # fmt: skip
        return content, script.fault if script else None

    def _list(self, call: Call, parameters: dict) -> Tuple[dict, Optional[Fault]]:
        offset, limit = _page(parameters)
        script = self._script(call)
        moment = time.monotonic() - self.settings.read_lag
        images = [image for image in self.images.values() if image.region == call.region and not image.absent]
        if call.action == BLUEPRINTS:
            rows = self._blueprints(images, moment)
            rows = _select(BLUEPRINTS, "BlueprintIds", "BlueprintId", rows, parameters)
        elif call.action == INSTANCES:
            rows = [_instance_row(instance) for instance in self.instances if instance.region == call.region]
            rows = _select(INSTANCES, "InstanceIds", "InstanceId", rows, parameters)
        elif call.action == CVM_IMAGES:
            rows = [_cvm_image_row(image) for image in images]
            rows = _select(CVM_IMAGES, "ImageIds", "ImageId", rows, parameters)
        else:
            rows = [_image_row(image, image.blueprint_at(moment)) for image in images]
            rows = _select(IMAGES, "ImageIds", "ImageId", rows, parameters)
        page = [{name: value for name, value in row.items() if name[0] != "_"} for row in rows[offset : offset + limit]]
        name = {BLUEPRINTS: "BlueprintSet", INSTANCES: "InstanceSet"}.get(call.action, "ImageSet")
        total = len(rows) + (script.total_delta if script else 0)
        if script and script.fields and script.row < len(page):
            page[script.row].update(script.fields)
        return {"TotalCount": total, name: page}, script.fault if script else None

    def _blueprints(self, images: List[Image], moment: float) -> List[dict]:
        rows = [
            _blueprint_row("lhbp-public01", "wordpress", "APP_OS", ""),
            _blueprint_row("lhbp-public02", "ubuntu", "PURE_OS", ""),
        ]
        for number in range(self.settings.foreign_blueprints):
            rows.append(_blueprint_row(f"lhbp-foreig{number:02}", f"foreign-{number}", "SHARED", ""))
        for image in images:
            blueprint = image.blueprint_at(moment)
            if blueprint:
                rows.append(_blueprint_row(blueprint, image.name, self.settings.blueprint_type, image.image_id))
        return rows


def _image_row(image: Image, blueprint: Optional[str]) -> dict:
    reason = "already shared" if blueprint else image.unshareable()
    return {
        "ImageId": image.image_id, "ImageName": image.name, "ImageDescription": "", "ImageSize": 50,
        "ImageSource": image.source, "ImageClass": image.image_class, "ImageState": image.state,
        "IsSupportCloudinit": image.cloudinit, "Architecture": image.architecture, "OsName": image.os_name,
        "Platform": image.platform, "CreatedTime": image.created, "IsShareable": not reason, "UnshareableReason": reason,
        "_type": "PRIVATE_IMAGE",
    }  # fmt: skip


def _cvm_image_row(image: Image) -> dict:
    return {
        "ImageId": image.image_id, "OsName": image.os_name, "ImageType": "PRIVATE_IMAGE", "CreatedTime": image.created,
        "ImageName": image.name, "ImageDescription": "", "ImageSize": 50, "Architecture": image.architecture,
        "ImageState": image.state, "Platform": image.platform, "ImageCreator": UIN, "ImageSource": image.source,
        "SyncPercent": None, "IsSupportCloudinit": image.cloudinit, "SnapshotSet": [],
        "Tags": [{"Key": key, "Value": value} for key, value in image.tags.items()], "LicenseType": "TencentCloud",
        "ImageFamily": image.family, "ImageDeprecated": image.deprecated, "CdcCacheStatus": None,
    }  # fmt: skip


def _instance_row(instance: Instance) -> dict:
    return {
        "InstanceId": instance.instance_id, "BundleId": "bundle_starter_nmc_lin_med2_01", "BlueprintId": instance.blueprint_id,
        "CPU": 2, "Memory": 2, "InstanceName": instance.name, "InstanceChargeType": "PREPAID",
        "SystemDisk": {"DiskType": "CLOUD_SSD", "DiskSize": 50, "DiskId": None}, "PrivateAddresses": None, "PublicAddresses": None,
        "InternetAccessible": {
            "InternetChargeType": "TRAFFIC_POSTPAID_BY_HOUR", "InternetMaxBandwidthOut": 30, "PublicIpAssigned": False,
        },
        "RenewFlag": "NOTIFY_AND_MANUAL_RENEW", "LoginSettings": {"KeyIds": []}, "InstanceState": instance.state,
        "Uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, instance.instance_id)), "LatestOperation": None, "LatestOperationState": None,
        "LatestOperationRequestId": None, "LatestOperationStartedTime": None, "IsolatedTime": None,
        "CreatedTime": "2026-02-03T08:00:00Z", "ExpiredTime": None, "PlatformType": "LINUX_UNIX", "Platform": "UBUNTU",
        "OsName": "Ubuntu Server 22.04 LTS 64bit", "Zone": f"{instance.region}-1", "Tags": [], "InstanceRestrictState": "NORMAL",
        "SupportIpv6Detail": None, "PublicIpv6Addresses": [], "InitInvocationId": "", "InstanceViolationDetail": None,
    }  # fmt: skip


def _blueprint_row(blueprint_id: str, name: str, kind: str, image_id: str) -> dict:
    return {
        "BlueprintId": blueprint_id, "DisplayTitle": name, "DisplayVersion": "", "Description": None,
        "OsName": "Ubuntu Server 22.04 LTS 64bit", "Platform": "UBUNTU", "PlatformType": "LINUX_UNIX",
        "BlueprintType": kind, "ImageUrl": "", "RequiredSystemDiskSize": 50, "BlueprintState": "NORMAL",
        "CreatedTime": None, "BlueprintName": name, "SupportAutomationTools": True, "RequiredMemorySize": 1,
        "ImageId": image_id, "CommunityUrl": "", "GuideUrl": "", "SceneIdSet": [], "DockerVersion": None,
        "BlueprintShared": False,
    }  # fmt: skip


class _Connection(asyncio.Protocol):
    """One keep-alive connection: one request at a time, replies in order."""

    def __init__(self, cloud: StandIn) -> None:
        self.cloud = cloud
        self.buffer = bytearray()
        self.busy = False
        self.call: Optional[Call] = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.cloud.ledger.connections += 1
        self.number = self.cloud.ledger.connections

    def connection_lost(self, _: Optional[Exception]) -> None:
        self._ended("client left")

    def data_received(self, data: bytes) -> None:
        received = time.monotonic()
        self.buffer += data
        if not self.busy:
            self._next(received)

    def _next(self, received: float) -> None:
        """Starts on the next request if all of it is here."""
        if self.transport.is_closing():
            return
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self.buffer) > MAX_HEAD:
                self._refuse(431)
            return
        try:
            first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
            method, target, protocol = first.split(" ")
            pairs = [(name.lower(), value.strip()) for name, value in (line.split(":", 1) for line in lines)]
        except ValueError:
            return self._refuse(400)
        headers = dict(pairs)
        if protocol != "HTTP/1.1" or len(headers) != len(pairs):
            return self._refuse(400)
        if not re.fullmatch(r"\d{1,9}", headers.get("content-length", "")) or "transfer-encoding" in headers:
            return self._refuse(411)
        length = int(headers["content-length"])
        if length > MAX_BODY:
            return self._refuse(413)
        if len(self.buffer) < end + 4 + length:
            return
        body = bytes(self.buffer[end + 4 : end + 4 + length])
        del self.buffer[: end + 4 + length]
        self.busy = True
        task = asyncio.get_running_loop().create_task(self._serve(method, target, headers, body, received))
        self.cloud._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task) -> None:
        self.cloud._tasks.discard(task)
        if not task.cancelled() and task.exception():
            self.cloud.crash = self.cloud.crash or task.exception()
            self.transport.abort()

    async def _serve(self, method: str, target: str, headers: Dict[str, str], body: bytes, received: float) -> None:
        cloud, settings = self.cloud, self.cloud.settings
        host = headers.get("host", "")
        name, _, port = host.partition(":")
        if not (name in ("127.0.0.1", "localhost") or name.endswith(".localhost")) or port != str(cloud.port):
            return self._refuse(421)
        if name in settings.refuse_hosts:
            return self._cut()
        if method != "POST" or target != "/":
            return self._refuse(404)
        if settings.redirect:
            status, location = settings.redirect
            return self._reply(status, b"", "text/plain", extra=f"Location: {location}\r\n")
        if headers.get("content-type") not in ("application/json", "application/json; charset=utf-8"):
            return self._refuse(415)

        latency = cloud._dice.uniform(*settings.latency)
        # The nominal moment, not the one at which this task happens to wake up: a busy machine must not look like a burst.
        call = Call(len(cloud.ledger), self.number, received, received + latency / 2, host)
        _note(call, headers, body)
        self.call = call
        cloud.ledger._add(call)
        await _until(call.arrival)
        # Also when the client has gone meanwhile: what was sent arrives.
        reply, fault = cloud.decide(call, headers, body)
        cloud.ledger._notify()
        await _until(call.arrival + latency / 2)
        if fault:
            return await self._reply_badly(fault, reply)
        self._reply_json(reply)

    async def _reply_badly(self, fault: Fault, reply: dict) -> None:
        dice = self.cloud._dice
        if fault.kind == "lost":
            await asyncio.sleep(fault.seconds)
            self._ended("dropped")
            self.transport.close()
        elif fault.kind == "cut":
            self._cut()
        elif fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            self._reply_json(reply)
        elif fault.kind == "garbage":
            self._reply(200, bytes(dice.getrandbits(8) for _ in range(64)), "application/json")
        elif fault.kind == "html":
            self._reply(200, b"<html><body>Please log in</body></html>", "text/html")
        elif fault.kind == "server_error":
            self._reply(dice.choice((500, 502, 503, 504)), b"<html>Bad gateway</html>", "text/html")
        elif fault.kind == "shapeless":
            self._reply(200, b'{"Response":{"RequestId":"0"}}', "application/json")
        elif fault.kind == "empty":
            self._reply(200, b"", "application/json")
        elif fault.kind == "truncated":
            body = json.dumps(reply).encode()
            self._reply(200, body[: len(body) // 2], "application/json", length=len(body))
            self.transport.close()
        else:
            raise ValueError(f"unknown fault {fault.kind!r}")

    def _reply_json(self, reply: dict) -> None:
        self._reply(200, json.dumps(reply).encode(), "application/json")

    def _reply(self, status: int, body: bytes, kind: str, extra: str = "", length: Optional[int] = None) -> None:
        self._ended("replied")
        if not self.transport.is_closing():
            date = email.utils.formatdate(self.cloud.clock(), usegmt=True)
            head = (
                f"HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(body) if length is None else length}\r\n{extra}\r\n"
            )
            self.transport.write(head.encode() + body)
            if self.cloud.settings.drop_idle:
                self.transport.close()
        self.busy = False
        self._next(time.monotonic())

    def _refuse(self, status: int) -> None:
        """Not even a call: noted as one, so that no test overlooks it."""
        now = time.monotonic()
        self.cloud.ledger._add(Call(len(self.cloud.ledger), self.number, now, now, result=f"http {status}", how="replied", ended=now))
        self.cloud.ledger._notify()
        self._reply(status, b"", "text/plain")
        self.transport.close()

    def _cut(self) -> None:
        # SO_LINGER 0 makes the close an RST, as from a gateway that dies.
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._ended("dropped")
        self.transport.abort()

    def _ended(self, how: str) -> None:
        call = self.call
        if call and call.ended is None:
            call.ended, call.how = time.monotonic(), how
            self.cloud.ledger._notify()
        self.call = None


async def _until(moment: float) -> None:
    left = moment - time.monotonic()
    if left > 0:
        await asyncio.sleep(left)


# --- as a command ----------------------------------------------------------------------------------------------------


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="A strict stand-in for Tencent Cloud Lighthouse's image sharing.")
    parser.add_argument("--port", type=int, default=0, help="0 (default) picks a free one")
    parser.add_argument("--region", action="append", choices=REGIONS, help="regions that hold images (default: ap-singapore)")
    parser.add_argument("--images", type=int, default=3, help="images in each region, img-00000000 and so on (default: 3)")
    parser.add_argument("--shared", type=int, default=0, help="how many of them are shared at the start")
    parser.add_argument("--latency-ms", type=float, nargs=2, default=(60, 120), metavar=("MIN", "MAX"))
    parser.add_argument("--read-lag", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--fault-rate", type=float, default=0.0, metavar="0..1")
    parser.add_argument("--clock-offset", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--limit", type=int, default=20, help="ModifyImageSharePermission calls a second (default: 20)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ledger", metavar="FILE", help="write the ledger there at the end, one JSON object a line")
    options = parser.parse_args(arguments)

    cloud = StandIn(
        [
            Image(region, f"img-{number:08}", shared=number < options.shared)
            for region in options.region or ["ap-singapore"]
            for number in range(options.images)
        ],
        latency=(options.latency_ms[0] / 1000, options.latency_ms[1] / 1000),
        read_lag=options.read_lag,
        fault_rate=options.fault_rate,
        clock_offset=options.clock_offset,
        limits={**LIMITS, MODIFY: options.limit},
        seed=options.seed,
    )

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await cloud.listen("127.0.0.1", options.port)
        ready = {"endpoint": f"http://127.0.0.1:{cloud.port}", "secret_id": SECRET_ID, "secret_key": SECRET_KEY}
        print(json.dumps(ready), flush=True)
        await stop.wait()

    asyncio.run(run())
    if options.ledger:
        with open(options.ledger, "w", encoding="utf-8") as file:
            for call in cloud.ledger.calls():
                file.write(json.dumps(dataclasses.asdict(call)) + "\n")
    print(cloud.ledger.describe(), file=sys.stderr)
    return 1 if cloud.crash else 0


if __name__ == "__main__":
    sys.exit(main())
