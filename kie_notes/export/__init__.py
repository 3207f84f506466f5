"""The shapes that other tools want: arrays of notes, piano rolls, tokens; and from there back.

Any table goes to pandas, DuckDB and pyarrow as it is, through the Arrow stream protocol.
"""

from kie_notes.export.arrays import MirEvalNotes, from_note_array, to_mir_eval, to_note_array
from kie_notes.export.rolls import PianoRoll, from_piano_rolls, piano_roll_cells, to_piano_rolls
from kie_notes.export.tokens import detokenize, tokenize
from kie_notes.export.tokens_lost import token_losses

__all__ = [
    "MirEvalNotes",
    "PianoRoll",
    "detokenize",
    "from_note_array",
    "from_piano_rolls",
    "piano_roll_cells",
    "to_mir_eval",
    "to_note_array",
    "to_piano_rolls",
    "token_losses",
    "tokenize",
]
