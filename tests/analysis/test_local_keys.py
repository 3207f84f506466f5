import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.keys import KEYS
from kie_notes.analysis.local_keys import key_windows
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA

SCHEMA = {"task": pl.String, "start": pl.Float64, "end": pl.Float64, "key": pl.String, "confidence": pl.Float64}
C_MAJOR = [60, 64, 67, 65, 59, 62, 67, 72, 60, 64, 65, 69, 67, 71, 62, 60]


def melody(pitches, *, task="a", name="Flute", start=0.0):
    return [(task, name, p, start + k, start + k + 1.0, 0.5, 0) for k, p in enumerate(pitches)]


@pytest.fixture(scope="module")
def modulating(table):
    # C major for 16 s, Eb major for 16 s, C major again.
    return table(melody([*C_MAJOR, *(p + 3 for p in C_MAJOR), *C_MAJOR]))


def test_keys_hold_from_when_to_when(modulating):
    found = key_windows(modulating)
    assert found["key"].to_list() == ["C major", "Eb major", "C major"]
    assert found["start"].to_list() == pytest.approx([0, 16, 32], abs=1)  # F and G are in both keys


def test_the_golden_fixture_stays_in_c_major(golden, reference):
    ((task, start, end, name, confidence),) = key_windows(golden).rows()
    assert (task, start, end, name) == ("golden", 0.0, pytest.approx(reference["pm.end_time"]), "C major")
    assert confidence > 0.9


def test_a_dear_change_is_not_made(modulating):
    assert key_windows(modulating, change=20.0).height == 1


def test_without_a_cost_the_best_key_of_each_step_is_told(modulating):
    found = key_windows(modulating, change=0.0, window=1.0)
    assert found.height > 30
    # A single note says no more than its own key: C, then E.
    assert [name.split()[0] for name in found["key"].head(2)] == ["C", "E"]


def test_the_whole_task_tips_a_step_that_is_in_doubt(table):
    # C, C# and D alone fit C minor a little better than C major; in a piece in C major they are C major.
    cluster = [("a", "Flute", pitch, 16.0, 17.0, 0.5, 0) for pitch in (60, 61, 62)]
    assert key_windows(table(cluster), change=0.0)["key"].to_list() == ["C minor"]
    assert key_windows(table([*melody(C_MAJOR), *cluster]), window=1.0, change=0.0)["key"][-1] == "C major"


def test_an_excursion_that_is_too_short_is_passed_over(table):
    notes = table(melody([*C_MAJOR, 66, *C_MAJOR]))
    assert key_windows(notes)["key"].to_list() == ["C major"]


def test_the_finer_the_hop_the_finer_the_times(table):
    notes = table([*melody(C_MAJOR), *melody([p + 6 for p in C_MAJOR], start=16.25)])
    bounds = {hop: key_windows(notes, hop=hop)["end"][0] for hop in (1.0, 0.25)}
    assert bounds[1.0] == pytest.approx(16.0, abs=1)
    assert bounds[0.25] % 0.25 == 0
    assert bounds[0.25] == pytest.approx(16.25, abs=0.5)


def test_the_first_start_and_the_last_end_are_those_of_the_notes(table):
    notes = table(melody(C_MAJOR, start=2.3))
    assert key_windows(notes).select("start", "end").rows() == [(2.3, pytest.approx(18.3))]


def test_drums_are_left_out_unless_asked_for(modulating, table):
    drums = pl.concat([modulating, table(melody([42] * 30, name="Drums", start=48.0))])
    assert key_windows(drums).equals(key_windows(modulating))
    assert key_windows(drums, drums="only").height == 1


def test_notes_that_never_sound_have_no_key(table):
    notes = table([("a", "Flute", 60, 0.0, 0.0, 0.5, 0), ("a", "Flute", 64, 5.0, 5.0, 0.5, 0), *melody([60], task="b")])
    assert key_windows(notes)["task"].to_list() == ["b"]


@settings(max_examples=30)
@given(data=st.data(), hop=st.sampled_from([0.5, 1.0]), change=st.sampled_from([0.0, 0.1, 1.5]))
def test_intervals_follow_one_another_from_the_first_start_to_the_last_end(note_tables, data, hop, change):
    notes = data.draw(note_tables())
    found = key_windows(notes, hop=hop, change=change)
    assert set(found["key"]) <= set(KEYS)
    assert found["confidence"].is_between(0, 1).all()
    assert (found["end"] > found["start"]).all()
    pitched = notes.filter(pl.col("instrument") != "Drums").with_columns(pl.col("task").cast(pl.String))
    for (task,), rows in found.partition_by("task", as_dict=True).items():
        mine = pitched.filter(pl.col("task") == task)
        assert rows["start"][1:].to_list() == rows["end"][:-1].to_list()
        assert (rows["key"][1:] != rows["key"][:-1]).all()
        assert rows["start"][0] == mine["start"].min()
        assert rows["end"][-1] == pytest.approx(mine["end"].max(), abs=1e-6)


@pytest.mark.parametrize("up", range(1, 12))
def test_a_transposed_piece_has_the_transposed_keys(modulating, up):
    higher = key_windows(modulating.with_columns((pl.col("pitch") + up).cast(pl.UInt8)))
    expected = [KEYS[(KEYS.index(name) + up) % 12] for name in key_windows(modulating)["key"]]
    assert higher["key"].to_list() == expected
    assert higher["end"].to_list() == key_windows(modulating)["end"].to_list()


@settings(max_examples=30)
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same_to_the_last_bit(note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    parts = [notes.head(0), *notes.partition_by("task", maintain_order=True)]
    assert pl.concat(map(key_windows, parts)).equals(key_windows(notes))


@settings(max_examples=30)
@given(data=st.data())
def test_shuffled_rows_give_the_right_answer_or_the_order_error(note_tables, data):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    try:
        result = key_windows(shuffled)
    except NotesOrderError:
        return
    assert result.equals(key_windows(notes))


def test_no_notes_give_no_rows_of_the_same_schema(table, modulating):
    assert key_windows(table([])).height == 0
    assert key_windows(table([])).schema == key_windows(modulating).schema == SCHEMA


def test_a_lazy_frame_gives_the_same(modulating):
    assert key_windows(modulating.lazy()).collect().equals(key_windows(modulating))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hop": 0.0}, "hop: expected seconds, at least 0.001, got 0.0"),
        ({"window": 0.5}, r"window: expected seconds, at least hop \(1.0\), got 0.5"),
        ({"change": -1.0}, "change: expected a cost, at least 0, got -1.0"),
        ({"drums": "no"}, "drums: expected one of 'exclude', 'include', 'only', got 'no'"),
    ],
)
def test_an_option_that_cannot_be_is_refused(table, options, message):
    with pytest.raises(ValueError, match=message):
        key_windows(table([]), **options)


def test_starts_that_descend_are_an_error(table):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        key_windows(table(melody([60, 62])[::-1]))
