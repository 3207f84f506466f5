"""A full disk, a folder that may only be read, a ledger that somebody deletes, a store of the first version."""

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from kie_notes.errors import StoreError
from kie_notes.store import Store
from kie_notes.store.check import check
from kie_notes.store.schema import MIGRATIONS

#: Puts answers until the disk is full, seals on a full disk, and goes on when there is room again.
PROGRAM = textwrap.dedent("""
    import json, os, random, resource, signal, sys
    from pathlib import Path
    from kie_notes.errors import StoreError
    from kie_notes.store import Store
    from kie_notes.store.check import check

    folder, way = Path(sys.argv[1]), sys.argv[2]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    ballast = folder / "ballast"

    def full(size):
        if way == "limit":
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            return
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        ballast.unlink(missing_ok=True)

    def answer(at):
        chance = random.Random(at)
        notes = [{"pitch": chance.randrange(128), "start": chance.random(), "end": 2, "velocity": chance.random()}
                 for _ in range(400)]
        return {"state": "complete", "instruments": [{"name": "A", "notes": notes}]}

    told = {"acknowledged": [], "faults": []}
    with Store(folder / "store") as store:
        for at in range(20):
            store.put(answer(at), task=f"t{at}")
            told["acknowledged"].append(f"t{at}")
        full(256 * 1024)
        try:
            for at in range(20, 400):
                store.put(answer(at), task=f"t{at}")
                told["acknowledged"].append(f"t{at}")
        except StoreError as fault:
            told["faults"].append(str(fault))
        told["while full"] = sorted(store.scan_notes().collect()["task"].cast(str).unique())
        full(8 * 1024)
        try:
            store.seal()
        except StoreError as fault:
            told["faults"].append(str(fault))
        told["tmp"] = [path.name for path in (folder / "store" / "tmp").iterdir()]
        room()
        store.put(answer(1000), task="later")
        told["sealed"] = store.seal()
        told["after"] = sorted(store.scan_notes().collect()["task"].cast(str).unique())
    told["check"] = check(folder / "store").rows()
    print(json.dumps(told))
""")


