"""All that is measured, by name: how this library does it, who else does, and what nobody can do faster."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tests.benchmarks import files, midi
from tests.benchmarks.analysis import QUESTIONS, all_sixteen, asked, other_helpers, peers, read
from tests.benchmarks.chunks import CASES, in_chunks
from tests.benchmarks.objects import OBJECTS
from tests.benchmarks.ways import FILES, OURS, TABLES, loads, store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.measure import Way

#: What a measurement's figure is: CPU a note, bytes a note, CPU of the whole.
Unit = Literal["ns", "B", "ms"]

#: How a row names this library, and the limit.
HERE: Final = "kie_notes"
LIMIT: Final = "limit"


class Measurement(NamedTuple):
    """A row of the table."""

    ours: Way
    peers: Mapping[str, Way] = {}
    limit: Way | None = None
    needs: tuple[str, ...] = ("parts",)
    unit: Unit = "ns"
    capped: bool = False
    extra: bool = False

    def ways(self) -> dict[str, Way]:
        """Name all ways, this library's first."""
        return {HERE: self.ours, **self.peers} | ({LIMIT: self.limit} if self.limit else {})


def _plain(name: str) -> str:
    return name.removesuffix(", to Parquet").removesuffix(" to Parquet").removesuffix(" (compiled)")


def _of_json() -> dict[str, Measurement]:
    needs = ("parts", "json")
    slow = [{_plain(name): files.few_records(way) for name, way in ways.items()} for ways in (TABLES, FILES)]
    others = [{name: way for name, way in ways.items() if not name.startswith("kie_notes")} for ways in slow]
    limit = files.records(loads)
    return {
        "JSON to a DataFrame": Measurement(files.records(TABLES[OURS]), others[0], limit, needs),
        "JSON to Parquet": Measurement(files.records(FILES[f"{OURS} to Parquet"]), others[1], limit, needs),
        "JSON into a store": Measurement(files.records(store), {}, limit, needs),
    }


def _of_parquet() -> dict[str, Measurement]:
    writers = {"Polars": files.by_polars, "pyarrow": files.by_pyarrow, "DuckDB": files.by_duckdb}
    written = {name: files.part_as(writer) for name, writer in writers.items()}
    sizes = {name: files.size_as(writer) for name, writer in writers.items()}
    scans = {"pyarrow": files.scanned_by_pyarrow, "DuckDB": files.scanned_by_duckdb}
    return {
        "a part of a store written": Measurement(files.part_written, written, files.bytes_written),
        "bytes a note": Measurement(files.size_of_parts, sizes, unit="B"),
        "two columns scanned": Measurement(files.scanned, scans, files.columns_read),
        "bytes read by that": Measurement(files.bytes_scanned, limit=files.columns_read, unit="B"),
    }


def _of_analysis() -> dict[str, Measurement]:
    rows = {
        name: Measurement(asked(question.helper), peers(name), read(*question.needs))
        for name, question in QUESTIONS.items()
    }
    sixteen = Measurement(*all_sixteen())
    rows["all sixteen, one scan"] = sixteen
    rows["all sixteen, in chunks"] = sixteen._replace(ours=in_chunks("sixteen"), peers={}, capped=True)
    others = {name: Measurement(way, OBJECTS.get(name, {}), extra=True) for name, way in other_helpers().items()}
    chunks = {f"{case}, in chunks": Measurement(in_chunks(case), extra=True) for case in CASES if case != "sixteen"}
    return rows | others | chunks


def _of_midi() -> dict[str, Measurement]:
    writers = {"pretty_midi": midi.pretty_midi_writes, "mido": midi.mido_writes}
    readers = {"pretty_midi": midi.pretty_midi_reads, "mido": midi.mido_reads}
    written = Measurement(midi.written, {name: midi.written_by(loop) for name, loop in writers.items()}, midi.dumped)
    read_ = Measurement(midi.read, {name: midi.read_by(loop) for name, loop in readers.items()}, midi.parsed)
    rows = {
        "MIDI written": written,
        "MIDI read": read_,
        "MIDI read without symusic": read_._replace(ours=midi.read_without_symusic, extra=True),
    }
    return {name: one._replace(needs=("parts", "midi")) for name, one in rows.items()}


def _of_starting() -> dict[str, Measurement]:
    limit = files.python("-c", "pass")
    others = {name: files.importing(name) for name in ("polars", "pretty_midi", "muspy")}
    return {
        "import kie_notes": Measurement(files.python("-c", "import kie_notes"), others, limit, unit="ms"),
        "from kie_notes import *": Measurement(files.python("-c", "from kie_notes import *"), others, limit, unit="ms"),
        "kie-notes --help": Measurement(files.python("-m", "kie_notes.cli", "--help"), {}, limit, unit="ms"),
    }


MEASUREMENTS: Final = _of_json() | _of_parquet() | _of_analysis() | _of_midi() | _of_starting()


def choose(patterns: Sequence[str]) -> list[str]:
    """Give the names that a pattern matches, or without patterns those of the table, in its order."""
    if not patterns:
        return [name for name, measurement in MEASUREMENTS.items() if not measurement.extra]
    lower = [pattern.lower() for pattern in patterns]
    return [name for name in MEASUREMENTS if any(fnmatch(name.lower(), pattern) for pattern in lower)]
