import itertools

import mir_eval
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.harmony import QUALITIES, chords
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA

SCHEMA = {"task": pl.String, "start": pl.Float64, "end": pl.Float64, "chord": pl.String, "confidence": pl.Float64}


def held(*bars, task="a", name="Piano", seconds=2.0, start=0.0):
    return [
        (task, name, pitch, start + seconds * k, start + seconds * (k + 1), 0.5, 0)
        for k, bar in enumerate(bars)
        for pitch in sorted(bar)
    ]


def test_the_golden_chords_are_found_bar_by_bar(golden, reference):
    found = chords(golden)
    truth = reference["truth"]
    names = {"C": "C:maj", "Am": "A:min", "F": "F:maj", "G": "G:maj"}
    assert found["chord"].to_list() == [names[name] for name in truth["chord_per_bar"]]
    assert found["start"].to_list() == pytest.approx([truth["bar_s"] * k for k in range(8)])
    assert found["end"][-1] == pytest.approx(reference["pm.end_time"])


def test_the_golden_chords_score_full_marks_with_mir_eval(golden, reference):
    found, truth = chords(golden), reference["truth"]
    labels = [f"{name[0]}:{'min' if name.endswith('m') else 'maj'}" for name in truth["chord_per_bar"]]
    bounds = np.array([[2.5 * k, 2.5 * (k + 1)] for k in range(8)])
    bounds[-1, 1] = found["end"][-1]
    scores = mir_eval.chord.evaluate(bounds, labels, found.select("start", "end").to_numpy(), found["chord"].to_list())
    assert (scores["sevenths"], scores["mirex"], scores["seg"]) == pytest.approx((1, 1, 1), abs=1e-6)


@pytest.mark.parametrize(("root", "quality"), list(itertools.product(range(12), QUALITIES)))
def test_every_chord_is_found_from_its_tones_over_its_root(table, root, quality):
    # The tones are those that mir_eval gives the name, and the name is one that it knows.
    names = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
    at, tones, _ = mir_eval.chord.encode(f"{names[root]}:{quality}")
    assert at == root
    notes = table(held([48 + root + step for step in np.flatnonzero(tones)]))
    assert chords(notes).rows() == [("a", 0.0, 2.0, f"{names[root]}:{quality}", 1.0)]


@pytest.mark.parametrize(("bass", "name"), [(48, "C:dim7"), (51, "Eb:dim7"), (54, "F#:dim7"), (57, "A:dim7")])
def test_the_bass_names_a_chord_that_has_several_roots(table, bass, name):
    assert chords(table(held([bass, 60, 63, 66, 69])))["chord"].to_list() == [name]


def test_a_broken_chord_is_a_chord(table):
    notes = table([*held([48], [55], [64], [55], [48], [55], [64], [55], seconds=0.25), *held([57, 60, 65], start=2.0)])
    assert chords(notes).select("start", "end", "chord").rows() == [(0.0, 2.0, "C:maj"), (2.0, 4.0, "F:maj")]


def test_a_passing_note_makes_no_chord(table):
    notes = table(sorted([*held([48, 64, 67]), ("a", "Piano", 65, 1.0, 1.25, 0.5, 0)], key=lambda row: row[3]))
    ((_, _, _, name, confidence),) = chords(notes).rows()
    assert (name, confidence) == ("C:maj", pytest.approx(6 / 6.25))


def test_a_pitch_class_counts_once_however_many_hold_it(table):
    once = held([48, 64, 67, 74])
    doubled = sorted([*once, *held([74, 86, 98], name="Flute")], key=lambda row: row[3])
    assert chords(table(doubled)).equals(chords(table(once)))


def test_a_long_silence_is_no_chord(table):
    notes = table([*held([48, 64, 67]), *held([48, 64, 67], start=8.0)])
    assert chords(notes).rows() == [
        ("a", 0.0, 2.0, "C:maj", 1.0),
        ("a", 2.0, 8.0, "N", None),
        ("a", 8.0, 10.0, "C:maj", 1.0),
    ]


def test_a_rest_between_chords_belongs_to_the_first(table):
    notes = table([*held([48, 64, 67]), *held([53, 65, 69], start=2.5)])
    assert chords(notes).select("end", "chord").rows() == [(2.5, "C:maj"), (4.5, "F:maj")]


