"""Notes as a sound file, to hear what a table says: one task, one WAV of 16 bits at 44.1 kHz.

**Tones** need nothing but NumPy. A pitched note is its equal-tempered frequency (A4 = 440 Hz) with three softer
partials, fading as a struck string does, and it sounds from its start to its end and not a sample longer. Percussion
is one of a few noises and sweeps, by the key's class; a stroke rings for up to half a second, whatever the note's
length. They tell notes and instruments' roles, not instruments: all pitched tracks sound alike.

**Sampled** sound is FluidSynth's with a SoundFont: General MIDI instruments, stereo, with reverberation.

Both work in pieces of some seconds: memory does not grow with the length of the music.
"""

from __future__ import annotations

import wave
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl

from kie_notes.analysis.drums import DRUM_CLASSES
from kie_notes.errors import MissingExtraError
from kie_notes.instruments import find_instrument, is_drums
from kie_notes.midi.plan import first_fault
from kie_notes.notes import check_notes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Samples = NDArray[np.float64]

#: Samples a second.
RATE: Final = 44_100

#: The longest file in seconds: a WAV file cannot hold 4 GiB, which are 6.7 hours of stereo.
LONGEST: Final = 6 * 3600.0

#: Samples of a piece.
_PIECE: Final = 10 * RATE

#: Partials and how loud they are, the seconds in which a tone fades to 1/e, rises, and ends.
_PARTIALS: Final = ((1, 1.0), (2, 0.35), (3, 0.15), (4, 0.07))
_FADES, _RISES, _ENDS = 1.2, 0.004, 0.02

#: Loudness of one note of velocity 1. Sums are bent towards 1 (tanh), so that dense music does not clip.
_LOUDNESS: Final = 0.25

#: Seconds that a stroke of percussion rings at the most, and that follow the last note of sampled sound.
_RINGS, _REVERBERATES = 0.5, 2.0

#: Of each class of percussion: seconds in which it fades to 1/e, frequency (Hz) of its sweep (0: none), share of noise.
_STROKES: Final = {
    "kick": (0.09, 55.0, 0.05),
    "snare": (0.07, 185.0, 0.75),
    "hat": (0.025, 0.0, 1.0),
    "tom": (0.12, 110.0, 0.1),
    "cymbal": (0.15, 0.0, 1.0),
    "other": (0.04, 800.0, 0.3),
    "unmapped": (0.04, 800.0, 0.3),
}
_CLASSES: Final = {key: name for name, keys in DRUM_CLASSES.items() for key in keys}


def render_audio(
    notes: pl.DataFrame | pl.LazyFrame,
    path: str | Path,
    *,
    sound: Literal["tones", "sampled"] = "tones",
    soundfont: str | Path | None = None,
) -> Path:
    """Write one task's notes as a sound file.

    Parameters
    ----------
    notes
        Notes table of one task, any order. No notes make a file without samples.
    path
        WAV file to write; one of that name is replaced. Its folder is made.
    sound
        ``tones``: mono, ends with the last note (a stroke of percussion rings out). ``sampled``: stereo, General MIDI,
        2 s longer; needs ``pip install 'kie-notes[sound]'`` and FluidSynth's library from the system
        (``libfluidsynth3`` on Debian).
    soundfont
        For ``sampled``: an .sf2 or .sf3 file; None: the small General MIDI one that comes with pretty_midi.

    Returns
    -------
    The path. Instruments follow from the tracks' names; an unknown name sounds as a piano.

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If there are notes of several tasks, a value is none that a note can have, a note ends after 6 hours, ``sound``
        has a value that it cannot have, or ``soundfont`` comes with ``tones`` or cannot be read.
    MissingExtraError
        If ``sampled`` sound is wanted and FluidSynth is not there.

    Examples
    --------
    >>> import tempfile
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> notes = pl.DataFrame([("a", "Flute", 69, 0.0, 0.5, 0.5, 0)], schema=NOTES_SCHEMA, orient="row")
    >>> with wave.open(str(render_audio(notes, Path(tempfile.mkdtemp()) / "a.wav"))) as file:
    ...     file.getframerate(), file.getnframes(), file.getnchannels(), file.getsampwidth()
    (44100, 22050, 1, 2)
    """
    if sound not in ("tones", "sampled"):
        raise ValueError(f"sound: expected 'tones' or 'sampled', got {sound!r}")
    if sound == "tones" and soundfont is not None:
        raise ValueError("soundfont: tones need none; sound='sampled' uses it")
    one = _one_task(notes)
    pieces = _tones(one) if sound == "tones" else _sampled(one, _synthesiser(soundfont))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if sound == "tones" else 2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for piece in pieces:
            file.writeframesraw(piece.astype("<i2").tobytes())
    return path


