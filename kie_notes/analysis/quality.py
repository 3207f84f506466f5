"""What looks wrong in transcribed notes, note by note and with the reason.

A flag is a suspicion, not a verdict: music can look like an error (repeated notes touch, orchestras double at the
unison, hands play octaves). Nothing is changed here; ``kie_notes.analysis.repairs`` does that. Times are compared as
whole microseconds. A *track* is one instrument of one task.

=================  ==================================================================  ===========================
flag               a note bears it if                                                  ``detail``
=================  ==================================================================  ===========================
too_short          it is no drum's and lasts less than ``shortest`` [1]_               its seconds
duplicate          an earlier row has its track, pitch, start and end [2]_             0
echo               its pitch starts in another track at most ``together`` before it,   seconds after that start
                   or at its time in a track of lower number [3]_
fragment           an earlier note of its track and pitch ends just where it starts,   its seconds
                   and none ends later [4]_
overlap            it starts before an earlier note of its track and pitch ends, and   seconds in which both sound
                   is no duplicate [5]_
octave_ghost       it is no drum's, and 12, 19 or 24 semitones below it a louder note  semitones down to that note
                   of its track starts at most ``together`` before or after it [6]_
out_of_range       General MIDI 2 recommends a range for its instrument (for drums,    semitones beyond the range,
                   keys 27 to 87) and its pitch is outside [7]_                        below it negative
past_end           it ends after the audio, whose length ``durations`` gives           seconds past the end
constant_velocity  its track has two notes or more, all of one velocity [8]_           that velocity
off_grid           its start or end is no multiple of 1/192 s [9]_                     seconds to the grid, the
                                                                                       farther of the two
=================  ==================================================================  ===========================

The first eight are **faults** of notes. The last two are **notices**: they say where a table comes from (velocities
that mean nothing, times that are not the service's) and make no note bad; ``quality_score`` counts them but does not
score them. Where several notes below could have cast a ghost, the last of them in canonical order is looked at. Where
all velocities are equal nothing is louder, so nothing is a ghost. Drums echo drums only.

.. [1] The default, 50 ms, is below the notes of fast trills (about 15 a second) and the tolerance within which onsets
   are matched (``mir_eval.transcription``). basic-pitch drops notes below 127.7 ms.
.. [2] ``miditok.utils.remove_duplicated_notes``; mirdata's ``NoteData`` drops such notes without a word.
.. [3] One note hops between instruments, as users of MT3 report. The default of ``together``, 30 ms, is about the
   asynchrony of notes that players mean to be together: Rasch, "Synchronization in performed ensemble music", Acustica
   43 (1979); Goebl, "Melody lead in piano performance", JASA 110 (2001).
.. [4] A note cut at the edges of a transcriber's segments. A score's repeated notes look the same.
.. [5] pretty_midi, which cuts such notes: MIDI cannot tell which of two notes of one pitch a note-off ends.
.. [6] Partials 2, 3 and 4 of the lower note; octave and third-harmonic errors in Ycart, Liu, Benetos and Pearce,
   "Investigating the Perceptual Validity of Evaluation Metrics for Automatic Piano Music Transcription", TISMIR 3
   (2020), and arXiv:2004.07171.
.. [7] General MIDI 2, RP-024 (MIDI Association).
.. [8] jSymbolic's features of dynamics are 0 there, as if everything were played evenly.
.. [9] All times that the service gives are such multiples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, get_args

import polars as pl

from kie_notes.analysis.door import DESCENDS, in_order, notes_helper
from kie_notes.analysis.grouping import INSTANT, check_choice, drums_mask
from kie_notes.analysis.instrument_ranges import highest_in_range, lowest_in_range

if TYPE_CHECKING:
    from collections.abc import Collection

#: What can be wrong with a note.
Fault = Literal["too_short", "duplicate", "echo", "fragment", "overlap", "octave_ghost", "out_of_range", "past_end"]

#: A fault, or a notice that makes no note bad.
Flag = Literal[Fault, "constant_velocity", "off_grid"]

#: Every fault and every flag, in the order of the table above.
FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
FLAGS: Final[tuple[Flag, ...]] = get_args(Flag)

#: Default thresholds in seconds; the notes at the end of the module's text say why.
SHORTEST: Final = 0.05
TOGETHER: Final = 0.03

#: Times that the service gives are multiples of a second divided by this.
GRID: Final = 192

#: Semitones from a tone up to its partials 2, 3 and 4.
_PARTIALS: Final = (12, 19, 24)

#: The columns of a note, as results show them.
NOTE: Final = ("task", "track", "instrument", "pitch", "start", "end", "velocity")

#: Columns of the work: number of the row, track, whether it is percussion, start and end in microseconds.
ROW, LANE, DRUM, ON, OFF = "__row", "__lane", "__drum", "__on", "__off"

#: More of them: stretch of rows of one task, whether a start is below its predecessor's, groups of adjacent rows.
STRETCH, _FALLS, GROUP = "__stretch", "__falls", "__group"

#: Length of the audio: microseconds, and seconds as they were given.
LENGTH, LENGTH_IN_SECONDS = "__length", "__length_in_seconds"

#: A track's notes on one axis, pitch after pitch, and how far a pitch is from the next.
AXIS, _WIDTH = "__axis", "__width"

#: The name by which ``in_order`` knows a stretch of rows.
_RUN: Final = "__run"

#: Later times are as this one, in seconds: 136 years, of which 128 pitches fit into 64 bits of microseconds.
_FAR: Final = 2.0**32

#: The flags by what must be put in order to find them.
_BY_NOTE: Final = frozenset({"too_short", "out_of_range", "off_grid", "past_end"})
_BY_TRACK: Final = frozenset({"duplicate", "fragment", "overlap", "octave_ghost", "constant_velocity"})


@notes_helper
def note_flags(
    notes: pl.LazyFrame,
    *,
    flags: Collection[Flag] = FLAGS,
    durations: pl.DataFrame | None = None,
    shortest: float = SHORTEST,
    together: float = TOGETHER,
) -> pl.LazyFrame:
    """List the notes that look wrong, once for each reason.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    flags
        The flags to look for, all by default; the module's text defines them.
    durations
        Length of the audio: a table with a column ``task`` (text) and a column ``duration`` (seconds), one row per
        task. Without it, and for tasks that it does not know, nothing is ``past_end``.
    shortest
        Seconds below which a note is too short, >= 0.
    together
        Seconds between starts that are meant to be one, >= 0; both bounds belong to it.

    Returns
    -------
    One row per note and flag that it bears, sorted by task, start, track, pitch, end, velocity and then in the order
    of the module's table; nothing flagged, no rows:

    - ``task`` (String), ``track`` (UInt16), ``instrument`` (String), ``pitch`` (UInt8), ``start``, ``end`` (Float64,
      seconds), ``velocity`` (Float32): the note
    - ``flag`` (String): one of ``flags``
    - ``detail`` (Float64): the number behind the flag, in the unit that the module's table gives

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``flags`` names one that there is not, a threshold is negative, or ``durations`` is no such table.

    References
    ----------
    See the module's text, flag by flag.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, 1.0, 0.5, 0), ("a", "Oboe", 60, 1 / 64, 1.0, 0.5, 1),
    ...         ("a", "Flute", 60, 1.0, 2.0, 0.75, 0), ("a", "Flute", 50, 2.0, 2.0, 0.5, 0)]
    >>> flagged = note_flags(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> flagged.select("instrument", "pitch", "start", "flag", "detail").rows()
    [('Oboe', 60, 0.015625, 'echo', 0.015625), ('Flute', 60, 1.0, 'fragment', 1.0), \
('Flute', 50, 2.0, 'too_short', 0.0), ('Flute', 50, 2.0, 'out_of_range', -10.0)]
    """
    found = flagged(timed(notes.select(NOTE)), flags, lengths_of(durations), shortest, together)
    chosen = [flag for flag in FLAGS if flag in flags]
    some = found.filter(pl.any_horizontal(pl.col(chosen).is_not_null()))
    rows = some.with_columns(pl.col("task", "instrument").cast(pl.String)).unpivot(
        chosen, index=[*NOTE, ROW], variable_name="flag", value_name="detail"
    )
    place = pl.col("flag").replace_strict(list(FLAGS), range(len(FLAGS)), return_dtype=pl.UInt8)
    order = ("task", "start", "track", "pitch", "end", "velocity", ROW)
    return rows.filter(pl.col("detail").is_not_null()).sort(*order, place).select(*NOTE, "flag", "detail")


@notes_helper
def quality_score(
    notes: pl.LazyFrame,
    *,
    faults: Collection[Fault] = FAULTS,
    durations: pl.DataFrame | None = None,
    shortest: float = SHORTEST,
    together: float = TOGETHER,
) -> pl.LazyFrame:
    """Give each task's share of notes that bear no fault, and the count of every flag.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    faults
        The faults that make a note bad, all by default; every flag is counted whatever is chosen.
    durations
        Length of the audio: a table with a column ``task`` (text) and a column ``duration`` (seconds), one row per
        task.
    shortest
        Seconds below which a note is too short, >= 0.
    together
        Seconds between starts that are meant to be one, >= 0; both bounds belong to it.

    Returns
    -------
    One row per task, sorted; no notes, no rows:

    - ``task`` (String)
    - ``notes`` (UInt32): > 0
    - a column of each flag's name, in the order of the module's table (UInt32): notes that bear it; ``past_end`` is
      null where ``durations`` does not know the task
    - ``faulty_notes`` (UInt32): notes that bear one of ``faults`` or more
    - ``score`` (Float64): 1 - ``faulty_notes`` / ``notes``, 0 to 1; 1 is clean

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``faults`` names one that there is not, a threshold is negative, or ``durations`` is no such table.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60 + k, k, k + 1.0, 0.25 + k / 8, 0) for k in range(4)]
    >>> short = ("a", "Flute", 50, 4.0, 4.0, 0.25, 0)
    >>> score = quality_score(pl.DataFrame([*rows, short], schema=NOTES_SCHEMA, orient="row"))
    >>> score.select("task", "notes", "too_short", "out_of_range", "past_end", "faulty_notes", "score").rows()
    [('a', 5, 1, 1, None, 1, 0.8)]
    """
    for fault in faults:
        check_choice("faults", fault, Fault)
    lengths = lengths_of(durations)
    found = flagged(timed(notes.select(NOTE)), FLAGS, lengths, shortest, together)
    bears = pl.col(*FLAGS).is_not_null().sum().cast(pl.UInt32)
    faulty = pl.any_horizontal(pl.col(sorted(faults)).is_not_null()) if faults else pl.lit(value=False)
    known = pl.col("task").is_in(lengths["task"].cast(pl.String).to_list())
    return (
        found.with_columns(pl.col("task").cast(pl.String))
        .group_by("task")
        .agg(bears, notes=pl.len().cast(pl.UInt32), faulty_notes=faulty.sum().cast(pl.UInt32))
        .with_columns(past_end=pl.when(known).then("past_end"), score=1 - pl.col("faulty_notes") / pl.col("notes"))
        .select("task", "notes", *FLAGS, "faulty_notes", "score")
        .sort("task")
    )


def flagged(
    work: pl.LazyFrame, flags: Collection[Flag], lengths: pl.DataFrame, shortest: float, together: float
) -> pl.LazyFrame:
    """Add to what ``timed`` gives a column per flag, with its detail or null (all flags that are found with those).

    Rows come in no particular order, ``task`` as it was or as String. ``lengths`` is what ``lengths_of`` gives.
    """
    if not flags:
        raise ValueError("flags: expected one or more, got none")
    for flag in flags:
        check_choice("flags", flag, Flag)
    for option, seconds in {"shortest": shortest, "together": together}.items():
        if not 0 <= seconds < math.inf:
            raise ValueError(f"{option}: expected seconds, 0 or more, got {seconds!r}")
    near = round(together / INSTANT)
    wanted = set(flags)
    if wanted & _BY_NOTE:
        work = _by_note(work, lengths, round(shortest / INSTANT))
    if "echo" in wanted:
        work = by_group(by_time(work), echo=echo(near))
    return within_tracks(work, near) if wanted & _BY_TRACK else work


def lengths_of(durations: pl.DataFrame | None) -> pl.DataFrame:
    """Give lengths as ``task`` (Categorical), ``LENGTH`` and ``LENGTH_IN_SECONDS``, or say why the table is none."""
    if durations is None:
        return pl.DataFrame(schema={"task": pl.Categorical(), LENGTH: pl.Int64(), LENGTH_IN_SECONDS: pl.Float64()})
    kinds = durations.schema
    if kinds.get("task") not in (pl.String, pl.Categorical) or not kinds.get("duration", pl.String).is_numeric():
        raise ValueError(f"durations: expected the columns 'task' (text) and 'duration' (seconds), got {kinds}")
    known = durations.drop_nulls(["task", "duration"])
    if known["task"].is_duplicated().any():
        twice = known["task"].filter(known["task"].is_duplicated())[0]
        raise ValueError(f"durations: expected one row per task, got several of task '{twice}'")
    seconds = pl.col("duration").cast(pl.Float64).alias(LENGTH_IN_SECONDS)
    return known.select(pl.col("task").cast(pl.Categorical), microseconds("duration").alias(LENGTH), seconds)


def microseconds(times: str) -> pl.Expr:
    """Give times as whole microseconds, Int64."""
    return (pl.col(times).cast(pl.Float64).clip(upper_bound=_FAR) * 1e6).round().cast(pl.Int64)


def timed(notes: pl.LazyFrame) -> pl.LazyFrame:
    """Add the columns of the work to the notes."""
    lane = pl.col("track").cast(pl.UInt64) * 2**32 + pl.col("instrument").to_physical().fill_null(2**32 - 1)
    stretch = pl.col("task").rle_id()
    falls = ((pl.col("start").diff() < 0) & (stretch == stretch.shift())).fill_null(value=False)
    return notes.with_row_index(ROW).with_columns(
        **{LANE: lane, DRUM: drums_mask(), ON: microseconds("start"), OFF: microseconds("end")},
        **{STRETCH: stretch, _FALLS: falls},
    )


def within_tracks(work: pl.LazyFrame, near: int) -> pl.LazyFrame:
    """Add the flags that a track's own notes decide."""
    on, off, velocity, axis = pl.col(ON), pl.col(OFF), pl.col("velocity"), pl.col(AXIS)
    again = ((axis == axis.shift()) & (off == off.shift())).fill_null(value=False)
    even = (pl.len() > 1) & (velocity.min() == velocity.max())
    return by_group(
        laid_by_pitch(work, near),
        duplicate=pl.when(again).then(0.0),
        fragment=pl.when(~again & (heard() == on)).then((off - on) * INSTANT),
        overlap=pl.when(~again & (heard() > on)).then((pl.min_horizontal(heard(), off) - on) * INSTANT),
        octave_ghost=pl.coalesce(_ghost(semitones, near) for semitones in _PARTIALS),
        constant_velocity=pl.when(even).then(velocity.cast(pl.Float64)),
    )


