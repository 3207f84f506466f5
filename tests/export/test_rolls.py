import numpy as np
import polars as pl
import pretty_midi
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.errors import NotesOrderError, NotesSchemaError
from kie_notes.export.rolls import PianoRoll, from_piano_rolls, piano_roll_cells, to_piano_rolls
from kie_notes.notes import NOTES_SCHEMA

INSTRUMENTS = ("Flute", "Drums", "Flute", "Cello")


def table(*rows):
    return pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")


def flute(pitch, start, end, *, task="a", velocity=1.0, track=0, name="Flute"):
    return (task, name, pitch, start, end, velocity, track)


def roll_of(*rows, **options):
    return next(to_piano_rolls(table(*rows), **options))


def frames(*times, fps):
    """Give the frames of notes by their starts and ends, each of which is alone in a task."""
    cells = piano_roll_cells(table(*(flute(60, *time, task=str(k)) for k, time in enumerate(times))), fps=fps)
    return cells.group_by("task", maintain_order=True).agg("frame")["frame"].to_list()


@st.composite
def tables(draw):
    """Draw a table in canonical order on the grid of 1/192 s: short, long, empty, overlapping and equal notes."""
    note = st.tuples(
        st.sampled_from("ab"),
        st.integers(0, 400),
        st.integers(0, 3),
        st.sampled_from([0, 60, 61, 127]),
        st.sampled_from([0, 1, 2, 3, 192]) | st.integers(0, 300),
        st.sampled_from([0, 1, 64, 127]),
    )
    notes = sorted(draw(st.lists(note, min_size=1, max_size=20)))
    return table(*((t, INSTRUMENTS[k], p, s / 192, (s + d) / 192, v / 127, k) for t, s, k, p, d, v in notes))


# bounds


@pytest.mark.parametrize("fps", [10, 24, 29.97, 31.25, 50, 60, 96, 100, 192, 1000])
def test_a_time_on_an_edge_is_in_the_frame_that_begins_there(fps):
    times = [(k / fps, (k + 2) / fps) for k in range(5000)]
    assert frames(*times, fps=fps) == [[k, k + 1] for k in range(5000)]


