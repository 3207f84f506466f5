import polars as pl
import pytest
from polars.testing import assert_frame_equal

from kie_notes.analysis.door import notes_helper, per_task, per_track
from kie_notes.errors import NotesOrderError, NotesSchemaError
from kie_notes.notes import sort_notes


@notes_helper
def note_count(notes, *, least=0):
    """Count notes."""
    return per_task(notes, notes=pl.len(), first=pl.col("start").first()).filter(pl.col("notes") >= least).sort("task")


@notes_helper
def notes_of_tracks(notes):
    answers = {"pitches": pl.col("pitch").implode(), "lowest": pl.col("pitch").min()}
    return per_track(notes, **answers).sort("task", "track", "instrument")


@notes_helper
def any_order(notes):
    return per_task(notes, ordered=False, pitches=pl.col("pitch").implode())


@notes_helper
def wrong_arithmetic(notes):
    return notes.select(pl.col("instrument").cast(pl.String).cast(pl.Int64))


def row(task, start, *, instrument="Flute", track=0, pitch=60):
    return (task, instrument, pitch, start, start + 1.0, 0.5, track)


def test_a_dataframe_gives_a_dataframe(table):
    result = note_count(table([row("a", 0.0), row("a", 1.0), row("b", 0.5)]))
    assert isinstance(result, pl.DataFrame)
    assert result.rows() == [("a", 2, 0.0), ("b", 1, 0.5)]


def test_a_lazyframe_gives_a_lazyframe_of_the_same_answer(table):
    notes = table([row("a", 0.0), row("a", 1.0), row("b", 0.5)])
    result = note_count(notes.lazy())
    assert isinstance(result, pl.LazyFrame)
    assert_frame_equal(result.collect(), note_count(notes))


def test_a_lazyframe_is_not_collected_on_the_quiet(table):
    def read(_):
        pytest.fail("somebody read the notes")

    notes = table([row("a", 0.0)])
    note_count(notes.lazy().map_batches(read, schema=notes.schema))


def test_options_reach_the_helper(table):
    assert note_count(table([row("a", 0.0), row("b", 0.5)]), least=2).rows() == []


def test_the_helper_keeps_its_name_and_its_docstring():
    assert (note_count.__name__, note_count.__doc__) == ("note_count", "Count notes.")


def test_text_columns_are_taken(table):
    notes = table([row("a", 0.0), row("b", 0.5)])
    text = notes.with_columns(pl.col("task", "instrument").cast(pl.String))
    assert_frame_equal(note_count(text), note_count(notes))
    assert_frame_equal(note_count(text.lazy()).collect(), note_count(notes))


@pytest.mark.parametrize("form", [pl.DataFrame, pl.LazyFrame])
def test_what_is_no_notes_table_is_refused_at_the_call(table, form):
    notes = form(table([row("a", 0.0)]).drop("velocity"))
    with pytest.raises(NotesSchemaError, match="not a notes table: missing column 'velocity'"):
        note_count(notes)


def test_descending_starts_are_an_error_that_names_the_task_and_the_remedy(table):
    notes = table([row("a", 0.0), row("b", 1.0), row("b", 0.5)])
    with pytest.raises(NotesOrderError, match=r"^task b: notes are not in canonical order; call sort_notes\(notes\)"):
        note_count(notes)


def test_a_task_in_two_stretches_is_an_error_that_names_it(table):
    notes = table([row("a", 0.0), row("b", 0.0), row("a", 1.0)])
    with pytest.raises(NotesOrderError, match=r"^task a: notes are not in canonical order; call sort_notes\(notes\)"):
        note_count(notes)


def test_a_task_in_two_stretches_is_an_error_where_starts_may_descend(table):
    with pytest.raises(NotesOrderError, match=r"^task a: notes are not in canonical order"):
        any_order(table([row("a", 0.0), row("b", 0.0), row("a", 1.0)]))


def test_descending_starts_are_taken_where_they_do_not_matter(table):
    notes = table([row("a", 1.0, pitch=62), row("a", 0.0, pitch=60)])
    assert any_order(notes).rows() == [("a", [62, 60])]


def test_a_long_task_id_is_named_whole(table):
    task = "long-" * 60
    with pytest.raises(NotesOrderError, match=f"^task {task}: notes are not in canonical order"):
        note_count(table([row(task, 1.0), row(task, 0.0)]))


def test_a_lazy_answer_fails_with_the_same_words_when_it_is_collected(table):
    answer = note_count(table([row("b", 1.0), row("b", 0.5)]).lazy())
    with pytest.raises(pl.exceptions.InvalidOperationError, match=r"task b: .* call sort_notes\(notes\) first"):
        answer.collect()


def test_sort_notes_mends_the_order(table):
    notes = table([row("a", 1.0), row("b", 0.0), row("a", 0.5)])
    assert note_count(sort_notes(notes)).rows() == [("a", 2, 0.5), ("b", 1, 0.0)]


def test_another_failure_of_the_query_stays_what_it_is(table):
    with pytest.raises(pl.exceptions.InvalidOperationError, match="Flute"):
        wrong_arithmetic(table([row("a", 0.0)]))


def test_tracks_keep_the_order_of_their_notes(table):
    notes = table(
        [
            row("a", 0.0, track=1, pitch=70),
            row("a", 0.5, track=0, pitch=60),
            row("a", 1.0, track=1, pitch=50),
            row("b", 0.0, track=0, pitch=40),
        ]
    )
    assert notes_of_tracks(notes).rows() == [
        ("a", "Flute", 0, [60], 60),
        ("a", "Flute", 1, [70, 50], 50),
        ("b", "Flute", 0, [40], 40),
    ]


def test_instruments_that_share_a_track_number_are_told_apart(table):
    notes = table(
        [row("a", 0.0, instrument="Oboe"), row("a", 0.5, instrument="Flute"), row("a", 1.0, instrument="Oboe")]
    )
    assert notes_of_tracks(notes).select("instrument", "pitches").rows() == [("Flute", [60]), ("Oboe", [60, 60])]


def test_tracks_of_a_task_in_two_stretches_are_an_error(table):
    notes = table([row("a", 0.0, track=0), row("b", 0.0), row("a", 1.0, track=1)])
    with pytest.raises(NotesOrderError, match=r"^task a: notes are not in canonical order"):
        notes_of_tracks(notes)


def test_tracks_of_descending_starts_are_an_error(table):
    with pytest.raises(NotesOrderError, match=r"^task a: notes are not in canonical order"):
        notes_of_tracks(table([row("a", 1.0, track=0), row("a", 0.0, track=1)]))


@pytest.mark.parametrize("helper", [note_count, notes_of_tracks])
def test_no_notes_give_no_rows_of_the_same_schema(table, helper):
    some = helper(table([row("a", 0.0)]))
    none = helper(table([]))
    assert none.height == 0
    assert none.schema == some.schema


@pytest.mark.parametrize("helper", [note_count, notes_of_tracks])
def test_the_streaming_engine_does_not_gather_all_notes_to_find_the_tasks(table, helper, tmp_path):
    table([row("a", 0.0)]).write_parquet(tmp_path / "notes.parquet")
    query = helper(pl.scan_parquet(tmp_path / "notes.parquet"))
    plan = query.show_graph(engine="streaming", plan_stage="physical", raw_output=True)
    assert "sorted-group-by" in plan
    assert "in-memory-map" not in plan  # what the streaming engine hands to the other one, with all rows