def laid_by_pitch(work: pl.LazyFrame, near: int) -> pl.LazyFrame:
    """Order the notes by track, pitch and start, and lay those of a track on one axis, pitch after pitch.

    Pitches are so far from one another that no time of one comes near those of the next: one running maximum, and one
    search, serve all pitches of a track.
    """
    other = (pl.col(STRETCH) != pl.col(STRETCH).shift()) | (pl.col(LANE) != pl.col(LANE).shift())
    lane = other.fill_null(value=False).cum_sum()
    width = (pl.col(OFF).max() - pl.col(ON).min() + 2 * near + 1).over(GROUP)
    return (
        work.sort(STRETCH, LANE, "pitch", ON, OFF, "velocity", ROW)
        .with_columns(lane.alias(GROUP))
        .with_columns(width.alias(_WIDTH))
        .with_columns((pl.col(ON) + pl.col("pitch") * pl.col(_WIDTH)).alias(AXIS))
    )


def heard() -> pl.Expr:
    """Give the time at which the last of the earlier notes of a note's pitch ends: over a track's notes on their axis.

    Where there is none, that time is further away than any two notes of the track.
    """
    place = pl.col(AXIS) - pl.col(ON)
    return (pl.col(OFF) + place).cum_max().shift(fill_value=-(2**62)) - place


