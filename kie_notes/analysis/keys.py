"""In which key a task is.

A key is one of 24: a tonic and a mode, major or minor. Each profile below says how strongly each pitch class stands out
in a key; the score of a key is Pearson's correlation of its profile with the seconds that the task spends on each pitch
class (Krumhansl and Schmuckler's algorithm), and the answer is the key of the highest score.

**Profiles** begin at the tonic. ``krumhansl-kessler`` are listeners' ratings; ``aarden-essen`` and ``bellman-budge``
were counted in music; ``temperley-kostka-payne`` are the shares of segments of a textbook's examples that contain the
pitch class; ``simple-weights`` were set by hand. Peers differ in one number: the second of Temperley's minor profile is
0.084 in music21 and here, as printed, but 0.048 in partitura.

**The combined method** knows that music tends to begin and to end in its key, and that a last bass note tends to be its
tonic. Its score is the sum of

====  ==================================================================================================
0.43  mean correlation of the five profiles with the whole task, each note weighing the root of its seconds
0.40  the same over the opening: the weight falls by e in 5 s from the first start to the note's start
0.09  the same over the ending: the weight falls by e in 5 s from the note's end to the last end
0.08  1 for the keys whose tonic is the lowest note that sounds in the last 0.3 s, 0 for the others
====  ==================================================================================================

The root tempers long notes, whose ends a pedal or a transcriber may have stretched. The four numbers are coefficients
of a conditional logit over 24 keys, rounded; in it the odds of two keys are ``exp(18 * difference of scores)``. It was
fitted on 1,590 pieces, each collection weighing alike, those of fewer than 40 pieces less: Bach's suites, Beethoven's
and Mozart's piano sonatas, Corelli's trio sonatas, Chopin's mazurkas, Grieg's Lyric Pieces, Schumann's Kinderszenen
(keys annotated at the Digital and Cognitive Musicology Lab), 757 songs of POP909 (keys that a program found in the
audio), folk songs of the Essen collection and Ryan's dance tunes (keys as notated). The mean of their MIREX scores is
0.958, of the best single profile 0.915. Fitted without any one of the collections, the numbers stay within 0.1 and the
score of the one that was left out within 0.011. Nothing was fitted to Beethoven's quartets and Schubert's Winterreise,
0.943 and 0.933 against 0.929 and 0.904 by the best profile for each, nor to this project's samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from kie_notes.analysis.batches import TaskNotes, over_tasks
from kie_notes.analysis.chroma import PITCH_CLASS
from kie_notes.analysis.door import notes_helper
from kie_notes.analysis.grouping import Drums, check_choice

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: How a key is found: by one profile, or by all of them and by where notes stand.
KeyMethod = Literal[
    "combined", "krumhansl-kessler", "aarden-essen", "bellman-budge", "temperley-kostka-payne", "simple-weights"
]

#: The 24 keys in the order of the rows of a profile's matrix, under their usual names (no Gb major: F# major).
KEYS: Final = (
    *(f"{tonic} major" for tonic in ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")),
    *(f"{tonic} minor" for tonic in ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")),
)

#: Profiles of major and minor from the tonic upwards; see References of ``key``.
PROFILES: Final = {
    "krumhansl-kessler": (
        (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
        (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
    ),
    "aarden-essen": (
        (
            17.7661,
            0.145624,
            14.9265,
            0.160186,
            19.8049,
            11.3587,
            0.291248,
            22.062,
            0.145624,
            8.15494,
            0.232998,
            4.95122,
        ),
        (18.2648, 0.737619, 14.0499, 16.8599, 0.702494, 14.4362, 0.702494, 18.6161, 4.56621, 1.93186, 7.37619, 1.75623),
    ),
    "bellman-budge": (
        (16.80, 0.86, 12.95, 1.41, 13.49, 11.93, 1.25, 20.28, 1.80, 8.04, 0.62, 10.57),
        (18.16, 0.69, 12.99, 13.34, 1.07, 11.15, 1.38, 21.07, 7.49, 1.53, 0.92, 10.21),
    ),
    "temperley-kostka-payne": (
        (0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400),
        (0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330),
    ),
    "simple-weights": (
        (2.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 2.0, 0.0, 1.0, 0.0, 1.0),
        (2.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 2.0, 1.0, 0.0, 0.5, 0.5),
    ),
}

#: The combined method: weights of the whole, the opening, the ending and the last bass note, and its times in seconds.
_WHOLE, _OPENING, _ENDING, _LAST_BASS = 0.43, 0.40, 0.09, 0.08
_FADE, _CLOSE = 5.0, 0.3

#: Weights are added up as whole multiples of this, so that sums are exact in any order up to 131,072 s a pitch class.
_GRAIN = 2.0**-36

_RESULT = pl.Schema(
    {"task": pl.String, "key": pl.String, "score": pl.Float64, "second": pl.String, "margin": pl.Float64}
)


@notes_helper
def key(notes: pl.LazyFrame, *, method: KeyMethod = "combined", drums: Drums = "exclude") -> pl.LazyFrame:
    """Say in which key each task is, and by how much no other fits better.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    method
        ``combined`` (see the module), or the name of the one profile that the seconds of each pitch class are
        correlated with.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, sorted; a task without such notes has no row:

    - ``task`` (String)
    - ``key`` (String): tonic and mode, such as ``C major`` or ``F# minor``. Majors are Db, Eb, F#, Ab, Bb, minors C#,
      Eb, F#, G#, Bb; null where no pitch class stands out (no note has a duration, or all twelve last equally long)
    - ``score`` (Float64): of that key, -1 to 1; with one profile, Pearson's correlation. Null with the key
    - ``second`` (String): the next best key. Null with the key
    - ``margin`` (Float64): by how much its score is lower, >= 0. Null with the key

    Of keys with one score the first is taken, majors before minors, each upwards from C.

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
    Algorithm: Krumhansl, Cognitive Foundations of Musical Pitch (1990), ch. 4. Profiles: Krumhansl and Kessler,
    Psychological Review 89 (1982); Aarden, Dynamic Melodic Expectancy (2003); Bellman, CMMR 2005, after Budge (1943);
    Temperley, Music and Probability (2007), counts of Kostka and Payne's examples; Craig Sapp's simple weights. With
    one profile equal to music21's ``analyze("key.krumhanslschmuckler")`` and its like, but for drums, which music21,
    partitura and AMADS count.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> scale = enumerate([62, 64, 66, 67, 69, 71, 73, 74])
    >>> rows = [("a", "Flute", pitch, float(k), k + 1.0, 0.5, 0) for k, pitch in scale]
    >>> key(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).select("task", "key", "second").rows()
    [('a', 'D major', 'B minor')]
    """
    check_choice("method", method, KeyMethod)
    profiles = KEY_PROFILE if method == "combined" else profile_matrix(method)

    def best(some: TaskNotes) -> pl.DataFrame:
        scores = _combined(some) if method == "combined" else correlations(_sums(some, some.end - some.start), profiles)
        return _ranked(some.names, scores)

    return over_tasks(notes, drums, best, _RESULT).sort("task")


def profile_matrix(name: str) -> NDArray[np.float64]:
    """Give a profile in all 24 keys, one row each in the order of ``KEYS``, with mean 0 and length 1."""
    rows = np.array([np.roll(profile, tonic) for profile in PROFILES[name] for tonic in range(12)])
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.sqrt((rows * rows).sum(axis=1, keepdims=True)))


def correlations(weights: NDArray[np.float64], profiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlate each row of twelve weights with the rows of ``profiles`` (mean 0, length 1); 0 where all are equal."""
    centred = weights - weights.mean(axis=1, keepdims=True)
    length = np.sqrt((centred * centred).sum(axis=1, keepdims=True))
    flat = length <= 1e-12 * weights.sum(axis=1, keepdims=True)
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=~flat)
    # Twelve products and no matrix product: a row's result must not depend on how many rows there are.
    products = (unit[:, [k]] * profiles[:, k] for k in range(12))
    return np.asarray(sum(products, np.zeros((len(unit), len(profiles)))))


