"""One HTML page that holds everything: notes, tables, a player and its sound. It asks the network for nothing.

The page is ``static/page.html``, filled with its style sheet, its scripts (in the order of ``SCRIPTS``, in one function
scope) and its data. A Content-Security-Policy lets just these scripts and this style sheet run, by their checksums, and
forbids every connection, so that a name from outside could do nothing even if it became HTML; and it never does: data
are JSON whose ``<``, ``>`` and ``&`` are escaped, and the scripts put every text into the page as text.
"""

from __future__ import annotations

import base64
import html
import json
from datetime import datetime
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl

from kie_notes.analysis.keys import KEYS, PROFILES
from kie_notes.analysis.quality import FAULTS, FLAGS
from kie_notes.instruments import drum_name, find_instrument, is_drums
from kie_notes.palette import COLOURS, GREY
from kie_notes.report.packing import GRID, pack
from kie_notes.report.picture import picture

if TYPE_CHECKING:
    from kie_notes.report.facts import Facts
    from kie_notes.report.packing import Packed

#: The scripts of the page, each built upon those before it.
SCRIPTS: Final = ("data", "music", "view", "roll", "sound", "panels", "table", "input", "main")

#: Rows of rejects and the like that a page lists; it says how many more there are.
MOST_ROWS: Final = 500

#: Percussion keys that the synthesiser lacks (it has 35 to 81), and the nearest that it has.
_PLAYABLE: Final = {27: 75, 28: 39, 29: 70, 30: 70, 31: 37, 32: 37, 33: 76, 34: 81} | {
    82: 70,
    83: 54,
    84: 81,
    85: 75,
    86: 41,
    87: 43,
}

#: What HTML and old JavaScript would take for something else, and how JSON writes it.
_ESCAPES: Final = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"}


def page(facts: Facts, *, title: str, kind: Literal["page", "embedded"] = "page") -> str:
    """Give the page as text.

    Parameters
    ----------
    facts
        What it shows.
    title
        Its title.
    kind
        A page of its own, or one that is embedded in another: less around the player.
    """
    packed = pack(facts.notes)
    style = _static("page.css")
    synth = _static("tinysynth.js").strip()
    script = "\n".join(['(() => {\n"use strict";', *(_static(f"{name}.js") for name in SCRIPTS), "})();"])
    policy = (
        f"default-src 'none'; script-src {_checksum(synth)} {_checksum(script)}; style-src {_checksum(style)};"
        " img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    named = dict(facts.tasks.select("task", "name").rows())
    shown = f"The picture shows {named[packed[0].task]}." if packed else "There are no notes."
    return Template(_static("page.html")).substitute(
        policy=html.escape(policy, quote=False),
        title=html.escape(title),
        kind=kind,
        style=style,
        summary=html.escape(_summary(facts)),
        caption=html.escape(shown),
        picture=picture(facts.notes, packed[0].task) if packed else "",
        data=json.dumps(_data(facts, packed), ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES),
        synth=synth,
        script=script,
    )


def _static(name: str) -> str:
    return (files("kie_notes.report") / "static" / name).read_text("utf-8")


def _checksum(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


def _summary(facts: Facts) -> str:
    states = facts.tasks.group_by("state").agg(pl.len()).sort("len", "state", descending=[True, False])
    told = (
        ""
        if states["state"].to_list() == ["complete"]
        else ", ".join(f"{count:,} {state}" for state, count in states.rows())
    )
    minutes = float(facts.tasks["duration"].sum() or 0) / 60
    several = f"{facts.tasks.height:,} task{'' if facts.tasks.height == 1 else 's'}"
    return f"{several}{f' ({told})' if told else ''}, {facts.notes.height:,} notes, {minutes:,.1f} minutes of music"


def _data(facts: Facts, packed: list[Packed]) -> dict[str, Any]:
    """Give all that the scripts read."""
    notes = {one.task: _packed(one) for one in packed}
    return {
        "tasks": [_task(row, notes.get(row["task"])) for row in facts.tasks.iter_rows(named=True)],
        "more": _more(facts),
        "grid": GRID,
        "colours": COLOURS,
        "grey": GREY,
        "keys": KEYS,
        "profiles": PROFILES["simple-weights"],
        "drums": {key: drum_name(key) for key in range(128) if drum_name(key)},
        "playable": _PLAYABLE,
    }


def _packed(one: Packed) -> dict[str, Any]:
    tracks = [
        (track, name, notes, found.program if (found := find_instrument(name)) else 0, is_drums(name))
        for track, name, notes in one.tracks
    ]
    return {"rate": one.rate, "widths": one.widths, "tracks": tracks, "data": one.data}


def _task(row: dict[str, Any], packed: dict[str, Any] | None) -> dict[str, Any]:
    flags = [(flag, count) for flag in FLAGS if (count := row[f"quality_{flag}"])]
    flags.sort(key=lambda pair: -pair[1])
    told = ("name", "about", "state", "notes", "rejected", "tracks", "reason", "key")
    numbers = ("duration", "density", "tempo", "tempo_confidence", "quality")
    return {
        "id": row["task"],
        **{name: row[name] for name in told},
        **{name: None if row[name] is None else round(row[name], 4) for name in numbers},
        "faults": [pair for pair in flags if pair[0] in FAULTS],
        "notices": [pair for pair in flags if pair[0] not in FAULTS],
        "notes_packed": packed,
    }


def _more(facts: Facts) -> list[dict[str, Any]]:
    """Give the tables under the tasks, those with rows."""
    said = {
        "waiting": (
            "Open, next to expire first",
            "The service keeps results for 14 days; 'kie-notes watch' fetches them.",
        ),
        "failed": ("Failed or expired", "'kie-notes fetch' asks once more."),
        "rejects": (
            "Rejected",
            "Notes and documents that could not be taken, and why. Nothing was dropped in silence.",
        ),
    }
    tables = {"waiting": facts.waiting, "failed": facts.failed, "rejects": facts.rejects}
    return [
        {
            "id": f"more-{name}",
            "title": title,
            "text": text,
            "heads": [column.replace("_", " ").capitalize() for column in tables[name].columns],
            "rows": [[_cell(value) for value in row] for row in tables[name].head(MOST_ROWS).rows()],
            "total": tables[name].height,
            "dates": [at for at, dtype in enumerate(tables[name].dtypes) if dtype.is_temporal()],
        }
        for name, (title, text) in said.items()
        if tables[name].height
    ]


def _cell(value: object) -> object:
    return int(value.timestamp() * 1000) if isinstance(value, datetime) else value
