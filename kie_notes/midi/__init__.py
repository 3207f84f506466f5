"""From notes to MIDI files and back: exactly, or with what is lost as a table.

pretty_midi alone rounds times to its default grid, cuts notes of one pitch that overlap, and drops notes of no length
or of velocity 0. Here the resolution is chosen for the task's times, overlapping notes go to extra tracks of the same
name, and what no file can hold as it is (a time off every grid, a velocity between two steps) is moved as little as
possible and listed by ``midi_losses``. No note is ever lost: where that list is empty,
``from_midi(to_midi(notes))`` is ``notes``.

A file made here is a plain MIDI file at 120 quarters a minute, for any program. One text event at its start holds what
MIDI has no place for: the task's id and the numbers of its tracks.
"""

from kie_notes.midi.plan import LOSSES_SCHEMA
from kie_notes.midi.read import MidiWarning, from_midi
from kie_notes.midi.write import WRITTEN_SCHEMA, midi_losses, to_midi, write_midi

__all__ = ["LOSSES_SCHEMA", "WRITTEN_SCHEMA", "MidiWarning", "from_midi", "midi_losses", "to_midi", "write_midi"]
