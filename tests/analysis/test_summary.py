import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kie_notes.analysis.pitch import pitch_class_histogram, pitch_range
from kie_notes.analysis.rhythm import note_density
from kie_notes.analysis.summary import instrument_summary, task_summary
from kie_notes.analysis.texture import instrument_activity, polyphony
from kie_notes.errors import NotesOrderError

HELPERS = [task_summary, instrument_summary]


@pytest.fixture
def band(table):
    return table(
        [
            ("a", "Flute", 60, 0.0, 2.0, 0.5, 0),
            ("a", "Drums", 36, 0.0, 0.5, 1.0, 1),
            ("a", "Flute", 67, 1.0, 2.0, 0.75, 2),
            ("a", "Drums", 38, 1.0, 1.5, 1.0, 1),
            ("a", "Flute", 72, 3.0, 4.0, 0.5, 0),
            ("b", "Drums", 36, 0.0, 0.0, 0.5, 0),
        ]
    )


def test_a_task_in_one_row(band):
    assert task_summary(band).row(0, named=True) == {
        "task": "a",
        "notes": 5,
        "drum_notes": 2,
        "tracks": 3,
        "instruments": 2,
        "main_instrument": "Flute",
        "duration": 4.0,
        "notes_per_second": 1.25,
        "lowest": 60,
        "highest": 72,
        "pitch_classes": 2,
        "mean_polyphony": pytest.approx(4 / 3),
        "maximum_polyphony": 2,
        "mean_velocity": 0.75,
        "velocity_levels": 3,
    }


def test_a_task_of_drums_alone_has_no_pitches(band):
    assert task_summary(band).row(1, named=True) == {
        "task": "b",
        "notes": 1,
        "drum_notes": 1,
        "tracks": 1,
        "instruments": 1,
        "main_instrument": "Drums",
        "duration": 0.0,
        "notes_per_second": None,
        "lowest": None,
        "highest": None,
        "pitch_classes": 0,
        "mean_polyphony": None,
        "maximum_polyphony": None,
        "mean_velocity": 0.5,
        "velocity_levels": 1,
    }


@pytest.mark.parametrize("names", [["Viola", "Oboe", "Viola", "Oboe"], ["Oboe", "Viola", "Oboe", "Viola"]])
def test_of_several_main_instruments_the_first_in_the_alphabet_is_named(table, names):
    notes = table([("a", name, 60, float(k), k + 1.0, 0.5, 0) for k, name in enumerate(names)])
    assert task_summary(notes)["main_instrument"].to_list() == ["Oboe"]


def test_a_track_in_one_row(table):
    pitches = [60, 61, 62, 63, 84]
    notes = table([("a", "Flute", pitch, float(k), k + 0.5 * (k + 1), 0.5, 3) for k, pitch in enumerate(pitches)])
    assert instrument_summary(notes).rows(named=True) == [
        {
            "task": "a",
            "instrument": "Flute",
            "track": 3,
            "notes": 5,
            "lowest": 60,
            "highest": 84,
            "mean_pitch": 66.0,
            "mean_pitch_by_seconds": pytest.approx((60 + 2 * 61 + 3 * 62 + 4 * 63 + 5 * 84) / 15),
            "pitch_q05": pytest.approx(60.2),
            "pitch_q95": pytest.approx(79.8),
            "sounding_seconds": pytest.approx(6.0),
            "mean_velocity": 0.5,
            "velocity_levels": 1,
        }
    ]


def test_two_tracks_of_one_name_are_two_rows(band):
    assert instrument_summary(band).select("task", "instrument", "track", "notes").rows() == [
        ("a", "Flute", 0, 2),
        ("a", "Drums", 1, 2),
        ("a", "Flute", 2, 1),
        ("b", "Drums", 0, 1),
    ]


def test_a_track_without_durations_has_no_mean_by_seconds(band):
    last = instrument_summary(band).row(3, named=True)
    assert (last["mean_pitch"], last["mean_pitch_by_seconds"], last["sounding_seconds"]) == (36.0, None, 0.0)


