import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.batches import over_tasks
from kie_notes.analysis.chroma import between_onsets, lowest_pitch, windows

SCHEMA = pl.Schema(
    {"task": pl.String, "start": pl.Int64, "end": pl.Int64, "chroma": pl.List(pl.Int64), "low": pl.Int64}
)


def cut(notes, cutter):
    """Give segments as rows (task, start, end, chroma, lowest pitch), sorted."""

    def answer(some):
        found = cutter(some)
        columns = {
            "task": some.names.gather(found.task),
            "start": found.start,
            "end": found.end,
            "chroma": found.chroma.astype(np.int64).tolist(),
            "low": lowest_pitch(some, found),
        }
        return pl.DataFrame(columns, schema=SCHEMA)

    return over_tasks(notes.lazy(), "include", answer, SCHEMA).collect().sort("task", "start").rows()


def sounding(notes, task, start, end):
    """Microseconds by pitch class and lowest pitch between two times, counted note by note."""
    held, pitches = [0] * 12, []
    for name, _, pitch, s, e, _, _ in notes.rows():
        overlap = min(round(e * 1e6), end) - max(round(s * 1e6), start)
        if name == task and overlap > 0:
            held[pitch % 12] += overlap
            pitches.append(pitch)
    return held, min(pitches, default=-1)


@settings(max_examples=40)
@given(data=st.data(), length=st.sampled_from([250_000, 1_000_000]))
def test_windows_hold_what_counting_note_by_note_gives(note_tables, data, length):
    notes = data.draw(note_tables(min_size=1))
    for task, start, end, held, _ in cut(notes, lambda some: windows(some, length)):
        assert start % length == 0
        assert end == start + length
        assert held == sounding(notes, task, start, end)[0]


@settings(max_examples=40)
@given(data=st.data())
def test_stretches_between_onsets_hold_what_counting_note_by_note_gives(note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    for task, start, end, held, low in cut(notes, between_onsets):
        assert (held, low) == sounding(notes, task, start, end)


@settings(max_examples=40)
@given(data=st.data())
def test_no_note_begins_inside_a_stretch_and_silence_is_a_stretch_of_its_own(note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    for task, start, end, _, low in cut(notes, between_onsets):
        mine = [row for row in notes.rows() if row[0] == task]
        assert not any(start < round(row[3] * 1e6) < end for row in mine)
        if low < 0:
            assert all(round(row[4] * 1e6) <= start or round(row[3] * 1e6) >= end for row in mine)


def test_a_window_ends_where_the_last_note_does(table):
    notes = table([("a", "Flute", 60, 1.0, 2.0, 0.5, 0)])
    assert [row[1:3] for row in cut(notes, lambda some: windows(some, 1_000_000))] == [(1_000_000, 2_000_000)]
