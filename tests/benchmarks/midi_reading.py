"""``python -m tests.benchmarks.midi_reading [FOLDER]``: a folder of MIDI files into one table, beside pretty_midi.

Without a folder, files are made: of 5,000, 1,000 and 50 notes, seven tracks, 120 quarters a minute.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pretty_midi
import symusic
from symusic.core import NoteTickList

from kie_notes.midi.corpus import read_midi
from tests.benchmarks.corpus import _BAND

if TYPE_CHECKING:
    from collections.abc import Callable


def write_files(folder: Path, files: int, notes: int) -> None:
    """Write files of random notes, the same every time."""
    rng = np.random.default_rng(1)
    for number in range(files):
        score = symusic.Score(480)
        for name, share, lowest, highest in _BAND:
            count = int(notes * share)
            start = np.sort(rng.integers(0, notes * 8, count) * 5).astype(np.int32)
            length = rng.integers(20, 1000, count).astype(np.int32)
            pitch = rng.integers(lowest, highest + 1, count).astype(np.int8)
            track = symusic.Track(name, 0, name == "Drums")
            track.notes = NoteTickList.from_numpy(start, length, pitch, rng.integers(1, 128, count).astype(np.int8))
            score.tracks.append(track)
        score.dump_midi(folder / f"{number:05}.mid")


def loop(paths: list[Path]) -> pl.DataFrame:
    """Read files as people do: one object after the other, a row a note."""
    rows = []
    for path in paths:
        for number, track in enumerate(pretty_midi.PrettyMIDI(str(path)).instruments):
            rows += [(path.stem, track.name, n.pitch, n.start, n.end, n.velocity, number) for n in track.notes]
    return pl.DataFrame(rows, orient="row", infer_schema_length=None)


def spent(act: Callable[[], pl.DataFrame]) -> tuple[float, float]:
    """CPU and wall nanoseconds a note of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    notes = act().height
    return (time.process_time() - cpu) / notes * 1e9, (time.perf_counter() - wall) / notes * 1e9


def compare(folder: Path, rounds: int = 3) -> None:
    """Print the lanes beside pretty_midi, which reads some fifty of the files: the best of some rounds."""
    paths = sorted(folder.rglob("*.mid"))
    some = paths[:: max(1, len(paths) // 50)]
    ways: dict[str, Callable[[], pl.DataFrame]] = {
        "symusic": lambda: read_midi(folder, engine="symusic").notes,
        "python": lambda: read_midi(folder, engine="python").notes,
        "pretty_midi": lambda: loop(some),
    }
    best = {name: (float("inf"), float("inf")) for name in ways}
    for _ in range(rounds):
        best = {name: min(best[name], spent(act)) for name, act in ways.items()}
    for name, (cpu, wall) in best.items():
        ratios = [peer / own for peer, own in zip(best["pretty_midi"], (cpu, wall), strict=True)]
        faster = f"{ratios[0]:6.1f} {ratios[1]:6.1f} times faster"
        print(f"{name:12} {cpu:8.0f} ns CPU a note {wall:8.0f} on the clock {faster}")


def reading(files: int = 500, sizes: tuple[int, ...] = (5_000, 1_000, 50)) -> None:
    """Make files and read them."""
    warnings.simplefilter("ignore", RuntimeWarning)  # pretty_midi's, on tempo events outside the first track
    for notes in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), files, notes)
            print(f"\n{files} files of {notes:,} notes")
            compare(Path(folder))


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--notes", type=int, nargs="+", default=[5_000, 1_000, 50])
    options = parser.parse_args()
    if not options.folder:
        reading(options.files, tuple(options.notes))
        return
    warnings.simplefilter("ignore", RuntimeWarning)
    compare(options.folder)


if __name__ == "__main__":
    main()
