import csv
import json
import warnings

import mir_eval
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.transcription import transcription_errors, transcription_scores
from kie_notes.errors import NotesSchemaError

HELPERS = [transcription_scores, transcription_errors]
COUNTS = ["matched", "wrong_instrument", "octave", "split", "merged", "missed", "extra"]


def flute(pitch, start, end, *, name="Flute", task="a", track=0):
    return (task, name, pitch, start, end, 0.5, track)


def to_mir_eval(notes):
    times = notes.select("start", "end").to_numpy()
    return times, mir_eval.util.midi_to_hz(notes["pitch"].to_numpy().astype(float))


def mir_evals(reference, estimated, match):
    ratio = 0.2 if match == "onset_offset" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty tables, for which it gives zeros
        return mir_eval.transcription.precision_recall_f1_overlap(
            *to_mir_eval(reference), *to_mir_eval(estimated), offset_ratio=ratio
        )


def agrees(ours, theirs):
    for value, peer in zip((ours["precision"], ours["recall"], ours["f1"]), theirs, strict=False):
        assert (value or 0) == pytest.approx(peer, abs=1e-12)


def errors(table, reference, estimated, **options):
    row = transcription_errors(table(reference), table(estimated), **options).row(0, named=True)
    return {name: row[name] for name in COUNTS if row[name]}


@pytest.fixture(scope="session")
def draw_pair(note_tables):
    """Draw a reference, and an estimate of other notes and of some of the same, moved a little."""

    def draw(data):
        reference, others = data.draw(note_tables()), data.draw(note_tables())
        moves = st.lists(st.integers(-12, 12), min_size=reference.height, max_size=reference.height)
        start, end = (pl.Series(data.draw(moves), dtype=pl.Float64) / 192 for _ in range(2))
        moved = reference.with_columns(pl.max_horizontal(pl.col("start") + start, 0.0))
        moved = moved.with_columns(pl.max_horizontal(pl.col("end") + end, "start"))
        kept = data.draw(st.integers(0, reference.height))
        return reference, pl.concat([moved.head(kept), others]).sort("task", "start", "track", "pitch")

    return draw


# scores


def test_the_published_scores_of_mir_eval_are_met(shared, table):
    from_file = shared / "samples" / "expected" / "mir_eval" / "transcription"
    for path in sorted(from_file.glob("output*.json")):
        number = path.stem.removeprefix("output")
        sides = []
        for side in ("ref", "est"):
            lines = (from_file / f"{side}{number}.txt").read_text(encoding="utf-8").splitlines()
            values = [line.split("\t") for line in lines if not line.startswith("#")]
            rows = [(float(s), float(e), round(69 + 12 * np.log2(float(f) / 440))) for s, e, f in values]
            sides.append(table([flute(pitch, start, end) for start, end, pitch in sorted(rows)]))
        published = json.loads(path.read_text(encoding="utf-8"))
        for match, suffix in (("onset_offset", ""), ("onset", "_no_offset")):
            ours = transcription_scores(*sides, match=match).row(0, named=True)
            for column, name in (("precision", "Precision"), ("recall", "Recall"), ("f1", "F-measure")):
                assert ours[column] == pytest.approx(published[name + suffix], abs=1e-12)
            # Of several maximum matchings mir_eval gives another; the overlap of its pairs is another one then.
            assert (ours["mean_overlap"] or 0) == pytest.approx(published["Average_Overlap_Ratio" + suffix], abs=0.04)


def test_the_samples_pairs_give_the_published_scores(shared, samples):
    with (shared / "samples" / "expected" / "mir_eval_transcription.csv").open(encoding="utf-8") as file:
        pairs = [row for row in csv.DictReader(file) if row["kind"] == "transcription"]
    for pair in pairs:
        reference = samples.filter(pl.col("task") == pair["ref_task"])
        estimated = samples.filter(pl.col("task") == pair["est_task"]).with_columns(task=pl.lit(pair["ref_task"]))
        ours = transcription_scores(reference, estimated, match="onset_offset").row(0, named=True)
        assert ours["f1"] == pytest.approx(float(pair["F-measure"]), abs=1e-12)


