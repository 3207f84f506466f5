"""The card of a data set: ``README.md``, half of it made here, half of it the user's.

Its YAML tells Hugging Face where the files are. Made anew at each export are the keys ``configs`` and
``size_categories``, and the text between the two marks; **all else is the user's and stays as it is**: the licence, the
title, other keys, every word outside the marks. Where the marks are gone, the text is put at the end.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from kie_notes.dataset.features import TABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kie_notes.dataset.recipe import Recipe

#: The marks between which the text is made anew.
_BEGIN: Final = "<!-- kie_notes: made anew at each export from here ... -->"
_END: Final = "<!-- kie_notes: ... to here; what is outside the two marks is yours and stays -->"

#: What a new card asks its owner to write.
TO_WRITE: Final = "*To be written: what music this is, who made it, who may use it and for what.*"

_NEW_FRONT: Final = ["pretty_name:", "license:", "tags:", "- music", "- midi"]

#: What a licence may look like: an identifier, as those that Hugging Face lists.
_LICENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")

#: Hugging Face's classes of sizes, by the rows below which one ends.
_SIZES: Final = {
    10**3: "n<1K",
    10**4: "1K<n<10K",
    10**5: "10K<n<100K",
    10**6: "100K<n<1M",
    10**7: "1M<n<10M",
    10**8: "10M<n<100M",
    10**9: "100M<n<1B",
}


@dataclass(frozen=True)
class Facts:
    """What a card tells: see ``make_card``."""

    recipe: Recipe
    splits: pl.DataFrame
    features: dict[str, list[tuple[str, str, str]]]
    losses: list[tuple[str, int, str]]
    period: tuple[str, ...]


def check_words(licence: str | None, pretty_name: str | None) -> None:
    """Refuse words that a card cannot bear."""
    if licence is not None and not _LICENCE.fullmatch(licence):
        raise ValueError(f"licence: expected an identifier, as 'cc-by-4.0', got {licence!r}")
    if pretty_name is not None and not (pretty_name.strip() and pretty_name.isprintable()):
        raise ValueError(f"pretty_name: expected one line of text, got {pretty_name!r}")


def make_card(former: str | None, facts: Facts, *, name: str, licence: str | None, pretty_name: str | None) -> str:
    """Write the card, over the former one if there is one.

    ``name`` is the title of a new card that is given none; ``licence`` and ``pretty_name`` take the place of what is
    there if they are not None.
    """
    front, body = _parts(former) if former is not None else ([*_NEW_FRONT], "")
    title = pretty_name or _value(front, "pretty_name") or name
    if former is None:
        body = f"\n# {title}\n\n{TO_WRITE}\n\n{_BEGIN}\n{_END}\n"
    if pretty_name or former is None:
        front = _set(front, "pretty_name", [f"pretty_name: {json.dumps(title, ensure_ascii=False)}"])
    if licence:
        front = _set(front, "license", [f"license: {licence}"])
    front = _set(front, "size_categories", ["size_categories:", f"- {_size(int(facts.splits['notes'].sum()))}"])
    front = _set(front, "configs", _configs(facts.splits.filter(pl.col("files") > 0)["split"].to_list()))
    before, mark, rest = body.partition(_BEGIN)
    if not mark or _END not in rest:
        before, rest = f"{body.rstrip()}\n\n", f"{_END}\n"
    after = rest.partition(_END)[2]
    return "\n".join(["---", *front, "---", before.removesuffix("\n")]) + f"\n{_BEGIN}\n{_text(facts)}\n{_END}{after}"


def words_of(card: str) -> dict[str, str | None]:
    """Read what a card's YAML says of the licence (``license``, ``license_name``, ``license_link``) and the title."""
    front, _ = _parts(card)
    return {key: _value(front, key) for key in ("license", "license_name", "license_link", "pretty_name")}


def _parts(card: str) -> tuple[list[str], str]:
    """Take a card apart: the lines of its YAML, and what follows."""
    found = re.match(r"\ufeff?---\n(.*?)^---\n?", card, re.DOTALL | re.MULTILINE)
    return (found[1].splitlines(), card[found.end() :]) if found else ([], card)


