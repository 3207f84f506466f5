"""What the columns of a data set mean, for its card and its Croissant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

#: The two tables, each with what a row is.
TABLES: Final = {"notes": "one row per note, by task, start, track, pitch", "tasks": "one row per task, by id"}

_NOTES: Final = {
    "task": "id of the MIDI task that the note belongs to",
    "instrument": "name of the instrument, as the service gives it",
    "pitch": "MIDI note number, 0-127, middle C = 60; of drums the percussion key",
    "start": "seconds from the start of the audio",
    "end": "seconds, >= start",
    "velocity": "0-1",
    "track": "position of the instrument in the task's list",
    "window": "number k of the window [k * length, (k + 1) * length) in which the note starts",
    "start_tick": "start in ticks, the nearest integer",
    "end_tick": "end in ticks, the nearest integer",
}

_TASKS: Final = {
    "task": "id of the MIDI task",
    "split": "the split that it is in",
    "group": "smallest task id of those that are tied to it and stay in one split",
    "notes": "number of notes",
    "drum_notes": "notes of drums among them",
    "tracks": "tracks with notes",
    "instruments": "distinct names of instruments",
    "main_instrument": "the instrument with most notes",
    "duration": "last end of a note in seconds",
    "notes_per_second": "notes / duration",
    "lowest": "lowest pitch, drums left out",
    "highest": "highest pitch, drums left out",
    "pitch_classes": "distinct pitch classes, drums left out",
    "mean_polyphony": "distinct pitches that sound at once, mean over the time in which any does, without drums",
    "maximum_polyphony": "the same, at most",
    "mean_velocity": "mean velocity, 0-1",
    "velocity_levels": "distinct velocities; where there is 1, velocity says nothing",
    "quality": "1 - faulty notes / notes, 0-1",
    "windows": "windows up to the last that a note starts in, empty ones included",
    "rejected": "notes of the task that could not be taken: see rejects.parquet",
    "label": "the collector's own word for the task",
    "audio_id": "id of the stem that was transcribed",
    "stem": "name of the stem",
    "separation_task": "id of the separation that made the stem",
    "song": "id of the song",
    "music_task": "id of the generation that made the song",
    "title": "title of the song",
    "tags": "style tags of the song",
    "prompt": "prompt or lyrics of the song",
    "model": "model that made the song",
    "song_duration": "length of the song in seconds",
}

#: What each column means, by table.
MEANINGS: Final = {"notes": _NOTES, "tasks": _TASKS}

#: Columns of the tasks in which people wrote something.
WORDS: Final = ("label", "title", "tags", "prompt")

#: Arrow's names of types, where others say it otherwise.
_NAMES: Final = {"double": "float64", "float": "float32", "halffloat": "float16"}


def features(schema: pa.Schema, table: str) -> list[tuple[str, str, str]]:
    """Give name, type and meaning of each column; a column that somebody added has no meaning that is known here."""
    known = MEANINGS[table]
    return [(one.name, _NAMES.get(str(one.type), str(one.type)), known.get(one.name, "")) for one in schema]
