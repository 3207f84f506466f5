"""A collector and a receiver of one store, killed at random moments (SIGKILL), again and again, while both work.

Acknowledged is a result that the collector told of after the store had taken it, and a callback that was answered with
200. Segments are small, so that both seal all the time, and the collector merges parts; many kills are aimed at that,
or at the opening of the store. After every kill another process takes the dead one's place, and the store is opened,
checked, and read with Polars. At the end of each store every acknowledged body must be there, byte for byte and once,
with exactly its notes; then every task must come to its end.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import polars as pl

from kie_notes import rounds
from kie_notes.api.client import KieClient
from kie_notes.api.sandbox import Sandbox
from kie_notes.api.sandbox.documents import callback_document, midi_document
from kie_notes.api.webhook import sign
from kie_notes.collect import collect, watch
from kie_notes.store import Store, generations, seal
from tests.proofs.faulty import instruments_of, record
from tests.proofs.processes import Telling, compared, faults_of, judge, notes_in, tell

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "proof"

#: A kill falls within so many seconds after a word of its victim; how often each word is chosen.
MOMENTS = {"opening": 0.05, "up": 0.5, "seal": 0.03, "compact": 0.06}
OFTEN = (1, 2, 2, 3)

#: Kills after which another store is begun, and tasks that are new at each kill.
KILLS_A_STORE = 50
NEW_TASKS = 12

#: Seconds after which a process that does not say what it should is said to hang.
PATIENCE = 30.0


class BrokenError(Exception):
    """A law that does not hold."""


# The two that are killed, each in an interpreter of its own.


def collector(folder: str, url: str) -> None:
    """Watch a store until the kill, and merge its parts."""
    tell("opening")
    with Telling(folder) as store, KieClient(api_key="sandbox-key", base_url=url) as client:
        tell("up")
        threading.Thread(target=_tidy, args=(store,), daemon=True).start()
        watch(store, client, first_look=0.0, poll=(0.05, 0.2), stop=threading.Event(), progress=False)


def _tidy(store: Store) -> None:
    try:
        while True:
            time.sleep(random.uniform(0.0, 0.3))  # noqa: S311 -- no secret
            store.seal()
            store.compact()
    except BaseException:  # noqa: BLE001 -- a thread's fault is the process's
        traceback.print_exc()
        os._exit(1)


def receiver(folder: str, _: str) -> None:
    """Take callbacks until the kill."""
    from kie_notes.receiver import listen, work

    work._SEAL_EVERY = 0.1
    tell("opening")
    with Telling(folder) as store:
        listen(store, keys=[KEY], port=0, ready=lambda url: tell("up", url))


def become(what: str, folder: str, url: str) -> None:
    """Be one of the two, with small segments, short holds, and a short grace for old parts."""
    seal.SEGMENT_ANSWERS, generations.SEGMENT_ANSWERS = 8, 64
    rounds._HOLD, generations.GRACE_MS = 1.0, 5000
    threading.Thread(target=_end_too, daemon=True).start()
    {"collector": collector, "receiver": receiver}[what](folder, url)


def _end_too() -> None:
    """End when the proof does, however it ends."""
    sys.stdin.read()
    os._exit(1)


# How they look from here.


class Victim:
    """One of the two: what it said so far, and what it is at."""

    def __init__(self, what: str, folder: Path, url: str) -> None:
        self.what = what
        self.address = ""
        self.stored: list[tuple[str, str]] = []
        self.words: Counter[str] = Counter()
        self._heard = threading.Condition()
        command = [sys.executable, "-c", "import sys; from tests.proofs.kill import become; become(*sys.argv[1:])"]
        with (folder.parent / "stderr.txt").open("a") as errors:
            self._process = subprocess.Popen(
                [*command, what, str(folder), url],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._ear = threading.Thread(target=self._hear)
        self._ear.start()

    def _hear(self) -> None:
        with self._process as process:
            for line in process.stdout or ():
                word, *rest = line.split()
                with self._heard:
                    self.words[line.strip() if word == "end" else word] += 1
                    if word == "stored":
                        self.stored.append((rest[0], rest[1]))
                    elif word == "up" and rest:
                        self.address = rest[0]
                    self._heard.notify_all()

    def wait(self, word: str) -> None:
        """Wait until it says a word: once in its life "opening" or "up", the next time what it does often."""
        with self._heard:
            least = 1 if word in ("opening", "up") else self.words[word] + 1
            if not self._heard.wait_for(lambda: self.words[word] >= least or not self.lives, PATIENCE):
                raise BrokenError(f"the {self.what} hangs: it never came to {word!r}")

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> list[str]:
        """Kill it; gives what it was at."""
        if not self.lives:
            raise BrokenError(f"the {self.what} ended by itself, with {self._process.returncode}")
        self.end()
        return [word for word in ("seal", "compact") if self.words[word] > self.words[f"end {word}"]]

    def end(self) -> None:
        """Kill it, and hear all that it said."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._ear.join()


