"""``python -m tests.midi.losses [FOLDER]``: what MIDI files change in each sample, as the README's table.

``FOLDER`` holds records with a ``manifest.csv`` beside it; without it, the samples that come with the project are read.
"""

import sys
from pathlib import Path

import polars as pl

from kie_notes import flatten, midi_bytes, read_records

PACKED = Path(__file__).parents[2] / "data" / "samples" / "records"


def losses(records: Path) -> list[str]:
    """Give the rows of the table, one per sample with notes, in the order of their tasks."""
    written = midi_bytes(flatten(read_records(records)).notes, progress=False).sort("task")
    return [
        f"| {task[:8]} | {notes:,} | {ppq} | {exact:,} | {moved:,} | {changed:,} | {1e6 * shift:.1f} |"
        for task, notes, ppq, exact, moved, changed, shift in written.select(
            "task", "notes", "ppq", "exact", "moved", "velocity_changed", "largest_shift"
        ).iter_rows()
    ]


if __name__ == "__main__":
    pl.Config.set_tbl_rows(-1)
    print("\n".join(losses(Path(sys.argv[1]) if len(sys.argv) > 1 else PACKED)))  # noqa: T201 -- what it is for
