import polars as pl
import pytest

from kie_notes.analysis import batches, chords, polyphony_curve
from kie_notes.analysis.batches import points, whole


@pytest.mark.parametrize("helper", [chords, polyphony_curve])
def test_small_batches_give_the_same(golden, helper, monkeypatch):
    notes = pl.concat([golden.with_columns(pl.lit(name).cast(pl.Categorical).alias("task")) for name in "abcd"])
    at_once = helper(notes)
    monkeypatch.setattr(batches, "_BATCH", 200)
    assert helper(notes).equals(at_once)


@pytest.mark.parametrize(("seconds", "lanes", "expected"), [(600.0, 1_000, 2.0**24), (1e6, 2**20 - 1, 2.0**21)])
def test_an_axis_has_a_point_every_60_nanoseconds_unless_it_were_too_long(seconds, lanes, expected):
    # 61 bits are to be had; a million seconds take 20 of them, a million lanes another 20.
    assert points(seconds, lanes) == expected


def test_times_that_fill_an_axis_stay_in_order():
    last, lanes = 1e12, 128 * 5_000
    each = points(last, lanes)
    lane = int((last + 1) * each) + 1
    assert 0 < lane * lanes < 2**62
    assert whole(pl.Series([0.0, last]).to_numpy(), each).tolist() == sorted([0, round(last * each)])
