"""Sketches of scores: judged by music21, partitura and verovio, and by counting every bar."""

import builtins
import warnings
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path

import music21
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kie_notes.analysis.quantisation import quantise
from kie_notes.api.files import read_records
from kie_notes.errors import MissingExtraError, NotesSchemaError
from kie_notes.notation import SCORES_SCHEMA, score_notes, to_musicxml, to_svg, write_musicxml
from kie_notes.notation.grid import PLACES_SCHEMA
from kie_notes.notes import NOTES_SCHEMA, flatten, sort_notes

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "records"
#: Schubert, "Ihr Bild", at a steady tempo; funk as a drummer played it.
SONG, FUNK = "f76b9a0e89b786212103c0b612f4a705", "6d17e1d0cabe7196e438c72e9a4b57eb"
NAMES = ["Flute", "Drums", "Acoustic Grand Piano", "Electric Bass (pick)"]


def table(*rows):
    return pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")


def flute(*notes, pitch=60):
    return table(*(("t", "Flute", pitch, start, end, 0.5, 0) for start, end in notes))


def sample(task):
    return flatten(read_records(SAMPLES / f"{task}.json")).notes


@st.composite
def rows(draw):
    track = draw(st.integers(0, 3))
    start = draw(st.integers(0, 40).map(lambda k: k / 8) | st.floats(0, 6))
    return "t", NAMES[track], draw(st.integers(30, 90)), start, start + draw(st.floats(0, 4)), 0.5, track


NOTES = st.lists(rows(), min_size=1, max_size=20).map(lambda some: sort_notes(table(*some)))
COUNTED = st.sampled_from([("4/4", 4), ("3/4", 3), ("6/8", 6), ("2/4", 8), ("12/8", 3), ("5/4", 2)])
law = settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))


def written(notes, **options):
    """Pitch, onset and duration in quarters of the pitched notes that the table says are written."""
    found = score_notes(notes, **options).filter((pl.col("instrument") != "Drums") & pl.col("written"))
    return sorted((p, round(o, 6), round(d, 6)) for p, o, d in found.select("pitch", "onset", "duration").rows())


def in_music21(text):
    """Read the same by music21, ties followed by hand."""
    found = []
    for part in music21.converter.parse(text, format="musicxml").parts:
        open_ = {}
        for element in part.flatten().notes:
            if isinstance(element, music21.note.Unpitched | music21.percussion.PercussionChord):
                continue
            for one in element.notes if isinstance(element, music21.chord.Chord) else [element]:
                tie = one.tie.type if one.tie else None
                if tie in ("stop", "continue"):
                    open_[one.pitch.midi][2] += Fraction(element.quarterLength)
                else:
                    found.append([one.pitch.midi, Fraction(element.offset), Fraction(element.quarterLength)])
                    open_[one.pitch.midi] = found[-1]
    return sorted((pitch, round(float(onset), 6), round(float(length), 6)) for pitch, onset, length in found)


def unfull_bars(text, quarters):
    """Bars in which the notes and rests of a staff's voices do not follow one another from barline to barline."""
    wrong = []
    for part in ET.fromstring(text).iter("part"):  # noqa: S314 -- our own text
        divisions = 0
        for measure in part.iter("measure"):
            divisions = int(measure.findtext("attributes/divisions", divisions))
            cursor, spans = 0, {}
            for element in measure:
                length = int(element.findtext("duration", "0"))
                if element.tag == "note" and element.find("chord") is None:
                    spans.setdefault((element.findtext("staff"), element.findtext("voice")), []).append(
                        (cursor, length)
                    )
                cursor += {"note": length, "forward": length, "backup": -length}.get(element.tag, 0) * (
                    element.find("chord") is None
                )
            for voice in spans.values():
                at = 0
                for begin, length in voice:
                    wrong += [measure.get("number")] * (begin != at)
                    at = begin + length
                wrong += [measure.get("number")] * (at != divisions * quarters)
    return wrong


# judges ----------------------------------------------------------------------------------------------------------


