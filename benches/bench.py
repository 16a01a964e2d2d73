"""Shared code of the benchmarks: the release binary, waiting for it, and its resource usage according to the kernel."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

BINARY = Path(__file__).resolve().parents[1] / "target/release/sharekeeper"

# The user's own settings must not affect the results.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("SHAREKEEPER_", "TENCENTCLOUD_"))}


class Ended:
    """A program that ran to its end: its output, and its resource usage according to the kernel."""

    def __init__(self, words, environment, watch_memory=False):
        with tempfile.TemporaryFile() as said:
            started, self.began = time.monotonic(), time.time()
            process = subprocess.Popen([str(word) for word in words], env=environment, stdout=said, stderr=said)
            self.megabytes = self.peak(process.pid) if watch_memory else None
            _, status, usage = os.wait4(process.pid, 0)
            self.wall = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            self.said = said.read().decode()
        if process.returncode != 0:
            sys.exit(f"{words}: status {process.returncode}\n{self.said[-2000:]}")
        self.cpu = usage.ru_utime + usage.ru_stime

    @staticmethod
    def peak(pid):
        """The peak of resident memory. The kernel's own figure includes this script's memory from before the program was started."""
        kilobytes = 0
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
            kilobytes = max(kilobytes, int(found.group(1)) if found else 0)
            time.sleep(0.002)
        return kilobytes / 1024


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid, field="VmRSS"):
    """The resident memory in megabytes."""
    return int(re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def ask(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as reply:
        return json.loads(reply.read() or b"null")


def start(words, environment, pattern, binary=BINARY):
    """Starts the program with these words; returns it and the match in its first matching line. Further output goes to a file that is not read."""
    log = tempfile.TemporaryFile("w+")
    process = subprocess.Popen([str(binary), *map(str, words)], env=environment, stdout=log, stderr=log)
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


def calls(url, action):
    """The number of calls to the simulator at `url`, and of those that it throttled."""
    counts = [call for call in ask(f"{url}/_sim/state")["calls"] if call["action"] == action]
    return sum(call["calls"] for call in counts), sum(call["throttled"] for call in counts)


def access_points(url):
    """The endpoint that gives the simulator at `url` one access point for each region."""
    return url.replace("127.0.0.1", "{region}.localhost")


def regions():
    """All regions with image sharing, from the manifests' schema."""

    def lists(value):
        if isinstance(value, dict) and "enum" in value:
            yield value["enum"]
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from lists(item)

    schema = json.loads(subprocess.run([BINARY, "schema"], check=True, capture_output=True).stdout)
    return next(words for words in lists(schema) if "ap-singapore" in words)
