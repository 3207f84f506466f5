import polars as pl
import pytest

from kie_notes.analysis.grouping import as_number, check_choice, drums_mask, exact_sum, keep_drums
from kie_notes.analysis.melody import interval_histogram, pitch_class_transitions
from kie_notes.analysis.pitch import Weight, pitch_class_histogram, pitch_histogram

NAMES = [
    "Drums",
    "Flute",
    "drum kit",
    "Steel Drums",
    "PERCUSSION",
    "Taiko Drum",
    "Synth Drum",
    "Melodic Tom",
    "Standard Drum-Kit",
]


def of_instruments(table, names):
    return table([("a", name, 60, float(k), k + 1.0, 0.5, k) for k, name in enumerate(names)])


@pytest.mark.parametrize(
    ("drums", "kept"),
    [
        ("exclude", ["Flute", "Steel Drums", "Taiko Drum", "Synth Drum", "Melodic Tom"]),
        ("only", ["Drums", "drum kit", "PERCUSSION", "Standard Drum-Kit"]),
        ("include", NAMES),
    ],
)
def test_drums_are_the_names_of_kits_and_no_melodic_program(table, drums, kept):
    notes = of_instruments(table, NAMES).lazy()
    assert keep_drums(notes, drums).collect()["instrument"].to_list() == kept


def test_a_note_without_an_instrument_is_no_drum(table):
    assert of_instruments(table, [None, "Drums"]).select(drums_mask()).to_series().to_list() == [False, True]


def test_drums_are_found_in_few_notes_and_in_many(table):
    # Categories are numbered from the first name that the process has met: these numbers are above the notes.
    names = pl.Series([f"name {k}" for k in range(50)] + ["Congas", "drumkit", "Drums"]).cast(pl.Categorical)
    few = of_instruments(table, ["drumkit", "Congas"]).with_columns(instrument=names[[-2, -3]])
    many = pl.concat([few] * 500)
    assert few.select(drums_mask()).to_series().to_list() == [True, False]
    assert many.select(drums_mask()).to_series().to_list() == [True, False] * 500


def test_helpers_of_pitched_notes_that_are_asked_together_read_the_file_once(golden, tmp_path):
    golden.write_parquet(tmp_path / "notes.parquet")
    scan = pl.scan_parquet(tmp_path / "notes.parquet")
    plan = pl.explain_all([pitch_class_transitions(scan), interval_histogram(scan)])
    assert plan.count("Parquet SCAN") == 1


def test_notes_of_no_drums_at_all_are_all_kept(table):
    assert keep_drums(of_instruments(table, ["Flute"]).lazy(), "exclude").collect().height == 1


def test_a_misspelt_option_names_what_there_is(table):
    with pytest.raises(ValueError, match="drums: expected one of 'exclude', 'include', 'only', got 'no'"):
        keep_drums(of_instruments(table, NAMES).lazy(), "no")


def test_a_misspelt_choice_names_its_option():
    with pytest.raises(ValueError, match=r"weight: expected one of 'count', 'seconds', .*, got 'duration'"):
        check_choice("weight", "duration", Weight)


def test_an_unknown_group_names_the_columns_there_are(table):
    with pytest.raises(ValueError, match="by: no column 'genre'; there are task, instrument, pitch, start, end"):
        pitch_histogram(of_instruments(table, NAMES), by=("task", "genre"))


def test_a_group_named_like_a_column_of_the_result_is_refused(table):
    with pytest.raises(ValueError, match="by: 'pitch' is a column of the result"):
        pitch_histogram(of_instruments(table, NAMES), by="pitch")


def test_a_group_named_twice_is_refused(table):
    with pytest.raises(ValueError, match="by: 'task' is named twice"):
        pitch_histogram(of_instruments(table, NAMES), by=("task", "task"))


def test_a_column_that_was_joined_on_makes_groups_and_null_is_one(table):
    notes = of_instruments(table, ["Flute", "Oboe", "Oboe"]).with_columns(genre=pl.Series(["jazz", None, None]))
    assert pitch_histogram(notes, by="genre").rows() == [(None, 60, 2), ("jazz", 60, 1)]
    assert pitch_class_histogram(notes, by=("genre",)).height == 24


def test_groups_come_in_the_order_of_their_names_and_names_are_text(table):
    notes = of_instruments(table, ["Oboe", "Flute", "Flute"])
    result = pitch_histogram(notes, by=["instrument", "task"])
    assert result.rows() == [("Flute", "a", 60, 2), ("Oboe", "a", 60, 1)]
    assert result.schema == {"instrument": pl.String, "task": pl.String, "pitch": pl.UInt8, "count": pl.UInt32}


def test_a_task_in_several_stretches_is_one_group(table):
    rows = [(task, "Flute", 60, 0.0, 1.0, 0.5, 0) for task in "abab"]
    assert pitch_histogram(table(rows)).rows() == [("a", 60, 2), ("b", 60, 2)]


def test_sums_are_exact_in_any_order():
    # As floats these add up to 2.0, 1.0 or 0.0, depending on the order.
    values = pl.DataFrame({"x": [1.0, 1e16, 1.0, -1e16]})
    sums = [frame.select(as_number(exact_sum(pl.col("x")))).item() for frame in (values, values.sort("x"))]
    assert sums == [2.0, 2.0]
