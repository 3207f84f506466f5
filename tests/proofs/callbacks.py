"""Callbacks at a constant rate into a receiver of another process: how long each waits, and whether all are kept.

The load is open: a callback is sent when it is due, however slow the answers are, and its latency counts from the
moment at which it was due. So a receiver that falls behind shows it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import polars as pl

from kie_notes.api.webhook import sign
from kie_notes.store import Store

KEY = "proof"

#: A receiver in a process of its own: folder in, address out.
RECEIVER = """
import sys
from kie_notes.receiver import listen
from kie_notes.store import Store
with Store(sys.argv[1]) as store:
    listen(store, keys=["proof"], port=0, ready=lambda url: print(url, flush=True))
"""


class Sent(NamedTuple):
    """One callback: its task, the answer's status (None: no answer), seconds since it was due, the body's checksum."""

    task: str
    status: int | None
    seconds: float
    sha256: str


class Load:
    """Sends signed callbacks, every second one on a connection of its own, the others on kept ones."""

    def __init__(self, port: int, notes: int) -> None:
        self.port = port
        self.kept: deque[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        note = [
            {
                "pitch": 36 + at % 60,
                "start": at / 192,
                "end": str((at + 40) / 192),
                "velocity": (4 * (at % 32) + 3) / 127,
            }
            for at in range(notes)
        ]
        data = {"taskId": "@", "state": "complete", "instruments": [{"name": "Music Box", "notes": note}]}
        self.body = json.dumps({"code": 200, "msg": "success", "data": data}, separators=(",", ":")).encode()

    async def run(self, rate: float, seconds: float) -> list[Sent]:
        """Send at a constant rate, then wait for the last answer."""
        began = time.perf_counter() + 0.5
        sending = []
        for at in range(int(rate * seconds)):
            due = began + at / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            sending.append(asyncio.create_task(self.send(f"{at:032x}", due, fresh=bool(at % 2))))
        sent = await asyncio.gather(*sending)
        for _, _, writer in self.kept:
            writer.close()
        return sent

    async def send(self, task: str, due: float, *, fresh: bool) -> Sent:
        """Send one callback and wait for its answer as long as the service does."""
        body = self.body.replace(b'"@"', f'"{task}"'.encode(), 1)
        stamp = str(int(time.time()))
        head = (
            f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"X-Webhook-Timestamp: {stamp}\r\nX-Webhook-Signature: {sign(task, stamp, KEY)}\r\n"
            f"{'Connection: close' if fresh else 'Connection: keep-alive'}\r\n\r\n"
        )
        status = None
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            async with asyncio.timeout(15.0):
                status = await self.exchange(head.encode() + body, fresh=fresh)
        return Sent(task, status, time.perf_counter() - due, hashlib.sha256(body).hexdigest())

    async def exchange(self, request: bytes, *, fresh: bool) -> int:
        """Send a request and read the answer's status."""
        line = None if fresh else self._kept()
        reader, writer = line or await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        await reader.readexactly(int(length[1]) if length else 0)
        if fresh or b"connection: close" in head.lower():
            writer.close()
        else:
            self.kept.append((time.monotonic(), reader, writer))
        return int(head.split(None, 2)[1])

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The connection that was used last, if it was lately: the receiver hangs up on those that idle for 5 s."""
        while self.kept:
            since, reader, writer = self.kept.pop()
            if time.monotonic() - since < 2.0:
                return reader, writer
            writer.close()
        return None


def lost(folder: Path, sent: list[Sent]) -> list[str]:
    """Tasks that were acknowledged and of which the store does not have this very body."""
    with Store(folder) as store:
        store.seal()
        known = set(store.scan_tasks().select("task").collect()["task"])
    kept: set[tuple[str, str]] = set()  # a task can have several: what was called back, and what the record says
    for part in folder.glob("raw/*.parquet"):
        rows = pl.read_parquet(part, columns=["task", "body"]).iter_rows()
        kept |= {(task, hashlib.sha256(body).hexdigest()) for task, body in rows}
    taken = [one for one in sent if one.status == 200]
    return [one.task for one in taken if one.task not in known or (one.task, one.sha256) not in kept]


def told(sent: list[Sent]) -> tuple[str, float]:
    """What came of the load, in words, and the 99th percentile in ms; what was not acknowledged took for ever."""
    statuses = Counter(one.status for one in sent)
    others = {status: count for status, count in statuses.items() if status != 200}
    waits = pl.Series([one.seconds * 1000 if one.status == 200 else float("inf") for one in sent])
    shown = {f"p{at}": float(waits.quantile(at / 100, "nearest") or 0) for at in (50, 95, 99, 100)}
    times = ", ".join(f"{name} {ms:.1f}" for name, ms in shown.items())
    words = f"{len(sent)} callbacks sent, {statuses[200]} acknowledged, others: {others or 'none'}"
    return f"{words}\nlatency in ms: {times.replace('p100', 'max')}", shown["p99"]


def main(argv: list[str] | None = None) -> int:
    """Send, measure, look whether all are there; 0 when nothing was lost and the 99th percentile is low enough."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs callbacks", description=__doc__)
    parser.add_argument("--rate", type=float, default=200.0, help="callbacks a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long")
    parser.add_argument("--notes", type=int, default=500, help="notes in each")
    parser.add_argument("--most", type=float, default=1000.0, help="ms that the 99th percentile may take")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "store"
        command = [sys.executable, "-c", RECEIVER, str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
            try:
                address = re.search(r":(\d+)/", receiver.stdout.readline() if receiver.stdout else "")
                if address is None:
                    return 1  # it told on stderr why it does not listen
                load = Load(int(address[1]), args.notes)
                print(f"{args.rate:g} callbacks a second for {args.seconds:g} s, each of {len(load.body):,} bytes")
                sent = asyncio.run(load.run(args.rate, args.seconds))
            finally:
                receiver.terminate()  # it ends in good order
        gone = lost(folder, sent)
    words, p99 = told(sent)
    print(words)
    print(f"acknowledged and not in the store: {len(gone)}")
    return int(bool(gone) or not sent or p99 >= args.most)


if __name__ == "__main__":
    sys.exit(main())
