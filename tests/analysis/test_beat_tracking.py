import csv

import mir_eval
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.beat_tracking import beats
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA


def notes_at(table, starts, *, task="a", instrument="Flute", pitch=60, seconds=0.1):
    return table([(task, instrument, pitch, float(start), float(start) + seconds, 0.5, 0) for start in starts])


def f_measure(truth, found):
    trimmed = [mir_eval.beat.trim_beats(np.asarray(times)) for times in (truth, found)]
    return mir_eval.beat.f_measure(*trimmed)


@pytest.mark.parametrize("bpm", [60, 90, 120, 130])
def test_clicks_are_the_beats(table, bpm):
    starts = [0.7 + k * 60 / bpm for k in range(50)]
    assert beats(notes_at(table, starts))["time"].to_list() == pytest.approx(starts, abs=1e-12)


def test_where_a_click_is_missing_there_is_a_beat_all_the_same(table):
    starts = [k * 0.5 for k in range(61) if k % 7 != 3]
    assert beats(notes_at(table, starts))["time"].to_list() == pytest.approx([k * 0.5 for k in range(61)], abs=0.02)


@pytest.mark.parametrize("change", [0.85, 1.2])
def test_beats_follow_a_player_who_changes_tempo_slowly(table, change):
    steps = 0.5 * np.geomspace(1, change, 80)
    starts = np.concatenate([[0.0], np.cumsum(steps)])
    assert f_measure(starts, beats(notes_at(table, starts))["time"]) > 0.97


def test_beats_fall_on_the_accents_of_a_rhythm_of_eighths(table):
    low = notes_at(table, np.arange(0.3, 30, 0.6), pitch=40, seconds=0.5)
    high = notes_at(table, np.arange(0, 30, 0.6), pitch=80)
    found = beats(pl.concat([low, high]).sort("start"))["time"]
    assert f_measure(np.arange(0.3, 30, 0.6), found) == 1.0


def test_golden_beats_are_those_of_96_bpm(golden):
    found = beats(golden)["time"].to_numpy()
    assert f_measure(np.arange(0, golden["end"].max(), 0.625), found) > 0.98
    assert found / 0.625 == pytest.approx(np.round(found / 0.625), abs=0.02)


def test_a_known_tempo_is_taken(table):
    starts = [k * 0.25 for k in range(80)]
    for bpm in (60, 120, 240):
        steps = np.diff(beats(notes_at(table, starts), bpm=bpm)["time"])
        assert steps == pytest.approx([60 / bpm] * len(steps))


def test_a_range_of_tempi_is_kept(table):
    starts = [k * 0.5 for k in range(60)]
    assert np.diff(beats(notes_at(table, starts), fastest=80)["time"]) == pytest.approx(1.0)


def test_there_are_no_beats_in_a_long_silence(table):
    starts = [k * 0.5 for k in range(40)]
    found = beats(notes_at(table, [*starts, *(1e6 + start for start in starts)]))["time"]
    assert found.is_between(19.6, 1e6 - 0.1).sum() == 0
    assert f_measure(starts, found.filter(found < 30)) > 0.9
    assert found.filter(found > 30).len() > 35


def test_there_are_no_beats_outside_the_onsets(golden):
    found = beats(golden)["time"]
    assert found.min() >= golden["start"].min()
    assert found.max() <= golden["start"].max()


def test_one_onset_has_no_beats(table):
    assert beats(notes_at(table, [1.0, 1.0])).height == 0


def test_drums_can_be_left_out(table):
    flute, drums = [k * 0.75 for k in range(40)], [k * 0.5 for k in range(60)]
    both = pl.concat([notes_at(table, flute), notes_at(table, drums, instrument="Drums")]).sort("start")
    assert beats(both, drums="exclude")["time"].to_list() == pytest.approx(flute)
    assert beats(both, drums="only")["time"].to_list() == pytest.approx(drums)


def test_music_that_begins_later_has_the_same_beats_later(golden):
    later = golden.with_columns(pl.col("start") + 64, pl.col("end") + 64)
    assert beats(later)["time"].to_list() == pytest.approx([time + 64 for time in beats(golden)["time"]], abs=0.02)


def test_samples_of_drummers_to_a_click_reach_what_was_promised(samples, shared):
    with (shared / "samples" / "expected" / "tempo.csv").open(encoding="utf-8") as file:
        clicks = {row["task"]: float(row["tempo"]) for row in csv.DictReader(file) if row["group"] == "groove"}
    played = samples.filter(pl.col("task").cast(pl.String).is_in(list(clicks)))
    found = {task: rows["time"].to_numpy() for (task,), rows in beats(played).group_by("task")}
    ends = dict(played.group_by(pl.col("task").cast(pl.String)).agg(pl.col("end").max()).iter_rows())
    scores = [f_measure(np.arange(0, ends[task], 60 / bpm), found[task]) for task, bpm in clicks.items()]
    assert len(scores) == 12
    assert np.mean(scores) >= 0.75


@pytest.mark.parametrize("bpm", [29.0, 301.0, float("nan")])
def test_a_known_tempo_is_within_30_to_300_bpm(golden, bpm):
    with pytest.raises(ValueError, match=f"bpm: expected 30 to 300, got {bpm}"):
        beats(golden, bpm=bpm)


def test_a_range_is_within_30_to_300_bpm(golden):
    with pytest.raises(ValueError, match="slowest, fastest: expected 30 <= slowest < fastest <= 300 BPM"):
        beats(golden, slowest=200, fastest=100)


def test_columns_have_the_types_that_are_documented(golden):
    assert beats(golden).schema == {"task": pl.String, "time": pl.Float64}
    assert beats(golden.lazy()).collect_schema() == {"task": pl.String, "time": pl.Float64}


def test_no_notes_give_no_rows_of_the_same_columns(golden):
    empty = beats(golden.clear())
    assert (empty.height, empty.schema) == (0, beats(golden).schema)


def test_a_lazy_frame_gives_the_same_lazily(golden):
    assert beats(golden.lazy()).collect().equals(beats(golden))


@settings(max_examples=30)
@given(data=st.data())
def test_beats_ascend_and_stay_within_the_onsets(note_tables, data):
    notes = data.draw(note_tables())
    for (task,), rows in beats(notes).group_by("task"):
        starts = notes.filter(pl.col("task").cast(pl.String) == task)["start"]
        assert (rows["time"].diff().drop_nulls() > 0).all()
        assert rows["time"].is_between(starts.min() - 1e-9, starts.max() + 1e-9).all()


@settings(max_examples=30)
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same(note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    apart = pl.concat(beats(part) for part in notes.partition_by("task", maintain_order=True))
    assert apart.equals(beats(notes))


@settings(max_examples=30)
@given(data=st.data())
def test_shuffled_rows_give_the_right_answer_or_the_order_error(note_tables, data):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    try:
        result = beats(shuffled)
    except NotesOrderError as error:
        assert "sort_notes" in str(error)  # noqa: PT017  # either outcome is right
    else:
        assert result.equals(beats(notes))
