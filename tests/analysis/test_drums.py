import math
import statistics
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pretty_midi import note_number_to_drum_name

from kie_notes.analysis.drums import DRUM_CLASSES, drum_class_shares, drum_density, drum_histogram, kick_bass_lock
from kie_notes.errors import NotesOrderError, NotesSchemaError
from kie_notes.notes import NOTES_SCHEMA

HELPERS = [drum_histogram, drum_class_shares, drum_density, kick_bass_lock]
CLASSES = ["kick", "snare", "hat", "tom", "cymbal", "other", "unmapped"]
few = settings(max_examples=25)


def hits(table, *keys, task="a", instrument="Drums", first=0.0):
    rows = [(task, instrument, key, first + k, first + k + 0.25, 0.5, 0) for k, key in enumerate(keys)]
    return table(rows)


def together(table, kicks, basses, bass="Electric Bass (finger)"):
    rows = [("a", "Drums", 36, start, start + 0.1, 0.5, 0) for start in kicks]
    rows += [("a", bass, 40, start, start + 0.5, 0.5, 1) for start in basses]
    return table(sorted(rows, key=lambda row: (row[3], row[6])))


@pytest.fixture
def groove(table):
    flute = table([("a", "Flute", 36, 0.0, 8.0, 0.5, 1), ("b", "Steel Drums", 38, 0.0, 1.0, 0.5, 0)])
    return pl.concat([hits(table, 36, 42, 38, 42), flute, hits(table, 35, 99, task="c")]).sort("task", "start")


@pytest.fixture(scope="session")
def kits():
    """Give a Hypothesis strategy of tables of a kit and a bass in canonical order, on the service's grid."""
    names = ("Drums", "Slap Bass 1", "Flute")
    note = st.tuples(
        st.sampled_from(["a", "b"]), st.integers(0, 400), st.integers(0, 2), st.integers(30, 50), st.integers(0, 96)
    )

    def table_of(notes):
        rows = [(t, names[k], p, s / 192, (s + d) / 192, 0.5, k) for t, s, k, p, d in sorted(notes)]
        return pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")

    return st.lists(note, max_size=40).map(table_of)


# classes and names


def test_every_key_is_of_one_class():
    assert sorted(key for keys in DRUM_CLASSES.values() for key in keys) == list(range(128))
    assert list(DRUM_CLASSES) == CLASSES


@pytest.mark.parametrize(
    ("drum_class", "words"),
    [
        ("kick", ["Bass Drum"]),
        ("snare", ["Snare", "Side Stick"]),
        ("hat", ["Hi Hat"]),
        ("tom", ["Tom"]),
        ("cymbal", ["Cymbal", "Ride Bell"]),
    ],
)
def test_a_class_holds_the_keys_whose_general_midi_names_say_so(drum_class, words):
    named = [key for key in range(35, 82) if any(word in note_number_to_drum_name(key) for word in words)]
    assert list(DRUM_CLASSES[drum_class]) == named


def test_keys_without_a_general_midi_2_name_are_unmapped(table):
    counted = drum_histogram(hits(table, 26, 27, 87, 88)).select("pitch", "drum", "drum_class")
    assert counted.rows() == [
        (26, None, "unmapped"),
        (27, "High Q", "other"),
        (87, "Open Surdo", "other"),
        (88, None, "unmapped"),
    ]


def test_names_are_pretty_midis(table):
    named = drum_histogram(hits(table, *range(35, 82)))
    assert named["drum"].to_list() == [note_number_to_drum_name(key) for key in range(35, 82)]


# drum_histogram


def test_keys_are_counted_with_their_names(groove):
    assert drum_histogram(groove).rows() == [
        ("a", 36, "Bass Drum 1", "kick", 1),
        ("a", 38, "Acoustic Snare", "snare", 1),
        ("a", 42, "Closed Hi Hat", "hat", 2),
        ("c", 35, "Acoustic Bass Drum", "kick", 1),
        ("c", 99, None, "unmapped", 1),
    ]


def test_keys_of_all_tasks_can_be_pooled(groove):
    pooled = drum_histogram(groove, by=(), normalize=True)
    assert pooled["pitch"].to_list() == [35, 36, 38, 42, 99]
    assert pooled["share"].to_list() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 2 / 6, 1 / 6])


@few
@given(data=st.data())
def test_counts_are_those_of_the_drums_notes(kits, data):
    notes = data.draw(kits)
    expected = Counter((task, key) for task, name, key, *_ in notes.rows() if name == "Drums")
    assert {row[:2]: row[-1] for row in drum_histogram(notes).rows()} == expected


# drum_class_shares


def test_shares_of_classes(groove):
    assert drum_class_shares(groove).rows() == [
        ("a", 4, 0.25, 0.25, 0.5, 0.0, 0.0, 0.0, 0.0),
        ("c", 2, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5),
    ]


