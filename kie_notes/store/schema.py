"""The tables of the ledger, and the steps from each older version of it to the next."""

from __future__ import annotations

_FIRST = """
CREATE TABLE task (
    id            TEXT PRIMARY KEY,
    state         TEXT NOT NULL DEFAULT 'pending'
                  CHECK (state IN ('pending', 'expired', 'failed', 'empty', 'complete')),
    created       INTEGER NOT NULL,           -- ms since 1970: when it was submitted, as far as known
    deadline      INTEGER NOT NULL,           -- ms: when the service forgets it
    next_look     INTEGER NOT NULL DEFAULT 0, -- ms
    attempts      INTEGER NOT NULL DEFAULT 0,
    lease_until   INTEGER NOT NULL DEFAULT 0, -- ms: somebody is looking
    last_error    TEXT,
    label         TEXT,
    seq           INTEGER,                    -- the answer that gave it its state
    sha256        TEXT,                       -- ... and its checksum
    audio_id      TEXT,
    created_at    INTEGER,
    completed_at  INTEGER,
    fetched_at    INTEGER,
    tracks        INTEGER NOT NULL DEFAULT 0,
    notes         INTEGER NOT NULL DEFAULT 0,
    rejected      INTEGER NOT NULL DEFAULT 0,
    error_code    TEXT,
    error_message TEXT,
    source        TEXT
) STRICT;
CREATE INDEX task_open ON task (state, deadline, next_look);
CREATE TABLE inbox (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    task     TEXT NOT NULL REFERENCES task (id),
    source   TEXT NOT NULL,
    received INTEGER NOT NULL,
    sha256   TEXT NOT NULL,
    size     INTEGER NOT NULL,
    body     BLOB NOT NULL                    -- zstd
) STRICT;
CREATE TABLE segment (
    id       INTEGER PRIMARY KEY,
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('planned', 'sealed')),
    answers  INTEGER,
    notes    INTEGER,
    rejects  INTEGER,
    checksums TEXT                            -- JSON: file name -> sha256
) STRICT;
"""

#: Tasks of other kinds than MIDI and where each came from; callbacks as hints; leases with a holder; orders that are
#: remembered before they are sent; parts that are built anew while the old ones are still read.
_SECOND = """
ALTER TABLE task ADD COLUMN kind TEXT NOT NULL DEFAULT 'midi' CHECK (kind IN ('midi', 'separation', 'music'));
-- the task that it was made from
ALTER TABLE task ADD COLUMN parent TEXT;
-- 1: only a callback said so; 2: and nothing else ever will
ALTER TABLE task ADD COLUMN hint INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN lease_by TEXT;
DROP INDEX task_open;
CREATE INDEX task_open ON task (deadline, next_look, lease_until) WHERE state = 'pending' OR hint = 1;
CREATE TABLE part (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,               -- never used twice, so that no name ever is
    first     INTEGER NOT NULL,                                -- of the answers' seq
    last      INTEGER NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('planned', 'sealed', 'building')),
    answers   INTEGER,
    notes     INTEGER,
    rejects   INTEGER,
    bytes     INTEGER,                                         -- of the answers
    checksums TEXT                                             -- JSON: file name -> sha256
) STRICT;
INSERT INTO part (id, first, last, state, answers, notes, rejects, checksums)
    SELECT id, first, last, state, answers, notes, rejects, checksums FROM segment;
DROP TABLE segment;
ALTER TABLE part RENAME TO segment;
CREATE TABLE stale (                                           -- notes in a part that a later answer took the place of
    segment INTEGER NOT NULL,
    task    TEXT NOT NULL,
    PRIMARY KEY (segment, task)
) STRICT, WITHOUT ROWID;
CREATE TABLE generation (
    id      INTEGER PRIMARY KEY,
    retired INTEGER                                            -- ms: since when another one is read; null: this one is
) STRICT;
INSERT INTO generation (id) VALUES (1);
CREATE TABLE aside (                                           -- bodies that are kept and were not taken
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    task     TEXT NOT NULL,
    source   TEXT NOT NULL,
    received INTEGER NOT NULL,
    sha256   TEXT NOT NULL UNIQUE,
    size     INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    body     BLOB NOT NULL                                     -- zstd
) STRICT;
CREATE TABLE submission (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    kind         TEXT NOT NULL CHECK (kind IN ('midi', 'separation')),
    source_task  TEXT NOT NULL,                                -- separation task, music task, or address of a file
    audio_id     TEXT NOT NULL DEFAULT '',
    options      TEXT NOT NULL DEFAULT '{}',                   -- JSON
    label        TEXT,
    state        TEXT NOT NULL CHECK (state IN ('planned', 'sending', 'submitted', 'refused', 'unknown')),
    planned_at   INTEGER NOT NULL,
    sent_at      INTEGER,
    task         TEXT,                                         -- what the service made of it
    reason       TEXT,
    CHECK ((state = 'submitted') = (task IS NOT NULL))
) STRICT;
CREATE INDEX submission_open ON submission (state) WHERE state <> 'submitted';
CREATE INDEX submission_source ON submission (kind, source_task, audio_id);
CREATE TABLE stem (
    task     TEXT NOT NULL REFERENCES task (id),               -- the separation
    position INTEGER NOT NULL,
    id       TEXT,
    name     TEXT NOT NULL,
    part     TEXT NOT NULL,
    url      TEXT,
    duration REAL,
    song     TEXT,
    song_index INTEGER,
    PRIMARY KEY (task, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE song (
    task     TEXT NOT NULL REFERENCES task (id),               -- the music task
    position INTEGER NOT NULL,
    id       TEXT,
    title    TEXT,
    tags     TEXT,
    prompt   TEXT,
    model    TEXT,
    duration REAL,
    url      TEXT,
    created_at INTEGER,
    PRIMARY KEY (task, position)
) STRICT, WITHOUT ROWID;
"""

#: Each entry takes the ledger from the version of its position to the next.
MIGRATIONS = [_FIRST, _SECOND]