def by_group(ordered: pl.LazyFrame, **found: pl.Expr) -> pl.LazyFrame:
    """Add columns that are evaluated over each group of adjacent rows; the notes must be in canonical order."""
    columns = ordered.collect_schema().names()
    kept = [name for name in columns if name not in ("task", GROUP, _WIDTH)]
    names, falls = [pl.col("task").first(), pl.col(STRETCH).first().alias(_RUN)], pl.col(_FALLS).any().alias(DESCENDS)
    groups = in_order(ordered.group_by(GROUP).agg(*names, falls, *kept, **found))
    return groups.drop(GROUP).explode(*kept, *found)


def _ghost(semitones: int, near: int) -> pl.Expr:
    """Give the semitones where a louder note starts together with a note, so far below it, else null."""
    axis, velocity = pl.col(AXIS), pl.col("velocity")
    sought = axis - semitones * pl.col(_WIDTH)
    found = axis.search_sorted(sought + near, side="right").cast(pl.Int64) - 1
    below = found.clip(lower_bound=0)
    close = (found >= 0) & (axis.gather(below) >= sought - near) & (velocity.gather(below) > velocity)
    return pl.when(close & ~pl.col(DRUM)).then(float(semitones))


def by_time(work: pl.LazyFrame) -> pl.LazyFrame:
    """Order the notes of a task by pitch (of drums apart from others) and start."""
    ordered = work.sort(STRETCH, DRUM, "pitch", ON, LANE, OFF, "velocity", ROW)
    return ordered.with_columns(pl.col(STRETCH).alias(GROUP))