class Caller(threading.Thread):
    """Calls tasks back, one at a time, each until it is answered with 200; ``address`` gives the present receiver's."""

    def __init__(self, address: Callable[[], str]) -> None:
        super().__init__(daemon=True)
        self.address = address
        self.over = False
        self.acknowledged: list[tuple[str, str, str]] = []  # task, checksum of the body, word of the answer
        self.refused: list[str] = []
        self.waiting: SimpleQueue[str | None] = SimpleQueue()

    def run(self) -> None:
        """Call until the end."""
        while (task := self.waiting.get()) is not None:
            body = json.dumps(callback_document(midi_document(task, instruments_of(task)), "midi")).encode()
            while (word := self._sent(task, body)) is None:
                if self.over:
                    return
                time.sleep(0.01)
            self.acknowledged.append((task, hashlib.sha256(body).hexdigest(), word))

    def _sent(self, task: str, body: bytes) -> str | None:
        """The word of a 200, or None."""
        stamp = str(int(time.time()))
        headers = {"X-Webhook-Timestamp": stamp, "X-Webhook-Signature": sign(task, stamp, KEY)}
        line = http.client.HTTPConnection(urlsplit(self.address()).netloc or "127.0.0.1:1", timeout=15.0)
        try:
            line.request("POST", "/", body, headers)
            answer = line.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException):
            return None  # it was killed, or does not listen yet
        finally:
            line.close()
        if answer.status not in (200, 503):
            self.refused.append(f"HTTP {answer.status}: {said[:200]!r}")
        return str(json.loads(said)["msg"]) if answer.status == 200 else None


# What must hold.


def at_a_start(folder: Path) -> list[str]:
    """What is wrong with a store that was opened again after a kill; what a crash leaves on purpose is not."""
    with Store(folder):
        pass
    for _ in range(5):
        try:
            notes = pl.read_parquet(folder / "notes")
            break
        except FileNotFoundError:  # the names were read before another generation took over, a file after it
            continue
    else:
        return ["the notes folder cannot be read"]
    left = ("unfinished", "rubbish", "stray")
    return [*faults_of(folder, left), *compared(notes_in(notes), "the folder")]


# A store, and its kills.