def test_a_cluster_is_no_chord(table):
    assert chords(table(held(range(60, 69))))["chord"].to_list() == ["N"]


def test_triads_alone_know_no_sevenths(table):
    notes = table(held([43, 59, 62, 65], [48, 60, 64, 67]))
    assert chords(notes)["chord"].to_list() == ["G:7", "C:maj"]
    assert chords(notes, vocabulary="triads")["chord"].to_list() == ["G:maj", "C:maj"]


def test_a_dear_change_is_not_made(table):
    notes = table(held([48, 60, 64, 67], [50, 62, 65, 69], [48, 60, 64, 67], seconds=1.0))
    assert chords(notes)["chord"].to_list() == ["C:maj", "D:min", "C:maj"]
    assert chords(notes, change=20.0)["chord"].to_list() == ["C:maj"]


def test_drums_make_no_chords_unless_asked(table):
    notes = table(sorted([*held([48, 64, 67]), *held([42, 46], name="Drums")], key=lambda row: row[3]))
    assert chords(notes).rows() == [("a", 0.0, 2.0, "C:maj", 1.0)]
    assert chords(notes, drums="include")["confidence"].item() < 1


def test_notes_that_never_sound_give_no_chord(table):
    assert chords(table([("a", "Flute", 60, 1.0, 1.0, 0.5, 0)])).height == 0


@pytest.mark.parametrize("up", range(1, 12))
def test_a_transposed_piece_has_the_transposed_chords(golden, up):
    higher = chords(golden.with_columns((pl.col("pitch") + up).cast(pl.UInt8)))
    expected = [mir_eval.chord.encode(name)[0] for name in chords(golden)["chord"]]
    assert [mir_eval.chord.encode(name)[0] for name in higher["chord"]] == [(root + up) % 12 for root in expected]


@settings(max_examples=30)
@given(data=st.data(), change=st.sampled_from([0.0, 0.1, 0.5]), vocabulary=st.sampled_from(["triads", "sevenths"]))
def test_intervals_follow_one_another_from_the_first_start_to_the_last_end(note_tables, data, change, vocabulary):
    notes = data.draw(note_tables())
    found = chords(notes, change=change, vocabulary=vocabulary)
    assert (found["end"] > found["start"]).all()
    assert found["confidence"].drop_nulls().is_between(0, 1).all()
    assert found["confidence"].is_null().equals(found["chord"] == "N")
    pitched = notes.filter(pl.col("instrument") != "Drums").with_columns(pl.col("task").cast(pl.String))
    for (task,), rows in found.partition_by("task", as_dict=True).items():
        mine = pitched.filter(pl.col("task") == task)
        assert rows["start"][1:].to_list() == rows["end"][:-1].to_list()
        assert (rows["chord"][1:] != rows["chord"][:-1]).all()
        assert rows["start"][0] == pytest.approx(mine["start"].min(), abs=1e-6)
        assert rows["end"][-1] == pytest.approx(mine["end"].max(), abs=1e-6)


@settings(max_examples=20)
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same_to_the_last_bit(note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    parts = [notes.head(0), *notes.partition_by("task", maintain_order=True)]
    assert pl.concat(map(chords, parts)).equals(chords(notes))


@settings(max_examples=20)
@given(data=st.data())
def test_shuffled_rows_give_the_right_answer_or_the_order_error(note_tables, data):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    try:
        result = chords(shuffled)
    except NotesOrderError:
        return
    assert result.equals(chords(notes))


def test_no_notes_give_no_rows_of_the_same_schema(table):
    assert chords(table([])).height == 0
    assert chords(table([])).schema == chords(table(held([48, 64, 67]))).schema == SCHEMA


def test_a_lazy_frame_gives_the_same(golden):
    assert chords(golden.lazy()).collect().equals(chords(golden))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary": "ninths"}, "vocabulary: expected one of 'triads', 'sevenths', got 'ninths'"),
        ({"change": -1.0}, "change: expected a cost, at least 0, got -1.0"),
        ({"drums": "no"}, "drums: expected one of 'exclude', 'include', 'only', got 'no'"),
    ],
)
def test_an_option_that_cannot_be_is_refused(table, options, message):
    with pytest.raises(ValueError, match=message):
        chords(table([]), **options)


def test_starts_that_descend_are_an_error(table):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        chords(table(held([60], [62])[::-1]))
