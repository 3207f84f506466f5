"""Pictures are judged by their artists: what stands where, what is written, and that nothing covers anything."""

import itertools
import json
import subprocess
import sys
import time

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from kie_notes import plots
from kie_notes.analysis import pitch, rhythm
from kie_notes.errors import NotesSchemaError
from kie_notes.notes import NOTES_SCHEMA, sort_notes


def notes(*rows, task="t1"):
    """Make a notes table of (track, instrument, pitch, start, end)."""
    columns = [
        {"task": task, "instrument": name, "pitch": pitch, "start": start, "end": end, "velocity": 0.5, "track": track}
        for track, name, pitch, start, end in rows
    ]
    return pl.DataFrame(columns, schema=NOTES_SCHEMA)


BAND = notes(
    (0, "Drums", 36, 0.0, 0.1),
    (0, "Drums", 38, 0.5, 0.6),
    (0, "Drums", 36, 1.0, 1.1),
    (1, "Electric Bass (finger)", 36, 0.0, 1.0),
    (2, "Flute", 72, 0.5, 1.5),
    (2, "Flute", 74, 1.5, 2.0),
)


@pytest.fixture
def ax():
    return Figure(figsize=(8, 4), layout="constrained").subplots()


def boxes(collection):
    """Give (left, right, bottom, top) of each polygon."""
    corners = [path.vertices for path in collection.get_paths()]
    return [(v[:, 0].min(), v[:, 0].max(), v[:, 1].min(), v[:, 1].max()) for v in corners]


def by_label(ax):
    return {each.get_label(): each for each in ax.collections}


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def draw(ax):
    ax.figure.draw_without_rendering()


def y_labels(ax, *, minor):
    """Give the y ticks that are in sight, with their names."""
    draw(ax)
    low, high = ax.get_ylim()
    places = ax.yaxis.get_ticklocs(minor=minor)
    texts = [text.get_text() for text in ax.yaxis.get_ticklabels(which="minor" if minor else "major")]
    return [(place, text) for place, text in zip(places, texts, strict=True) if low <= place <= high]


# piano_roll


def test_a_piano_roll_has_one_collection_an_instrument_and_a_box_a_note(ax):
    plots.piano_roll(BAND, ax)
    drawn = by_label(ax)
    assert sorted(drawn) == ["Drums", "Electric Bass (finger)", "Flute"]
    assert boxes(drawn["Flute"]) == [(0.5, 1.5, 71.6, 72.4), (1.5, 2.0, 73.6, 74.4)]
    assert len(boxes(drawn["Drums"])) == 3


def test_the_axes_that_come_in_go_out(ax):
    assert plots.piano_roll(BAND, ax) is ax
    assert plots.piano_roll(notes(), ax) is ax


@pytest.mark.parametrize("draws", [plots.piano_roll, plots.pitch_histogram])
def test_without_axes_a_figure_is_made(draws):
    before = plt.get_fignums()
    ax = draws(BAND if draws is plots.piano_roll else pl.DataFrame({"pitch": [60], "count": [1]}))
    (new,) = set(plt.get_fignums()) - set(before)
    assert ax.figure is plt.figure(new)
    plt.close(new)


def test_a_lazy_frame_makes_the_same_picture(ax):
    plots.piano_roll(BAND.lazy(), ax)
    assert boxes(by_label(ax)["Flute"]) == [(0.5, 1.5, 71.6, 72.4), (1.5, 2.0, 73.6, 74.4)]


def test_text_columns_will_do(ax):
    plots.piano_roll(BAND.with_columns(pl.col("task", "instrument").cast(pl.String)), ax)
    assert len(ax.collections) == 3


def test_drums_stand_below_the_lowest_pitch_behind_a_line(ax):
    plots.piano_roll(BAND, ax)
    drawn = by_label(ax)
    lowest_note = min(bottom for _, _, bottom, _ in boxes(drawn["Electric Bass (finger)"]))
    highest_drum = max(top for _, _, _, top in boxes(drawn["Drums"]))
    (line,) = ax.lines
    assert highest_drum < line.get_ydata()[0] < lowest_note