@pytest.mark.parametrize("name", ["Acoustic Grand Piano", "Electric Bass (finger)", "Drums"])
def test_golden_instruments_are_as_the_reference_says(golden, reference, name):
    row = instrument_summary(golden).row(by_predicate=pl.col("instrument") == name, named=True)
    expected = reference[f"per-instrument {name}"]
    assert (row["notes"], row["lowest"], row["highest"]) == (expected["n"], expected["lo"], expected["hi"])
    columns = {
        "mean_pitch": "mean_pitch",
        "mean_pitch_by_seconds": "mean_pitch_durw",
        "pitch_q05": "p5",
        "pitch_q95": "p95",
        "sounding_seconds": "sounding_s",
    }
    for ours, theirs in columns.items():
        assert row[ours] == pytest.approx(expected[theirs], rel=1e-12)


def test_the_golden_task_is_as_the_reference_says(golden, reference):
    row = task_summary(golden).row(0, named=True)
    assert [row["notes"] - row["drum_notes"], row["drum_notes"]] == reference["n pitched, n drums"]
    assert row["duration"] == reference["pm.end_time"]
    assert row["notes_per_second"] == pytest.approx(reference["np.note density n/T (jSymbolic, incl drums)"], rel=1e-12)
    assert row["highest"] - row["lowest"] == reference["muspy.pitch_range"]
    assert row["pitch_classes"] == reference["muspy.n_pitch_classes_used"]
    assert row["mean_polyphony"] == pytest.approx(reference["muspy.polyphony"], rel=1e-12)
    # The reference counts velocities as whole numbers up to 127; ours are Float32.
    assert row["mean_velocity"] * 127 == pytest.approx(
        reference["np.vel mean,std(ddof0),std(ddof1),range"][0], rel=1e-7
    )
    assert (row["tracks"], row["instruments"], row["main_instrument"]) == (3, 3, "Drums")


def test_tasks_of_the_samples_are_as_the_peers_say(samples, peers):
    ours = task_summary(samples)
    columns = {
        "notes": "n_notes",
        "drum_notes": "n_drum_notes",
        "instruments": "n_instrument_names",
        "lowest": "pitch_min",
        "highest": "pitch_max",
    }
    for column, peer in columns.items():
        assert ours[column].to_list() == peers[peer].to_list()
    assert ours["duration"].to_list() == pytest.approx(peers["pm_end_time"].to_list(), abs=1e-9)


@given(data=st.data())
def test_a_summary_says_what_the_helpers_say(note_tables, data):
    notes = data.draw(note_tables())
    ours = task_summary(notes)
    density = note_density(notes)
    assert ours.select("task", "notes_per_second").equals(density.select("task", "notes_per_second"))
    pitched = ours.drop_nulls("lowest")
    assert pitched.select("task", "lowest", "highest").equals(pitch_range(notes).select("task", "lowest", "highest"))
    assert pitched.select("task", "mean_polyphony", "maximum_polyphony").equals(
        polyphony(notes).drop("sounding_seconds")
    )
    classes = pitch_class_histogram(notes).filter(pl.col("count") > 0).group_by("task", maintain_order=True).len()
    assert pitched["pitch_classes"].to_list() == classes["len"].to_list()
    shared = ["task", "instrument", "track", "notes", "sounding_seconds"]
    assert instrument_summary(notes).select(shared).equals(instrument_activity(notes).select(shared))


@given(data=st.data())
@pytest.mark.parametrize("helper", HELPERS)
def test_every_note_is_counted_once(helper, note_tables, data):
    notes = data.draw(note_tables())
    assert helper(notes)["notes"].sum() == notes.height


@given(data=st.data())
@pytest.mark.parametrize("helper", HELPERS)
def test_tasks_worked_on_apart_and_put_together_are_the_same(helper, note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    apart = pl.concat(helper(part) for part in notes.partition_by("task", maintain_order=True))
    assert apart.equals(helper(notes))


@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(band, helper):
    none = helper(band.head(0))
    assert none.height == 0
    assert none.schema == helper(band).schema


@pytest.mark.parametrize("helper", HELPERS)
def test_starts_that_descend_are_an_error(band, helper):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        helper(band.reverse())


def test_columns_have_the_types_that_are_documented(band):
    text, number, count, pitch = pl.String, pl.Float64, pl.UInt32, pl.UInt8
    task = [text, count, count, count, count, text, number, number, pitch, pitch, count, number, count, number, count]
    track = [text, text, pl.UInt16, count, pitch, pitch, number, number, number, number, number, number, count]
    assert task_summary(band).dtypes == task
    assert instrument_summary(band).dtypes == track
