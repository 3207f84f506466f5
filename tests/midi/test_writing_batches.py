"""Tables of any size and tasks that no file can hold: what a batch is must not be seen."""

import numpy as np
import polars as pl
import pytest

from kie_notes.errors import MidiError, NotesOrderError, NotesSchemaError
from kie_notes.midi.write import midi_bytes, midi_losses, write_midi
from kie_notes.midi.writing_batches import batches
from kie_notes.notes import NOTES_SCHEMA, sort_notes


def table(*rows, **common):
    base = {"task": "t1", "instrument": "Flute", "pitch": 60, "start": 0.0, "end": 1.0, "velocity": 1.0, "track": 0}
    return sort_notes(pl.DataFrame([base | common | row for row in rows], schema=NOTES_SCHEMA))


def long(task, count):
    """One note after the other, each of 1/192 s."""
    start = np.arange(count) / 192
    note = {"instrument": "Flute", "start": start, "end": (np.arange(count) + 1) / 192, "velocity": 1.0, "track": 0}
    columns = {"task": task, "pitch": np.arange(count) % 100, **note}
    return pl.DataFrame(columns).select(pl.col(name).cast(dtype) for name, dtype in NOTES_SCHEMA.items())


SIZES = [3, 100_000, 250_000, 1, 700_000, 2, 2, 90_000]


@pytest.fixture(scope="module")
def large():
    return pl.concat([long(f"t{place}", count) for place, count in enumerate(SIZES)])


@pytest.mark.parametrize("lazy", [False, True])
def test_batches_are_whole_tasks_in_the_tables_order_none_much_larger_than_the_others(large, lazy):
    found = list(batches(large.lazy() if lazy else large))
    assert [task for batch in found for task in batch.tasks()] == [f"t{place}" for place in range(len(SIZES))]
    assert [size for batch in found for size in np.diff(batch.bounds).tolist()] == SIZES
    assert pl.concat([batch.notes for batch in found]).equals(large)
    alone = [batch.tasks() for batch in found if batch.notes.height > 2**19]
    assert alone == [["t4"]]


def test_a_scan_gives_what_the_table_gives(large, tmp_path):
    large.write_parquet(tmp_path / "notes.parquet", row_group_size=50_000)
    files = midi_bytes(pl.scan_parquet(tmp_path / "notes.parquet"))
    assert files.equals(midi_bytes(large))
    assert files["exact"].to_list() == SIZES


def test_a_task_that_comes_again_much_later_is_an_error(large, tmp_path):
    again = pl.concat([large, long("t1", 3)])
    for notes in (again, again.lazy()):
        with pytest.raises(NotesOrderError, match=r"task 't1': its notes do not stand together; call sort_notes"):
            write_midi(notes, tmp_path, on_error="skip")


def test_a_table_in_memory_is_checked_before_anything_is_written(tmp_path):
    with pytest.raises(NotesOrderError, match="task 't1'"):
        write_midi(pl.concat([table({}), table({}, task="t2"), table({})]), tmp_path)
    with pytest.raises(NotesSchemaError, match="missing column"):
        write_midi(pl.DataFrame({"task": ["t1"]}), tmp_path / "other")
    assert not list(tmp_path.rglob("*.*"))


BAD = {
    "loud": ([{"velocity": 96.0}], "notes[0]: velocity 96.0 is above 1 (did you pass MIDI velocities? divide by 127)"),
    "gap": ([{}, {"pitch": None}], "notes[1]: a value is missing"),
    "endless": ([{"end": float("inf")}], "notes[0]: start 0.0 s and end inf s must be finite numbers"),
    "months": ([{"end": 5e6}], "the last note ends at 5000000 s; a MIDI file that pretty_midi reads ends by 4999998 s"),
    "two": (
        [{}, {"instrument": "Oboe", "pitch": 61}],
        "track 0 bears two instruments, 'Flute' and 'Oboe': number them apart",
    ),
    "crowd": ([{"track": track} for track in range(32_767)], "32767 tracks, a MIDI file holds at most 32766"),
}


def order_faults():
    first, second = table({}, task="late"), table({"start": 0.5}, task="late")
    yield pl.concat([second, first])
    yield pl.concat([table({"track": 1}), table({})])
    yield pl.concat([table({"pitch": 61}), table({})])
    yield pl.concat([table({"end": 1.5}), table({})])
    yield pl.concat([table({"velocity": 1.0}), table({"velocity": 0.5})])


def test_tasks_that_no_file_can_hold_are_rows_with_reasons_between_the_others():
    parts = [table({}, task="first")]
    for task, (rows, _) in BAD.items():
        parts += [table(*rows, task=task).sort("pitch", nulls_last=True), table({}, task=f"after {task}")]
    files = midi_bytes(pl.concat(parts), on_error="skip")
    assert files["task"].to_list() == ["first", *(name for task in BAD for name in (task, f"after {task}"))]
    expected = {task: f"task {task!r}: {reason}" for task, (_, reason) in BAD.items()}
    assert files["reason"].to_list() == [expected.get(task) for task in files["task"]]
    assert files["notes"].to_list() == [1, *(count for rows, _ in BAD.values() for count in (len(rows), 1))]
    assert files["midi"].is_null().to_list() == files["reason"].is_not_null().to_list()
    assert files.filter(pl.col("reason").is_null())["exact"].to_list() == [1] * (len(BAD) + 1)


@pytest.mark.parametrize("notes", list(order_faults()))
def test_rows_out_of_order_are_noticed_in_every_column_of_the_order(notes):
    with pytest.raises(NotesOrderError, match=r"notes are not in canonical order; call sort_notes\(notes\) first"):
        midi_bytes(notes)
    assert midi_bytes(sort_notes(notes))["reason"].null_count() == 1


def test_the_first_fault_of_the_table_is_the_one_that_is_raised():
    late = table({"start": 0.5}, {}, task="b").reverse()
    notes = pl.concat([table({}), late, table({"velocity": 2.0}, task="c"), table({}, task="d")])
    with pytest.raises(NotesOrderError, match="task 'b': notes are not in canonical order"):
        midi_losses(notes)
    with pytest.raises(MidiError, match="task 'c': notes"):
        midi_losses(sort_notes(notes))
    with pytest.raises(NotesOrderError, match="task 'b'"):
        midi_losses(notes)


def test_a_task_without_an_id_has_no_file():
    files = midi_bytes(pl.concat([table({}), table({}, task=None)]), on_error="skip")
    assert files.select("task", "reason").rows() == [("t1", None), (None, "task None: notes[0]: a value is missing")]