def _one_task(notes: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Give the notes in the order of their starts, each with its program and whether it is percussion."""
    table = check_notes(notes.lazy() if isinstance(notes, pl.DataFrame) else notes).collect(engine="streaming")
    tasks = table["task"].unique().cast(pl.String).sort()
    if tasks.len() > 1:
        raise ValueError(f"a sound file holds one task, got {tasks.len()}: keep one with .filter(task={tasks[0]!r})")
    fault = first_fault(table)
    if fault:
        raise ValueError(fault)
    last = float(table["end"].max() or 0)  # type: ignore[arg-type]
    if last > LONGEST:
        raise ValueError(f"a note ends at {last:.0f} s: a sound file holds {LONGEST:.0f} s")
    names = table["instrument"].unique().cast(pl.String).to_list()
    programs = {name: found.program if (found := find_instrument(name)) else 0 for name in names}
    name = pl.col("instrument").cast(pl.String)
    return table.sort("start").select(
        "pitch",
        "start",
        "end",
        pl.col("velocity").cast(pl.Float64),
        program=name.replace_strict(programs, return_dtype=pl.Int64),
        drum=name.is_in([name for name in names if is_drums(name)]),
    )


def _tones(one: pl.DataFrame) -> Iterator[NDArray[np.int16]]:
    """Give the samples, piece by piece."""
    until = pl.when("drum").then(pl.col("start") + _RINGS).otherwise("end")
    first = (pl.col("start") * RATE).round().cast(pl.Int64)
    timed = one.with_columns(first=first, last=(until * RATE).round().cast(pl.Int64))
    length = int(timed["last"].max() or 0)  # type: ignore[arg-type]
    noise = np.random.default_rng(0).uniform(-1, 1, int(_RINGS * RATE) + 1)
    for begin in range(0, length, _PIECE):
        piece = np.zeros(min(_PIECE, length - begin))
        here = timed.filter((pl.col("first") < begin + len(piece)) & (pl.col("last") > begin))
        for pitch, velocity, drum, start, end in here.select("pitch", "velocity", "drum", "first", "last").rows():
            low, high = max(start, begin), min(end, begin + len(piece))
            at = np.arange(low - start, high - start)
            wave_ = _stroke(pitch, at, noise) if drum else _tone(pitch, at, end - start)
            piece[low - begin : high - begin] += _LOUDNESS * velocity * wave_
        yield np.rint(np.tanh(piece) * 32767).astype(np.int16)


def _tone(pitch: int, at: NDArray[np.int64], length: int) -> Samples:
    """Give the samples of a tone at some places, counted from its start; its length in samples."""
    frequency = 440.0 * 2.0 ** ((pitch - 69) / 12)
    seconds = at / RATE
    shape = np.exp(-seconds / _FADES) * np.minimum(seconds / _RISES, 1) * np.minimum((length - at) / (_ENDS * RATE), 1)
    partials = [(n, part) for n, part in _PARTIALS if n == 1 or n * frequency < 0.45 * RATE]
    tone = sum((part * np.sin(2 * np.pi * n * frequency * seconds) for n, part in partials), np.zeros(len(at)))
    return np.asarray(shape * tone)


def _stroke(key: int, at: NDArray[np.int64], noise: Samples) -> Samples:
    """Give the samples of a stroke of percussion at some places, counted from its start."""
    fades, frequency, noisy = _STROKES[_CLASSES[key]]
    seconds = at / RATE
    if not frequency:
        noise = np.diff(noise, append=0.0)  # brighter
    sweep = frequency * (seconds + 0.02 * (1 - np.exp(-seconds / 0.02)))  # from twice the frequency down to it
    body = noisy * noise[at] + (1 - noisy) * np.sin(2 * np.pi * sweep)
    ends = np.minimum((_RINGS * RATE - at) / (0.05 * RATE), 1)
    return np.asarray(2.0 * body * np.exp(-seconds / fades) * ends)


def _synthesiser(soundfont: str | Path | None) -> Any:  # noqa: ANN401 -- FluidSynth's binding has no types
    """Start FluidSynth with a SoundFont, which becomes its number 1."""
    try:
        import fluidsynth
    except ImportError as fault:  # of the binding, or of the library under it
        raise MissingExtraError(
            "sampled sound needs FluidSynth: pip install 'kie-notes[sound]', and the system's library (libfluidsynth3"
            " on Debian, fluid-synth with Homebrew); sound='tones' needs neither"
        ) from fault
    if soundfont is None:
        import pretty_midi

        soundfont = Path(pretty_midi.__file__).with_name("TimGM6mb.sf2")
    if not Path(soundfont).is_file():
        raise ValueError(f"soundfont: there is no file {str(soundfont)!r}")
    made = fluidsynth.Synth(gain=0.5, samplerate=float(RATE))
    if made.sfload(str(soundfont)) < 0:
        made.delete()
        raise ValueError(f"soundfont: FluidSynth cannot read {str(soundfont)!r}")
    return made


def _sampled(one: pl.DataFrame, synthesiser: Any) -> Iterator[NDArray[np.int16]]:  # noqa: ANN401 -- as above
    """Give the samples that FluidSynth makes, left and right in turn, from event to event."""
    try:
        done = 0
        sounding: Counter[tuple[int, int]] = Counter()
        for place, begins, channel, pitch, velocity in _events(one, synthesiser):
            while done < place:
                count = min(place - done, _PIECE)
                yield synthesiser.get_samples(count)
                done += count
            sounding[channel, pitch] += 1 if begins else -1
            if begins:
                synthesiser.noteon(channel, pitch, velocity)
            elif not sounding[channel, pitch]:  # a note-off ends all notes of its pitch
                synthesiser.noteoff(channel, pitch)
        if one.height:
            yield synthesiser.get_samples(int(_REVERBERATES * RATE))
    finally:
        synthesiser.delete()


def _events(one: pl.DataFrame, synthesiser: Any) -> list[tuple[int, bool, int, int, int]]:  # noqa: ANN401 -- as above
    """Give what begins and ends when (in samples), on a channel for each program; ends stand before beginnings."""
    voices = one.select("drum", "program").unique().sort("drum", "program").rows()
    for channel, (drum, program) in enumerate(voices):
        synthesiser.program_select(channel, 1, 128 if drum else 0, program)
    events = []
    for pitch, start, end, velocity, program, drum in one.rows():
        channel, first = voices.index((drum, program)), round(start * RATE)
        last = max(round(end * RATE), first + 1)
        events += [(first, True, channel, pitch, max(1, round(velocity * 127))), (last, False, channel, pitch, 0)]
    return sorted(events)
