"""Matrices: which cell holds what, what rows and columns are called, what is empty."""

import numpy as np
import polars as pl
import pytest

from kie_notes import plots


def cells(ax):
    """Give (row, column) -> value of the cells that are not empty."""
    shown = np.ma.filled(np.ma.masked_invalid(ax.collections[0].get_array()), np.nan)
    return {(int(row), int(column)): shown[row, column] for row, column in np.argwhere(~np.isnan(shown))}


def names(ax):
    return [text.get_text() for text in ax.get_yticklabels()], [text.get_text() for text in ax.get_xticklabels()]


def colour_label(ax):
    (bar,) = (each for each in ax.figure.axes if each is not ax)
    return bar.get_ylabel()


STEPS = pl.DataFrame({"task": "t1", "from_pitch_class": [0, 0, 11], "to_pitch_class": [7, 0, 0], "count": [3, 1, 2]})


def test_a_transition_stands_in_the_row_that_it_comes_from(ax):
    plots.pitch_class_transitions(STEPS, ax)
    assert cells(ax) == {(0, 7): 3, (0, 0): 1, (11, 0): 2}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("to pitch class", "from pitch class")


def test_rows_and_columns_are_named_c_to_b(ax):
    plots.pitch_class_transitions(STEPS, ax)
    down, along = names(ax)
    assert down == along == ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]


@pytest.mark.parametrize(
    ("value", "label"),
    [("count", "transitions"), ("share", "share (1 = all)"), ("probability", "probability (row sum 1)")],
)
def test_the_colour_bar_says_what_is_counted(ax, value, label):
    plots.pitch_class_transitions(STEPS.rename({"count": value}), ax)
    assert colour_label(ax) == label


def test_transitions_of_two_instruments_are_refused(ax):
    two = pl.concat([STEPS.drop("task").with_columns(instrument=pl.lit(name)) for name in ("Flute", "Tuba")])
    with pytest.raises(ValueError, match=r"shows one instrument, got several \('Flute', 'Tuba'\)"):
        plots.pitch_class_transitions(two, ax)


def test_pitch_classes_that_are_none_are_refused(ax):
    with pytest.raises(ValueError, match="'to_pitch_class': expected 0 to 11, got 12"):
        plots.pitch_class_transitions(STEPS.with_columns(to_pitch_class=pl.lit(12)), ax)


def test_pairs_of_intervals_are_a_matrix_in_semitones(ax):
    table = pl.DataFrame({"task": "t1", "intervals": [[-1, 2], [2, 2]], "count": [3, 5]})
    plots.interval_ngrams(table, ax)
    assert cells(ax) == {(0, 3): 3, (3, 3): 5}
    assert ax.get_xlim() == (-1.5, 2.5)
    assert ax.get_xlabel() == "next interval (semitones)"


def test_longer_ngrams_are_bars_the_most_frequent_on_top(ax):
    table = pl.DataFrame({"intervals": [[2, 2, 1], [0, 0, 0], [-1, -2, 3]], "share": [0.2, 0.2, 0.6]})
    plots.interval_ngrams(table, ax)
    assert names(ax)[0] == ["-1 -2 +3", "+2 +2 +1", "0 0 0"]
    assert [bar.get_width() for bar in ax.patches] == [0.6, 0.2, 0.2]


def test_twenty_ngrams_are_shown_at_the_most(ax):
    table = pl.DataFrame({"intervals": [[k, 0, 0] for k in range(30)], "count": range(30)})
    plots.interval_ngrams(table, ax)
    assert [bar.get_width() for bar in ax.patches] == list(range(29, 9, -1))


def test_ngrams_of_two_lengths_are_refused(ax):
    with pytest.raises(ValueError, match=r"several lengths \(2, 3\)"):
        plots.interval_ngrams(pl.DataFrame({"intervals": [[1, 2], [1, 2, 3]], "count": [1, 1]}), ax)


def pair(track, other, **value):
    called = {0: "Flute", 2: "Tuba", 5: "Voice"}
    one = {"task": "t1", "instrument": called[track], "track": track}
    return one | {"other_instrument": called[other], "other_track": other} | value


def test_a_doubled_track_stands_in_its_row_and_the_other_in_its_column(ax):
    plots.doubling(pl.DataFrame([pair(0, 2, doubled_share=0.25), pair(5, 0, doubled_share=1.0)]), ax)
    assert names(ax) == (["0 Flute", "2 Tuba", "5 Voice"], ["0", "2", "5"])
    assert cells(ax) == {(0, 1): 0.25, (2, 0): 1.0}
    assert colour_label(ax) == "share doubled (0-1)"


def test_early_and_late_are_told_apart_about_0(ax):
    table = pl.DataFrame([pair(0, 2, mean_ms=-4.0), pair(0, 5, mean_ms=10.0), pair(2, 5, mean_ms=None)])
    plots.onset_asynchrony(table, ax)
    assert cells(ax) == {(0, 1): -4.0, (0, 2): 10.0}
    assert ax.collections[0].get_clim() == (-10.0, 10.0)
    assert colour_label(ax) == "the other is later by (ms)"


def test_parts_that_are_quite_together_have_a_scale_too(ax):
    plots.onset_asynchrony(pl.DataFrame([pair(0, 2, mean_ms=0.0)]), ax)
    assert ax.collections[0].get_clim() == (-1.0, 1.0)


def test_a_flag_is_shown_as_a_share_of_the_notes_and_what_was_not_asked_is_empty(ax):
    zero = dict.fromkeys(("duplicate", "echo", "fragment", "overlap", "octave_ghost", "out_of_range"), 0)
    table = pl.DataFrame(
        [{"task": "a", "notes": 8, "too_short": 2, "past_end": None, "constant_velocity": 8, "off_grid": 0} | zero]
    )
    plots.quality_score(table.with_columns(pl.col("past_end").cast(pl.UInt32)), ax)
    shown = cells(ax)
    named = dict(zip(names(ax)[1], range(10), strict=True))
    assert shown[0, named["too short"]] == 0.25
    assert shown[0, named["constant velocity"]] == 1.0
    assert (0, named["past end"]) not in shown
