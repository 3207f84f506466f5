"""Histograms: a bar for each value that the table has, and an outline for each of several groups."""

import polars as pl
import pytest
from matplotlib.figure import Figure

from kie_notes import plots

PITCHES = pl.DataFrame({"task": "t1", "pitch": [60, 62, 67], "count": [3, 1, 2]})
VALUES = {
    "count": "notes",
    "seconds": "duration (s)",
    "velocity": "sum of velocities",
    "velocity_seconds": "velocity x time (s)",
    "share": "share (1 = all)",
}


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def bars(ax):
    return {round(bar.get_x() + bar.get_width() / 2, 6): bar.get_height() for bar in ax.patches}


def stairs(ax):
    """Give label -> ((left edge, value), ...) of every outline."""
    drawn = {}
    for each in ax.patches:
        data = each.get_data()
        drawn[each.get_label()] = tuple(zip(data.edges[:-1].tolist(), data.values.tolist(), strict=True))
    return drawn


def test_a_pitch_histogram_has_a_bar_a_pitch(ax):
    assert plots.pitch_histogram(PITCHES, ax) is ax
    assert bars(ax) == {60: 3, 62: 1, 67: 2}
    assert ax.get_xlabel() == "pitch (C4 = 60)"
    assert ax.get_legend() is None


@pytest.mark.parametrize(("column", "label"), VALUES.items())
def test_the_value_says_what_stands_at_the_axis(ax, column, label):
    plots.pitch_histogram(PITCHES.rename({"count": column}), ax)
    assert ax.get_ylabel() == label
    other = Figure().subplots()
    plots.pitch_class_histogram(pl.DataFrame({"pitch_class": [3], column: [1.0]}), other)
    assert other.get_ylabel() == label


def test_pitches_without_notes_do_not_widen_the_picture(ax):
    plots.pitch_histogram(pl.DataFrame({"pitch": range(128), "count": [0] * 60 + [1] * 24 + [0] * 44}), ax)
    assert (min(bars(ax)), max(bars(ax))) == (60, 83)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["C4", "C5"]


def test_groups_are_outlines_named_by_what_differs(ax):
    table = pl.DataFrame(
        {"task": "t1", "instrument": ["Flute", "Flute", "Tuba"], "pitch": [60, 62, 40], "count": [3, 1, 2]}
    )
    plots.pitch_histogram(table, ax)
    assert stairs(ax) == {"Flute": ((59.5, 3.0), (60.5, 0.0), (61.5, 1.0)), "Tuba": ((39.5, 2.0),)}
    assert legend_texts(ax) == ["Flute", "Tuba"]


def test_groups_by_two_things_that_differ_are_named_by_both(ax):
    table = pl.DataFrame({"task": ["a", "b"], "instrument": ["Flute", "Tuba"], "pitch": [60, 40], "count": [3, 2]})
    plots.pitch_histogram(table, ax)
    assert list(stairs(ax)) == ["a, Flute", "b, Tuba"]


def test_a_pitch_class_histogram_names_all_twelve(ax):
    table = pl.DataFrame(
        {"task": "t1", "pitch_class": [0, 7], "share": [0.75, 0.25]}, schema_overrides={"pitch_class": pl.UInt8}
    )
    assert plots.pitch_class_histogram(table, ax) is ax
    ax.figure.draw_without_rendering()
    assert bars(ax) == {0: 0.75, 7: 0.25}
    names = [text.get_text() for text in ax.get_xticklabels()]
    assert names == ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
    assert ax.get_xlabel() == "pitch class"


def test_two_tasks_are_two_outlines_over_pitch_classes(ax):
    table = pl.DataFrame({"task": ["a", "a", "b"], "pitch_class": [0, 2, 11], "count": [1, 2, 3]})
    plots.pitch_class_histogram(table.lazy(), ax)
    assert stairs(ax) == {"a": ((-0.5, 1.0), (0.5, 0.0), (1.5, 2.0)), "b": ((10.5, 3.0),)}


DRAWN = {
    plots.pitch_histogram: pl.Schema({"task": pl.String, "pitch": pl.UInt8, "count": pl.UInt32}),
    plots.pitch_class_histogram: pl.Schema({"task": pl.String, "pitch_class": pl.UInt8, "share": pl.Float64}),
    plots.onset_density: pl.Schema({"task": pl.String, "window_start": pl.Float64, "notes_per_second": pl.Float64}),
}


@pytest.mark.parametrize(("draws", "schema"), DRAWN.items())
def test_another_table_is_refused_with_its_columns(ax, draws, schema):
    with pytest.raises(
        ValueError, match=rf"not a result of {draws.__name__}: expected .* got 'task' \(String\), 'x' \(Int64\)"
    ):
        draws(pl.DataFrame({"task": "t1", "x": 1}), ax)
    with pytest.raises(ValueError, match=rf"not a result of {draws.__name__}: expected a frame, got dict"):
        draws({}, ax)
    as_text = schema.to_frame().cast(pl.String)
    with pytest.raises(ValueError, match=rf"not a result of {draws.__name__}: expected numbers"):
        draws(as_text, ax)


