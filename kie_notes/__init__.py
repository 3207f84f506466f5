"""Notes that an audio-to-MIDI service transcribed, as one Polars table.

The names below, and those of ``kie_notes.analysis``, are the ones worth typing in a notebook; each but ``collect`` and
its like is loaded when it is first used. Pictures are in ``kie_notes.plots``, whose functions bear the names of the
helpers whose results they draw.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from kie_notes import analysis
from kie_notes.collect import CollectReport, collect, ingest, watch

if TYPE_CHECKING:
    from kie_notes.analysis import *  # noqa: F403 -- all its names are names here, and are listed once, there
    from kie_notes.api.client import KieClient
    from kie_notes.api.files import read_records
    from kie_notes.api.records import Record, parse_record
    from kie_notes.api.sandbox import Sandbox
    from kie_notes.augment import augment_notes, perturb_notes
    from kie_notes.dataset import DatasetReport, Recipe, check_dataset, export_dataset
    from kie_notes.export import (
        MirEvalNotes,
        PianoRoll,
        detokenize,
        from_note_array,
        from_piano_rolls,
        piano_roll_cells,
        to_mir_eval,
        to_note_array,
        to_piano_rolls,
        token_losses,
        tokenize,
    )
    from kie_notes.imports import read_note_events
    from kie_notes.instruments import drum_name, instrument
    from kie_notes.mapping import PartError, chunks, map_parts, sink_parts
    from kie_notes.midi import from_midi, midi_batches, midi_bytes, midi_losses, read_midi, to_midi, write_midi
    from kie_notes.notation import score_notes, to_musicxml, to_svg, write_musicxml
    from kie_notes.notes import (
        NOTES_SCHEMA,
        REJECTS_SCHEMA,
        TASKS_SCHEMA,
        Flattened,
        check_notes,
        flatten,
        join_tasks,
        sort_notes,
    )
    from kie_notes.order_lists import Order, SongOrder, read_orders, read_song_orders
    from kie_notes.orders import separate, settle_order, submit, submit_pending
    from kie_notes.plots import piano_roll
    from kie_notes.report import player, write_report
    from kie_notes.sound import render_audio
    from kie_notes.store import Store

__all__ = [
    "NOTES_SCHEMA",
    "REJECTS_SCHEMA",
    "TASKS_SCHEMA",
    "CollectReport",
    "DatasetReport",
    "Flattened",
    "KieClient",
    "MirEvalNotes",
    "Order",
    "PartError",
    "PianoRoll",
    "Recipe",
    "Record",
    "Sandbox",
    "SongOrder",
    "Store",
    "augment_notes",
    "check_dataset",
    "check_notes",
    "chunks",
    "collect",
    "detokenize",
    "drum_name",
    "export_dataset",
    "flatten",
    "from_midi",
    "from_note_array",
    "from_piano_rolls",
    "ingest",
    "instrument",
    "join_tasks",
    "map_parts",
    "midi_batches",
    "midi_bytes",
    "midi_losses",
    "parse_record",
    "perturb_notes",
    "piano_roll",
    "piano_roll_cells",
    "player",
    "read_midi",
    "read_note_events",
    "read_orders",
    "read_records",
    "read_song_orders",
    "render_audio",
    "score_notes",
    "separate",
    "settle_order",
    "sink_parts",
    "sort_notes",
    "submit",
    "submit_pending",
    "to_midi",
    "to_mir_eval",
    "to_musicxml",
    "to_note_array",
    "to_piano_rolls",
    "to_svg",
    "token_losses",
    "tokenize",
    "watch",
    "write_midi",
    "write_musicxml",
    "write_report",
]
__all__ += analysis.__all__
__all__.sort(key=lambda name: (not name.isupper(), name[0].islower(), name))

_HOMES = {
    "mapping": ("PartError", "chunks", "map_parts", "sink_parts"),
    "augment": ("augment_notes", "perturb_notes"),
    "dataset": ("DatasetReport", "Recipe", "check_dataset", "export_dataset"),
    "export": (
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
    ),
    "imports": ("read_note_events",),
    "notation": ("score_notes", "to_musicxml", "to_svg", "write_musicxml"),
    "analysis": analysis.__all__,
    "api.client": ("KieClient",),
    "api.files": ("read_records",),
    "api.records": ("Record", "parse_record"),
    "api.sandbox": ("Sandbox",),
    "instruments": ("drum_name", "instrument"),
    "midi": ("from_midi", "midi_batches", "midi_bytes", "midi_losses", "read_midi", "to_midi", "write_midi"),
    "notes": (
        "NOTES_SCHEMA",
        "REJECTS_SCHEMA",
        "TASKS_SCHEMA",
        "Flattened",
        "check_notes",
        "flatten",
        "join_tasks",
        "sort_notes",
    ),
    "order_lists": ("Order", "SongOrder", "read_orders", "read_song_orders"),
    "orders": ("separate", "settle_order", "submit", "submit_pending"),
    "plots": ("piano_roll",),
    "report": ("player", "write_report"),
    "sound": ("render_audio",),
    "store": ("Store",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name from its module at its first use."""
    if name in _HOME:
        value: object = getattr(import_module(f"kie_notes.{_HOME[name]}"), name)
    elif name in ("api", "plots", "report", "sound"):
        value = import_module(f"kie_notes.{name}")
    else:
        msg = f"module 'kie_notes' has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names too that are not loaded yet."""
    return sorted({*globals(), *__all__})
