"""Packed notes as columns, in canonical order. Knows neither the service nor Polars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kie_notes.api.packing import ROW, ROW_FIELDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kie_notes.api.records import Record

_ROW = np.dtype(
    {
        "names": list(ROW_FIELDS),
        "formats": [kind for kind, _ in ROW_FIELDS.values()],
        "offsets": [offset for _, offset in ROW_FIELDS.values()],
        "itemsize": ROW,
    }
)


def read_columns(records: list[Record]) -> tuple[list[Record], dict[str, NDArray[Any]]]:
    """Read the packed notes of records into columns in canonical order.

    Returns
    -------
    The records, those that held an impossible note with it among their rejects; and the columns of the notes table,
    where ``task`` is the record's position and ``instrument`` the track's, counted over all records.
    """
    rows = np.frombuffer(b"".join([record.packed for record in records]), _ROW)
    start, end, velocity = (rows[name].astype(np.float64) for name in ("start", "end", "velocity"))
    task = np.repeat(np.arange(len(records)), [len(record.packed) // ROW for record in records])
    possible = (start >= 0) & (end >= start) & (end < np.inf) & (velocity >= 0) & (velocity <= 1)
    if not possible.all():
        faulty = set(task[~possible].tolist())
        return read_columns([record.sifted() if at in faulty else record for at, record in enumerate(records)])
    pitch = rows["pitch"].copy()
    sizes = [track.notes for record in records for track in record.tracks]
    positions = np.fromiter((at for record in records for at in range(len(record.tracks))), np.uint16, len(sizes))
    track = np.repeat(positions, sizes)
    order = canonical_order(task, start, track, pitch, end, velocity)
    return records, {
        "task": task,
        "instrument": np.repeat(np.arange(len(sizes), dtype=np.uint32), sizes)[order],
        "pitch": pitch[order],
        "start": start[order],
        "end": end[order],
        "velocity": velocity.astype(np.float32)[order],
        "track": track[order],
    }


def canonical_order(
    task: NDArray[np.int64],
    start: NDArray[np.float64],
    track: NDArray[np.uint16],
    pitch: NDArray[np.uint8],
    end: NDArray[np.float64],
    velocity: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Positions that put the notes into canonical order.

    One integer holds task, start, track and pitch, the start cut to the bits that are left for it. Notes that this
    integer could not tell apart, or put in the wrong order, are compared column by column afterwards; they are few.
    """
    if not len(start):
        return np.arange(0)
    of_names = int(track.max()).bit_length() + 7
    of_start = 63 - int(task[-1]).bit_length() - of_names
    of_seconds = int(min(start.max(), 2.0**62)).bit_length()
    if of_start - of_seconds < 20:
        return np.lexsort((velocity, end, pitch, track, start, task))
    key = (start * 2.0 ** (of_start - of_seconds)).astype(np.int64)
    key |= task << of_start
    key <<= of_names
    key |= track.astype(np.int64) << 7
    key |= pitch
    order = np.argsort(key)
    key, first = key[order], start[order]
    wrong = (key[1:] == key[:-1]) | ((first[1:] < first[:-1]) & (task[1:] == task[:-1]))  # tasks stay where they are
    if wrong.any():
        moment = key >> of_names
        edges = np.flatnonzero(moment[1:] != moment[:-1]) + 1
        bounds = np.concatenate(([0], edges, [len(moment)]))
        again = np.zeros(len(edges) + 1, dtype=bool)
        again[np.searchsorted(edges, np.flatnonzero(wrong), side="right")] = True
        doubtful = np.repeat(again, np.diff(bounds))
        some = order[doubtful]
        order[doubtful] = some[np.lexsort([column[some] for column in (velocity, end, pitch, track, start, task)])]
    return order