@pytest.mark.parametrize(("draws", "schema"), DRAWN.items())
@pytest.mark.parametrize("lazy", [False, True])
def test_more_groups_than_can_be_told_apart_are_refused(ax, draws, schema, lazy):
    table = pl.DataFrame([dict.fromkeys(schema, 1) | {"task": f"t{k}"} for k in range(15)], schema=schema)
    with pytest.raises(ValueError, match=r"over 14 groups by 'task', .* filter the result"):
        draws(table.lazy() if lazy else table, ax)
    draws(table.head(14), ax)
    assert len(ax.patches) == 14


@pytest.mark.parametrize(("draws", "schema"), DRAWN.items())
def test_a_result_that_lost_its_task_column_is_refused(ax, draws, schema):
    table = pl.DataFrame([dict.fromkeys(schema, 1) | {"task": task} for task in ("a", "b")], schema=schema)
    with pytest.raises(ValueError, match="twice in a group: was a column lost that tells tasks apart"):
        draws(table.drop("task"), ax)


def test_two_value_columns_are_refused(ax):
    with pytest.raises(ValueError, match="not a result of pitch_histogram"):
        plots.pitch_histogram(PITCHES.with_columns(share=0.5), ax)


def test_pitches_that_are_none_are_refused(ax):
    with pytest.raises(ValueError, match="'pitch': expected 0 to 127, got 128"):
        plots.pitch_histogram(pl.DataFrame({"pitch": [60, 128], "count": [1, 1]}), ax)
    with pytest.raises(ValueError, match="'pitch_class': expected 0 to 11, got 12"):
        plots.pitch_class_histogram(pl.DataFrame({"pitch_class": [12], "count": [1]}), ax)
    with pytest.raises(ValueError, match="'pitch': expected whole numbers, got Float64"):
        plots.pitch_histogram(pl.DataFrame({"pitch": [60.5], "count": [1]}), ax)


def test_an_interval_histogram_has_a_bar_a_size_downwards_to_the_left(ax):
    plots.interval_histogram(pl.DataFrame({"task": "t1", "interval": [-3, 0, 12], "count": [2, 5, 1]}), ax)
    assert bars(ax) == {-3: 2, 0: 5, 12: 1}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("interval (semitones)", "melodic intervals")


def test_intervals_beyond_all_pitches_are_refused(ax):
    with pytest.raises(ValueError, match="'interval': expected -127 to 127, got 128"):
        plots.interval_histogram(pl.DataFrame({"interval": [128], "count": [1]}), ax)


@pytest.mark.parametrize("draws", [plots.inter_onset_histogram, plots.duration_histogram])
def test_bins_of_lengths_stand_at_their_logarithms(ax, draws):
    table = pl.DataFrame({"task": "t1", "bin_start": [0.125, 1.0], "bin_end": [0.25, 2.0], "count": [8, 2]})
    draws(table, ax)  # 2 ** -3 to 2 ** -2, then nothing up to 2 ** 0
    assert stairs(ax) == {"": ((-3.0, 8.0), (-2.0, 0.0), (-1.0, 0.0), (0.0, 2.0))}


def test_half_octaves_are_half_as_wide(ax):
    root = 2**0.5
    table = pl.DataFrame({"bin_start": [0.5, 0.5 * root], "bin_end": [0.5 * root, 1.0], "share": [0.75, 0.25]})
    plots.inter_onset_histogram(table, ax)
    assert [(round(left, 9), value) for left, value in stairs(ax)[""]] == [(-1.0, 0.75), (-0.5, 0.25)]


def test_ticks_of_lengths_are_seconds(ax):
    plots.duration_histogram(pl.DataFrame({"bin_start": [0.25, 2.0], "bin_end": [0.5, 4.0], "count": [8, 2]}), ax)
    named = dict(zip(ax.get_xticks().tolist(), [text.get_text() for text in ax.get_xticklabels()], strict=True))
    assert (named[-2.0], named[0.0], named[2.0]) == ("0.25", "1", "4")


def test_notes_without_duration_stand_apart_at_0(ax):
    table = pl.DataFrame({"bin_start": [0.0, 0.25], "bin_end": [0.0, 0.5], "count": [3, 8]})
    plots.duration_histogram(table, ax)
    assert stairs(ax) == {"": ((-4.0, 3.0), (-3.0, 0.0), (-2.0, 8.0))}
    named = dict(zip(ax.get_xticks().tolist(), [text.get_text() for text in ax.get_xticklabels()], strict=True))
    assert (named[-4.0], named[-2.0]) == ("0", "0.25")


def test_notes_that_all_lack_duration_are_one_bar(ax):
    plots.duration_histogram(pl.DataFrame({"bin_start": [0.0], "bin_end": [0.0], "count": [3]}), ax)
    assert [value for _, value in stairs(ax)[""]] == [3.0]


def test_what_the_helpers_count_is_what_is_drawn(ax, results):
    table = results["pitch_histogram"]()
    plots.pitch_histogram(table, ax)
    assert bars(ax) == dict(table.select("pitch", "count").rows())