def test_drum_rows_are_named_low_keys_below_high_ones(ax):
    plots.piano_roll(BAND, ax)
    assert [text for _, text in y_labels(ax, minor=True)] == ["Bass Drum 1", "Acoustic Snare"]
    kick, snare = (place for place, _ in y_labels(ax, minor=True))
    rows = [(bottom + top) / 2 for _, _, bottom, top in boxes(by_label(ax)["Drums"])]
    assert rows == pytest.approx([kick, snare, kick])


def test_the_label_of_pitch_stands_beside_the_pitches_and_not_the_drums(ax):
    plots.piano_roll(BAND, ax)
    label = ax.yaxis.label
    assert (label.get_position()[1], label.get_horizontalalignment()) == (1, "right")


def test_a_drum_key_without_a_name_is_called_by_its_number(ax):
    plots.piano_roll(notes((0, "Drums", 22, 0.0, 1.0)), ax)
    assert [text for _, text in y_labels(ax, minor=True)] == ["key 22"]
    assert ax.get_ylabel() == "drum key"


def test_octaves_are_named_after_their_c(ax):
    plots.piano_roll(BAND, ax)
    assert y_labels(ax, minor=False) == [(36.0, "C2"), (48.0, "C3"), (60.0, "C4"), (72.0, "C5")]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "pitch (C4 = 60)")


def test_a_span_without_two_octave_marks_names_the_naturals(ax):
    plots.piano_roll(notes((0, "Flute", 65, 0.0, 1.0)), ax)
    assert [text for _, text in y_labels(ax, minor=False)] == ["B3", "C4", "D4", "E4", "F4", "G4", "A4", "B4"]


def test_names_that_have_no_room_are_left_out_rare_keys_first():
    ax = Figure(figsize=(3.4, 1.2), layout="constrained").subplots()
    rows = [(0, "Drums", key, 0.1 * step, 0.1 * step + 0.1) for step, key in enumerate([35, 36, 37, 38, 39, 40, 40])]
    plots.piano_roll(notes(*rows, (1, "Flute", 72, 0.0, 1.0), (1, "Flute", 96, 0.0, 1.0)), ax)
    named = y_labels(ax, minor=True)
    assert "Electric Snare" in [text for _, text in named]
    assert len(named) < 6
    ax.set_ylim(*sorted(place for place, _ in named)[:1] * 2 + np.array([-0.1, 0.1]))
    assert len(y_labels(ax, minor=True)) == 1


def test_tick_labels_do_not_overlap(shared):
    ax = Figure(figsize=(3.4, 2.6), layout="constrained").subplots()
    plots.piano_roll(real(shared, "c3a81cca8519857edcf207588858e8ae"), ax)
    draw(ax)
    spans = []
    for which in ("major", "minor"):
        for text in ax.yaxis.get_ticklabels(which=which):
            if text.get_text():
                box = text.get_window_extent()
                spans.append((box.y0, box.y1))
    spans.sort()
    assert len(spans) > 4
    assert all(above[0] > below[1] - 1 for below, above in itertools.pairwise(spans))


def test_time_begins_at_zero_unless_the_notes_begin_late(ax):
    plots.piano_roll(notes((0, "Flute", 60, 0.4, 10.0)), ax)
    assert ax.get_xlim() == pytest.approx((-0.1, 10.1))
    late = Figure().subplots()
    plots.piano_roll(notes((0, "Flute", 60, 50.0, 60.0)), late)
    assert late.get_xlim() == pytest.approx((49.9, 60.1))


def test_limits_that_were_set_before_stay(ax):
    ax.set_xlim(1, 2)
    plots.piano_roll(BAND, ax)
    assert ax.get_xlim() == (1, 2)


def test_notes_without_length_are_drawn_too(ax):
    plots.piano_roll(notes((0, "Flute", 60, 1.0, 1.0)), ax)
    draw(ax)
    (collection,) = ax.collections
    assert boxes(collection) == [(1.0, 1.0, 59.6, 60.4)]
    assert collection.get_linewidth()[0] > 0


