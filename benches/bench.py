"""What the benchmarks share: the release binary, and waiting for it."""

import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

BINARY = Path(__file__).resolve().parents[1] / "target/release/sharekeeper"


def ask(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as reply:
        return json.loads(reply.read() or b"null")


def start(words, environment, pattern):
    """Starts a program; gives it and what its first line that matches says. Its output goes to a file that nobody reads on."""
    log = tempfile.TemporaryFile("w+")
    process = subprocess.Popen([str(BINARY), *words], env=environment, stdout=log, stderr=log)
    while process.poll() is None:
        log.seek(0)
        found = re.search(pattern, log.read())
        if found:
            return process, found.group(1)
        time.sleep(0.01)
    log.seek(0)
    sys.exit(f"{words[0]} has ended:\n{log.read()}")


def until(condition, patience=600.0):
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > patience:
            sys.exit("it does not come about")
        time.sleep(0.005)
    return time.monotonic() - started


def regions():
    """All in which sharing exists, as the manifests' schema lists them."""

    def lists(value):
        if isinstance(value, dict) and "enum" in value:
            yield value["enum"]
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from lists(item)

    schema = json.loads(subprocess.run([BINARY, "schema"], check=True, capture_output=True).stdout)
    return next(words for words in lists(schema) if "ap-singapore" in words)
