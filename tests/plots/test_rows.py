"""Pictures with one row a drum key, a task or a part."""

import polars as pl
import pytest

from kie_notes import plots


def rows(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def bars(ax):
    """Give (row, left, width) of each bar, in the order in which they were drawn."""
    return [(round(bar.get_y() + bar.get_height() / 2), bar.get_x(), bar.get_width()) for bar in ax.patches]


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


KEYS = pl.DataFrame(
    {
        "task": "t1",
        "pitch": [22, 36, 42],
        "drum": [None, "Bass Drum 1", "Closed Hi Hat"],
        "drum_class": ["unmapped", "kick", "hat"],
        "count": [1, 8, 16],
    }
)


def test_a_drum_histogram_has_a_bar_a_key_low_keys_below(ax):
    plots.drum_histogram(KEYS, ax)
    assert rows(ax) == ["Closed Hi Hat", "Bass Drum 1", "key 22"]
    assert sorted(bars(ax)) == [(0, 0, 16), (1, 0, 8), (2, 0, 1)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("notes", "drum key")


def test_drums_are_told_apart_by_class(ax):
    plots.drum_histogram(KEYS.rename({"count": "share"}), ax)
    assert legend_texts(ax) == ["kick", "hat", "unmapped"]
    assert ax.get_xlabel() == "share (1 = all)"


def test_drums_of_two_instruments_are_refused(ax):
    two = pl.concat([KEYS.with_columns(instrument=pl.lit(name)) for name in ("Drums", "Taiko Drum")])
    with pytest.raises(ValueError, match="shows one instrument, got several"):
        plots.drum_histogram(two, ax)


def test_shares_of_classes_stand_end_to_end_and_empty_classes_are_not_named(ax):
    zero = dict.fromkeys(("tom", "cymbal", "other", "unmapped"), 0.0)
    table = pl.DataFrame({"task": ["a", "b"], "kick": [0.25, 1.0], "snare": [0.25, 0.0], "hat": [0.5, 0.0]} | zero)
    plots.drum_class_shares(table, ax)
    assert bars(ax) == [(0, 0, 0.25), (1, 0, 1.0), (0, 0.25, 0.25), (1, 1.0, 0), (0, 0.5, 0.5), (1, 1.0, 0)]
    assert legend_texts(ax) == ["kick", "snare", "hat"]
    assert rows(ax) == ["a", "b"]


def test_rows_are_named_by_what_tells_them_apart(ax):
    table = pl.DataFrame({"task": "t1", "instrument": ["Flute", "Tuba"], "lowest": [60, 30], "highest": [90, 50]})
    plots.pitch_range(table, ax)
    assert rows(ax) == ["Flute", "Tuba"]


def test_a_column_of_ones_own_names_rows_too(ax):
    plots.pitch_range(pl.DataFrame({"title": ["Song"], "lowest": [60], "highest": [90]}), ax)
    assert rows(ax) == ["Song"]


def test_a_range_holds_its_lowest_and_its_highest_pitch(ax):
    plots.pitch_range(pl.DataFrame({"task": ["t1"], "lowest": [60], "highest": [71]}), ax)
    assert bars(ax) == [(0, 59.5, 12.0)]
    assert ax.get_xlabel() == "pitch (C4 = 60)"


def test_a_tessitura_has_a_tick_at_its_median(ax):
    table = pl.DataFrame({"task": ["a", "b"], "lowest": [60, 40], "highest": [71, 52], "median": [64.5, 45.0]})
    plots.tessitura(table, ax)
    assert bars(ax) == [(0, 59.5, 12.0), (1, 39.5, 13.0)]
    assert [line[:, 0].tolist() for line in ax.collections[0].get_segments()] == [[64.5, 64.5], [45.0, 45.0]]


def test_a_group_without_a_tessitura_has_no_row(ax):
    table = pl.DataFrame({"task": ["a", "b"], "lowest": [None, 40], "highest": [None, 52], "median": [None, 45.0]})
    plots.tessitura(table, ax)
    assert rows(ax) == ["b"]


def test_a_part_lies_over_the_range_of_its_instrument(ax):
    part = {"lowest": 50, "highest": 80, "tessitura_lowest": 55, "tessitura_highest": 70}
    known = {"task": "t1", "instrument": "Viola", "track": 0, "range_lowest": 48, "range_highest": 84} | part
    unknown = {"task": "t1", "instrument": "Thing", "track": 1, "range_lowest": None, "range_highest": None} | part
    plots.instrument_fit(pl.DataFrame([known, unknown]), ax)
    assert bars(ax)[0] == (0, 47.5, 37.0)
    assert bars(ax)[2:] == [(0, 54.5, 16.0), (1, 54.5, 16.0)]
    assert [line[:, 0].tolist() for line in ax.collections[0].get_segments()] == [[49.5, 80.5]] * 2
    assert rows(ax) == ["Viola", "Thing"]


def test_a_tempo_is_a_dot_the_larger_the_surer(ax):
    table = pl.DataFrame(
        {"task": ["a", "a", "b"], "rank": [1, 2, 1], "bpm": [120.0, 60.0, 90.0], "confidence": [0.7, 0.2, 1.0]}
    )
    plots.tempo(table, ax)
    (dots,) = ax.collections
    assert dots.get_offsets().tolist() == [[60.0, 0.0], [120.0, 0.0], [90.0, 1.0]]
    assert dots.get_array().tolist() == [0.2, 0.7, 1.0]
    assert sorted(dots.get_sizes()) == list(dots.get_sizes())
    assert ax.get_xlabel() == "tempo (beats per minute)"


def test_half_and_double_tempo_are_equally_far(ax):
    plots.tempo(pl.DataFrame({"task": "a", "bpm": [60.0, 120.0, 240.0], "confidence": [0.3, 0.3, 0.3]}), ax)
    half, full, double = ax.transData.transform([(60, 0), (120, 0), (240, 0)])[:, 0]
    assert full - half == pytest.approx(double - full)