def test_golden_shares_are_those_of_its_pattern(golden):
    counts = golden.filter(pl.col("instrument") == "Drums").group_by("pitch").len()
    kick, snare, hat = (counts.filter(pl.col("pitch") == key)["len"].item() / 96 for key in (36, 38, 42))
    assert drum_class_shares(golden).rows() == [("golden", 96, kick, snare, hat, 0.0, 0.0, 0.0, 0.0)]


@few
@given(data=st.data())
def test_shares_of_classes_sum_to_one(kits, data):
    shares = drum_class_shares(data.draw(kits))
    assert shares.select(pl.sum_horizontal(CLASSES)).to_series().to_list() == pytest.approx([1.0] * shares.height)


def test_shares_are_of_the_drum_notes_that_peers_count(samples, peers):
    counted = drum_class_shares(samples).select("task", pl.col("drum_notes").cast(pl.Int64).alias("n_drum_notes"))
    assert_frame_equal(counted, peers.select("task", "n_drum_notes").filter(pl.col("n_drum_notes") > 0))


# drum_density


def test_hits_are_per_second_of_the_whole_task(groove):
    # Task a ends with its flute at 8 s, task c with its drums at 1.25 s.
    assert drum_density(groove).rows() == [
        ("a", 0.5, 0.125, 0.125, 0.25, 0.0, 0.0, 0.0, 0.0),
        ("c", 2 / 1.25, 1 / 1.25, 0.0, 0.0, 0.0, 0.0, 0.0, 1 / 1.25),
    ]


def test_a_task_that_ends_at_zero_has_no_density(table):
    notes = table([("a", "Drums", 36, 0.0, 0.0, 0.5, 0)])
    assert drum_density(notes).rows() == [("a", *[None] * 8)]


def test_golden_densities_are_the_drums_part_of_the_references(golden, reference):
    pitched, drums = reference["n pitched, n drums"]
    whole = reference["np.note density n/T (jSymbolic, incl drums)"]
    assert drum_density(golden)["hits_per_second"].item() == pytest.approx(whole * drums / (pitched + drums))


@few
@given(data=st.data())
def test_densities_of_the_classes_sum_to_that_of_all(kits, data):
    rates = drum_density(data.draw(kits)).drop_nulls()
    assert rates.select(pl.sum_horizontal(CLASSES)).to_series().to_list() == pytest.approx(
        rates["hits_per_second"].to_list()
    )


# kick_bass_lock


def test_a_kick_is_measured_to_the_nearest_bass(table):
    notes = together(table, kicks=[1.0, 2.0, 3.0, 4.0], basses=[0.984375, 1.03125, 2.03125, 3.0, 9.0])
    # -15.625 ms, 31.25 ms, 0 ms, and none within 50 ms
    assert kick_bass_lock(notes).rows() == [("a", 4, 5, 0.75, 0.0, 15.625)]


def test_a_bass_after_the_kick_is_positive_and_before_it_negative(table):
    late = together(table, kicks=[1.0], basses=[1.03125])
    early = together(table, kicks=[1.0], basses=[0.96875])
    distances = [kick_bass_lock(notes)["median_distance_ms"].item() for notes in (late, early)]
    assert distances == [31.25, -31.25]


def test_of_two_equally_near_basses_the_earlier_counts(table):
    notes = together(table, kicks=[1.0], basses=[0.96875, 1.03125])
    assert kick_bass_lock(notes)["median_distance_ms"].item() == -31.25


@pytest.mark.parametrize("track", [0, 2])
def test_together_is_zero_and_not_minus_zero(table, track):
    notes = table([("a", "Drums", 36, 1.0, 1.1, 0.5, 1), ("a", "Slap Bass 1", 40, 1.0, 2.0, 0.5, track)])
    value = kick_bass_lock(notes.sort("start", "track"))["median_distance_ms"].item()
    assert (value, math.copysign(1.0, value)) == (0.0, 1.0)


def test_the_tolerance_is_met_in_spite_of_rounding(table):
    notes = together(table, kicks=[1.0], basses=[1.05])  # 1.05 - 1.0 is a little more than 0.05
    assert kick_bass_lock(notes)["locked_share"].item() == 1.0
    assert kick_bass_lock(notes, tolerance=0.049)["locked_share"].item() == 0.0


def test_without_a_bass_there_is_no_lock(table):
    assert kick_bass_lock(together(table, [1.0], [1.0], bass="Cello")).rows() == [("a", 1, 0, None, None, None)]


def test_with_a_bass_far_away_the_lock_is_zero(table):
    assert kick_bass_lock(together(table, [1.0], [5.0])).rows() == [("a", 1, 1, 0.0, None, None)]