def echo(near: int) -> pl.Expr:
    """Give the seconds since the last start in another track, if they are few: over a task's notes ``by_time``."""
    key, on, lane = pl.col("pitch") + 128 * pl.col(DRUM).cast(pl.UInt8), pl.col(ON), pl.col(LANE)
    first = (key != key.shift()).fill_null(value=True)
    # The last start in another track is that of the row before, where the track changes, and stays so until the next
    # change. Before the first change of a pitch there is none: a time that is never near.
    other = pl.when(first).then(-(2**62)).when(lane != lane.shift()).then(on.shift()).forward_fill()
    return pl.when(on - other <= near).then((on - other) * INSTANT)


def _by_note(work: pl.LazyFrame, lengths: pl.DataFrame, shortest: int) -> pl.LazyFrame:
    """Add the flags that a note alone decides."""
    seconds, pitch = pl.col(OFF) - pl.col(ON), pl.col("pitch").cast(pl.Float64)
    low, high = (bound.cast(pl.Float64) for bound in (lowest_in_range(), highest_in_range()))
    steps = [(pl.col(time) * GRID) for time in ("start", "end")]
    astray = pl.max_horizontal([(step - step.round()).abs() for step in steps]) * (1 / GRID)
    late = pl.col(OFF) - pl.col(LENGTH)
    return work.join(lengths.lazy(), on="task", how="left", maintain_order="left").with_columns(
        too_short=pl.when((seconds < shortest) & ~pl.col(DRUM)).then(seconds * INSTANT),
        out_of_range=pl.when(pitch < low).then(pitch - low).when(pitch > high).then(pitch - high),
        past_end=pl.when(late > 0).then(late * INSTANT),
        off_grid=pl.when(astray > INSTANT).then(astray),
    )
