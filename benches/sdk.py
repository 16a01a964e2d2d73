"""The usual script without sharekeeper: a loop over the official Python SDK, one region after another or a thread for each.

Run by benches/compare in an environment with the SDK. Prints the duration of the loop and its processor time.
"""

import argparse
import json
import socket
import threading
import time

from tencentcloud.common import credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.lighthouse.v20200324 import lighthouse_client, models

# Not every resolver knows that names below `localhost` are this machine (RFC 6761).
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: resolve("127.0.0.1" if host.endswith(".localhost") else host, *rest, **more)


def share(options, region):
    key = credential.Credential(options.secret_id, options.secret_key)
    profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=f"{region}.localhost:{options.port}"))
    client = lighthouse_client.LighthouseClient(key, region, profile)
    for image in options.images.split(","):
        request = models.ModifyImageSharePermissionRequest()
        request.ImageId, request.Permission = image, "SHARE"
        assert client.ModifyImageSharePermission(request).BlueprintId


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("how", choices=["loop", "threads"])
    for name in ("port", "secret-id", "secret-key", "regions", "images"):
        flags.add_argument(f"--{name}", required=True)
    options = flags.parse_args()
    regions = options.regions.split(",")
    started, spent = time.monotonic(), time.process_time()
    if options.how == "loop":
        for region in regions:
            share(options, region)
    else:
        threads = [threading.Thread(target=share, args=(options, region)) for region in regions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(json.dumps({"wall": time.monotonic() - started, "cpu": time.process_time() - spent}))


if __name__ == "__main__":
    main()
