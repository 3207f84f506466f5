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

#: Bits of a second that a key must hold to be worth sorting by: with fewer, too many notes would be compared again.
_LEAST_BITS = 10

#: Bytes of a record's packed notes from which on they are read where they are; shorter ones are first joined.
_LONG = 1 << 14


def read_columns(records: list[Record]) -> tuple[list[Record], dict[str, NDArray[Any]]]:
    """Read the packed notes of records into columns in canonical order.

    Returns
    -------
    The records, those that held an impossible note with it among their rejects; and the columns of the notes table,
    where ``slot`` stands for task, instrument and track: the position of the note's track among those of all records.
    """
    records, columns = _possible(records)
    tracks = [len(record.tracks) for record in records]
    sizes = np.array([track.notes for record in records for track in record.tracks], np.int64)
    slots = np.arange(len(sizes))
    task = np.repeat(np.arange(len(records)), tracks)
    track = slots - np.repeat(np.cumsum(tracks) - tracks, tracks)
    columns["slot"] = np.repeat(slots.astype(np.uint32), sizes)
    order = _canonical_order(columns, task, track, sizes)
    columns["velocity"] = columns["velocity"].astype(np.float32)
    return records, {name: column[order] for name, column in columns.items()}


def without_impossible(record: Record) -> Record:
    """Give the record with the notes whose values cannot be a note's among its rejects."""
    return _possible([record])[0][0]


def _possible(records: list[Record]) -> tuple[list[Record], dict[str, NDArray[Any]]]:
    packed = [record.packed for record in records]
    if sum(map(len, packed)) <= _LONG * len(packed):
        packed = [b"".join(packed)]
    rows = [np.frombuffer(one, _ROW) for one in packed]
    pitch = np.concatenate([one["pitch"] for one in rows])
    start, end, velocity = (
        np.concatenate([one[name] for one in rows], dtype=np.float64) for name in ("start", "end", "velocity")
    )
    possible = (start >= 0) & (end >= start) & (end < np.inf) & (velocity >= 0) & (velocity <= 1)
    if not possible.all():
        task = np.repeat(np.arange(len(records)), [len(record.packed) // ROW for record in records])
        faulty = set(task[~possible].tolist())
        return _possible([record.sifted() if at in faulty else record for at, record in enumerate(records)])
    return records, {"pitch": pitch, "start": start, "end": end, "velocity": velocity}


def _canonical_order(
    columns: dict[str, NDArray[Any]], task: NDArray[np.int64], track: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Positions that put the notes into canonical order; of each slot there are its task, its track and its size.

    One integer holds task, start, track, pitch and position, the start cut to the bits that are left for it, so that
    sorting these integers sorts the positions too. Notes that their integers could not tell apart, or put in the wrong
    order, are compared column by column afterwards; they are few.
    """
    pitch, start, end, velocity, slot = columns.values()
    if not len(start):
        return np.arange(0)
    of_row, of_track = len(start).bit_length(), int(track.max()).bit_length()
    of_start = 63 - int(task[-1]).bit_length() - of_track - 7 - of_row
    of_seconds = int(min(start.max(), 2.0**62)).bit_length()
    if of_start - of_seconds < _LEAST_BITS:
        return np.lexsort((velocity, end, pitch, slot, start, task[slot]))
    key = (start * 2.0 ** (of_start - of_seconds)).astype(np.int64)
    key <<= of_track
    key |= np.repeat(task << (of_start + of_track) | track, sizes)
    key <<= 7
    key |= pitch
    key <<= of_row
    key |= np.arange(len(key))
    key.sort()
    order = key & ((1 << of_row) - 1)
    key >>= of_row
    first, moment = start[order], key >> (of_track + 7)  # of a moment are a task's notes of equal bits of their starts
    wrong = (key[1:] == key[:-1]) | ((first[1:] < first[:-1]) & (moment[1:] == moment[:-1]))
    if wrong.any():
        again = np.unique(moment[1:][wrong])
        begin, stop = np.searchsorted(moment, again), np.searchsorted(moment, again, side="right")
        many = stop - begin
        doubtful = np.arange(many.sum()) + np.repeat(stop - np.cumsum(many), many)
        some = order[doubtful]
        columns_ = [column[some] for column in (velocity, end, pitch, slot, start)]
        order[doubtful] = some[np.lexsort([*columns_, moment[doubtful]])]
    return order
