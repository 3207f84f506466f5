"""Everything that the library writes, logs, raises and shows, searched for the account's key and the webhook's.

A service that answers with every fault, and one that repeats the key in every place and spelling, are asked by a
collector and by the command line, with all loggers on. A receiver is given good, forged, malformed and oversized
callbacks. Then all that is left is searched: every file, with what Parquet and the ledger keep compressed, all output,
log lines, exceptions with all that hangs on them, and the reprs of every object that knows a key.

A key is searched for as it is, percent-encoded, as JSON and Python spell it (once or several times over), and in
base64, wherever in a longer text it stands. Planted keys show that the search finds them.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes

import pyarrow.parquet as pq

import kie_notes as kn
from kie_notes.api.webhook import sign, verify_signature
from kie_notes.errors import AuthenticationError, CreditsError, KieNotesError, MaintenanceError, RateLimitError
from kie_notes.receiver import create_app
from kie_notes.store.ledger import unzip
from tests.proofs import faults
from tests.proofs.faulty import FAULTS, Answer, Asked, Faulty, echoes, record, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Every spelling of these differs from the others.
KEY = 'k3y/of+the"proof\\0123456789'
WEBHOOK_KEY = 'h00k/of+the"proof\\9876543210'

PATIENCE = faults.PATIENCE | {"attempts": 1}
SHORT: dict[str, Any] = {"deadline": 0.4, "first_look": 0.0, "poll": (0.01, 0.05), "grace": 0.0, "progress": False}

#: Faults at which the command line waits for a minute.
SILENT = ("no answer", "silence in the head", "silence in the body", "a byte now and then")


# The search.


def in_base64(key: str) -> set[bytes]:
    """What of the key is the same in the base64 of any text in which it stands, in both alphabets."""
    found = set()
    for before in range(3):  # bytes that share its first letters
        text = base64.b64encode(b"\0" * before + key.encode())
        whole = text[-(-8 * before // 6) : (before + len(key)) * 8 // 6]
        found |= {whole, whole.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


class Search:
    """Looks for keys in whatever it is given, and counts that."""

    def __init__(self, *keys: str) -> None:
        self._plain = [key.replace("\\", "").encode() for key in keys]
        self._packed = [form for key in keys for form in in_base64(key)]
        self.searched: Counter[str] = Counter()
        self.found: list[str] = []

    def text(self, kind: str, where: str, data: str | bytes) -> None:
        """Search one text; ``kind`` is what it is counted as."""
        data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        self.searched[kind] += 1
        self.searched["bytes"] += len(data)
        bare = unquote_to_bytes(re.sub(rb"\\+u00([0-9a-fA-F]{2})", rb"%\1", data)).replace(b"\\", b"")
        if any(key in bare for key in self._plain) or any(form in data or form in bare for form in self._packed):
            self.found.append(f"{kind}: {where}")

    def folder(self, root: Path) -> None:
        """Search every file, and what is compressed in it."""
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            where = str(path.relative_to(root))
            self.text("files", where, path.read_bytes())
            if path.suffix == ".parquet":
                for column in pq.read_table(path).to_pydict().items():
                    self.text("columns", where, repr(column))
            if path.suffix == ".sqlite":
                self._database(path, where)

    def _database(self, path: Path, where: str) -> None:
        with closing(sqlite3.connect(path)) as db:
            db.row_factory = sqlite3.Row
            tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            for table in tables:
                for row in db.execute(f"SELECT * FROM {table}"):  # noqa: S608 -- a name out of the file itself
                    cells = dict(row)
                    body = unzip(cells.pop("body"), cells["size"]) if "body" in cells else b""
                    self.text("rows", f"{where}, {table}", repr(cells).encode() + body)

    def exception(self, where: str, fault: BaseException) -> None:
        """Search an exception, those that it came from, and all that hangs on them."""
        shown = traceback.TracebackException.from_exception(fault).format()
        self.text("exceptions", where, "".join(shown))
        for text in reachable(fault):
            self.text("parts of exceptions", where, text)


def reachable(thing: object, depth: int = 8, seen: set[int] | None = None) -> Iterator[str | bytes]:
    """All texts on a thing: what it shows of itself, what is in it, what its attributes hold, and so on."""
    seen = set() if seen is None else seen
    if id(thing) in seen or not depth:
        return
    seen.add(id(thing))
    if isinstance(thing, str | bytes | bytearray):
        yield bytes(thing) if isinstance(thing, bytearray) else thing
        return
    yield repr(thing)
    inner: list[object] = []
    if isinstance(thing, BaseException):
        yield str(thing)
        inner += [thing.args, thing.__cause__, thing.__context__, *getattr(thing, "__notes__", ())]
    if isinstance(thing, dict):
        inner += [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset):
        inner += thing
    elif not isinstance(thing, type) and not callable(thing):
        inner += getattr(thing, "__dict__", {}).values()
    for one in inner:
        yield from reachable(one, depth - 1, seen)


class Lines(logging.Handler):
    """Searches every log line as it comes, with what it was made of."""

    def __init__(self, search: Search) -> None:
        super().__init__(logging.DEBUG)
        self.search = search

    def emit(self, line: logging.LogRecord) -> None:
        self.search.text("log lines", line.name, f"{self.format(line)} {line.__dict__!r}")
        if line.exc_info and line.exc_info[1]:
            self.search.exception(f"log line of {line.name}", line.exc_info[1])


@contextmanager
def all_logged(search: Search) -> Iterator[None]:
    root = logging.getLogger()
    handler, level = Lines(search), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


# A service that repeats the key, or has any other fault.


def spellings(key: str) -> list[str]:
    """The key as it may come back."""
    in_json = json.dumps(key)[1:-1]
    packed = [base64.b64encode(text.encode()).decode() for text in (key, f"x{key}", f"Bearer {key}")]
    unusual = "".join(letter if letter.isalnum() else f"\\u{ord(letter):04x}" for letter in key)
    urlsafe = base64.urlsafe_b64encode(f"?{key}".encode()).decode()
    return [key, quote(key, safe=""), quote(key), in_json, in_json.replace("/", "\\/"), unusual, *packed, urlsafe]


class Service(Faulty):
    """Gives each task, and each order, the fault of its number; or everybody the one whose ``turn`` it is."""

    def __init__(self, *, short: bool) -> None:
        super().__init__(self._said)
        self.turn: int | None = None
        faults = [fault for fault in FAULTS[:: 3 if short else 1] if not (short and fault.name in SILENT)]
        self.faults = [fault.answer for fault in faults] + echoes(KEY, spellings(KEY)[: 2 if short else None])
        self.tasks = [f"{at:032x}" for at in range(len(self.faults))]
        self.silent = {task for task, fault in zip(self.tasks, faults, strict=False) if fault.name in SILENT}
        self.echoing = self.tasks[len(faults) :]

    def _said(self, asked: Asked) -> Answer:
        if self.turn is not None:
            return self.faults[self.turn](asked)
        at = int(json.loads(asked.body)["taskId"] if asked.body else asked.task, 16)
        return self.faults[at](asked) if at < len(self.faults) else whole(asked)


# What is run.


class Library:
    """The library in this process: everything that it raises, logs and shows is searched."""

    def __init__(self, service: Service, search: Search, folder: Path) -> None:
        self.service = service
        self.search = search
        self.folder = folder

    def client(self) -> kn.KieClient:
        return kn.KieClient(api_key=KEY, base_url=self.service.url, **PATIENCE)

    def tries(self, act: Callable[..., object], *given: object, **options: object) -> Exception | None:
        """Do something that may fail; gives the error."""
        where = f"{act.__name__}({given})"
        try:
            self.search.text("reprs", where, repr(act(*given, **options)))
        except (KieNotesError, ValueError, TypeError) as fault:
            self.search.exception(where, fault)
            return fault
        return None

    def asks(self) -> list[str]:
        """Ask every question while each fault lasts; gives the tasks whose faults concern no other task."""
        apart = []
        for at, task in enumerate(self.service.tasks):
            self.service.turn = at
            with self.client() as client:
                stops = self.tries(client.midi_record, task)
                self.tries(client.credits)
            with self.client() as client:
                self.tries(client.generate_midi, task)
                self.tries(client.separate, audio_url="https://a.invalid/x.wav")
            if not isinstance(stops, (AuthenticationError, CreditsError, MaintenanceError, RateLimitError)):
                apart.append(task)
        self.service.turn = None
        return apart

    def collects(self, apart: list[str]) -> None:
        """Collect and submit all tasks: those together that may be, the others one by one."""
        alone = [[task] for task in self.service.tasks if task not in set(apart)]
        for name, lists in (("apart", [apart]), ("alone", alone)):
            with kn.Store(self.folder / name) as store:
                for tasks in lists:
                    with self.client() as client:
                        self.tries(kn.collect, tasks, store, client, **SHORT)
        for at in range(0, len(apart), 18):  # no more in one store: 20 orders may be sent in 10 s
            with kn.Store(self.folder / f"orders-{at}") as store:
                self.submits(store, apart[at : at + 18])
        with kn.Store(self.folder / "orders") as store:
            for tasks in alone:
                self.submits(store, tasks)

    def submits(self, store: kn.Store, sources: list[str]) -> None:
        with self.client() as client:
            self.tries(kn.submit, sources, store, client, progress=False)
            for _ in range(len(sources) // 3):  # three unclear answers in a row end a call
                self.tries(kn.submit_pending, store, client, progress=False)

    def shows(self) -> None:
        """Search the reprs of all that knows a key, and of what these hold."""
        with kn.Store(self.folder / "apart") as store, self.client() as client:
            app = create_app(store, keys=[WEBHOOK_KEY], client=client)
            for one in (client, client.session, store, app, app.routes[0]):
                self.search.text("reprs", type(one).__name__, f"{one!r} {one} {vars(one)!r}")
        for given in ((None, None), ("x", "x"), ("1", WEBHOOK_KEY), ("1", sign("t1", "1", "other"))):
            for keys in ([WEBHOOK_KEY], ["old", WEBHOOK_KEY], [WEBHOOK_KEY, ""], WEBHOOK_KEY):
                self.tries(verify_signature, "t1", *given, keys)


def commands(service: Service, apart: list[str], search: Search, folder: Path, *, short: bool) -> None:
    """Run the command line, with all loggers on, and search what it prints."""
    loud = [task for task in apart if task not in service.silent]
    stops = next(task for task in service.echoing if task not in apart)
    (folder / "ids.txt").write_text("\n".join(loud))
    at_once = ("--submitted", f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}", "--deadline", "1")
    lines = [
        ("fetch", "--file", "ids.txt", *at_once),
        ("submit", *loud[-9:]),
        ("watch", "--deadline", "1"),
        ("status", "--json"),
        ("check",),
    ]
    if not short:
        lines += [
            ("fetch", stops, *at_once),
            ("submit", "--pending"),
            ("submit", stops),
            ("separate", f"{loud[-1]}:song"),
            ("status",),
            ("list", "submissions", "--json"),
        ]
    for line in lines:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *line],
            cwd=folder,
            env=environment(service, folder),
            capture_output=True,
            check=False,
            timeout=120,
        )
        for output in (done.stdout, done.stderr):
            search.text("outputs", f"kie-notes {line[0]}", output)
        search.searched["lines of output"] += (done.stdout + done.stderr).count(b"\n")


#: The command line with all loggers on.
COMMAND = "import logging; logging.basicConfig(level=logging.DEBUG); from kie_notes.cli import main; main()"


def environment(service: Service, folder: Path) -> dict[str, str]:
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    keys = {"KIE_API_KEY": KEY, "KIE_WEBHOOK_KEYS": f"{WEBHOOK_KEY},another-key"}
    places = {"KIE_BASE_URL": service.url, "KIE_STORE": "kie-store", "TMPDIR": str(folder / "tmp")}
    return {name: value for name, value in os.environ.items() if not name.startswith("KIE_")} | keys | places


def receiver(service: Service, search: Search, folder: Path) -> None:
    """Give a receiver callbacks of every kind, and search its answers and what it logs."""
    command = [sys.executable, "-c", COMMAND, "listen", "--port", "0"]
    log = folder / "listen.log"  # among the files that are searched
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            command, cwd=folder, env=environment(service, folder), stdout=stderr, stderr=stderr
        ) as process,
    ):
        try:
            while (address := re.search(r"listening on http://127.0.0.1:(\d+)/", log.read_text())) is None:
                if process.poll() is not None:
                    raise RuntimeError(log.read_text())
                time.sleep(0.05)
            for name, body, headers in callbacks():
                line = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=20)
                with closing(line), suppress(OSError):  # what is too large is not read to its end
                    line.request("POST", "/", body, headers)
                    answer = line.getresponse()
                    search.text("answers", name, f"{answer.status} {answer.headers} {answer.read()!r}")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def callbacks() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Callbacks: a name, the body, the headers."""
    task = f"{1 << 40:032x}"  # a number that has no fault
    good = record(task)
    stamp = str(int(time.time()))
    right = {"X-Webhook-Timestamp": stamp, "X-Webhook-Signature": sign(task, stamp, WEBHOOK_KEY)}
    yield "good", good, right
    yield "good, again", good, right
    yield "unsigned", good, {}
    yield "no HTTP time", good, right | {"X-Webhook-Timestamp": "now"}
    yield "replayed", good, right | {"X-Webhook-Timestamp": "1"}
    for forged in (sign(task, stamp, "other"), WEBHOOK_KEY, "***", ""):
        yield "forged", good, right | {"X-Webhook-Signature": forged}
    for malformed in (b"", b"<html>", b"[]", b'{"data":{}}', b"\xff", b"[" * 100_000, good[:-9]):
        yield "malformed", malformed, right
    yield "another body", b'{"taskId":"%s","data":7}' % task.encode(), right
    yield "oversized", good + b" " * (17 << 20), right


