"""What every test may use: the packed samples, the shared ones where they are at hand, and the golden fixture."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DATA = ROOT / "data"
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared samples, which the project must also work without."""
    if not (SHARED / "samples").is_dir():
        pytest.skip("the shared samples are not beside this checkout")
    return SHARED
