"""Which chords sound: triads and sevenths as a table of intervals.

Time is cut wherever a note starts and wherever silence begins, so chords change where notes do and no grid is needed.
What a stretch says for a chord is what its pitch classes say, each second that it sounds (a pitch class counts once,
however many notes hold it), and what its lowest note says: the logarithm of how much likelier the pitch class, or the
bass, is under the chord than by chance (1/12).

=========================  ======================  ============================================
.                          chord tones             other pitch classes
=========================  ======================  ============================================
sounding pitch classes     0.7 together, equal     0.3 together, equal
lowest note, weight 1/2    root 0.5, others 0.35   0.15 together, equal
=========================  ======================  ============================================

So notes of a broken chord add up, and a bass decides between chords of the same notes (``C:maj6`` is ``A:min7``, the
four roots of ``B:dim7``). ``N``, no chord, gains 1/2 for each second of silence and 0 otherwise: it is found where
it is silent for long, or where what sounds is no chord. A change costs ``change``, whichever the chords; the path of
the highest sum wins (Viterbi).

The numbers were chosen on 120 movements with annotated harmony (Digital and Cognitive Musicology Lab), at 120 quarters
a minute, and 120 songs of POP909 with chords by that collection's own rules. Of their time, 68 % and 90 % had the
annotated root, 64 % and 90 % the annotated root and triad. No file of this project's samples was used.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from kie_notes.analysis.batches import TaskNotes, over_tasks
from kie_notes.analysis.chroma import MICROSECONDS, between_onsets, lowest_pitch
from kie_notes.analysis.door import notes_helper
from kie_notes.analysis.grouping import Drums, check_choice
from kie_notes.analysis.paths import best_path, intervals

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Which chords are looked for: triads (``maj``, ``min``, ``dim``, ``aug``) alone, or sevenths as well.
Vocabulary = Literal["triads", "sevenths"]

#: Semitones above the root, by Harte's shorthand.
QUALITIES: Final = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "7": (0, 4, 7, 10),
    "hdim7": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
    "minmaj7": (0, 3, 7, 11),
}
_ROOTS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

#: Probabilities of the module's table.
_TONES, _ROOT, _OTHER_TONES, _BASS_WEIGHT, _SILENCE = 0.7, 0.5, 0.35, 0.5, 0.5

#: Evidence is a whole multiple of this a microsecond, so its sums are exact in any order.
_GRAIN = 2.0**-10

_RESULT = pl.Schema(
    {"task": pl.String, "start": pl.Float64, "end": pl.Float64, "chord": pl.String, "confidence": pl.Float64}
)


@notes_helper
def chords(
    notes: pl.LazyFrame, *, vocabulary: Vocabulary = "sevenths", change: float = 0.5, drums: Drums = "exclude"
) -> pl.LazyFrame:
    """Say which chord sounds from when to when.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    vocabulary
        Which chords are looked for: ``triads`` (``maj``, ``min``, ``dim``, ``aug``), or ``sevenths`` as well (``maj7``,
        ``min7``, ``7``, ``hdim7``, ``dim7``, ``minmaj7``).
    change
        What a change of chord costs, >= 0, in the logarithms of the module's probabilities a second: the higher, the
        fewer changes.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task and interval, sorted by task and start. A task's intervals are half-open, follow one another
    without gaps from its first start to its last end, and no two neighbours have one chord; a task without such notes,
    or whose notes all start and end at one time, has no row:

    - ``task`` (String)
    - ``start``, ``end`` (Float64): seconds, ``end`` > ``start``, to the microsecond
    - ``chord`` (String): root and quality, such as ``C:maj`` or ``A:min7``, roots Db, Eb, F#, Ab, Bb; ``N`` is no chord
    - ``confidence`` (Float64): share of the chord's tones in the seconds of all pitch classes during the interval, 0 to
      1; null for ``N``

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If an option has a value that it cannot have.

    References
    ----------
    Syntax: Harte, Sandler, Abdallah and Gomez, ISMIR 2005; ``mir_eval.chord`` reads and scores it. Chord tones in
    segments between onsets: Pardo and Birmingham, Computer Music Journal 26 (2002); dynamic programming over a cost of
    change: Temperley, The Cognition of Basic Musical Structures (2001), ch. 6.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> bars = [[48, 64, 67], [45, 60, 64], [41, 60, 69], [43, 59, 62, 65]]
    >>> rows = [("a", "Piano", pitch, 2.0 * k, 2.0 * k + 2, 0.5, 0) for k, bar in enumerate(bars) for pitch in bar]
    >>> chords(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).select("start", "end", "chord").rows()
    [(0.0, 2.0, 'C:maj'), (2.0, 4.0, 'A:min'), (4.0, 6.0, 'F:maj'), (6.0, 8.0, 'G:7')]
    """
    check_choice("vocabulary", vocabulary, Vocabulary)
    if not 0 <= change < math.inf:
        raise ValueError(f"change: expected a cost, at least 0, got {change!r}")
    qualities = [name for name, tones in QUALITIES.items() if vocabulary == "sevenths" or len(tones) == 3]
    names = np.array([*(f"{root}:{quality}" for quality in qualities for root in _ROOTS), "N"])
    members = _members(qualities)

    def answer(some: TaskNotes) -> pl.DataFrame:
        stretches = between_onsets(some)
        length = stretches.end - stretches.start
        once = np.minimum(stretches.chroma, length[:, None])
        path = best_path(
            _evidence(length, once, lowest_pitch(some, stretches), members),
            stretches.task,
            round(change * MICROSECONDS / _GRAIN),
        )
        first, last = intervals(stretches.task, path)
        sounding = np.add.reduceat(once, first) if len(first) else once
        tones = (sounding * np.vstack([members, np.zeros(12)])[path[first]]).sum(axis=1)
        found = pl.DataFrame(
            {
                "task": some.names.gather(stretches.task[first]),
                "start": stretches.start[first] / MICROSECONDS,
                "end": stretches.end[last] / MICROSECONDS,
                "chord": names[path[first]],
                "confidence": tones / np.maximum(sounding.sum(axis=1), 1),
            },
            schema=_RESULT,
        )
        return found.with_columns(pl.when(pl.col("chord") != "N").then("confidence"))

    return over_tasks(notes, drums, answer, _RESULT).sort("task", "start")


def _members(qualities: list[str]) -> NDArray[np.float64]:
    """Say for each quality, and in it for each root, which pitch classes are tones of the chord: rows of 0 and 1."""
    chord = [np.isin(np.arange(12), QUALITIES[quality]) for quality in qualities]
    return np.array([np.roll(tones, root) for tones in chord for root in range(12)], np.float64)


def _evidence(
    length: NDArray[np.int64], once: NDArray[np.float64], lowest: NDArray[np.int64], members: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give each stretch's gain for each chord, and last for no chord, in grains times microseconds."""
    tones = members.sum(axis=1, keepdims=True)
    pitch_class = np.where(members, _TONES / tones, (1 - _TONES) / (12 - tones))
    bass = np.where(members, _OTHER_TONES / (tones - 1), (1 - _ROOT - _OTHER_TONES) / (12 - tones))
    bass[np.arange(len(bass)), np.arange(len(bass)) % 12] = _ROOT
    silent = lowest < 0
    held = (lowest[:, None] % 12 == np.arange(12)) * np.where(silent, 0, length)[:, None]
    gains = np.log(12 * np.hstack([pitch_class, bass])) * ([1.0] * 12 + [_BASS_WEIGHT] * 12)
    evidence = np.empty((len(once), len(members) + 1))
    np.matmul(np.hstack([once, held]), np.rint(gains / _GRAIN).T, out=evidence[:, :-1])
    evidence[:, -1] = np.where(silent, length * (_SILENCE / _GRAIN), 0)
    return evidence