def test_instruments_of_one_name_share_a_colour_unless_tracks_are_asked_for(ax):
    twice = notes((0, "Voice Oohs", 60, 0.0, 1.0), (1, "Voice Oohs", 64, 0.0, 1.0))
    plots.piano_roll(twice, ax)
    assert legend_texts(ax) == ["Voice Oohs"]
    tracks = Figure().subplots()
    plots.piano_roll(twice, tracks, color_by="track")
    assert legend_texts(tracks) == ["Voice Oohs (track 1)", "Voice Oohs (track 0)"]
    assert len({tuple(each.get_facecolor()[0]) for each in tracks.collections}) == 2


def test_the_legend_goes_from_high_to_low_and_ends_with_the_drums(ax):
    plots.piano_roll(BAND, ax)
    assert legend_texts(ax) == ["Flute", "Electric Bass (finger)", "Drums"]


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_twenty_instruments_have_twenty_colours(style):
    many = notes(*[(track, f"Voice {track}", 40 + track, 0.0, 1.0) for track in range(20)])
    with plt.style.context(style):
        ax = Figure(figsize=(8, 5)).subplots()
        plots.piano_roll(many, ax)
    assert len({tuple(each.get_facecolor()[0]) for each in ax.collections}) == 20


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_every_colour_stands_out_from_the_background(style):
    many = notes(*[(track, f"Voice {track}", 40 + track, 0.0, 1.0) for track in range(14)], (14, "Drums", 36, 0.0, 1.0))
    with plt.style.context(style):
        ax = Figure(figsize=(8, 5)).subplots()
        plots.piano_roll(many, ax)
    behind = luminance(mpl.colors.to_rgb(ax.get_facecolor()))
    for each in ax.collections:
        shown = luminance(each.get_facecolor()[0][:3])
        assert (max(shown, behind) + 0.05) / (min(shown, behind) + 0.05) > 1.85


def luminance(rgb):
    """Give the relative luminance of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_and_lines_take_the_colours_in_force():
    with plt.style.context("dark_background"):
        ax = Figure(figsize=(8, 4)).subplots()
        plots.piano_roll(BAND, ax)
        draw(ax)
        assert mpl.colors.to_rgb(ax.lines[0].get_color()) == (1, 1, 1)
        assert {mpl.colors.to_rgb(text.get_color()) for text in ax.get_legend().get_texts()} == {(1, 1, 1)}
        assert {mpl.colors.to_rgb(text.get_color()) for text in ax.get_yticklabels(minor=True)} == {(1, 1, 1)}


@pytest.mark.parametrize("layout", ["constrained", None])
@pytest.mark.parametrize("size", [(3.4, 2.6), (6.4, 4.8), (10, 5)])
def test_the_legend_covers_neither_notes_nor_labels(size, layout):
    ax = Figure(figsize=size, layout=layout).subplots()
    plots.piano_roll(BAND, ax)
    draw(ax)
    legend = ax.get_legend().get_window_extent()
    assert not legend.overlaps(ax.get_window_extent())
    assert not legend.overlaps(ax.xaxis.label.get_window_extent())
    assert not any(legend.overlaps(text.get_window_extent()) for text in ax.get_xticklabels())


def real(shared, task):
    """Read one of the shared records, without the library's own reader."""
    document = json.loads((shared / "samples" / "records" / f"{task}.json").read_bytes())
    data = document["data"][0] if isinstance(document["data"], list) else document["data"]
    rows = [
        (track, each["name"], note["pitch"], float(note["start"]), float(note["end"]))
        for track, each in enumerate((data.get("midiData") or data)["instruments"])
        for note in each["notes"]
    ]
    return notes(*rows, task=task)