def test_music21_reads_the_notes_of_a_song_where_the_table_has_them():
    notes = sample(SONG)
    assert in_music21(to_musicxml(notes, bpm=100)) == written(notes, bpm=100)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_partitura_reads_the_notes_of_a_song_where_the_table_has_them(tmp_path, partitura):
    notes = sample(SONG)
    path = tmp_path / "song.musicxml"
    path.write_text(to_musicxml(notes, bpm=100), "utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = partitura.load_musicxml(path).note_array()
    found = [(int(n["pitch"]), round(float(n["onset_quarter"]), 3), float(n["duration_quarter"])) for n in array]
    assert sorted(found) == [(p, round(o, 3), d) for p, o, d in written(notes, bpm=100)]


def test_a_song_on_its_own_grid_is_not_moved():
    moved = score_notes(sample(SONG), bpm=100)["start_moved"].abs()
    assert moved.max() == pytest.approx(0.4 / 192)  # its times are on a grid of 1/192 s, which has no lines of 0.15 s


@law
@given(NOTES, COUNTED, st.integers(0, 1))
@example(table(*(("t", "Flute", 60, k / 6, k / 6 + 1 / 6, 0.5, 0) for k in range(9))), ("4/4", 3), 0)
def test_every_bar_is_full_and_music21_reads_what_the_table_says(notes, counted, upbeat):
    metre, steps = counted
    options = {"bpm": 120, "metre": metre, "steps": steps, "upbeat": upbeat}
    text = to_musicxml(notes, **options)
    above, below = map(int, metre.split("/"))
    assert unfull_bars(text, above * 4 // below if above * 4 % below == 0 else above * 4 / below) == []
    assert in_music21(text) == written(notes, **options)


@law
@given(NOTES)
@example(flute((0.0, 0.0), (2.875, 4.875), (3.0, 3.0), pitch=30))
def test_estimated_beats_make_a_valid_score_too(notes):
    text = to_musicxml(notes)
    assert unfull_bars(text, 4) == []
    assert in_music21(text) == written(notes)


@pytest.mark.parametrize("task", [SONG, FUNK])
def test_verovio_draws_it_without_a_warning(capfd, task):
    pages = to_svg(sample(task))
    assert all(page.startswith("<svg") for page in pages)
    assert capfd.readouterr().err == ""


# the table -------------------------------------------------------------------------------------------------------


@law
@given(NOTES, st.integers(1, 4))
def test_starts_are_on_the_lines_of_quantise_and_the_table_says_how_far_they_moved(notes, steps):
    beats = pl.DataFrame({"task": ["t"] * 20, "time": [0.45 * k for k in range(20)]})
    found = score_notes(notes, beats=beats, steps=steps)
    peer = quantise(notes, beats=beats, steps=steps)
    assert sorted(found["start"] + found["start_moved"]) == pytest.approx(sorted(peer["start"]))
    assert (found["start"] + found["start_moved"]).to_list() == pytest.approx(
        [onset * 0.45 for onset in found["onset"]]
    )
    assert (found["end"] + found["end_moved"]).to_list() == pytest.approx(
        [(onset + length) * 0.45 for onset, length in found.select("onset", "duration").rows()]
    )


def test_the_table_has_the_notes_in_the_order_that_they_had():
    notes = sample(SONG)
    columns = ["instrument", "pitch", "start", "end", "track"]
    found = score_notes(notes, bpm=100).select(columns)
    assert_frame_equal(found, notes.select(columns).with_columns(pl.col("instrument").cast(pl.String)))


def test_beats_that_waver_are_followed():
    beats = pl.DataFrame({"task": ["t"] * 4, "time": [1.0, 1.5, 2.2, 2.6]})
    found = score_notes(flute((1.0, 1.5), (1.5, 1.85), (1.85, 2.6)), beats=beats)
    assert found.select("onset", "duration").rows() == [(0.0, 1.0), (1.0, 0.5), (1.5, 1.5)]
    assert found["start_moved"].to_list() == pytest.approx([0, 0, 0])


def test_notes_before_the_first_beat_are_in_whole_bars_before_it():
    beats = pl.DataFrame({"task": ["t", "t"], "time": [2.0, 2.5]})
    found = score_notes(flute((1.5, 2.0), (2.0, 2.5)), beats=beats)
    assert found.select("bar", "onset").rows() == [(1, 3.0), (2, 4.0)]


def test_an_upbeat_is_at_the_end_of_its_bar():
    found = score_notes(flute((0.0, 0.5), (0.5, 1.0)), bpm=120, metre="3/4", upbeat=1)
    assert found.select("bar", "onset").rows() == [(1, 2.0), (2, 3.0)]


def test_a_beat_of_eighths_is_a_dotted_quarter():
    found = score_notes(flute((0.0, 0.25), (0.25, 1.0)), bpm=80, metre="6/8")
    assert found.select("onset", "duration").rows() == [(0.0, 0.5), (0.5, 1.5)]


def test_a_note_of_no_length_has_a_line():
    found = score_notes(flute((1.0, 1.0)), bpm=120)
    assert found.select("duration", "end_moved").rows() == [(0.25, 0.125)]


def test_of_one_pitch_twice_on_a_line_the_longest_is_written():
    notes = flute((0.0, 0.5), (0.01, 1.0))
    assert score_notes(notes, bpm=120)["written"].to_list() == [False, True]
    assert in_music21(to_musicxml(notes, bpm=120)) == [(60, 0.0, 2.0)]


def test_a_note_ends_where_the_next_of_its_pitch_begins():
    found = score_notes(flute((0.0, 2.0), (1.0, 1.5)), bpm=60)
    assert found.select("duration", "voice", "end_moved").rows() == [(1.0, 1, -1.0), (0.5, 1, 0.0)]


def test_a_third_voice_ends_the_note_that_would_end_first():
    notes = table(*(("t", "Flute", p, s, e, 0.5, 0) for p, s, e in [(72, 0.0, 4.0), (60, 0.0, 3.0), (64, 1.0, 2.0)]))
    found = score_notes(notes, bpm=60)
    assert found.sort("pitch").select("pitch", "duration", "voice", "end_moved").rows() == [
        (60, 1.0, 2, -2.0),
        (64, 1.0, 2, 0.0),
        (72, 4.0, 1, 0.0),
    ]


def test_of_notes_that_start_together_none_ends_the_other():
    held = [(53, 0.0, 4.0), (60, 1.0, 2.0), (64, 1.0, 3.0)]
    found = score_notes(table(*(("t", "Flute", p, s, e, 0.5, 0) for p, s, e in held)), bpm=60)
    assert found.select("pitch", "duration").rows() == [(53, 1.0), (60, 1.0), (64, 2.0)]


def test_a_piano_has_two_staves_and_two_tracks_of_a_piano_have_one_each():
    both = [("t", "Acoustic Grand Piano", p, float(k), k + 1.0, 0.5, 0) for k in range(4) for p in (43, 72)]
    apart = [(*row[:6], int(row[2] < 60)) for row in both]
    assert score_notes(sort_notes(table(*both)), bpm=60)["staff"].to_list() == [2, 1] * 4
    assert score_notes(sort_notes(table(*apart)), bpm=60)["staff"].unique().to_list() == [1]


def test_a_stroke_lasts_until_the_next_or_the_end_of_its_beat():
    drums = table(*(("t", "Drums", 38, start, start + 0.01, 0.5, 0) for start in (0.0, 0.5, 2.25)))
    assert score_notes(drums, bpm=60)["duration"].to_list() == [0.5, 0.5, 0.75]


def test_a_task_without_beats_is_counted_at_120():
    found = write_scores(flute((0.0, 0.5)))
    assert found.select("bpm", "beats").rows() == [(120.0, "none")]


# the score -------------------------------------------------------------------------------------------------------


def write_scores(notes, **options):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return write_musicxml(notes, folder, **options)


def test_the_score_says_that_it_is_a_sketch_and_what_in_it_is_a_guess():
    text = to_musicxml(sample(SONG))
    assert f"{SONG} (sketch)" in text
    assert "Sketch: beats estimated, 4/4 assumed, grid 1/16, key Bb minor estimated" in text


def test_a_note_across_a_barline_is_tied():
    score = music21.converter.parse(to_musicxml(flute((0.0, 3.0)), bpm=120), format="musicxml")
    heads = [(n.measureNumber, n.quarterLength, n.tie.type) for n in score.flatten().notes]
    assert heads == [(1, 4.0, "start"), (2, 2.0, "stop")]


def test_signature_spelling_and_clefs_follow_the_key_and_the_range():
    scale = [("t", "Contrabass", p, float(k), k + 1.0, 0.5, 0) for k, p in enumerate([41, 43, 45, 46, 48, 50, 52, 53])]
    score = music21.converter.parse(to_musicxml(table(*scale), bpm=60), format="musicxml")
    assert [k.sharps for k in score.recurse().getElementsByClass("KeySignature")] == [-1]
    assert [c.sign for c in score.recurse().getElementsByClass("Clef")] == ["F"]
    assert [n.nameWithOctave for n in score.flatten().notes] == ["F2", "G2", "A2", "B-2", "C3", "D3", "E3", "F3"]


def test_drums_are_on_a_percussion_staff_where_drummers_look_for_them():
    drums = table(*(("t", "Drums", key, float(k), k + 0.5, 0.5, 0) for k, key in enumerate([36, 38, 42, 56])))
    score = music21.converter.parse(to_musicxml(drums, bpm=60), format="musicxml")
    heads = [(n.displayName, n.notehead) for n in score.flatten().notes]
    assert heads == [("F4", "normal"), ("C5", "normal"), ("G5", "x"), ("B4", "normal")]
    assert [c.sign for c in score.recurse().getElementsByClass("Clef")] == ["percussion"]


# files -----------------------------------------------------------------------------------------------------------


def test_each_task_has_a_file_whose_name_is_not_its_own(tmp_path):
    notes = table(
        ("../../etc", "Flute", 60, 0.0, 0.5, 0.5, 0),
        ('<b>"&', "Flute", 60, 0.1, 0.1, 0.5, 0),
    )
    rows = write_musicxml(notes, tmp_path / "new", bpm=120)
    assert rows.schema == SCORES_SCHEMA
    assert rows["task"].to_list() == ["../../etc", '<b>"&']
    assert sorted(map(str, tmp_path.rglob("*.musicxml"))) == sorted(rows["path"])
    assert rows.select("bars", "notes", "unwritten").rows() == [(1, 1, 0), (1, 1, 0)]
    assert rows["largest_start_moved"].to_list() == pytest.approx([0.0, 0.025])
    titles = [ET.parse(path).findtext(".//movement-title") for path in rows["path"]]  # noqa: S314 -- our own files
    assert titles == ["../../etc (sketch)", '<b>"& (sketch)']


def test_no_notes_give_empty_tables_of_the_full_schemas(tmp_path):
    assert score_notes(table()).schema == PLACES_SCHEMA
    assert write_musicxml(table(), tmp_path).schema == SCORES_SCHEMA


@pytest.mark.parametrize("notes", [table(), table(*((t, "Flute", 60, 0.0, 1.0, 0.5, 0) for t in "ab"))])
def test_a_score_is_of_one_task(notes):
    with pytest.raises(ValueError, match=r"notes: expected one task, got [02]: filter"):
        to_musicxml(notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bpm": 0}, "bpm: expected 10 to 400, got 0"),
        ({"bpm": 90, "beats": pl.DataFrame()}, "bpm, beats: expected one of the two, got both"),
        ({"metre": "7/8"}, "metre: expected one of '2/4', '3/4'"),
        ({"steps": 6}, r"steps: expected one of \(1, 2, 3, 4, 8\) in 4/4, got 6"),
        ({"upbeat": 4}, "upbeat: expected 0 to 3 beats in 4/4, got 4"),
    ],
)
def test_an_option_out_of_bounds_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        score_notes(flute((0.0, 1.0)), **options)


def test_a_value_that_no_note_can_have_is_named():
    with pytest.raises(NotesSchemaError, match=r"end 0\.0 s is before start 1\.0 s"):
        score_notes(flute((1.0, 0.0)))


def test_what_is_no_notes_table_is_refused():
    with pytest.raises(NotesSchemaError, match="missing column"):
        score_notes(pl.DataFrame({"task": ["a"]}))


@pytest.mark.parametrize("missing", ["music21", "verovio"])
def test_a_library_that_is_not_there_is_named_with_its_extra(monkeypatch, missing):
    there = builtins.__import__

    def absent(name, *more):
        if name == missing:
            raise ImportError(name)
        return there(name, *more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=rf"{missing}: pip install 'kie-notes\[score\]'"):
        to_svg(flute((0.0, 1.0)))
