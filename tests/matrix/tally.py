# SPDX-License-Identifier: Apache-2.0
"""Judges the binding of millions of events as they come, by the ports in what they carry."""

import re
import struct
from collections import Counter, defaultdict
from collections.abc import Mapping

from otel_qtap.capture.records import CONNECTION, DATA_OFFSET, DATA_RECORD, Kind
from otel_qtap.model.identity import Direction

_PORTS = re.compile(rb"m (\d{1,5}) (\d{1,5}) ")
_HEAD = 48
_DATA = Kind.DATA.value
_IDENTITY = struct.Struct("<QQQI")
"""Process start, TLS object, generation, process: the first fields of struct qtap_connection."""


class Tally:
    """Events by runtime and verdict. ``names`` says which process is what; all others are passed over."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.verdicts: dict[str, Counter[str]] = defaultdict(Counter)
        self.connections: dict[str, set[bytes]] = defaultdict(set)
        self.events = 0
        self._truth: dict[bytes, tuple[int, int]] = {}

    def add(self, names: Mapping[int, str]) -> None:
        """More processes to judge."""
        self.names.update(names)

    def judge(self, record: memoryview, offset: int, size: int) -> None:
        """One record of the data ring (a ``RecordHandler``)."""
        if size < DATA_OFFSET:
            return
        kind, direction, _, _, _, _, captured, facts = DATA_RECORD.unpack_from(record, offset)
        if kind != _DATA:
            return
        name = self.names.get(_IDENTITY.unpack_from(facts)[3])
        if name is None:
            return
        self.events += 1
        identity = facts[: _IDENTITY.size]
        self.connections[name].add(identity)
        start = offset + DATA_OFFSET
        said = _PORTS.match(record[start : start + min(captured, _HEAD)].tobytes())
        if said:
            ports = int(said[1]), int(said[2])
            if direction == Direction.INGRESS:
                ports = ports[::-1]
            known = self._truth.setdefault(identity, ports)
            if known != ports:
                self.verdicts[name]["mixed"] += 1
                return
        elif (told := self._truth.get(identity)) is not None:
            ports = told
        else:  # in the midst of a message, met when the probes came
            self.verdicts[name]["untold"] += 1
            return
        _, _, _, _, _, _, _, local, remote, family, *_ = CONNECTION.unpack(facts)
        verdict = "unbound" if not family else "right" if (local, remote) == ports else "wrong"
        self.verdicts[name][verdict] += 1
