"""A bar on stderr for long work, silent where stderr is no terminal (a log, a pipe, a test)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def bar(*, unit: str, total: int | None = None, progress: bool = True) -> tqdm[Any]:
    """Show how much is done; ``update`` moves it, ``close`` ends it."""
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, disable=not (progress and sys.stderr.isatty()), file=sys.stderr)
