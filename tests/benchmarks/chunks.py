"""Helpers piece by piece: answers go to disk, and memory is that of a piece.

Sixteen descriptors share one scan of each piece; the others hold gigabytes when they get ten million notes in one go.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Final

import polars as pl

import kie_notes as kn
from kie_notes.mapping import sink_parts
from tests.benchmarks.analysis import SIXTEEN
from tests.benchmarks.corpus import count

if TYPE_CHECKING:
    from pathlib import Path

    from kie_notes.mapping.answers import LazyHelper
    from tests.benchmarks.measure import Ready, Way


def scores(notes: pl.LazyFrame) -> pl.LazyFrame:
    """Score notes against themselves 1/192 s later."""
    return kn.transcription_scores(notes, notes.with_columns(pl.col("start", "end") + 1 / 192))


def mended(notes: pl.LazyFrame) -> pl.LazyFrame:
    """Repair notes in three steps."""
    for repair in (kn.drop_duplicates, kn.merge_fragments, kn.trim_overlaps):
        notes = repair(notes).notes
    return notes


#: What is measured, and how many notes a piece has.
CASES: Final[dict[str, tuple[dict[str, LazyHelper], int]]] = {
    "sixteen": ({name: question.helper for name, question in SIXTEEN.items()}, 1_000_000),
    "nothing but the pieces": ({"pitch_range": kn.pitch_range}, 1_000_000),
    "note_flags": ({"flags": kn.note_flags}, 250_000),
    "quality_score": ({"quality": kn.quality_score}, 250_000),
    "difficulty_parts": ({"difficulty": kn.difficulty_parts}, 250_000),
    "three repairs": ({"notes": mended}, 250_000),
    "transcription_scores": ({"scores": scores}, 250_000),
}


def in_chunks(case: str) -> Way:
    """Make a way of a case."""
    helpers, chunk_notes = CASES[case]

    def act(corpus: Path) -> int:
        with tempfile.TemporaryDirectory(dir=corpus) as out:
            return sink_parts(f"{corpus}/parts/*.parquet", helpers, out, chunk_notes=chunk_notes).height

    def ready(corpus: Path) -> Ready:
        return (lambda: act(corpus)), count(corpus)

    return ready
