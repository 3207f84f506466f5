"""MusPy answers the questions that the benchmarks put to it as the helpers do."""

import polars as pl
import pytest

from kie_notes.analysis import pitch_range, polyphony
from tests.benchmarks.corpus import write_parts
from tests.benchmarks.objects import OBJECTS

pytest.importorskip("muspy")


@pytest.mark.parametrize(
    ("question", "helper", "column"),
    [("pitch_range", pitch_range, "range"), ("polyphony", polyphony, "mean_polyphony")],
)
def test_muspy_as_a_peer_gives_the_answer_that_the_helper_gives(question, helper, column, tmp_path):
    (tmp_path / "parts").mkdir()
    (part,) = write_parts(tmp_path / "parts", 1_800, per_task=600)
    act, notes = OBJECTS[question]["muspy"](tmp_path)
    table = pl.read_parquet(part)
    assert notes == table.height
    assert helper(table)[column].to_list() == pytest.approx(act(), abs=1e-9)