def told_by(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def small_disk(folder):
    """Run the program on a disk of 3 MB, where this system lets us have one."""
    mounted = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=3m tmpfs "$0" && exec "$@"', str(folder)]
    tried = subprocess.run([*mounted, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no disk of our own can be mounted here: {tried.stderr.strip()}")
    return told_by([*mounted, sys.executable, "-c", PROGRAM, str(folder), "disk"])


@pytest.fixture(scope="module", params=["limit", "disk"])
def told(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    if request.param == "disk":
        if shutil.which("unshare") is None:
            pytest.skip("no unshare here, so no disk of our own")
        return small_disk(folder)
    return told_by([sys.executable, "-c", PROGRAM, str(folder), "limit"])


def test_a_full_disk_is_a_clear_error_of_a_put_and_of_a_seal(told):
    put, seal = told["faults"]
    assert "ledger.sqlite: d" in put  # "database or disk is full", or "disk I/O error"
    assert "could not be written" in seal or "cannot be" in seal or "disk" in seal


def test_nothing_is_acknowledged_that_a_full_disk_did_not_take(told):
    assert told["while full"] == sorted(told["acknowledged"])


def test_a_seal_on_a_full_disk_leaves_no_rubbish(told):
    assert told["tmp"] == []


def test_when_there_is_room_again_everything_goes_on(told):
    assert told["after"] == sorted([*told["acknowledged"], "later"])
    assert told["sealed"] == len(told["acknowledged"]) + 1
    assert told["check"] == []


#: Reads a store as a user who may not write it. Everything is imported before rights are given up.
READER = textwrap.dedent("""
    import json, os, sys, tempfile
    from kie_notes.errors import StoreError
    from kie_notes.store import Store
    with Store(tempfile.mkdtemp()) as store:
        store.put({"state": "complete", "instruments": []}, task="a")
        store.scan_notes().collect(), store.scan_tasks().collect(), store.raw("a"), store.seal()
    if os.geteuid() == 0:
        os.setuid(65534)
    told = {}
    with Store(sys.argv[1]) as store:
        told["notes"] = store.scan_notes().collect()["pitch"].to_list()
        told["tasks"] = store.scan_tasks().select("task", "state").collect().rows()
        told["raw"] = [store.raw(task) is not None for task in ("sealed", "waiting")]
        told["faults"] = []
        for act in (lambda: store.put({"state": "complete", "instruments": []}, task="x"), lambda: store.add(["x"]),
                    store.seal, store.compact, store.rebuild):
            try:
                act()
                told["faults"].append("none")
            except StoreError as fault:
                told["faults"].append(str(fault))
    print(json.dumps(told))
""")


@pytest.fixture
def public():
    """A folder that other users can reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        for path in [Path(folder), *Path(folder).rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755)


def one_sealed_and_one_waiting(folder, *, die):
    """Write a store in a process that ends, or that dies and leaves what SQLite keeps beside a ledger."""
    program = (
        "import os, sys; from kie_notes.store import Store; store = Store(sys.argv[1]);"
        "body = lambda p: {'state': 'complete', 'instruments': [{'name': 'A', 'notes':"
        " [{'pitch': p, 'start': 0, 'end': 1, 'velocity': 1}]}]};"
        "store.put(body(60), task='sealed'); store.seal(); store.put(body(61), task='waiting');"
        "os._exit(0) if sys.argv[2] == 'True' else store.close()"
    )
    subprocess.run([sys.executable, "-c", program, str(folder), str(die)], check=True)


@pytest.mark.parametrize("left", ["nothing", "log and index", "log"])
def test_a_folder_that_may_only_be_read_is_read_whatever_a_crash_left(public, left):
    folder = public / "store"
    one_sealed_and_one_waiting(folder, die=left != "nothing")
    if left == "log":
        (folder / "ledger.sqlite-shm").unlink()
    assert (folder / "ledger.sqlite-wal").exists() == (left != "nothing")
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    told = told_by([sys.executable, "-c", READER, str(folder)])
    assert told["notes"] == [60, 61]
    assert told["tasks"] == [["sealed", "complete"], ["waiting", "complete"]]
    assert told["raw"] == [True, True]
    assert told["faults"][:2] == [f"{folder}: cannot be written (read-only)"] * 2
    assert all(word in fault for fault in told["faults"][2:] for word in (str(folder), "cannot be "))


def test_a_disk_that_is_mounted_for_reading_is_read(tmp_path):
    folder = tmp_path / "store"
    one_sealed_and_one_waiting(folder, die=False)
    mounted = ["unshare", "-rm", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"']
    if shutil.which("unshare") is None or subprocess.run([*mounted, str(tmp_path), "true"], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    reader = READER.replace("os.geteuid() == 0", "False")
    told = told_by([*mounted, str(tmp_path), sys.executable, "-c", reader, str(folder)])
    assert told["notes"] == [60, 61]
    assert "none" not in told["faults"]


def test_a_folder_in_which_nothing_may_be_made_is_no_place_for_a_new_store(public):
    (public / "store").mkdir(mode=0o555)
    program = (
        "import os, sys; from kie_notes.store import Store; from kie_notes.errors import StoreError\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: Store(sys.argv[1])\n"
        "except StoreError as fault: print(fault)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(public / "store")], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{public}/store/ledger.sqlite: cannot be opened: unable to open database file\n"


#: Counts the tasks of a store that it may only read, once for each line that it is given.
COUNTS = textwrap.dedent("""
    import os, sys
    from kie_notes.store import Store, scans

    if os.geteuid() == 0:
        os.setuid(65534)
    store = Store(sys.argv[1])
    for _ in range(2):
        print(store.scan_tasks().collect().height, flush=True)
        sys.stdin.readline()
""")


def test_a_reader_without_the_right_to_write_sees_what_others_wrote_since(public):
    folder = public / "grows"
    with Store(folder) as store:
        store.add(["t0"])
    command = [sys.executable, "-c", COUNTS, folder]
    folder.chmod(0o555)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "1\n"
        folder.chmod(0o755)
        with Store(folder) as store:
            store.add([f"t{at}" for at in range(1, 500)])
        folder.chmod(0o555)
        told, _ = process.communicate("\n\n", timeout=60)
    folder.chmod(0o755)
    assert told == "500\n"


def test_a_ledger_that_is_deleted_while_it_is_open_takes_nothing_more(broken):
    with Store(broken) as store:
        for path in broken.glob("ledger.sqlite*"):
            path.unlink()
        for _ in range(2):
            with pytest.raises(StoreError, match="the ledger was deleted or replaced while it was open; nothing more"):
                store.put({"state": "complete", "instruments": []}, task="x")
    with pytest.raises(
        StoreError,
        match="this was a store, but its ledger.sqlite is missing: 'kie-notes check --repair'",  # noqa: RUF043
    ):
        Store(broken)


#: Copies the store that it holds, which costs its locks on it, and puts an answer when others were there meanwhile.
COPIES = textwrap.dedent("""
    import shutil, sys
    from kie_notes.errors import StoreError
    from kie_notes.store import Store

    store = Store(sys.argv[1])
    store.put({"state": "complete", "instruments": []}, task="before")
    shutil.copytree(sys.argv[1], sys.argv[2], symlinks=True)
    print("copied", flush=True)
    sys.stdin.readline()
    try:
        store.put({"state": "complete", "instruments": []}, task="after")
        print("acknowledged")
    except StoreError as fault:
        print(fault)
""")


def test_a_process_that_copied_its_folder_acknowledges_nothing_into_a_log_that_others_removed(tmp_path):
    command = [sys.executable, "-c", COPIES, tmp_path / "store", tmp_path / "copy"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "copied\n"
        with Store(tmp_path / "store") as other:
            other.put({"state": "complete", "instruments": []}, task="other")
        told, _ = process.communicate("\n", timeout=60)
    assert "the ledger's log was deleted or replaced while it was open; nothing more is acknowledged" in told
    with Store(tmp_path / "store") as store:
        assert store.scan_tasks().collect()["task"].to_list() == ["before", "other"]
    assert check(tmp_path / "store").height == 0


def test_a_ledger_without_a_byte_is_not_taken_for_a_new_one(broken):
    (broken / "ledger.sqlite").write_bytes(b"")
    with pytest.raises(StoreError, match="this was a store, but its ledger.sqlite is missing"):  # noqa: RUF043
        Store(broken)


@pytest.fixture
def first_version(broken):
    """The same store as the first version of this library had it: no generations, no links, older tables."""
    with closing(sqlite3.connect(broken / "ledger.sqlite", isolation_level=None)) as db:
        db.execute("DELETE FROM aside")
        tables = {
            "task": "id, state, created, deadline, next_look, attempts, lease_until, last_error, label, seq, sha256,"
            " audio_id, created_at, completed_at, fetched_at, tracks, notes, rejected, error_code, error_message,"
            " source",
            "inbox": "seq, task, source, received, sha256, size, body",
            "segment": "id, first, last, state, answers, notes, rejects, checksums",
        }
        db.execute("ATTACH ? AS old", (str(broken / "old.sqlite"),))
        with closing(sqlite3.connect(broken / "old.sqlite", isolation_level=None)) as old:
            old.executescript(MIGRATIONS[0])
            old.execute("PRAGMA user_version = 1")
        for table, columns in tables.items():
            db.execute(f"INSERT INTO old.{table} ({columns}) SELECT {columns} FROM main.{table}")  # noqa: S608
    for path in broken.glob("ledger.sqlite*"):
        path.unlink()
    (broken / "old.sqlite").rename(broken / "ledger.sqlite")
    for kind in ("raw", "notes", "rejects"):
        home = (broken / kind).resolve()
        (broken / kind).unlink()
        (home / "part-000000.parquet").unlink()
        home.rename(broken / kind)
    shutil.rmtree(broken / "parts")
    (broken / "work.lock").unlink(missing_ok=True)
    return broken


def test_a_store_of_the_first_version_is_brought_up_to_date_when_it_is_opened(whole, first_version, content):
    assert check(first_version).select("fault", "repair").rows() == [
        ("ledger-version", "any writing command brings it up to date")
    ]
    assert content(first_version) == content(whole)
    assert check(first_version).height == 0
    with Store(first_version) as store:
        store.rebuild()
        assert store.compact() == 2  # the answer that waited has a part of its own
    assert content(first_version) == content(whole)
    assert check(first_version).height == 0


def test_a_store_of_the_first_version_that_lost_its_ledger_gets_a_new_one(whole, first_version, content):
    from kie_notes.store.repair import repair

    (first_version / "ledger.sqlite").unlink()
    assert repair(first_version)["done"].all()
    assert check(first_version).height == 0
    notes, _ = content(first_version)
    assert notes == [row for row in content(whole)[0] if row[0] != "waiting"]
    assert pl.read_parquet(first_version / "notes").height == len(notes)
