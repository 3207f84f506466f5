"""Data sets that others can use: sharded Parquet with a card, checksums, and splits that leak nothing.

From left to right: ``recipe`` (what is wanted), ``source`` (what is there), ``buckets`` (the notes by task, sorted, in
pieces), ``choosing`` (groups, splits, filters), ``shards`` (Parquet), ``features``, ``card`` and ``croissant`` (what is
said about it), ``folder`` (whole or not at all), ``checking`` (what is missing), ``dataset`` (all of it in order).
"""

from kie_notes.dataset.checking import DatasetReport, check_dataset
from kie_notes.dataset.dataset import export_dataset
from kie_notes.dataset.recipe import Recipe

__all__ = ["DatasetReport", "Recipe", "check_dataset", "export_dataset"]
