import io

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.errors import MidiError
from kie_notes.midi.ticks import Clock, choose_clock, choose_clocks, lanes

FINITE = st.floats(0, 20_000, allow_nan=False, allow_infinity=False)


def times(*values):
    return np.array(values, np.float64)


def test_480_ticks_a_quarter_hold_every_multiple_of_a_192nd_of_a_second_up_to_two_hours():
    grid = np.arange(192 * 7200 + 1) / 192
    assert choose_clock(grid) == Clock(480, divides=True)
    assert (Clock(480).ticks(grid) == 5 * np.arange(192 * 7200 + 1)).all()
    assert (Clock(480).seconds(Clock(480).ticks(grid)) == grid).all()


@pytest.mark.parametrize(
    ("grid", "ppq"),
    [
        ([0.25, 3.0], 480),  # quarters of a second: 480 is the usual multiple of 2
        ([0.01, 0.57], 500),  # hundredths
        ([0.001, 4.321], 500),  # thousandths
        ([1 / 480, 3.0], 480),
        ([1 / 960, 3.0], 480),
        ([0.0001, 3.1417], 5000),
        ([256 / 22050, 100 * 256 / 22050], 11025),  # frames of 256 samples at 22,050 Hz: 128/11025 s
    ],
)
def test_the_coarsest_grid_that_holds_every_time_gives_the_resolution(grid, ppq):
    assert choose_clock(times(*grid)) == Clock(ppq, divides=True)


def test_no_times_give_the_usual_resolution():
    assert choose_clock(times()) == Clock(480, divides=True)


def test_times_that_pretty_midi_multiplied_come_back_by_its_own_product():
    tick = 60 / (120 * 384)
    read = np.arange(20_000) * tick
    clock = choose_clock(read)
    assert not clock.divides
    assert (clock.seconds(clock.ticks(read)) == read).all()
    assert not (Clock(384).seconds(Clock(384).ticks(read)) == read).all()


def test_a_few_times_off_the_grid_leave_the_others_exact():
    grid = np.arange(1000) / 192
    clock = choose_clock(np.append(grid, np.sqrt(2)))
    assert (clock.seconds(clock.ticks(grid)) == grid).all()
    assert clock.ppq == 32736  # 341 * 96, the last multiple of 96 below 32,768


def test_of_two_grids_that_no_resolution_holds_the_one_with_more_times_is_exact():
    many, few = np.arange(1000) / 192, np.arange(1, 9) * 128 / 11025
    clock = choose_clock(np.append(many, few))
    assert (clock.seconds(clock.ticks(many)) == many).all()
    assert not (clock.seconds(clock.ticks(few)) == few).any()


def test_a_long_task_on_the_grid_takes_a_coarser_resolution():
    assert choose_clock(times(7 / 192, 12_000.0)) == Clock(384, divides=True)  # 10,416 s is the end at 480


def test_a_task_of_months_is_refused():
    with pytest.raises(MidiError, match=r"ends at 5000000 s; a MIDI file that pretty_midi reads ends by 4999998 s"):
        choose_clock(times(5_000_000.0))


@given(st.lists(FINITE, min_size=1, max_size=30))
def test_no_time_moves_by_more_than_half_a_tick(drawn):
    clock = choose_clock(times(*drawn))
    moved = np.abs(clock.seconds(clock.ticks(times(*drawn))) - times(*drawn))
    assert moved.max() <= 0.25 / clock.ppq + 1e-10
    assert clock.ppq * 2 * max(drawn) < 9_999_998


@given(st.lists(FINITE, min_size=1, max_size=5))
def test_the_tempo_is_written_as_half_a_million_microseconds(drawn):
    midi = pretty_midi.PrettyMIDI(resolution=choose_clock(times(*drawn)).ppq, initial_tempo=120.0)
    file = io.BytesIO()
    midi.write(file)
    file.seek(0)
    written = [event.tempo for event in mido.MidiFile(file=file).tracks[0] if event.type == "set_tempo"]
    assert written == [500_000]


def test_notes_that_overlap_go_to_the_lowest_free_lane():
    start, end = np.array([0, 0, 1, 2, 3, 5]), np.array([4, 2, 3, 5, 5, 6])
    assert lanes(np.full(6, 60), start, end).tolist() == [0, 1, 2, 1, 2, 0]


def test_notes_that_touch_share_a_lane_and_other_pitches_do_not_count():
    start, end = np.array([0, 0, 1, 1]), np.array([1, 2, 2, 3])
    assert lanes(np.array([60, 61, 60, 62]), start, end).tolist() == [0, 0, 0, 0]


@given(st.lists(st.tuples(st.integers(60, 62), st.integers(0, 30), st.integers(1, 9)), max_size=60))
def test_no_two_notes_of_a_lane_overlap(drawn):
    notes = sorted(drawn, key=lambda note: note[1])
    voice, start, length = np.array(notes, np.int64).reshape(-1, 3).T
    spoken: dict[tuple[int, int], int] = {}
    for lane, key, begins, lasts in zip(lanes(voice, start, start + length), voice, start, length, strict=True):
        assert spoken.get((lane, key), 0) <= begins
        spoken[lane, key] = begins + lasts


def first_fit(notes):
    """Give each note the lowest lane in which no earlier note of its voice sounds, by trying them in turn."""
    until, chosen = {}, []
    for voice, begins, ends in notes:
        lane = 0
        while until.get((voice, lane), 0) > begins:
            lane += 1
        until[voice, lane] = ends
        chosen.append(lane)
    return chosen


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(60, 62), st.integers(0, 30), st.integers(1, 30)), max_size=80),
    st.integers(1, 20),
)
def test_the_lane_is_the_lowest_that_is_free(drawn, longest):
    notes = [
        (key, begins, begins + 1 + lasts % longest) for key, begins, lasts in sorted(drawn, key=lambda one: one[1])
    ]
    assert lanes(*np.array(notes, np.int64).reshape(-1, 3).T).tolist() == first_fit(notes)


def test_lanes_that_became_free_are_taken_again_however_many_there_are():
    deep = [(60, 0, 5 + lane % 7) for lane in range(30)] + [(60, 8, 20)] * 12 + [(60, 11, 12)] * 20
    assert lanes(*np.array(deep, np.int64).T).tolist() == first_fit(deep)


def test_fifty_thousand_notes_at_once_take_as_many_lanes_and_little_time():
    count = 50_000
    together = lanes(np.zeros(count, np.int64), np.zeros(count, np.int64), np.ones(count, np.int64))
    assert together.tolist() == list(range(count))


GRIDS = st.one_of(
    st.sampled_from([192, 960, 96, 1000, 100, 25, 40, 768, 11025, 2, 32000]).map(lambda grid: lambda k: k / grid),
    st.sampled_from([220, 384, 480, 96]).map(lambda ppq: lambda k: k * (60 / (120 * ppq))),
    st.just(lambda k: k**0.5),
)
TASKS = st.lists(st.tuples(GRIDS, st.lists(st.integers(0, 2_000_000), min_size=1, max_size=8)), min_size=1, max_size=5)


@settings(deadline=None)
@given(TASKS)
def test_clocks_of_many_tasks_are_those_of_each(drawn):
    tasks = [times(*(grid(k) for k in ks)) for grid, ks in drawn]
    tasks = [np.minimum(task, 4_999_998.0) for task in tasks]
    bounds = np.cumsum([0, *(task.size for task in tasks)])
    together = np.concatenate(tasks)
    assert choose_clocks(bounds, together, together) == [choose_clock(task) for task in tasks]