# All of it.


def planted(folder: Path) -> tuple[int, int]:
    """How many keys were planted for the search to find, and how many it found."""
    places = found = 0
    for at, text in enumerate([*spellings(KEY), WEBHOOK_KEY]):
        place = folder / f"planted-{at}"
        with kn.Store(place / "store") as store:
            store.put(record("t1", errorMessage=f"so {text}", callbackUrl=text))
            store.seal()
            store.put(record("t2", callbackUrl=f"https://a.invalid/{text}"))
            store.add(["t3"], label=text)
        fault = KieNotesError("nothing")
        fault.__context__ = OSError({"header": [text]})
        places += 4
        search = Search(KEY, WEBHOOK_KEY)
        search.folder(place)
        search.exception("planted", fault)
        kinds = {one.split(":")[0] for one in search.found}
        found += len(kinds & {"columns", "rows", "files", "parts of exceptions"})
    return places, found


def main(argv: list[str] | None = None) -> int:
    """Run everything and search it; gives 0 when no key was found but those that were planted."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.proofs secrets", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--short", action="store_true", help="some faults, spellings and commands only")
    short = parser.parse_args(argv).short
    began = time.monotonic()
    search = Search(KEY, WEBHOOK_KEY)
    with tempfile.TemporaryDirectory() as place, Service(short=short) as service:
        folder = Path(place) / "work"
        folder.mkdir()
        with all_logged(search):
            library = Library(service, search, folder / "library")
            apart = library.asks()
            library.collects(apart)
            library.shows()
        commands(service, apart, search, folder, short=short)
        receiver(service, search, folder)
        search.folder(folder)
        places, seen = planted(Path(place))
    for where in search.found[:50]:
        print(f"a key is in {where}")
    print(f"{len(service.faults)} faults, {len(service.seen):,} requests, {time.monotonic() - began:.0f} s")
    print("searched: " + ", ".join(f"{count:,} {kind}" for kind, count in search.searched.items()))
    print(f"{seen} of {places} planted keys were found; {len(search.found)} hold a key")
    return int(bool(search.found) or seen != places)


if __name__ == "__main__":
    sys.exit(main())
