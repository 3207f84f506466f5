"""What holds for every picture, on real music."""

import subprocess
import sys
import time

import matplotlib as mpl
import matplotlib.pyplot as plt
import polars as pl
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import kie_notes as kn
from kie_notes import plots
from kie_notes.errors import NotesSchemaError

#: Those that put several tasks side by side, as rows or as outlines; the others show one, or compare sets.
SEVERAL = {
    "compare",
    "compare_histograms",
    "drum_class_shares",
    "duration_histogram",
    "harmonic_change",
    "inter_onset_histogram",
    "interval_histogram",
    "onset_density",
    "pitch_class_histogram",
    "pitch_histogram",
    "pitch_range",
    "polyphony_curve",
    "quality_score",
    "sounding_density",
    "tempo",
    "tessitura",
    "transcription_errors",
    "transcription_scores",
}


def test_every_plot_bears_the_name_of_a_helper_and_is_tried_here(results):
    assert sorted(results) == plots.__all__
    assert set(plots.__all__) - {"piano_roll"} <= set(kn.analysis.__all__)


def test_the_axes_that_come_in_go_out(name, drawable, ax):
    assert getattr(plots, name)(drawable, ax) is ax
    assert (ax.has_data(), ax.get_title()) == (True, "")


def test_x_and_y_say_what_they_are(name, drawable, ax):
    getattr(plots, name)(drawable, ax)
    draw_y = [label.get_text() for label in ax.get_yticklabels() if label.get_text()]
    assert ax.get_xlabel()
    assert ax.get_ylabel() or draw_y or name in {"beats", "find_motif"}


def test_a_lazy_frame_makes_the_same_picture(name, drawable, ax):
    other = Figure(figsize=(8, 4), layout="constrained").subplots()
    getattr(plots, name)(drawable, ax)
    getattr(plots, name)(drawable.lazy(), other)
    assert [type(each) for each in other.get_children()] == [type(each) for each in ax.get_children()]
    assert other.dataLim.get_points().tolist() == ax.dataLim.get_points().tolist()


def test_an_empty_result_makes_axes_that_say_what_there_is_none_of(name, drawable, ax):
    assert getattr(plots, name)(drawable.clear(), ax) is ax
    (said,) = (text for text in ax.texts if text.get_text())
    assert said.get_text().startswith("no ")
    assert ax.get_xlabel()
    assert not ax.has_data()
    ax.figure.draw_without_rendering()


def test_nothing_is_set_for_other_pictures(name, drawable, ax):
    before = dict(mpl.rcParams)
    figures = plt.get_fignums()
    getattr(plots, name)(drawable, ax)
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == figures


def test_without_axes_a_figure_is_made(name, drawable):
    before = plt.get_fignums()
    ax = getattr(plots, name)(drawable)
    (new,) = set(plt.get_fignums()) - set(before)
    plt.close(new)
    assert ax.figure.get_layout_engine() is not None


def test_another_table_is_refused_by_the_name_of_the_helper(name, ax):
    expected = "not a notes table" if name == "piano_roll" else f"not a result of {name}: .*got 'x' \\(Int64\\)"
    with pytest.raises(NotesSchemaError, match=expected):
        getattr(plots, name)(pl.DataFrame({"x": [1]}), ax)


def test_what_is_no_table_is_refused(name, ax):
    expected = "not a notes table" if name == "piano_roll" else f"not a result of {name}: expected a frame, got dict"
    with pytest.raises(NotesSchemaError, match=expected):
        getattr(plots, name)({"x": [1]}, ax)


def test_columns_of_another_type_are_refused(name, drawable, ax):
    text = drawable.with_columns(pl.all().exclude(pl.List).cast(pl.String)).with_columns(
        pl.selectors.by_dtype(pl.List).list.eval(pl.element().cast(pl.String))
    )
    with pytest.raises(NotesSchemaError, match=r"not a (notes table|result of)"):
        getattr(plots, name)(text, ax)


@pytest.mark.parametrize("name", sorted(set(plots.__all__) - SEVERAL), indirect=True)
def test_several_tasks_are_refused_with_the_filter_that_helps(name, drawable, ax):
    both = [drawable.with_columns(pl.lit(task).cast(drawable.schema["task"]).alias("task")) for task in ("t1", "t2")]
    expected = rf"{name}: a picture shows one task, got several \('t1', 't2'\): keep one with .*== 't1'\)"
    with pytest.raises(ValueError, match=expected):
        getattr(plots, name)(pl.concat(both), ax)
    assert not ax.has_data()


def test_a_style_that_is_over_when_a_picture_is_drawn_still_holds(drawable, name):
    with plt.style.context("dark_background"):
        ax = Figure(figsize=(7, 3), layout="constrained").subplots()
    getattr(plots, name)(drawable, ax)
    legend = ax.get_legend()
    assert all(to_rgb(text.get_color()) == (1, 1, 1) for text in (*ax.texts, *(legend.get_texts() if legend else ())))


def test_a_picture_takes_under_a_third_of_a_second(name, drawable):
    getattr(plots, name)(drawable, Figure().subplots())  # matplotlib and its fonts are loaded
    took = []
    for _ in range(2):
        ax = Figure().subplots()
        begun = time.process_time()
        getattr(plots, name)(drawable, ax)
        took.append(time.process_time() - begun)
    assert min(took) < 0.3


def test_importing_plots_does_not_import_matplotlib():
    code = "import sys, kie_notes; kie_notes.plots.piano_roll; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
