"""Notes to MIDI files against the loop that people write with pretty_midi: ``python -m tests.benchmarks.midi_writing``.

The loop keeps less: notes of one pitch that overlap are cut, times are rounded to 220 ticks a quarter. Its time is that
of its first files, in every round, since all of them would take minutes.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pretty_midi

from kie_notes import flatten, read_records
from kie_notes.instruments import instrument
from kie_notes.midi.write import midi_bytes, write_midi
from tests.benchmarks.corpus import write_corpus

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl


class Spent(NamedTuple):
    """Nanoseconds a note: of all processors, and on the clock."""

    cpu: float
    wall: float


def loop(notes: pl.DataFrame, folder: Path | None) -> None:
    """Make a PrettyMIDI object of each task and write it."""
    for (task,), one in notes.partition_by("task", as_dict=True, maintain_order=True).items():
        midi = pretty_midi.PrettyMIDI()
        for (_, name), part in one.partition_by("track", "instrument", as_dict=True, maintain_order=True).items():
            plays = instrument(name)
            track = pretty_midi.Instrument(plays.program, plays.is_drums, name)
            for pitch, start, end, velocity in part.select("pitch", "start", "end", "velocity").iter_rows():
                track.notes.append(pretty_midi.Note(round(velocity * 127), pitch, start, end))
            midi.instruments.append(track)
        midi.write(io.BytesIO() if folder is None else str(folder / f"{task}.mid"))


def spent(act: Callable[[], object], notes: int) -> Spent:
    """Run once; ended child processes count."""
    began, wall = sum(os.times()[:4]), time.perf_counter()
    act()
    return Spent((sum(os.times()[:4]) - began) / notes * 1e9, (time.perf_counter() - wall) / notes * 1e9)


def writing(files: int = 500, per_task: int = 5_000, rounds: int = 3, looped: int = 8, workers: int = 2) -> None:
    """Print nanoseconds a note of each way, and how many times as long the loop takes, round by round."""
    with tempfile.TemporaryDirectory() as name:
        records, into = Path(name) / "records", Path(name) / "midi"
        records.mkdir()
        into.mkdir()
        notes = flatten(read_records(write_corpus(records, files * per_task, per_task=per_task))).notes
        some = notes.filter(notes["task"].is_in(notes["task"].unique(maintain_order=True)[:looped].implode()))
        loops = {
            "bytes": lambda: loop(some, None),
            "files": lambda: loop(some, into),
        }
        ours = {
            "bytes, one process": ("bytes", lambda: midi_bytes(notes, engine="symusic")),
            "files, one process": ("files", lambda: write_midi(notes, into, engine="symusic")),
            f"files, {workers} processes": (
                "files",
                lambda: write_midi(notes, into, engine="symusic", workers=workers),
            ),
        }
        print(f"\n{notes.height:,} notes of {files} tasks to MIDI; the pretty_midi loop: {some.height:,} of them")
        ratios: dict[str, list[Spent]] = {way: [] for way in ours}
        each: dict[str, list[Spent]] = {way: [] for way in [*ours, *(f"loop, {way}" for way in loops)]}
        midi_bytes(some, engine="symusic")
        for _ in range(rounds):
            peers = {way: spent(act, some.height) for way, act in loops.items()}
            for way, one in peers.items():
                each[f"loop, {way}"].append(one)
            for way, (peer, act) in ours.items():
                one = spent(act, notes.height)
                each[way].append(one)
                ratios[way].append(Spent(peers[peer].cpu / one.cpu, peers[peer].wall / one.wall))
    print(f"{'':28} {'CPU ns':>8} {'wall ns':>8}   {'loop / this, CPU':>24} {'loop / this, wall':>24}")
    for way, all_ in each.items():
        cpu, wall = (statistics.median(column) for column in zip(*all_, strict=True))
        told = "".join(f" {_told(column):>24}" for column in zip(*ratios.get(way, []), strict=True))
        print(f"{way:28} {cpu:8.0f} {wall:8.0f}  {told}")


def _told(ratios: tuple[float, ...]) -> str:
    return f"{statistics.median(ratios):.0f} ({min(ratios):.0f} - {max(ratios):.0f})"


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.midi_writing", description=__doc__)
    parser.add_argument("--files", type=int, default=500, help="tasks in the corpus (default: 500)")
    parser.add_argument("--per-task", type=int, default=5_000, help="notes in a task (default: 5_000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    options = parser.parse_args()
    writing(options.files, options.per_task, options.rounds)


if __name__ == "__main__":
    main()
