"""A folder that keeps what the service said: a ledger, the raw answers, and the notes in Parquet.

::

    store/
      ledger.sqlite              the truth about tasks, and answers that are not sealed yet
      raw/part-000001.parquet    answers byte for byte: seq, task, source, received_at, sha256, body
      notes/part-000001.parquet  the notes of the same answers, in canonical order
      rejects/part-000001.parquet  notes that could not be taken, where there are any
      parts/                     where these three lead: one folder a generation of parts, and ``current``
      tmp/                       being written; after a crash, rubbish

An answer is accepted by one transaction in the ledger and sealed into Parquet later, some thousand tasks at a time; of
JSON on disk, parts are written at once and then accepted, by one transaction too. Any task's notes are in exactly one
part, whole, so ``pl.read_parquet("store/notes")`` is right for everything that is sealed.

From left to right: ``schema`` (the ledger's tables), ``ledger`` (transactions), ``reading`` (what an answer says),
``tasks`` (what happens to a task), ``submissions`` (what happens to an order), ``parts`` (one Parquet file), ``seal``
(from the inbox to parts), ``generations`` and ``upkeep`` (parts in the place of others), ``scans`` (tables for
people), ``folder`` (the store itself), ``drafts`` (past the inbox to parts). Beside it, for a store that broke:
``check`` with ``verify`` (parts) and ``litter`` (the folder), ``repair`` with ``salvage`` (what can still be read) and
``renew`` (a new ledger).
"""

from kie_notes.store.folder import Store

__all__ = ["Store"]
