"""The switch between the hosts: a program that carries their frames, and loses, delays, doubles and reorders them as it is told.

It does what ``tc netem`` does, for each direction between two hosts on its own, and needs no kernel module. It runs in a namespace of its own,
with a port (a veth) per host; the port of host 7 is ``p7``, and its other end has the address 02:00:00:00:00:07. What it is told comes on stdin, a
JSON object a line; it answers each with the same line.
"""

import heapq
import json
import os
import random
import selectors
import socket
import sys
import time
from collections.abc import Iterator

_ETH_P_ALL = 3
_SOL_PACKET = 263  # <linux/socket.h>
_PACKET_VNET_HDR = (
    15  # <linux/if_packet.h>: offloaded checksums and segments travel along, as in a real switch of virtual machines
)
_PACKET_IGNORE_OUTGOING = 23
_VNET_HDR_BYTES = 10
_MOST_BYTES = (1 << 16) + 128
_TAKEN_AT_ONCE = 64

Path = tuple[int, int]


class Treatment:
    """What happens to frames of one direction. Times in seconds, the others are chances from 0 to 1."""

    def __init__(
        self, *, loss: float = 0, delay: float = 0, jitter: float = 0, duplicate: float = 0, reorder: float = 0
    ) -> None:
        self.loss = loss
        self.delay = delay
        self.jitter = jitter
        self.duplicate = duplicate
        self.reorder = reorder


class Switch:
    """Frames between ports, by the last byte of their address."""

    def __init__(self, ports: list[int], seed: int) -> None:
        self._chance = random.Random(seed)
        self._ports = {port: _listening(f"p{port}") for port in ports}
        self._treatments: dict[Path, Treatment] = {}
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._latest: dict[Path, float] = {}
        self._number = 0

    def run(self) -> None:
        """Until stdin ends."""
        waiting = selectors.DefaultSelector()
        for port, listening in self._ports.items():
            waiting.register(listening, selectors.EVENT_READ, port)
        waiting.register(sys.stdin.buffer, selectors.EVENT_READ, None)
        os.set_blocking(sys.stdin.fileno(), False)
        told = b""
        while True:
            for key, _ in waiting.select(self._until_next()):
                if key.data is not None:
                    self._take(key.data)
                elif not (more := sys.stdin.buffer.read() or b""):
                    return
                else:
                    *lines, told = (told + more).split(b"\n")
                    for line in lines:
                        self._hear(line)
            self._send_due()

    def _hear(self, line: bytes) -> None:
        """``{"from": [1], "to": [2, 3], "treatment": {...}}``; without a treatment frames pass as they are."""
        heard = json.loads(line)
        for path in ((one, other) for one in heard["from"] for other in heard["to"] if one != other):
            self._treatments.pop(path, None)
            if heard.get("treatment"):
                self._treatments[path] = Treatment(**heard["treatment"])
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()

    def _take(self, port: int) -> None:
        for _ in range(_TAKEN_AT_ONCE):
            try:
                frame = self._ports[port].recv(_MOST_BYTES)
            except OSError:  # nothing more, or its host is gone
                return
            for to in self._wanted_by(port, frame):
                self._carry((port, to), frame)

    def _wanted_by(self, port: int, frame: bytes) -> Iterator[int]:
        address = frame[_VNET_HDR_BYTES : _VNET_HDR_BYTES + 6]
        if address[:1] == b"\x02":
            if address[5] in self._ports:
                yield address[5]
        elif address == b"\xff" * 6:
            yield from (other for other in self._ports if other != port)

    def _carry(self, path: Path, frame: bytes) -> None:
        treatment = self._treatments.get(path)
        if treatment is None:
            self._send(path[1], frame)
            return
        for _ in range(2 if self._chance.random() < treatment.duplicate else 1):
            if self._chance.random() < treatment.loss:
                continue
            if self._chance.random() < treatment.reorder:  # as netem: it overtakes those that wait
                self._send(path[1], frame)
                continue
            due = time.monotonic() + treatment.delay + self._chance.random() * treatment.jitter
            due = self._latest[path] = max(due, self._latest.get(path, 0.0))
            self._number += 1
            heapq.heappush(self._waiting, (due, self._number, path[1], frame))

    def _until_next(self) -> float | None:
        return max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None

    def _send_due(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, _, port, frame = heapq.heappop(self._waiting)
            self._send(port, frame)

    def _send(self, port: int, frame: bytes) -> None:
        try:
            self._ports[port].send(frame)
        except OSError:  # full, or its host is gone: a switch drops then
            return


def _listening(interface: str) -> socket.socket:
    listening = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    listening.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    listening.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
    listening.settimeout(0)
    listening.bind((interface, _ETH_P_ALL))
    return listening


if __name__ == "__main__":
    Switch([int(port) for port in sys.argv[2:]], seed=int(sys.argv[1])).run()
