"""``python -m tests.benchmarks.midi_reading [FOLDER]``: a folder of MIDI files into one table, beside pretty_midi.

Without a folder, files are made: some 5,000 notes each, seven tracks, 120 quarters a minute.
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


def loop(folder: Path) -> pl.DataFrame:
    """Read files as people do: one object after the other, a row a note."""
    rows = []
    for path in sorted(folder.rglob("*.mid")):
        for number, track in enumerate(pretty_midi.PrettyMIDI(str(path)).instruments):
            rows += [(path.stem, track.name, n.pitch, n.start, n.end, n.velocity, number) for n in track.notes]
    return pl.DataFrame(rows, orient="row", infer_schema_length=None)


def spent(act: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    act()
    return time.process_time() - cpu, time.perf_counter() - wall


def compare(folder: Path) -> None:
    """Print the lanes beside pretty_midi, each in turn; the lanes' figures are the best of five."""
    notes = read_midi(folder).notes.height
    best = {
        name: min(spent(lambda n=name: read_midi(folder, engine=n)) for _ in range(5)) for name in ("symusic", "python")
    }
    best["pretty_midi"] = spent(lambda: loop(folder))
    print(f"{notes:,} notes")
    for name, (cpu, wall) in best.items():
        ratios = [peer / own for peer, own in zip(best["pretty_midi"], (cpu, wall), strict=True)]
        faster = f"{ratios[0]:6.1f} {ratios[1]:6.1f} times faster"
        print(f"{name:12} {cpu:8.2f} s CPU {wall:8.2f} s wall {cpu / notes * 1e9:8.0f} ns a note {faster}")


def reading(files: int = 500, notes: int = 1_000) -> None:
    """Make files and read them."""
    warnings.simplefilter("ignore", RuntimeWarning)  # pretty_midi's, on tempo events outside the first track
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), files, notes)
        compare(Path(folder))


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--notes", type=int, default=1_000)
    options = parser.parse_args()
    if not options.folder:
        reading(options.files, options.notes)
        return
    warnings.simplefilter("ignore", RuntimeWarning)
    compare(options.folder)


if __name__ == "__main__":
    main()