def test_kicks_that_start_together_are_one(table):
    assert kick_bass_lock(together(table, [1.0, 1.0, 2.0], [1.0, 1.0]))["kicks"].item() == 2


@pytest.mark.parametrize("bass", ["Acoustic Bass", "fretless bass", "Synth Bass 2"])
def test_a_bass_is_any_of_the_family(table, bass):
    assert kick_bass_lock(together(table, [1.0], [1.0], bass=bass))["locked_share"].item() == 1.0


@pytest.mark.parametrize("tolerance", [0.0, -1.0, math.nan, math.inf])
def test_a_tolerance_is_above_zero(groove, tolerance):
    with pytest.raises(ValueError, match=f"tolerance: expected seconds above 0, got {tolerance}"):
        kick_bass_lock(groove, tolerance=tolerance)


@few
@given(data=st.data(), tolerance=st.sampled_from([5, 10, 48]))
def test_distances_are_those_found_pair_by_pair(kits, data, tolerance):
    notes = data.draw(kits)
    expected = []
    for task in ("a", "b"):
        rows = [(name, key, round(start * 192)) for t, name, key, start, *_ in notes.rows() if t == task]
        kicks = {start for name, key, start in rows if name == "Drums" and key in (35, 36)}
        basses = {start for name, _, start in rows if name == "Slap Bass 1"}
        near = [min((abs(b - k), b - k) for b in basses)[1] for k in kicks if basses]
        locked = [step / 192 * 1000 for step in near if abs(step) <= tolerance]
        if kicks:
            share = len(locked) / len(kicks) if basses else None
            median = pytest.approx(statistics.median(locked)) if locked else None
            mean = pytest.approx(statistics.fmean(map(abs, locked))) if locked else None
            expected.append((task, len(kicks), len(basses), share, median, mean))
    assert kick_bass_lock(notes, tolerance=tolerance / 192).rows() == expected


def test_starts_that_descend_are_an_error(table):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        kick_bass_lock(hits(table, 36, 36).reverse())


# What holds for all of them.


@pytest.mark.parametrize("helper", HELPERS)
def test_a_task_without_drums_has_no_row(groove, helper):
    assert "b" not in helper(groove)["task"].to_list()


@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(groove, helper):
    none = helper(groove.head(0))
    assert none.height == 0
    assert none.schema == helper(groove).schema


def test_columns_have_the_types_that_are_documented(groove):
    text, number, count = pl.String(), pl.Float64(), pl.UInt32()
    key = {"task": text, "pitch": pl.UInt8(), "drum": text, "drum_class": text}
    classes = dict.fromkeys(CLASSES, number)
    lock = {"locked_share": number, "median_distance_ms": number, "mean_distance_ms": number}
    assert dict(drum_histogram(groove).schema) == {**key, "count": count}
    assert dict(drum_histogram(groove, normalize=True).schema) == {**key, "share": number}
    assert dict(drum_class_shares(groove).schema) == {"task": text, "drum_notes": count, **classes}
    assert dict(drum_density(groove).schema) == {"task": text, "hits_per_second": number, **classes}
    assert dict(kick_bass_lock(groove).schema) == {"task": text, "kicks": count, "bass_onsets": count, **lock}


@pytest.mark.parametrize("helper", HELPERS)
def test_every_docstring_warns_of_the_labels(helper):
    assert "unreliable" in " ".join(helper.__doc__.split())


@pytest.mark.parametrize("helper", HELPERS)
def test_a_lazyframe_gives_the_same(groove, helper):
    lazy = helper(groove.lazy())
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(helper(groove))


@pytest.mark.parametrize("helper", HELPERS)
def test_what_is_no_notes_table_is_refused(groove, helper):
    with pytest.raises(NotesSchemaError, match="missing column 'pitch'"):
        helper(groove.drop("pitch"))


@few
@given(data=st.data())
@pytest.mark.parametrize("helper", HELPERS)
def test_tasks_worked_on_apart_and_put_together_are_the_same_to_the_last_bit(helper, kits, data):
    notes = data.draw(kits)
    apart = pl.concat([helper(notes.head(0)), *map(helper, notes.partition_by("task", maintain_order=True))])
    assert apart.equals(helper(notes))


@few
@given(data=st.data())
@pytest.mark.parametrize("helper", HELPERS)
def test_shuffled_rows_give_the_right_answer_or_the_order_error(helper, kits, data):
    notes = data.draw(kits)
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    try:
        result = helper(shuffled)
    except NotesOrderError:
        assert helper is kick_bass_lock
        return
    assert result.equals(helper(notes))


@few
@given(data=st.data())
def test_a_later_piece_has_the_same_lock(kits, data):
    notes = data.draw(kits)
    later = notes.with_columns(pl.col("start", "end") + 3)
    assert_frame_equal(kick_bass_lock(later), kick_bass_lock(notes), abs_tol=1e-6)
