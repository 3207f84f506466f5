"""What every test may use: the packed samples, the shared ones where they are at hand, and the golden fixture."""

import sys
import warnings
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


@pytest.fixture(scope="session")
def partitura():
    """The judge partitura, loaded as if FluidSynth were missing: with it, it would fetch a soundfont from the net."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        # lark, with which it reads a format that is not used here, imports modules that Python will drop.
        warnings.filterwarnings("ignore", "module 'sre_(parse|constants)' is deprecated", DeprecationWarning)
        patch.setitem(sys.modules, "fluidsynth", None)
        return pytest.importorskip("partitura")
