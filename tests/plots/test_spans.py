"""Spans of time in rows: where each bar stands, and what its colour says."""

import polars as pl
import pytest

from kie_notes import plots


def rows(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def bars(ax):
    """Give (row, left, right) of each bar."""
    extents = [path.get_extents() for path in ax.collections[0].get_paths()]
    return [(round((box.y0 + box.y1) / 2), box.x0, box.x1) for box in extents]


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


KEYS = pl.DataFrame(
    {
        "task": "t1",
        "start": [0.0, 8.0, 12.0, 20.0],
        "end": [8.0, 12.0, 20.0, 21.0],
        "key": ["C major", "G major", "A minor", "Bb major"],
        "confidence": [0.9, 0.5, 0.7, 0.1],
    }
)


def test_keys_stand_in_the_order_of_fifths_a_minor_one_beneath_its_relative_major(ax):
    plots.key_windows(KEYS, ax)
    assert rows(ax) == ["G major", "C major", "A minor", "Bb major"]
    assert bars(ax) == [(1, 0.0, 8.0), (0, 8.0, 12.0), (2, 12.0, 20.0), (3, 20.0, 21.0)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "key")


def test_the_first_row_is_on_top(ax):
    plots.key_windows(KEYS, ax)
    low, high = ax.get_ylim()
    assert low > high


def test_the_colour_of_a_key_is_its_confidence_and_a_bar_says_so(ax):
    plots.key_windows(KEYS, ax)
    (made,) = ax.collections
    assert made.get_array().tolist() == [0.9, 0.5, 0.7, 0.1]
    assert made.get_clim() == (0.0, 1.0)
    bar = next(each for each in ax.figure.axes if each is not ax)
    assert bar.get_ylabel() == "confidence (0-1)"


def test_chords_stand_in_the_order_of_fifths_and_no_chord_is_the_last(ax):
    table = pl.DataFrame(
        {
            "start": [0.0, 1.0, 2.0, 3.0],
            "end": [1.0, 2.0, 3.0, 4.0],
            "chord": ["N", "F#:min7", "Eb:maj", "C:maj"],
            "confidence": [None, 0.5, 0.5, 0.5],
        }
    )
    plots.chords(table, ax)
    assert rows(ax) == ["F#:min7", "C:maj", "Eb:maj", "N"]
    assert bars(ax)[0] == (3, 0.0, 1.0)


TRACKS = pl.DataFrame(
    {
        "task": "t1",
        "instrument": ["Flute", "Drums", "Voice", "Voice", "Flute"],
        "track": [0, 1, 2, 3, 0],
        "start": [0.0, 1.0, 2.0, 2.5, 4.0],
        "end": [3.0, 9.0, 4.0, 3.0, 5.0],
    }
)


def test_each_track_has_a_row_and_those_of_one_name_their_numbers(ax):
    plots.activity_segments(TRACKS, ax)
    assert rows(ax) == ["Flute", "Drums", "2 Voice", "3 Voice"]
    assert bars(ax) == [(0, 0.0, 3.0), (0, 4.0, 5.0), (1, 1.0, 9.0), (2, 2.0, 4.0), (3, 2.5, 3.0)]


def test_tracks_have_the_colours_of_the_piano_roll_and_drums_are_grey(ax):
    plots.activity_segments(TRACKS, ax)
    flute, again, drums, voice, other = ax.collections[0].get_facecolor().tolist()
    assert flute == again
    assert voice == other
    assert flute != voice
    assert drums[0] == drums[1] == drums[2]


def test_the_hardest_windows_are_told_apart_by_rank(ax):
    spans = {"start": [8.0, 0.0, 16.0], "end": [16.0, 8.0, 24.0]}
    table = pl.DataFrame(
        {"task": "t1", "instrument": ["Flute", "Flute", "Tuba"], "track": [0, 0, 1], "rank": [1, 2, 1]} | spans
    )
    plots.hardest_windows(table, ax)
    assert bars(ax) == [(0, 8.0, 16.0), (0, 0.0, 8.0), (1, 16.0, 24.0)]
    first, second, other = ax.collections[0].get_facecolor().tolist()
    assert first == other != second
    assert legend_texts(ax) == ["1 (hardest)", "2"]


def test_more_rows_than_a_picture_can_show_are_refused(ax):
    many = pl.DataFrame({"instrument": "Voice", "track": range(201), "start": 0.0, "end": 1.0})
    with pytest.raises(ValueError, match="201 rows, more than the 200 that a picture can show"):
        plots.activity_segments(many, ax)


def test_names_that_have_no_room_are_shortened_and_are_no_formulas(ax):
    long = pl.DataFrame({"instrument": ["$x$", "n" * 200], "track": [0, 1], "start": 0.0, "end": 1.0})
    plots.activity_segments(long, ax)
    formula, name = rows(ax)
    assert formula == r"\$x\$"
    assert name.endswith("…")
    assert len(name) < 60