#: The mean of the five profiles: a correlation with it, times its length, is the mean of the five correlations.
KEY_PROFILE: Final = np.mean([profile_matrix(name) for name in PROFILES], axis=0)


def _sums(notes: TaskNotes, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up the notes' weights by task and pitch class."""
    grains = np.rint(weights * (1 / _GRAIN))
    sums = np.bincount(notes.task * 12 + PITCH_CLASS[notes.pitch], grains, len(notes.names) * 12).reshape(-1, 12)
    return np.asarray(sums * _GRAIN, np.float64)


def _combined(notes: TaskNotes) -> NDArray[np.float64]:
    """Score each task's 24 keys by the whole, the opening, the ending and the last bass note; all 0 without any."""
    seconds = notes.end - notes.start
    begin = np.searchsorted(notes.task, np.arange(len(notes.names)))
    since = notes.start - notes.start[begin][notes.task]
    until = np.maximum.reduceat(notes.end, begin)[notes.task] - notes.end
    whole, opening, ending = (
        correlations(_sums(notes, weights), KEY_PROFILE)
        for weights in (np.sqrt(seconds), seconds * np.exp(-since / _FADE), seconds * np.exp(-until / _FADE))
    )
    lowest = np.minimum.reduceat(np.where(until < _CLOSE, notes.pitch, 128), begin)
    tonic = np.tile(np.arange(12), 2) == lowest[:, None] % 12
    scores = _WHOLE * whole + _OPENING * opening + _ENDING * ending + _LAST_BASS * tonic
    return np.where(whole.any(axis=1, keepdims=True), scores, 0.0)


def _ranked(names: pl.Series, scores: NDArray[np.float64]) -> pl.DataFrame:
    """Name the best key of each row and the second best, unless all scores are 0."""
    # What differs by rounding is equal: keys tie in earnest, say where all notes but one of a scale sound alike.
    first, second = np.argsort(-scores.round(10), axis=1, kind="stable")[:, :2].T
    row = np.arange(len(scores))
    named = pl.DataFrame(
        {
            "task": names,
            "key": np.array(KEYS)[first],
            "score": scores[row, first],
            "second": np.array(KEYS)[second],
            "margin": np.maximum(scores[row, first] - scores[row, second], 0),
        },
        schema=_RESULT,
    )
    found = pl.Series(scores.any(axis=1))
    return named.with_columns(pl.when(found).then(pl.col("key", "score", "second", "margin")))