@settings(max_examples=30)
@given(data=st.data(), match=st.sampled_from(["onset", "onset_offset"]))
def test_scores_are_those_that_mir_eval_gives(draw_pair, data, match):
    reference, estimated = draw_pair(data)
    # mir_eval refuses notes without duration.
    reference, estimated = (
        side.with_columns(end=pl.max_horizontal("end", pl.col("start") + 1 / 192)) for side in (reference, estimated)
    )
    scores = transcription_scores(reference, estimated, match=match, drums="exclude")
    for row in scores.rows(named=True):
        sides = [
            side.filter(pl.col("task") == row["task"], pl.col("instrument") != "Drums")
            for side in (reference, estimated)
        ]
        agrees(row, mir_evals(*sides, match))


def test_doubled_and_crowded_notes_are_matched_as_many_as_can_be(table):
    rng = np.random.default_rng(7)
    for _ in range(20):
        sides = []
        for size in (60, 55):
            starts = np.sort(rng.integers(0, 150, size)) / 96
            ends = starts + rng.integers(1, 60, size) / 96
            sides.append(table([flute(60 + k % 2, *t) for k, t in enumerate(zip(starts, ends, strict=True))]))
        for match in ("onset", "onset_offset"):
            agrees(transcription_scores(*sides, match=match).row(0, named=True), mir_evals(*sides, match))


def test_a_long_chain_of_nearest_neighbours_is_matched_to_its_end(table):
    # Each estimate is a little nearer to the next reference note than to its own: pairing the nearest first leaves the
    # first and the last note alone, and one path through all of them mends it.
    gaps = [0.05 - 0.0004 * k for k in range(100)]
    times = np.cumsum([0.0, *gaps])
    reference, estimated = times[0::2], times[1::2]
    sides = [table([flute(60, t, t + 0.01) for t in side]) for side in (reference[:50], estimated[:50])]
    assert transcription_scores(*sides)["matched"].item() == 50


def test_as_many_notes_matched_as_in_the_reference_give_its_scores(reference, table):
    values = reference["mir_eval onset-only P,R,F,AOR"]
    assert values[:3] == pytest.approx([0.8901098901098901, 0.84375, 0.8663101604278075], abs=1e-9)
    hits = [flute(60, float(k), k + 0.5) for k in range(192)]  # 162 of 192 notes matched by 182 estimates
    guesses = hits[:162] + [flute(61, float(k), k + 0.5) for k in range(20)]
    row = transcription_scores(table(hits), table(sorted(guesses, key=lambda n: n[3]))).row(0, named=True)
    assert [row["precision"], row["recall"], row["f1"]] == pytest.approx(values[:3], abs=1e-12)


@pytest.mark.parametrize(("late", "matched"), [(0.05, 1), (-0.05, 1), (0.0501, 0), (-0.0501, 0)])
def test_fifty_milliseconds_are_a_match_and_more_are_not(table, late, matched):
    for start in (0.15, 1.1, 33.3, 3600.7):
        scores = transcription_scores(table([flute(60, start, start + 1)]), table([flute(60, start + late, start + 1)]))
        assert scores["matched"].item() == matched


@pytest.mark.parametrize(
    ("duration", "late", "matched"), [(2.0, 0.4, 1), (2.0, 0.41, 0), (0.1, 0.05, 1), (0.1, 0.051, 0)]
)
def test_ends_may_differ_by_a_fifth_of_the_duration_or_fifty_milliseconds(table, duration, late, matched):
    reference, estimated = table([flute(60, 1.0, 1 + duration)]), table([flute(60, 1.0, 1 + duration + late)])
    assert transcription_scores(reference, estimated, match="onset_offset")["matched"].item() == matched


def test_neighbouring_pitches_do_not_match(table):
    assert transcription_scores(table([flute(60, 0.0, 1.0)]), table([flute(61, 0.0, 1.0)]))["matched"].item() == 0