@pytest.mark.parametrize("size", [(3.4, 2.6), (10, 5)])
@pytest.mark.parametrize(
    "task",
    [
        "c3a81cca8519857edcf207588858e8ae",  # 18 instruments, many of one name
        "61dcb30fc436fa703fd616340e0d1630",  # 14 instruments, no drums
        "619272cd31c884029cca4a2c5b0bf39f",  # orchestra and drums
        "cb4c2123ee1e05be4744ad397694050a",  # drums only
        "10a0520d85d05e814870eafcdf20d6b5",  # 40 instruments of one note each
    ],
)
def test_real_music_fits_its_figure(shared, task, size):
    figure = Figure(figsize=size, layout="constrained")
    ax = plots.piano_roll(real(shared, task), figure.subplots())
    draw(ax)
    inside = figure.bbox.padded(1)
    legend = ax.get_legend().get_window_extent()
    assert not legend.overlaps(ax.get_window_extent())
    for box in (legend, ax.xaxis.label.get_window_extent(), ax.yaxis.label.get_window_extent()):
        assert inside.x0 <= box.x0
        assert box.x1 <= inside.x1
        assert inside.y0 <= box.y0
        assert box.y1 <= inside.y1
    assert ax.get_window_extent().height > 0.25 * figure.bbox.height


def test_fourteen_names_fit_in_print():
    many = notes(*[(track, f"Instrument {track:02}", 30 + track, 0.0, 1.0) for track in range(14)])
    ax = Figure(figsize=(3.4, 2.6), layout="constrained").subplots()
    plots.piano_roll(many, ax)
    assert legend_texts(ax) == [f"Instrument {track:02}" for track in reversed(range(14))]


def test_sixty_tracks_in_print_get_a_legend_that_says_how_many_it_left_out():
    many = notes(*[(track, f"Voice {track}", 30 + track, 0.0, 1.0) for track in range(60)])
    ax = Figure(figsize=(3.4, 2.6), layout="constrained").subplots()
    plots.piano_roll(many, ax)
    draw(ax)
    texts = legend_texts(ax)
    assert texts[-1] == f"and {60 - len(texts) + 1} more"
    assert texts[0] == "Voice 59"


def test_names_from_outside_are_no_formulas_and_not_hidden(ax):
    strange = notes((0, "$x_1$", 60, 0.0, 1.0), (1, "_hidden", 62, 0.0, 1.0), (2, "n" * 50, 64, 0.0, 1.0))
    plots.piano_roll(strange, ax)
    draw(ax)
    assert legend_texts(ax) == ["n" * 39 + "…", " _hidden", r"\$x_1\$"]


def test_no_notes_make_empty_axes_with_their_labels(ax):
    plots.piano_roll(notes(), ax)
    draw(ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "pitch (C4 = 60)")
    assert not ax.collections
    assert ax.get_legend() is None


@pytest.mark.parametrize("lazy", [False, True])
def test_several_tasks_are_refused_with_the_filter_that_helps(ax, lazy):
    both = pl.concat([BAND, notes((0, "Flute", 60, 0.0, 1.0), task="t2")])
    with pytest.raises(ValueError, match=r"one task, got several \('t1', 't2'\): keep one with .*== 't1'\)"):
        plots.piano_roll(both.lazy() if lazy else both, ax)
    assert len(ax.collections) == 0


def test_what_is_no_notes_table_is_refused(ax):
    with pytest.raises(NotesSchemaError, match="not a notes table: missing column 'velocity'"):
        plots.piano_roll(BAND.drop("velocity"), ax)


def test_twenty_thousand_notes_take_under_a_third_of_a_second():
    rng = np.random.default_rng(1)
    start = np.sort(rng.uniform(0, 300, 20_000))
    table = pl.DataFrame(
        {
            "task": "t1",
            "instrument": rng.choice(["Flute", "Drums", "Fiddle", "Tuba"], 20_000),
            "pitch": rng.integers(30, 90, 20_000),
            "start": start,
            "end": start + 0.2,
            "velocity": 0.5,
            "track": 0,
        }
    ).cast(dict(NOTES_SCHEMA))
    plots.piano_roll(BAND, Figure().subplots())  # matplotlib and its fonts are loaded
    took = []
    for _ in range(3):
        ax = Figure().subplots()
        begun = time.process_time()
        plots.piano_roll(table, ax)
        took.append(time.process_time() - begun)
    assert min(took) < 0.3
    assert len(ax.collections) == 4


