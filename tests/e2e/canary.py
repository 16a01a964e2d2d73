"""Looks for secrets in what came out, whatever they were written as: plain, base64, base64url, hex, escaped for a URL or for
JSON, or as a list of numbers; whole, or any eight bytes of them."""

from __future__ import annotations

import base64
import re
import urllib.parse
from typing import Dict, Iterable, Iterator, Set, Union

RUN = 8
# Of what is hexadecimal itself: hashes and identifiers are all over the place, and have the same digits.
HEX_RUN = 16


def as_bytes(secret: Union[str, bytes]) -> bytes:
    return secret.encode() if isinstance(secret, str) else secret


class Canaries:
    """Secrets of several kinds."""

    def __init__(self, secrets: Dict[str, Iterable[Union[str, bytes]]]) -> None:
        self._runs: Dict[int, Dict[bytes, str]] = {RUN: {}, HEX_RUN: {}}
        for kind, values in secrets.items():
            for value in map(as_bytes, values):
                length = HEX_RUN if re.fullmatch(rb"[0-9a-fA-F]*", value) else RUN
                assert len(value) >= length, f"the {kind} is too short to be distinct from other text"
                for start in range(len(value) - length + 1):
                    self._runs[length][value[start : start + length]] = kind

    def found(self, text: Union[str, bytes]) -> Set[str]:
        """The kinds of which something is in the text."""
        kinds = set()
        for view in views(as_bytes(text)):
            for length, runs in self._runs.items():
                here = {view[start : start + length] for start in range(len(view) - length + 1)}
                kinds.update(runs[run] for run in here.intersection(runs))
        return kinds


def views(text: bytes) -> Iterator[bytes]:
    """A text as it is, and what it may be an encoding of."""
    yield text
    if b"%" in text:
        yield urllib.parse.unquote_to_bytes(text)
    if b"%" in text or b"+" in text:
        yield urllib.parse.unquote_to_bytes(text.replace(b"+", b" "))
    if b"\\" in text:
        plain = re.sub(rb"\\u00([0-9a-fA-F]{2})", lambda found: bytes([int(found[1], 16)]), text)
        yield re.sub(rb'\\([/"\\])', rb"\1", plain)
    for found in re.finditer(rb"[0-9a-fA-F]{%d,}" % (2 * RUN), text):
        for start in (0, 1):
            digits = found[0][start:]
            yield bytes.fromhex(digits[: len(digits) // 2 * 2].decode())
    for found in re.finditer(rb"[A-Za-z0-9+/_-]{%d,}" % (RUN * 4 // 3), text):
        digits = found[0].replace(b"-", b"+").replace(b"_", b"/")
        for start in range(4):
            whole = digits[start:]
            yield base64.b64decode(whole[: len(whole) // 4 * 4])
            # The last group may be cut short.
            rest = len(whole) % 4
            if rest > 1:
                yield base64.b64decode(whole + b"=" * (4 - rest))
    for found in re.finditer(rb"\d{1,3}(?:[,; ]\s*\d{1,3}){%d,}" % (RUN - 1), text):
        yield bytes(number for number in map(int, re.findall(rb"\d+", found[0])) if number < 256)
