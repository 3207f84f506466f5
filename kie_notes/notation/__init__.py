"""Sketches of scores, for any notation program and for print: ``scores`` says what one is.

From left to right: ``grid`` (where each note stands), ``xml`` (MusicXML of it, by music21), ``scores`` (the functions).
"""

from kie_notes.notation.scores import SCORES_SCHEMA, score_notes, to_musicxml, to_svg, write_musicxml

__all__ = ["SCORES_SCHEMA", "score_notes", "to_musicxml", "to_svg", "write_musicxml"]
