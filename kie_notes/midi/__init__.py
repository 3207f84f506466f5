"""From notes to MIDI files and back: exactly, or with what is lost as a table.

pretty_midi alone rounds times to its default grid, cuts notes of one pitch that overlap, and drops notes of no length
or of velocity 0. Here the resolution is chosen for the task's times, overlapping notes go to extra tracks of the same
name, and what no file can hold as it is (a time off every grid, a velocity between two steps) is moved as little as
possible and listed by ``midi_losses``. No note is ever lost: where that list is empty,
``from_midi(to_midi(notes))`` is ``notes``.

A file made here is a plain MIDI file at 120 quarters a minute, for any program. One text event at its start holds what
MIDI has no place for: the task's id and the numbers of its tracks.

Writing, from left to right: ``ticks`` (which ticks), ``plan`` (what a file will hold), ``writing_batches``,
``writing_tracks``, ``writing_bytes`` and ``writing_files`` (many tasks at once), ``write`` (the functions). Reading:
``read`` goes by pretty_midi's objects; ``corpus`` reads files of anybody's through ``chunks`` (bytes), ``events`` or
``symusic_lane`` (notes in ticks), ``sustain``, ``tempo_map`` (exact seconds), ``assembly``, ``files`` (many at once).
"""

from kie_notes.midi.corpus import midi_batches, read_midi
from kie_notes.midi.plan import LOSSES_SCHEMA
from kie_notes.midi.read import MidiWarning, from_midi
from kie_notes.midi.write import BYTES_SCHEMA, WRITTEN_SCHEMA, midi_bytes, midi_losses, to_midi, write_midi

__all__ = [
    "BYTES_SCHEMA",
    "LOSSES_SCHEMA",
    "WRITTEN_SCHEMA",
    "MidiWarning",
    "from_midi",
    "midi_batches",
    "midi_bytes",
    "midi_losses",
    "read_midi",
    "to_midi",
    "write_midi",
]
