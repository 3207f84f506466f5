import base64
import zlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.errors import NotesSchemaError
from kie_notes.notes import NOTES_SCHEMA, sort_notes
from kie_notes.report.packing import pack


def unpacked(one):
    """The notes of a packed task, as its documentation says they lie."""
    plain = np.frombuffer(zlib.decompress(base64.b64decode(one.data)), np.uint8)
    counts = [track.notes for track in one.tracks]
    columns, at = [], 0
    for width in one.widths:
        planes = plain[at : at + width * sum(counts)].reshape(width, -1).astype(np.int64)
        columns.append(sum(plane << (8 * place) for place, plane in enumerate(planes)))
        at += width * sum(counts)
    assert at == len(plain)
    steps, lengths, pitches, velocities = columns
    rows, at = [], 0
    for track in one.tracks:
        here = slice(at, at + track.notes)
        start = np.cumsum(steps[here])
        values = zip(start, start + lengths[here], pitches[here], velocities[here], strict=True)
        rows += [(track.track, track.instrument, *map(int, note)) for note in values]
        at += track.notes
    return rows


def test_a_small_task_packs_as_worked_by_hand(table):
    rows = [("a", "Flute", 60, 0.5, 1.0, 1.0, 0), ("a", "Flute", 62, 2.5, 4.5, 63 / 127, 0)]
    one = pack(table([*rows, ("a", "Drums", 36, 0.0, 0.0, 0.0, 1)]))[0]
    assert (one.task, one.rate, one.widths) == ("a", 192, (2, 2, 1, 1))
    assert [tuple(track) for track in one.tracks] == [(0, "Flute", 2), (1, "Drums", 1)]
    # steps 96, 384, 0; lengths 96, 384, 0: low bytes, then high ones
    assert zlib.decompress(base64.b64decode(one.data)).hex(" ") == (
        "60 80 00 00 01 00 60 80 00 00 01 00 3c 3e 24 7f 3f 00"
    )


def test_all_samples_come_back_note_for_note(samples):
    for one in pack(samples.notes):
        notes = samples.notes.filter(pl.col("task").cast(pl.String) == one.task)
        expected = notes.select(
            "track",
            pl.col("instrument").cast(pl.String),
            (pl.col("start") * one.rate).round().cast(pl.Int64),
            (pl.col("end") * one.rate).round().cast(pl.Int64),
            pl.col("pitch").cast(pl.Int64),
            (pl.col("velocity").cast(pl.Float64) * 127).round().cast(pl.Int64),
        )
        assert sorted(unpacked(one)) == sorted(expected.rows())


@settings(max_examples=50)
@given(data=st.data())
def test_every_table_on_the_grid_comes_back_exactly(data):
    tick = st.integers(0, 1_000_000)
    note = st.tuples(
        st.sampled_from("ab"), st.sampled_from(["Flute", "Drums"]), st.integers(0, 127), tick, tick, st.integers(0, 127)
    )
    drawn = data.draw(st.lists(note, min_size=1, max_size=30))
    rows = [
        (task, name, pitch, min(a, b) / 192, max(a, b) / 192, v / 127, name == "Drums")
        for task, name, pitch, a, b, v in drawn
    ]
    notes = sort_notes(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    got = [
        (one.task, name, pitch, start / one.rate, end / one.rate, velocity)
        for one in pack(notes)
        for _, name, start, end, pitch, velocity in unpacked(one)
    ]
    assert sorted(got) == sorted(
        (task, name, pitch, min(a, b) / 192, max(a, b) / 192, v) for task, name, pitch, a, b, v in drawn
    )


def test_times_off_the_grid_are_kept_to_half_a_millisecond(table):
    one = pack(table([("a", "Flute", 60, 0.12345, 1.98765, 0.5, 0)]))[0]
    assert one.rate == 1000
    assert unpacked(one) == [(0, "Flute", 123, 1988, 60, 64)]


def test_one_task_off_the_grid_leaves_the_others_exact(table):
    packed = pack(table([("a", "Flute", 60, 0.1, 1.0, 0.5, 0), ("b", "Flute", 60, 0.5, 1.0, 0.5, 0)]))
    assert [(one.task, one.rate) for one in packed] == [("a", 1000), ("b", 192)]


def test_tasks_keep_the_order_in_which_they_appear(table):
    rows = [(task, "Flute", 60, 0.0, 1.0, 0.5, 0) for task in ("z", "a", "m")]
    assert [one.task for one in pack(table(rows))] == ["z", "a", "m"]


def test_no_notes_pack_to_nothing(table):
    assert pack(table([])) == []


def test_a_long_rest_takes_more_bytes_and_comes_back(table):
    one = pack(table([("a", "Flute", 60, 0.0, 1.0, 0.5, 0), ("a", "Flute", 60, 3600.0, 3601.0, 0.5, 0)]))[0]
    assert [row[2:4] for row in unpacked(one)] == [(0, 192), (691_200, 691_392)]


@pytest.mark.parametrize(
    "wrong",
    [
        (60, -1.0, 1.0, 0.5),
        (60, 2.0, 1.0, 0.5),
        (60, 0.0, float("inf"), 0.5),
        (60, 0.0, 1.0, 1.5),
        (200, 0.0, 1.0, 0.5),
    ],
)
def test_a_value_that_no_note_has_is_refused(wrong):
    row = ("a", "Flute", wrong[0], wrong[1], wrong[2], wrong[3], 0)
    with pytest.raises(ValueError, match=f"task 'a': no page can hold a note of pitch {wrong[0]}, start {wrong[1]}"):
        pack(pl.DataFrame([row], schema=NOTES_SCHEMA, orient="row"))


def test_what_is_no_notes_table_is_refused():
    with pytest.raises(NotesSchemaError, match="missing columns"):
        pack(pl.DataFrame({"task": ["a"]}))


def test_real_music_takes_less_than_three_bytes_a_note(samples):
    assert sum(len(one.data) for one in pack(samples.notes)) < 3 * samples.notes.height