def test_a_percussion_key_does_not_match_a_pitch(table):
    bass, kick = table([flute(36, 0.0, 1.0, name="Bass")]), table([flute(36, 0.0, 1.0, name="Drums")])
    assert transcription_scores(bass, kick)["matched"].item() == 0
    assert transcription_scores(kick, kick)["matched"].item() == 1


def test_with_instruments_respected_each_has_its_row(table):
    reference = table([flute(60, 0.0, 1.0), flute(60, 0.0, 1.0, name="Oboe", track=1)])
    estimated = table([flute(60, 0.0, 1.0), flute(62, 0.0, 1.0, name="Viola", track=1)])
    scores = transcription_scores(reference, estimated, instruments="respect")
    assert scores.drop("f1", "mean_overlap").rows() == [
        ("a", "Flute", 1, 1, 1, 1.0, 1.0),
        ("a", "Oboe", 1, 0, 0, None, 0.0),
        ("a", "Viola", 0, 1, 0, 0.0, None),
    ]


def test_what_is_undefined_is_null(table):
    nothing = table([])
    row = ("a", 1, 0, 0, None, 0.0, 0.0, None)
    assert transcription_scores(table([flute(60, 0.0, 1.0)]), nothing).rows() == [row]
    row = ("a", 0, 1, 0, 0.0, None, 0.0, None)
    assert transcription_scores(nothing, table([flute(60, 0.0, 1.0)])).rows() == [row]


def test_overlap_is_the_time_of_both_by_the_time_of_either(table):
    scores = transcription_scores(table([flute(60, 1.0, 2.0)]), table([flute(60, 1.03125, 3.0)]))
    assert scores["mean_overlap"].item() == pytest.approx((2 - 1.03125) / 2)
    silent = table([flute(60, 1.0, 1.0)])
    assert transcription_scores(silent, silent).select("matched", "mean_overlap").rows() == [(1, None)]