ROW = st.tuples(
    st.integers(0, 3),
    st.sampled_from(["Drums", "Flute", "Taiko Drum", "Voice Oohs"]),
    st.integers(0, 127),
    st.floats(0, 600),
    st.floats(0, 2),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=20), st.sampled_from(["instrument", "track"]))
def test_every_note_is_a_box_in_sight(rows, color_by):
    table = notes(*[(track, name, pitch, start, start + length) for track, name, pitch, start, length in rows])
    ax = plots.piano_roll(table, Figure().subplots(), color_by=color_by)
    drawn = [box for each in ax.collections for box in boxes(each)]
    assert len(drawn) == len(rows)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert all(left <= x0 <= x1 <= right and bottom <= y0 <= y1 <= top for x0, x1, y0, y1 in drawn)


def test_nothing_is_set_for_other_pictures(ax):
    before = dict(mpl.rcParams)
    plots.piano_roll(BAND, ax)
    plots.pitch_histogram(PITCHES, ax)
    assert dict(mpl.rcParams) == before
    assert ax.get_title() == ""


def test_importing_plots_does_not_import_matplotlib():
    code = "import sys, kie_notes.plots; print('matplotlib' in sys.modules, 'kie_notes.plots_look' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


# The results of helpers

PITCHES = pl.DataFrame({"task": "t1", "pitch": [60, 62, 67], "count": [3, 1, 2]})
VALUES = {
    "count": "notes",
    "seconds": "duration (s)",
    "velocity": "sum of velocities",
    "velocity_seconds": "velocity x time (s)",
    "share": "share (1 = all)",
}


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
    draw(ax)
    assert bars(ax) == {0: 0.75, 7: 0.25}
    names = [text.get_text() for text in ax.get_xticklabels()]
    assert names == ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
    assert ax.get_xlabel() == "pitch class"


def test_two_tasks_are_two_outlines_over_pitch_classes(ax):
    table = pl.DataFrame({"task": ["a", "a", "b"], "pitch_class": [0, 2, 11], "count": [1, 2, 3]})
    plots.pitch_class_histogram(table.lazy(), ax)
    assert stairs(ax) == {"a": ((-0.5, 1.0), (0.5, 0.0), (1.5, 2.0)), "b": ((10.5, 3.0),)}


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
    draw(ax)
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


DRAWN = {
    plots.pitch_histogram: pl.Schema({"task": pl.String, "pitch": pl.UInt8, "count": pl.UInt32}),
    plots.pitch_class_histogram: pl.Schema({"task": pl.String, "pitch_class": pl.UInt8, "share": pl.Float64}),
    plots.onset_density: pl.Schema({"task": pl.String, "window_start": pl.Float64, "notes_per_second": pl.Float64}),
}


@pytest.mark.parametrize(("draws", "schema"), DRAWN.items())
def test_an_empty_result_makes_empty_axes_with_their_labels(ax, draws, schema):
    draws(schema.to_frame(), ax)
    draw(ax)
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert len(ax.patches) == 0


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


def test_what_the_helpers_give_is_drawn(ax):
    plots.pitch_histogram(pitch.pitch_histogram(BAND), ax)
    assert bars(ax) == {36: 1, 72: 1, 74: 1}
    classes = plots.pitch_class_histogram(pitch.pitch_class_histogram(BAND), Figure().subplots())
    assert {place: height for place, height in bars(classes).items() if height} == {0: 2, 2: 1}
    density = plots.onset_density(rhythm.onset_density(sort_notes(BAND)), Figure().subplots())
    assert density.patches[0].get_data().edges[0] == 0


def test_every_public_name_is_that_of_a_picture():
    here = [name for name, value in vars(plots).items() if getattr(value, "__module__", "") == plots.__name__]
    public = {name for name in here if not name.startswith("_")}
    assert public == {"piano_roll", "pitch_histogram", "pitch_class_histogram", "onset_density"}