@pytest.mark.parametrize("fps", [10, 24, 25, 30, 60, 100])
def test_times_on_the_services_grid_fall_into_the_frames_of_exact_arithmetic(fps):
    expected = [list(range(k * fps // 192, -(-(k + 50) * fps // 192))) for k in range(5000)]
    assert frames(*((k / 192, (k + 50) / 192) for k in range(5000)), fps=fps) == expected


def test_a_time_that_another_program_rounded_is_on_its_edge():
    assert (0.1 + 0.2, 1.1 * 3) != (0.3, 3.3)
    assert frames((0.1 + 0.2, 0.4), (3.0, 1.1 * 3), fps=10) == [[3], [30, 31, 32]]


def test_a_note_inside_one_frame_sounds_in_that_frame():
    assert frames((0.26, 0.27), fps=4) == [[1]]


def test_a_note_without_duration_sounds_in_the_frame_of_its_start():
    assert frames((0.5, 0.5), fps=4) == [[2]]


def test_a_note_sounds_in_every_frame_that_it_touches():
    assert frames((0.3, 0.55), fps=4) == [[1, 2]]


# the four arrays


def test_onsets_and_offsets_are_the_first_and_last_frames_of_notes():
    roll = roll_of(flute(60, 0.0, 0.75), flute(60, 0.5, 0.5), flute(62, 0.25, 1.0), fps=4)
    assert np.argwhere(roll.onsets).tolist() == [[0, 60], [1, 62], [2, 60]]
    assert np.argwhere(roll.offsets).tolist() == [[2, 60], [3, 62]]


def test_the_loudest_note_of_a_cell_is_its_velocity_in_whatever_order_they_come():
    notes = [flute(60, 0.0, 0.5, velocity=0.75), flute(60, 0.25, 0.75, velocity=0.25, track=1)]
    assert roll_of(*notes, fps=4).velocities[:, 60].tolist() == [95, 95, 32]
    assert roll_of(*reversed(notes), fps=4).velocities[:, 60].tolist() == [95, 95, 32]


def test_a_note_of_velocity_0_sounds():
    roll = roll_of(flute(60, 0.0, 0.5, velocity=0.0), fps=2)
    assert roll.sounding[0, 60]
    assert roll.velocities.max() == 0


def test_arrays_are_frames_by_pitches_of_the_types_that_are_documented():
    roll = roll_of(flute(60, 0.0, 2.01), fps=4)
    arrays = (roll.sounding, roll.onsets, roll.offsets, roll.velocities)
    assert [(one.shape, one.dtype.name) for one in arrays] == [((9, 128), name) for name in ["bool"] * 3 + ["uint8"]]


def test_rolls_of_a_task_have_its_length_whatever_is_left_out():
    notes = table(flute(60, 0.0, 1.0), flute(62, 0.0, 2.0, track=1), flute(36, 0.0, 3.0, name="Drums", track=2))
    rolls = list(to_piano_rolls(notes, fps=10, by="track"))
    assert [(roll.track, roll.instrument, len(roll.sounding)) for roll in rolls] == [(0, "Flute", 30), (1, "Flute", 30)]


def test_drums_are_left_out_unless_asked_for():
    notes = table(flute(60, 0.0, 1.0), flute(36, 0.0, 1.0, name="Drums", track=1))
    pitches = {
        drums: np.flatnonzero(next(to_piano_rolls(notes, fps=1, drums=drums)).sounding[0]).tolist()
        for drums in ("exclude", "include", "only")
    }
    assert pitches == {"exclude": [60], "include": [36, 60], "only": [36]}


def test_a_task_of_drums_alone_has_no_roll():
    assert list(to_piano_rolls(table(flute(36, 0.0, 1.0, name="Drums")))) == []


# peers


@settings(max_examples=40, deadline=None)
@given(tables())
def test_pretty_midis_roll_is_the_same_where_no_notes_share_a_cell_and_frames_are_exact_floats(notes):
    kept = notes.filter(task=notes["task"][0]).unique("pitch", keep="first", maintain_order=True)
    kept = kept.with_columns(pl.col("start", "end") * 192 / 64)  # every float of this grid is exact
    kept = kept.filter(pl.col("end") > pl.col("start"), pl.col("velocity") > 0, pl.col("instrument") != "Drums")
    if kept.height:
        midi = pretty_midi.PrettyMIDI()
        midi.instruments.append(pretty_midi.Instrument(0))
        rows = kept.select((pl.col("velocity") * 127).round().cast(pl.Int64), "pitch", "start", "end").rows()
        midi.instruments[0].notes = [pretty_midi.Note(*row) for row in rows]
        np.testing.assert_array_equal(midi.get_piano_roll(fs=64).T, next(to_piano_rolls(kept, fps=64)).velocities)


@settings(max_examples=40, deadline=None)
@given(tables())
def test_symusics_rolls_of_ticks_are_the_same_where_notes_last(notes):
    kept = notes.filter(pl.col("end") > pl.col("start"), pl.col("track") == 0, pl.col("task") == notes["task"][0])
    if kept.height:
        start, end = ((kept[name].to_numpy() * 192).round().astype(np.int32) for name in ("start", "end"))
        track = symusic.Track("", 0, False, ttype="tick")  # noqa: FBT003 -- its name has no keyword
        pitch, velocity = kept["pitch"].to_numpy().astype(np.int8), np.full(kept.height, 100, np.int8)
        track.notes = symusic.Note.from_numpy(start, end - start, pitch, velocity, ttype="tick")
        frame, onset = track.pianoroll(modes=["frame", "onset"], pitch_range=(0, 128), encode_velocity=False)
        ours = next(to_piano_rolls(kept, fps=192))
        long = len(ours.sounding)
        np.testing.assert_array_equal(frame.T[:long] > 0, ours.sounding)
        np.testing.assert_array_equal(onset.T[:long] > 0, ours.onsets)


# cells


@pytest.mark.parametrize("by", ["task", "track"])
@settings(max_examples=40, deadline=None)
@given(notes=tables(), fps=st.sampled_from([7, 100, 192]))
def test_cells_are_those_of_the_rolls(by, notes, fps):
    cells = piano_roll_cells(notes, fps=fps, by=by, drums="include")
    rolls = list(to_piano_rolls(notes, fps=fps, by=by, drums="include"))
    keys = ["task"] if by == "task" else ["task", "track", "instrument"]
    parts = cells.partition_by(keys, maintain_order=True)
    assert [part.select(keys).row(0) for part in parts] == [roll[: len(keys)] for roll in rolls]
    for part, roll in zip(parts, rolls, strict=True):
        assert part.select("frame", "pitch").rows() == list(map(tuple, np.argwhere(roll.sounding).tolist()))
        at = part["frame"].to_numpy(), part["pitch"].to_numpy()
        for column, array in (("velocity", roll.velocities), ("onset", roll.onsets), ("offset", roll.offsets)):
            assert part[column].to_list() == array[at].tolist()


def test_cells_far_apart_take_no_room_between_them():
    cells = piano_roll_cells(table(flute(60, 0.0, 0.01), flute(60, 4e6, 4e6 + 0.01)))
    assert cells["frame"].to_list() == [0, 400_000_000]


def test_columns_of_cells_have_the_types_that_are_documented():
    flags = {"onset": pl.Boolean, "offset": pl.Boolean}
    cell = {"frame": pl.UInt32, "pitch": pl.UInt8, "velocity": pl.UInt8} | flags
    assert piano_roll_cells(table()).schema == {"task": pl.String} | cell
    keys = {"task": pl.String, "track": pl.UInt16, "instrument": pl.String}
    assert piano_roll_cells(table(flute(60, 0.0, 1.0)), by="track").schema == keys | cell


# and back


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from([64, 192]))
def test_notes_come_back_where_no_two_of_a_pitch_share_a_frame_and_times_are_edges(notes, fps):
    ticks = notes.with_columns((pl.col("start", "end") * 192).round())
    one = ticks.filter(pl.col("end") > pl.col("start")).unique(["task", "track", "pitch"], maintain_order=True)
    next_to_it = one.with_columns(start="end", end=pl.col("end") + 3)  # that they touch must not join them
    both = pl.concat([one, next_to_it]).sort("task", "start", "track", "pitch")
    # NumPy, since Polars divides by a number through its reciprocal, which is rounded
    both = both.with_columns(pl.Series(name, both[name].to_numpy() / fps) for name in ("start", "end"))
    assert from_piano_rolls(to_piano_rolls(both, fps=fps, by="track", drums="include")).equals(both)


def test_a_models_roll_becomes_notes_that_start_at_onsets_and_after_silence():
    sounding, onsets, velocities = np.zeros((6, 128)), np.zeros((6, 128)), np.full((6, 128), 127)
    sounding[[0, 1, 3, 4], 60] = 1
    onsets[[4, 5], 60] = 1  # the last one sounds, though the model forgot to say so
    roll = PianoRoll("m", None, None, 2.0, sounding, onsets, np.zeros((6, 128)), velocities)
    back = from_piano_rolls([roll], instrument="Oboe")
    times = [(0.0, 1.0), (1.5, 2.0), (2.0, 2.5), (2.5, 3.0)]
    assert back.rows() == [("m", "Oboe", 60, start, end, 1.0, 0) for start, end in times]


def test_pitches_next_to_each_other_do_not_run_into_one_another():
    notes = table(flute(0, 0.0, 1.0), flute(1, 0.0, 1.0), flute(127, 0.0, 1.0))
    assert from_piano_rolls(to_piano_rolls(notes, fps=4, by="track")).equals(notes)


@pytest.mark.parametrize("shape", [(128, 5), (5,), (4, 128)])
def test_a_roll_of_another_shape_is_refused(shape):
    good = np.zeros((5, 128))
    with pytest.raises(NotesSchemaError, match=r"task 'm': onsets: expected frames x 128 like the others, got \("):
        from_piano_rolls([PianoRoll("m", None, None, 2.0, good, np.zeros(shape), good, good)])


def test_velocities_above_127_are_refused():
    sounding = np.ones((1, 128))
    with pytest.raises(NotesSchemaError, match=r"task 'm': velocities: expected 0 to 127, got 254\.0 to"):
        from_piano_rolls([PianoRoll("m", None, None, 2.0, sounding, sounding, sounding, sounding * 254)])


# all


def test_nothing_makes_no_rolls_and_no_rolls_make_no_notes():
    assert list(to_piano_rolls(table())) == []
    assert from_piano_rolls([]).equals(table())


@pytest.mark.parametrize("make", [to_piano_rolls, piano_roll_cells])
@pytest.mark.parametrize("fps", [0, -1.0, float("nan"), 10_001])
def test_frames_per_second_are_above_0_and_not_too_many(make, fps):
    with pytest.raises(ValueError, match="fps: expected frames per second above 0, up to 10000, got"):
        make(table(), fps=fps)


@pytest.mark.parametrize("make", [to_piano_rolls, piano_roll_cells])
@pytest.mark.parametrize("option", ["by", "drums"])
def test_an_unknown_choice_is_refused(make, option):
    with pytest.raises(ValueError, match=f"{option}: expected one of 'task|{option}: expected one of 'exclude"):
        make(table(), **{option: "nothing"})


@pytest.mark.parametrize("make", [to_piano_rolls, piano_roll_cells])
def test_a_task_in_two_places_is_an_error_at_once(make):
    notes = table(flute(60, 0.0, 1.0), flute(60, 0.0, 1.0, task="b"), flute(60, 1.0, 2.0))
    with pytest.raises(NotesOrderError, match="task 'a': its notes do not stand together"):
        make(notes)


@pytest.mark.parametrize(
    "make", [lambda *a, **k: [r.velocities.tolist() for r in to_piano_rolls(*a, **k)], piano_roll_cells]
)
def test_a_lazy_table_gives_the_same(make):
    notes = table(flute(60, 0.0, 1.0), flute(60, 1.0, 2.0, task="b"))
    lazy, eager = make(notes.lazy(), fps=4), make(notes, fps=4)
    assert lazy.equals(eager) if isinstance(lazy, pl.DataFrame) else lazy == eager