@settings(max_examples=30)
@given(data=st.data())
def test_notes_against_themselves_are_perfect(note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    scores = transcription_scores(notes, notes, match="onset_offset", instruments="respect")
    assert scores.select(pl.col("precision", "recall", "f1").min()).row(0) == (1.0, 1.0, 1.0)


# errors


def test_a_whole_note_heard_as_two_is_a_split(table):
    pieces = [flute(60, 0.0, 1.0), flute(60, 1.0, 2.0)]
    assert errors(table, [flute(60, 0.0, 2.0)], pieces) == {"matched": 1, "split": 1}


def test_two_notes_heard_as_one_are_merged(table):
    pieces = [flute(60, 0.0, 1.0), flute(60, 1.0, 2.0)]
    assert errors(table, pieces, [flute(60, 0.0, 2.0)]) == {"matched": 1, "merged": 1}


def test_a_note_at_the_end_of_another_is_extra_and_not_split(table):
    pieces = [flute(60, 0.0, 2.0), flute(60, 2.0, 3.0)]
    assert errors(table, pieces[:1], pieces) == {"matched": 1, "extra": 1}


@pytest.mark.parametrize("pitch", [48, 72, 84])
def test_an_octave_too_high_or_too_low_is_an_octave_error(table, pitch):
    assert errors(table, [flute(60, 0.0, 1.0)], [flute(pitch, 0.0, 1.0)]) == {"octave": 1}


def test_percussion_has_no_octaves(table):
    kick, clap = flute(36, 0.0, 1.0, name="Drums"), flute(48, 0.0, 1.0, name="Drums")
    assert errors(table, [kick], [clap]) == {"missed": 1, "extra": 1}


def test_a_note_given_to_another_instrument_is_a_wrong_instrument(table):
    one, other = [flute(60, 0.0, 1.0)], [flute(60, 0.0, 1.0, name="Oboe")]
    assert errors(table, one, other) == {"wrong_instrument": 1}
    assert errors(table, one, other, instruments="ignore") == {"matched": 1}


def test_the_right_instrument_is_preferred_to_a_wrong_one(table):
    both = [flute(60, 0.0, 1.0), flute(60, 0.0, 1.0, name="Oboe", track=1)]
    assert errors(table, both[:1], both) == {"matched": 1, "extra": 1}


def test_what_fits_nowhere_is_missed_or_extra(table):
    assert errors(table, [flute(60, 0.0, 1.0)], [flute(63, 5.0, 6.0)]) == {"missed": 1, "extra": 1}


@settings(max_examples=30)
@given(data=st.data(), instruments=st.sampled_from(["ignore", "respect"]))
def test_every_note_has_one_fate(draw_pair, data, instruments):
    reference, estimated = draw_pair(data)
    found = transcription_errors(reference, estimated, instruments=instruments)
    pairs = found["matched"] + found["wrong_instrument"] + found["octave"]
    assert (pairs + found["merged"] + found["missed"]).to_list() == found["reference_notes"].to_list()
    assert (pairs + found["split"] + found["extra"]).to_list() == found["estimated_notes"].to_list()
    scores = transcription_scores(reference, estimated, instruments=instruments)
    assert (
        scores.group_by("task").agg(pl.col("matched").sum()).sort("task").rows()
        == found.select("task", "matched").rows()
    )


@settings(max_examples=30)
@given(data=st.data())
def test_with_the_sides_exchanged_the_errors_are_their_mirrors(draw_pair, data):
    reference, estimated = draw_pair(data)
    there, back = transcription_errors(reference, estimated), transcription_errors(estimated, reference)
    assert there["matched"].to_list() == back["matched"].to_list()
    assert (there["missed"] + there["merged"]).to_list() == (back["extra"] + back["split"]).to_list()


# laws of all helpers


@settings(max_examples=30)
@given(data=st.data())
@pytest.mark.parametrize("helper", HELPERS)
def test_tasks_worked_on_apart_and_put_together_are_the_same(helper, draw_pair, data):
    reference, estimated = draw_pair(data)
    tasks = sorted(set(reference["task"].to_list()) | set(estimated["task"].to_list()))
    apart = [helper(*(side.filter(pl.col("task") == task) for side in (reference, estimated))) for task in tasks]
    assert helper(reference, estimated).rows() == [row for part in apart for row in part.rows()]


@settings(max_examples=30)
@given(data=st.data(), seed=st.integers(0, 9))
@pytest.mark.parametrize("helper", HELPERS)
def test_the_order_of_the_rows_does_not_matter(helper, draw_pair, data, seed):
    reference, estimated = draw_pair(data)
    shuffled = [side.sample(fraction=1, shuffle=True, seed=seed) for side in (reference, estimated)]
    assert helper(*shuffled).equals(helper(reference, estimated))


@pytest.mark.parametrize("helper", HELPERS)
def test_lazy_frames_give_lazy_frames_of_the_same(helper, table):
    sides = table([flute(60, 0.0, 1.0)]), table([flute(60, 0.0, 1.0), flute(61, 0.0, 1.0)])
    lazy = helper(sides[0].lazy(), sides[1].lazy())
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(helper(*sides))


@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(helper, table):
    none, some = table([]), table([flute(60, 0.0, 1.0)])
    assert helper(none, none).height == 0
    assert helper(none, none).schema == helper(some, some).schema


@pytest.mark.parametrize("helper", HELPERS)
def test_a_frame_that_is_no_notes_table_is_refused_on_either_side(helper, table):
    for sides in ((table([]), pl.DataFrame({"task": ["a"]})), (pl.DataFrame({"task": ["a"]}), table([]))):
        with pytest.raises(NotesSchemaError, match="missing column"):
            helper(*sides)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("match", "offset", "match: expected one of 'onset', 'onset_offset', got 'offset'"),
        ("instruments", "no", "instruments: expected one of 'ignore', 'respect', got 'no'"),
        ("drums", "no", "drums: expected one of"),
        ("onset_tolerance", -0.1, "onset_tolerance: expected a number from 0, got -0.1"),
        ("offset_ratio", float("nan"), "offset_ratio: expected a number from 0, got nan"),
    ],
)
def test_an_option_out_of_its_range_is_refused(table, option, value, message):
    with pytest.raises(ValueError, match=message):
        transcription_scores(table([]), table([]), **{option: value})
