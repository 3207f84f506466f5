"""What is drawn over a roll, and rolls of notes of which something is said."""

import polars as pl
import pytest

from kie_notes import plots
from kie_notes.notes import NOTES_SCHEMA

ROLL = pl.DataFrame(
    [
        ("t1", "Flute", 60, 0.0, 2.0, 0.5, 0),
        ("t1", "Drums", 36, 1.0, 1.5, 0.5, 1),
        ("t1", "Flute", 72, 2.0, 9.0, 1.0, 0),
    ],
    schema=NOTES_SCHEMA,
    orient="row",
)
BEATS = pl.DataFrame({"task": "t1", "time": [0.5, 1.0, 20.0]})


def labelled(ax, label):
    (found,) = (each for each in ax.collections if each.get_label() == label)
    return found


def times(lines):
    return [float(line[0, 0]) for line in lines.get_segments()]


def extents(collection):
    return [path.get_extents() for path in collection.get_paths()]


def test_beats_are_lines_from_bottom_to_top(ax):
    plots.beats(BEATS, ax)
    lines = labelled(ax, "beat")
    assert times(lines) == [0.5, 1.0, 20.0]
    assert lines.get_segments()[0][:, 1].tolist() == [0.0, 1.0]
    assert lines.get_transform() == ax.get_xaxis_transform()


def test_layers_take_a_roll_as_it_is(ax):
    plots.piano_roll(ROLL, ax)
    before = ax.get_xlabel(), ax.get_ylabel(), ax.get_ylim(), list(ax.get_yticks())
    plots.beats(BEATS, ax)
    plots.skyline(pl.DataFrame({"start": [0.0], "end": [2.0], "pitch": [60]}), ax)
    plots.find_motif(pl.DataFrame({"start": [0.0], "end": [2.0]}), ax)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_ylim(), list(ax.get_yticks())) == before


def test_a_motif_is_a_band_behind_the_notes(ax):
    plots.piano_roll(ROLL, ax)
    plots.find_motif(pl.DataFrame({"task": "t1", "start": [0.5, 3.0], "end": [2.0, 4.0]}), ax)
    band = labelled(ax, "motif")
    assert [(box.x0, box.x1, box.y0, box.y1) for box in extents(band)] == [(0.5, 2.0, 0, 1), (3.0, 4.0, 0, 1)]
    assert all(band.get_zorder() < each.get_zorder() for each in ax.collections if each is not band)


def test_a_skyline_alone_has_its_pitches_named(ax):
    plots.skyline(pl.DataFrame({"start": [0.0, 4.0], "end": [2.0, 5.0], "pitch": [60, 72]}), ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "pitch (C4 = 60)")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["C4", "C5"]
    assert labelled(ax, "skyline").get_segments()[1].tolist() == [[4.0, 72.0], [5.0, 72.0]]


# piano_roll with more than notes


def test_a_roll_shows_the_beats_between_its_first_and_last_note(ax):
    plots.piano_roll(ROLL, ax, beats=BEATS)
    assert times(labelled(ax, "beat")) == [0.5, 1.0]
    assert ax.get_xlim()[1] < 10


def test_beats_lie_behind_the_notes(ax):
    plots.piano_roll(ROLL, ax, beats=BEATS)
    beats = labelled(ax, "beat")
    assert all(beats.get_zorder() < each.get_zorder() for each in ax.collections if each is not beats)


CHORDS = pl.DataFrame(
    {"task": "t1", "start": [0.0, 2.0, 2.1], "end": [2.0, 2.1, 30.0], "chord": ["C:maj", "F:min", "G:7"]}
)


def chord_names(ax):
    ax.figure.draw_without_rendering()
    texts = zip(ax.xaxis.get_ticklocs(minor=True), ax.xaxis.get_ticklabels(minor=True), strict=True)
    return [(round(float(place), 6), text.get_text()) for place, text in texts]


def test_chords_are_named_above_the_middle_of_what_is_seen_of_them(ax):
    plots.piano_roll(ROLL, ax, chords=CHORDS)
    assert [name for name in chord_names(ax) if name[1] != "F:min"] == [(1.0, "C:maj"), (5.55, "G:7")]
    assert times(labelled(ax, "chord")) == [0.0, 2.0, 2.1]


def test_chords_without_room_for_their_names_leave_it_to_longer_ones(ax):
    close = CHORDS.with_columns(start=pl.Series([0.0, 2.0, 2.1]), end=pl.Series([2.0, 2.1, 2.3]))
    plots.piano_roll(ROLL, ax, chords=close)
    assert [name for _, name in chord_names(ax)] == ["C:maj", "G:7"]


def test_the_louder_a_note_the_stronger_its_colour_on_a_scale_of_0_to_1(ax):
    plots.piano_roll(ROLL, ax, color_by="velocity")
    (made,) = ax.collections
    assert made.get_array().tolist() == [0.5, 0.5, 1.0]
    assert made.get_clim() == (0.0, 1.0)
    assert [round(box.x0, 6) for box in extents(made)] == [0.0, 1.0, 2.0]
    (bar,) = (each for each in ax.figure.axes if each is not ax)
    assert bar.get_ylabel() == "velocity (0-1)"


def flag(track, pitch, start, end, name):
    return {"task": "t1", "track": track, "pitch": pitch, "start": start, "end": end, "flag": name}


FLAGS = pl.DataFrame([flag(0, 60, 0.0, 2.0, "echo"), flag(0, 72, 2.0, 9.0, "echo"), flag(0, 72, 2.0, 9.0, "overlap")])


def test_a_flagged_note_has_the_colour_of_its_rarest_flag_and_others_are_grey(ax):
    plots.piano_roll(ROLL, ax, color_by="flag", flags=FLAGS)
    starts = {each.get_label(): [box.x0 for box in extents(each)] for each in ax.collections}
    assert starts == {"echo": [0.0], "overlap": [2.0], "no flag": [1.0]}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["echo", "overlap", "no flag"]


@pytest.mark.parametrize("options", [{"color_by": "flag"}, {"flags": FLAGS}])
def test_flags_and_their_colours_come_together(ax, options):
    with pytest.raises(ValueError, match="flags: expected with color_by='flag', and only with it"):
        plots.piano_roll(ROLL, ax, **options)


def test_another_way_to_colour_is_refused(ax):
    with pytest.raises(ValueError, match=r"color_by: expected one of 'instrument', .* got 'pitch'"):
        plots.piano_roll(ROLL, ax, color_by="pitch")


@pytest.mark.parametrize("given", ["beats", "chords"])
def test_what_is_no_result_of_its_helper_is_refused_before_anything_is_drawn(ax, given):
    with pytest.raises(ValueError, match=f"not a result of {given}"):
        plots.piano_roll(ROLL, ax, **{given: ROLL.drop("start")})
    assert not ax.has_data()


# Notes of which something is said


def test_hands_are_told_apart_the_right_one_first(ax):
    rows = [("t1", "Piano", 48, 0.0, 1.0, "left"), ("t1", "Piano", 72, 0.0, 1.0, "right")]
    table = pl.DataFrame(rows, schema=["task", "instrument", "pitch", "start", "end", "hand"], orient="row")
    plots.hand_split(table, ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["right hand", "left hand"]
    assert [box.y0 for box in extents(labelled(ax, "left hand"))] == [47.6]


def test_a_note_of_two_flags_is_drawn_for_each(ax):
    plots.note_flags(FLAGS.with_columns(instrument=pl.lit("Flute")), ax)
    assert len(extents(labelled(ax, "echo"))) == 2
    assert len(extents(labelled(ax, "overlap"))) == 1
