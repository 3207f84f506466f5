"""Curves over time: a step for each window or stretch, and a gap where the table has none."""

import time

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from kie_notes import plots


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_onset_density_is_a_step_a_window(ax):
    table = pl.DataFrame({"task": "t1", "window_start": [0.0, 0.5, 1.0], "notes_per_second": [4.0, 0.0, 2.0]})
    assert plots.onset_density(table, ax) is ax
    (steps,) = ax.patches
    assert steps.get_data().edges.tolist() == [0.0, 0.5, 1.0, 1.5]
    assert steps.get_data().values.tolist() == [4.0, 0.0, 2.0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "onsets per second")
    assert ax.get_legend() is None


def test_windows_that_are_not_there_are_gaps_and_no_zeros(ax):
    table = pl.DataFrame({"task": "t1", "window_start": [0.0, 1.0, 4.0], "notes_per_second": [4.0, 3.0, 2.0]})
    plots.onset_density(table, ax)
    (steps,) = ax.patches
    values = steps.get_data().values
    assert np.isnan(values).tolist() == [False, False, True, True, False]


def test_tenths_of_a_second_stay_apart_over_ten_minutes(ax):
    starts = [k * 0.1 for k in range(6_000)]
    plots.onset_density(pl.DataFrame({"window_start": starts, "notes_per_second": [1.0] * 6_000}), ax)
    (steps,) = ax.patches
    assert len(steps.get_data().values) == 6_000
    assert not np.isnan(steps.get_data().values).any()


def test_densities_of_two_tasks_are_told_apart_beside_the_axes():
    ax = Figure(figsize=(8, 3), layout="constrained").subplots()
    table = pl.DataFrame(
        {"task": ["a", "a", "b"], "window_start": [0.0, 1.0, 0.0], "notes_per_second": [4.0, 3.0, 2.0]}
    )
    plots.onset_density(table, ax)
    ax.figure.draw_without_rendering()
    assert legend_texts(ax) == ["a", "b"]
    assert not ax.get_legend().get_window_extent().overlaps(ax.get_window_extent())


def test_windows_of_two_lengths_are_refused(ax):
    table = pl.DataFrame(
        {"task": ["a", "a", "b", "b"], "window_start": [0.0, 1.0, 0.0, 0.7], "notes_per_second": [1.0] * 4}
    )
    with pytest.raises(ValueError, match="windows of several lengths"):
        plots.onset_density(table, ax)
    with pytest.raises(ValueError, match="windows of several lengths"):
        plots.onset_density(table.with_columns(window_start=pl.Series([0.0, 1.0, 0.0, 1.0 + 1e-12])), ax)
    with pytest.raises(ValueError, match="windows of several lengths"):  # and no array of a billion steps
        plots.onset_density(table.with_columns(window_start=pl.Series([0.0, 0.001, 0.0, 1e6])), ax)


def test_sounding_density_is_a_step_a_window(ax):
    plots.sounding_density(pl.DataFrame({"task": "t1", "window_start": [2.0, 3.0], "notes": [4, 1]}), ax)
    (steps,) = ax.patches
    assert (steps.get_data().edges.tolist(), steps.get_data().values.tolist()) == ([2.0, 3.0, 4.0], [4.0, 1.0])
    assert ax.get_ylabel() == "notes sounding"


def test_windows_without_harmonic_change_are_gaps(ax):
    table = pl.DataFrame({"window_start": [0.0, 1.0, 2.0, 3.0], "harmonic_change": [None, 0.5, None, 1.5]})
    plots.harmonic_change(table, ax)
    (steps,) = ax.patches
    assert steps.get_data().edges.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert steps.get_data().values.tolist() == pytest.approx([0.5, np.nan, 1.5], nan_ok=True)


CURVE = {"start": [0.0, 0.5, 3.0], "end": [0.5, 2.0, 4.0], "pitches": [1, 3, 2]}


def test_a_polyphony_curve_has_steps_of_their_own_lengths_and_gaps(ax):
    plots.polyphony_curve(pl.DataFrame({"task": "t1"} | CURVE), ax)
    (steps,) = ax.patches
    assert steps.get_data().edges.tolist() == [0.0, 0.5, 2.0, 3.0, 4.0]
    assert steps.get_data().values.tolist() == pytest.approx([1.0, 3.0, np.nan, 2.0], nan_ok=True)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "pitches sounding")


def test_polyphony_curves_of_two_tasks_are_outlines(ax):
    two = pl.concat([pl.DataFrame({"task": task} | CURVE) for task in ("a", "b")])
    plots.polyphony_curve(two, ax)
    assert legend_texts(ax) == ["a", "b"]


def test_a_polyphony_curve_that_lost_its_task_column_is_refused(ax):
    lost = pl.DataFrame({"start": [0.0, 0.5, 1.0], "end": [2.0, 0.75, 3.0], "pitches": [1, 3, 2]})
    with pytest.raises(ValueError, match="expected stretches that do not overlap: was a column lost"):
        plots.polyphony_curve(lost, ax)


def test_twenty_thousand_steps_take_under_a_third_of_a_second():
    edges = np.arange(20_001) / 8
    table = pl.DataFrame({"start": edges[:-1], "end": edges[1:], "pitches": np.arange(20_000) % 7})
    plots.polyphony_curve(table.head(2), Figure().subplots())  # matplotlib and its fonts are loaded
    ax = Figure().subplots()
    begun = time.process_time()
    plots.polyphony_curve(table, ax)
    assert time.process_time() - begun < 0.3
    assert ax.get_xlim() == pytest.approx((-25.0, 2525.0))
    assert ax.get_ylim()[0] == 0


NAMES = ("fifths_sin", "fifths_cos", "minor_thirds_sin", "minor_thirds_cos", "major_thirds_sin", "major_thirds_cos")


def test_a_tonal_centroid_is_six_lines_through_the_middles_of_the_windows(ax):
    columns = {name: [0.1 * at, None, -0.1 * at] for at, name in enumerate(NAMES)}
    plots.tonal_centroid(pl.DataFrame({"task": "t1", "window_start": [0.0, 2.0, 6.0]} | columns), ax)
    assert [line.get_label() for line in ax.lines] == [name.replace("_", " ") for name in NAMES]
    last = ax.lines[-1]
    assert last.get_xdata().tolist() == [1.0, 3.0, 5.0, 7.0]
    assert last.get_ydata().tolist() == pytest.approx([0.5, np.nan, np.nan, -0.5], nan_ok=True)
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--"] * 3