def _block(front: list[str], key: str) -> slice:
    """Find the lines of a key; an empty slice at the end where there is none."""
    starts = [at for at, line in enumerate(front) if re.match(r"[^\s#-]", line)]
    for at in starts:
        if front[at].startswith(f"{key}:"):
            return slice(at, next((later for later in starts if later > at), len(front)))
    return slice(len(front), len(front))


def _set(front: list[str], key: str, lines: list[str]) -> list[str]:
    where = _block(front, key)
    return [*front[: where.start], *lines, *front[where.stop :]]


def _value(front: list[str], key: str) -> str | None:
    """Give a key's text, of a list its items; None where it is blank."""
    lines = front[_block(front, key)]
    texts = [line.partition(":")[2] if at == 0 else line.strip().removeprefix("-") for at, line in enumerate(lines)]
    plain = [re.sub(r"(^|\s)#.*", "", text).strip().strip("\"'").strip() for text in texts]
    words = [text for text in plain if text not in ("", "~", "null", "[]")]
    return ", ".join(words) or None


def _size(rows: int) -> str:
    return next((name for bound, name in _SIZES.items() if rows < bound), "n>1B")


def _configs(splits: list[str]) -> list[str]:
    lines = ["configs:"]
    for table in TABLES:
        lines += [f"- config_name: {table}", *(["  default: true"] if table == "notes" else []), "  data_files:"]
        lines += [part for name in splits for part in (f"  - split: {name}", f"    path: {table}/{name}-*.parquet")]
    return lines


def _text(facts: Facts) -> str:
    recipe = facts.recipe
    counted = [tuple(_shown(value) for value in row) for row in facts.splits.rows()]
    sections = ["## Splits\n", _table(facts.splits.columns, counted), "", _splitting(recipe), "", "## Tables\n"]
    sections += ["In `notes` and `tasks` the rows of a split are in `<table>/<split>-*.parquet`.\n"]
    for table, grain in TABLES.items():
        sections += [f"`{table}`: {grain}\n", _table(("column", "type", "meaning"), facts.features[table]), ""]
    sections += [f"Windows are {recipe.window} s long; a note stands once, in the window of its start.\n"] * bool(
        recipe.window
    )
    sections += [f"Ticks are 1/{recipe.ticks} s.\n"] * bool(recipe.ticks)
    sections += ["## How it was made\n", _collected(facts.period), "", _filter(recipe), "", "## What is not in it\n"]
    losses = [(what, _shown(rows), where) for what, rows, where in facts.losses]
    sections += [_table(("what", "rows", "where"), losses), "", _LOADING]
    return "\n".join(sections)


def _splitting(recipe: Recipe) -> str:
    shares = ", ".join(f"{name} {share:g}" for name, share in recipe.shares.items())
    alike = (
        f" and tasks that are the same music (Jaccard index of melodic n-grams {recipe.duplicates:g} or more)"
        if recipe.duplicates
        else ""
    )
    return (
        f"Shares: {shares}. Tasks of one recording, separation or generation{alike} are one group and in one split. A"
        f" group's split is decided by the BLAKE2b hash of its name, salted with the seed {recipe.seed}; tasks of a"
        " former export stay where they were (`splits.parquet`)."
    )


def _collected(period: tuple[str, ...]) -> str:
    when = f", which completed them between {period[0]} and {period[1]}" if period else ""
    return (
        f"Notes were transcribed from audio by a machine (KIE.AI's audio-to-MIDI service){when}, and exported by"
        " kie_notes. There is no beat, metre or key in them; drums' labels and velocities are the machine's guesses."
        if period
        else "Exported by kie_notes from a table of notes whose making it does not know."
    )


def _filter(recipe: Recipe) -> str:
    quality = (
        f", a quality of {recipe.min_quality:g} or more (1 - notes with faults / notes; faults:"
        f" {', '.join(recipe.faults) or 'none'})"
        if recipe.min_quality is not None
        else ", no filter by quality"
    )
    return f"Tasks in it have {recipe.min_notes} or more notes{quality}. Notes are neither changed nor dropped."


_LOADING: Final = """## Loading

```python
import datasets, polars as pl

notes = datasets.load_dataset("<this folder>", "notes", split="train")
tasks = pl.scan_parquet("<this folder>/tasks/*.parquet")
```

`sha256sum -c SHA256SUMS` checks the files; `export.json` has the recipe."""


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(header: tuple[str, ...] | list[str], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [tuple(header), tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
