"""A store's notes on an object store, and copies of a store."""

import contextlib
import shutil
import subprocess
from urllib.request import Request, urlopen

import polars as pl
import pytest
from moto.server import ThreadedMotoServer
from polars.testing import assert_frame_equal

from kie_notes.analysis.pitch import pitch_histogram
from kie_notes.analysis.rhythm import onset_density
from kie_notes.analysis.summary import task_summary
from kie_notes.errors import StoreError
from kie_notes.store import Store
from kie_notes.store.check import check
from kie_notes.store.repair import repair


@pytest.fixture(scope="module")
def bucket(whole):
    """An S3 server on this machine that holds the parts of a store's notes folder."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    for path, body in [("", None), *((part.name, part.read_bytes()) for part in (whole / "notes").iterdir())]:
        plain = {"Content-Type": "application/octet-stream"}  # or else the server reads it as a form
        request = Request(f"{address}/songs/{'notes/' if path else ''}{path}", body, plain, method="PUT")  # noqa: S310
        urlopen(request, timeout=20).close()  # noqa: S310 -- on loopback
    yield {
        "aws_endpoint_url": address,
        "aws_access_key_id": "any",
        "aws_secret_access_key": "any",
        "aws_region": "us-east-1",
        "aws_allow_http": "true",
    }
    server.stop()


@pytest.mark.parametrize("helper", [pitch_histogram, onset_density, task_summary])
def test_helpers_read_a_notes_folder_on_an_object_store(whole, bucket, helper):
    there = pl.scan_parquet("s3://songs/notes/*.parquet", storage_options=bucket).pipe(helper).collect()
    here = pl.scan_parquet(whole / "notes/*.parquet").pipe(helper).collect()
    assert here.height > 0
    assert_frame_equal(there, here)


def test_a_part_of_the_tasks_is_read_from_an_object_store(bucket):
    notes = pl.scan_parquet("s3://songs/notes/*.parquet", storage_options=bucket)
    assert notes.filter(pl.col("task").cast(pl.String) == "again").select("pitch").collect()["pitch"].to_list() == [
        60,
        61,
    ]


def copied_by_cp(store, copy):
    subprocess.run(["cp", "-r", str(store), str(copy)], check=True)


def copied_with_links_followed(store, copy):
    subprocess.run(["cp", "-rL", str(store), str(copy)], check=True)


def tree_with_links(store, copy):
    shutil.copytree(store, copy, symlinks=True)


def tree_with_links_followed(store, copy):
    shutil.copytree(store, copy, symlinks=False)


@pytest.mark.parametrize(
    "way",
    [copied_by_cp, copied_with_links_followed, tree_with_links, tree_with_links_followed],
    ids=lambda f: f.__name__,
)
def test_a_copy_of_a_store_is_a_store(whole, content, tmp_path, way):
    copy = tmp_path / "copy"
    way(whole, copy)
    assert content(copy) == content(whole)
    assert check(copy).height == 0
    with Store(copy) as store:
        store.put({"state": "complete", "instruments": []}, task="only here")
        store.seal()
        store.compact()
    assert check(copy).height == 0
    assert not (copy / "damaged").exists()
    assert {path.name for path in (copy / "parts").iterdir()} == {"000001", "000002", "current"}


def test_what_differs_in_a_copy_with_links_followed_is_kept(whole, content, tmp_path):
    copy = tmp_path / "copy"
    tree_with_links_followed(whole, copy)
    (copy / "notes/part-000001.parquet").write_bytes(b"mine")
    assert content(copy) == content(whole)
    assert (copy / "damaged/notes-part-000001.parquet").read_bytes() == b"mine"


def test_a_copy_with_links_followed_is_told_and_put_right(whole, tmp_path):
    copy = tmp_path / "copy"
    tree_with_links_followed(whole, copy)
    assert check(copy).select("fault", "where").rows() == [
        ("link", name) for name in ("raw", "notes", "rejects", "parts/current")
    ]
    assert repair(copy)["done"].all()
    assert check(copy).height == 0


def test_a_copy_of_the_parts_alone_becomes_a_store_again(whole, content, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(whole / "parts", copy / "parts", symlinks=True)
    with pytest.raises(StoreError, match="other files are in it"), contextlib.closing(Store(copy)):
        pass
    repair(copy)
    assert content(copy)[0] == [row for row in content(whole)[0] if row[0] != "waiting"]
