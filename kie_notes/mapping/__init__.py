"""Helpers over more notes than one scan can take, on one machine or many.

::

    source     a store, Parquet files, folders, patterns, object stores        sources
      └─ parts      each a file of whole tasks
           └─ pieces     of about ``chunk_notes`` notes, cut between tasks     cutting
                └─ answers    worked out here, in processes, on a cluster      working
                     └─ one table (``map_parts``), or files (``sink_parts``)   answers, sinking

A helper's answer is about single tasks, so answers of pieces are put side by side and nothing else. What the whole set
is asked is asked of the tasks first, and then of their answers:

- pooled histograms: the histogram of each task, then ``.group_by("pitch").agg(pl.col("count").sum())``
- ``compare``, ``compare_histograms``, ``split_tasks``: they take answers, which come from here
- ``near_duplicates`` compares each task with all others: it takes all notes in one go, and is refused here

``chunks`` gives the pieces themselves, for a loop of one's own.
"""

from kie_notes.mapping.answers import map_parts
from kie_notes.mapping.reading import chunks
from kie_notes.mapping.sinking import sink_parts
from kie_notes.mapping.working import PartError

__all__ = ["PartError", "chunks", "map_parts", "sink_parts"]
