"""The folder of an export: built aside, put in its place whole, never over what is not its own.

::

    .name.building/   being written; one that a crash left is rubbish, and the next export clears it
    .name.former/     the former export, for the moment in which the new one takes its place

POSIX cannot exchange two folders in one step, so there is a moment without either name between two renames. Whatever
ends the process then, nothing is lost: the next export puts the former one back first. Files that somebody added beside
ours (``LICENSE``, ``.git``) move over to the new export.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kie_notes.dataset.features import TABLES
from kie_notes.store.ledger import locked
from kie_notes.store.parts import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The file by which an export is known.
MARK: Final = "export.json"

CARD, SUMS, CROISSANT = "README.md", "SHA256SUMS", "croissant.json"
SPLITS, EXCLUDED, REJECTS = "splits.parquet", "excluded.parquet", "rejects.parquet"

#: What an export has at its top; the mark goes last where one is removed.
_OURS: Final = (*TABLES, CARD, SUMS, CROISSANT, SPLITS, EXCLUDED, REJECTS, MARK)

_LOCK: Final = ".lock"


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the place of ``target`` at the end, unless an error comes before.

    Raises
    ------
    FileExistsError
        If there is something else at ``target``, or another export is being written there.
    """
    building, former = (target.with_name(f".{target.name}.{word}") for word in ("building", "former"))
    target.parent.mkdir(parents=True, exist_ok=True)
    building.mkdir(exist_ok=True)
    with locked(building / _LOCK, patience=0) as got:
        if not got:
            raise FileExistsError(f"{target}: another export is being written there")
        try:
            _restore(target, former)
            _check(target)
            _clear(building)
            yield building
            _sync(building)
            (building / _LOCK).unlink()
            if target.exists():
                target.rename(former)
            building.rename(target)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            _restore(target, former)
            raise
        _restore(target, former)
        sync_folder(target.parent)


def is_export(folder: Path) -> bool:
    """Tell whether a folder is an export of ours."""
    return (folder / MARK).is_file()


def checksums(folder: Path) -> dict[str, str]:
    """Give the SHA-256 of each file that must not change by hand, by path; the card may."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    sums = {}
    for name in files:
        if name.split("/")[0] in _OURS and name not in (CARD, SUMS):
            with (folder / name).open("rb") as file:
                sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def _check(target: Path) -> None:
    """Refuse a place that holds what is not ours."""
    if not target.exists() and not target.is_symlink():
        return
    if not target.is_dir() or (any(target.iterdir()) and not is_export(target)):
        raise FileExistsError(f"{target}: expected a new or empty folder, or an export to take the place of")
    for table in TABLES:
        for path in sorted((target / table).rglob("*")):
            if path.is_dir() or path.suffix != ".parquet":
                raise FileExistsError(f"{path}: not a file of an export, which would be lost; move it elsewhere")


def _restore(target: Path, former: Path) -> None:
    """Put a former export back where no new one is, else move what is not ours over and remove the rest."""
    if not former.exists():
        return
    if not target.exists():
        former.rename(target)
        return
    for path in sorted(former.iterdir()):
        if path.name not in _OURS:
            path.rename(target / path.name)
    for name in _OURS:
        path = former / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    former.rmdir()


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()


def _sync(folder: Path) -> None:
    """See that all that was written survives a power cut."""
    for root, _, names in os.walk(folder):
        for name in names:
            with (Path(root) / name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(root))
