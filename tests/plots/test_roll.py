"""Pictures are judged by their artists: what stands where, what is written, and that nothing covers anything."""

import itertools
import json
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
from kie_notes.errors import NotesSchemaError
from kie_notes.notes import NOTES_SCHEMA


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


def test_without_axes_a_figure_is_made():
    before = plt.get_fignums()
    ax = plots.piano_roll(BAND)
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