class Trial:
    """One store with its collector, its receiver, the service, and all that was acknowledged."""

    def __init__(self, place: Path, chance: random.Random, kills: int) -> None:
        self.folder = place / "store"
        self.chance = chance
        self.tasks = [f"{chance.getrandbits(128):032x}" for _ in range((kills + 1) * NEW_TASKS)]
        self.fresh = iter(self.tasks)
        self.killed: Counter[str] = Counter()
        self.gone: list[Victim] = []
        self.sandbox = Sandbox({task: record(task) for task in self.tasks})
        self.caller = Caller(lambda: self.victims["receiver"].address)

    def run(self, kills: int) -> None:
        """Kill so many times, then see what came of it all."""
        self.sandbox.start()
        self.victims = {what: Victim(what, self.folder, self.sandbox.url) for what in ("collector", "receiver")}
        self.last = "receiver"
        self.caller.start()
        try:
            while (left := kills - self.killed["collector"] - self.killed["receiver"]) > 0:
                (word,) = self.chance.choices(list(MOMENTS), OFTEN)
                self._kill(word, both=left > 1 and self.chance.random() < 0.1)
            self._end()
        finally:
            self.caller.over = True
            self.caller.waiting.put(None)
            for one in self.victims.values():
                one.end()
            self.sandbox.close()

    def _kill(self, word: str, *, both: bool) -> None:
        """Give both something to do, kill one, or both, and start others in their places."""
        if word != "opening":
            self.last = "collector" if word == "compact" or self.last == "receiver" else "receiver"
            self.victims[self.last].wait("up")
        self._work()
        self.victims[self.last].wait(word)
        time.sleep(self.chance.uniform(0.0, MOMENTS[word]))
        for what in self.victims if both else [self.last]:
            victim = self.victims[what]
            self.killed.update([f"doing {one}" for one in victim.kill()])
            self.killed[what] += 1
            self.gone.append(victim)
            self.victims[what] = Victim(what, self.folder, self.sandbox.url)
        self._must(at_a_start(self.folder))

    def _work(self) -> None:
        """New tasks: some are entered, some called back, some both, and a few called back twice."""
        tasks = [next(self.fresh) for _ in range(NEW_TASKS)]
        with Store(self.folder) as store:
            store.add(task for at, task in enumerate(tasks) if at % 4 != 2)
        for task in [*tasks[2::4], *tasks[3::4], tasks[3]]:
            self.caller.waiting.put(task)

    def _end(self) -> None:
        """Have all callbacks answered, kill both, and judge: first what was acknowledged, then every task."""
        self.caller.waiting.put(None)
        self.caller.join(PATIENCE)
        if self.caller.is_alive():
            raise BrokenError("callbacks are not answered")
        for victim in self.victims.values():
            victim.end()
        self._must(judge(self.folder, [], self.acknowledged()))
        with Store(self.folder) as store, KieClient(api_key="sandbox-key", base_url=self.sandbox.url) as client:
            collect(self.tasks, store, client, deadline=PATIENCE, first_look=0.0, poll=(0.05, 0.2), progress=False)
        self._must(judge(self.folder, self.tasks, self.acknowledged()))

    def acknowledged(self) -> list[tuple[str, str]]:
        """All bodies that were acknowledged as taken. What is taken twice was lost the first time."""
        stored = [one for victim in (*self.gone, *self.victims.values()) for one in victim.stored]
        stored += [(task, sha256) for task, sha256, word in self.caller.acknowledged if word == "taken"]
        self._must([f"task {task}: taken {n} times" for (task, _), n in Counter(stored).items() if n > 1])
        return stored

    def _must(self, wrong: list[str]) -> None:
        heard = (self.folder.parent / "stderr.txt").read_text()
        wrong = [*wrong, *self.caller.refused, *([f"on stderr:\n{heard}"] if heard else [])]
        if wrong:
            raise BrokenError("\n".join(wrong[:20]))


def main(argv: list[str] | None = None) -> int:
    """Kill, and say what was lost; 0 when nothing was."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs kill", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="how often (default: 50)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments and victims (default: 1)")
    args = parser.parse_args(argv)
    chance = random.Random(args.seed)  # noqa: S311 -- no secret
    work = Path(tempfile.mkdtemp(prefix="kie-notes-kill-"))
    killed: Counter[str] = Counter()
    began, total, results, wrong = time.monotonic(), 0, 0, ""
    for at in range(0, args.kills, KILLS_A_STORE):
        place = work / f"{at:06d}"
        place.mkdir()
        kills = min(KILLS_A_STORE, args.kills - at)
        trial = Trial(place, chance, kills)
        try:
            trial.run(kills)
        except Exception as fault:  # noqa: BLE001 -- whatever it is, it is told, and the store kept
            wrong = "".join(traceback.format_exception(fault))
        killed += trial.killed
        results += len(trial.acknowledged()) if not wrong else 0
        total = killed["collector"] + killed["receiver"]
        if wrong:
            print(f"{total:,} kills, then:\n{wrong}\nthe store: {trial.folder}")
            return 1
        shutil.rmtree(place)
        print(f"{total:,} kills, {results:,} acknowledged results, {time.monotonic() - began:.0f} s", flush=True)
    work.rmdir()
    print(
        f"{total:,} kills ({killed['collector']} of the collector, {killed['receiver']} of the receiver,"
        f" {killed['doing seal']} while sealing, {killed['doing compact']} while compacting),"
        f" {results:,} acknowledged results: 0 lost, 0 twice, 0 files that cannot be read,"
        " check clean after every start"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
