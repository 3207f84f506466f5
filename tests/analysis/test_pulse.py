import numpy as np
import pytest

from kie_notes.analysis.pulse import FRAMES, autocorrelation, onsets, per_pulse, strength


@pytest.fixture(scope="module")
def found(table):
    """Give the onsets of tasks of 5 to 100 seconds, which are fewer than one block and several."""
    draw = np.random.default_rng(3)
    starts = [np.sort(draw.uniform(0, seconds, 5 * seconds)) for seconds in (5, 100, 17, 18, 40)]
    rows = [
        (f"{task}", "Flute", 60, start, start + 0.1, draw.uniform(), 0)
        for task, times in enumerate(starts)
        for start in times.tolist()
    ]
    (batch,) = onsets(per_pulse(table(rows).lazy(), "include").collect().sort("task"))
    return batch


def test_blocks_correlate_as_the_whole_does(found):
    sizes = (found.last * FRAMES).astype(np.int64) + 4
    functions = np.split(strength(found, np.full(5, 32.0), sizes, 2, 0.5), np.cumsum(sizes)[:-1])
    correlation = autocorrelation(found)
    for function, got in zip(functions, correlation, strict=True):
        centred = function - function.mean()
        lags = np.correlate(centred, centred, "full")[len(centred) - 1 :][: len(got)]
        expected = np.pad(lags / lags[0], (0, len(got) - len(lags)))
        assert got == pytest.approx(expected, abs=1e-12)


def test_strengths_of_a_task_sum_to_one(found):
    for values in (found.plain, found.accented):
        assert np.add.reduceat(values, found.edges[:-1]) == pytest.approx(1)


def test_an_onset_is_shared_by_the_two_nearest_frames(table):
    notes = table([("a", "Flute", 60, start, start + 0.1, 0.5, 0) for start in (0.0, 0.25)])
    (batch,) = onsets(per_pulse(notes.lazy(), "include").collect())
    function = strength(batch, np.array([10.0]), np.array([5]), 0, 0.5)
    assert function**2 == pytest.approx([0.5, 0, 0.25, 0.25, 0])


def test_long_silences_count_as_ten_seconds(table):
    notes = table([(task, "Flute", 60, start, start, 0.5, 0) for task in "ab" for start in (1.0, 2.0, 1e8, 1e8 + 3)])
    (batch,) = onsets(per_pulse(notes.lazy(), "include").collect())
    assert batch.time == pytest.approx([0, 1, 11, 14] * 2)
