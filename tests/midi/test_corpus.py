import os
import random
import sys
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from kie_notes.errors import MidiError, MissingExtraError
from kie_notes.midi import from_midi, symusic_lane, to_midi, write_midi
from kie_notes.midi.chunks import read_chunks
from kie_notes.midi.corpus import midi_batches, read_midi
from kie_notes.midi.symusic_lane import read_fast
from kie_notes.notes import NOTES_SCHEMA, REJECTS_SCHEMA, TASKS_SCHEMA, sort_notes

END = "00 ff2f00"
#: One note of 480 ticks: middle C at full velocity on channel 1.
C = "00 903c7f 8360 803c00"


def track(events, end=END):
    data = bytes.fromhex(events + end)
    return b"MTrk" + len(data).to_bytes(4, "big") + data


def midi(*tracks, kind=1, division=480, promised=None):
    """Write a file's bytes out; a track is its events in hexadecimal digits, or its chunk."""
    chunks = [one if isinstance(one, bytes) else track(one) for one in tracks]
    numbers = (kind, len(chunks) if promised is None else promised, division)
    return b"MThd\x00\x00\x00\x06" + b"".join(number.to_bytes(2, "big") for number in numbers) + b"".join(chunks)


def both(source, **options):
    """Read with both lanes, which must agree in every table."""
    fast, slow = (read_midi(source, engine=engine, **options) for engine in ("symusic", "python"))
    for one, other in zip(fast, slow, strict=True):
        assert_frame_equal(one, other, categorical_as_str=True)
    return fast


@pytest.fixture
def read(tmp_path):
    """Read one file's bytes with both lanes."""

    def act(content, **options):
        (tmp_path / "song.mid").write_bytes(content)
        return both(tmp_path, **options)

    return act


@pytest.fixture
def data():
    return Path(__file__).parents[2] / "data"


def times(notes):
    return notes.select("pitch", "start", "end").rows()


def tracks(notes):
    return notes.select("track", "instrument", "pitch").rows()


def reasons(flat):
    return flat.rejects["reason"].to_list()


# notes -------------------------------------------------------------------------------------------------------------


def test_running_status_spares_the_status_byte(read):
    flat = read(midi("00 903c7f 8360 3e7f 00 3c00 8360 3e00"))
    assert times(flat.notes) == [(60, 0.0, 0.5), (62, 0.5, 1.0)]


def test_running_status_goes_on_after_a_meta_event(read):
    assert times(read(midi("00 903c7f 00 ff060141 8360 3c00")).notes) == [(60, 0.0, 0.5)]


def test_velocity_is_the_127th_part(read):
    assert read(midi("00 903c40 8360 3c00")).notes["velocity"].to_list() == [pl.Series([64 / 127], dtype=pl.Float32)[0]]


def test_the_note_that_began_first_ends_first(read):
    flat = read(midi("00 903c7f 60 903c40 60 803c00 60 803c00"))
    assert times(flat.notes) == [(60, 0.0, 0.2), (60, 0.1, 0.3)]


def test_a_note_of_no_length_stays_and_harms_no_other(read):
    flat = read(midi("00 903c7f 00 803c00 8360 903c7f 8360 803c00"))
    assert times(flat.notes) == [(60, 0.0, 0.0), (60, 0.5, 1.0)]


def test_notes_that_begin_at_once_are_in_canonical_order(read):
    notes = read(midi("00 903c7f 00 903c20 60 803c00 00 803c00")).notes
    assert notes["velocity"].is_sorted()
    assert notes.equals(sort_notes(notes))


def test_a_note_off_that_ends_nothing_is_passed_over(read):
    flat = read(midi("00 803c00 00 903c7f 8360 803c00 00 803c00"))
    assert times(flat.notes) == [(60, 0.0, 0.5)]
    assert flat.rejects.is_empty()


def test_a_note_off_in_another_track_ends_nothing(read):
    flat = read(midi("00 903c7f", "8360 803c00"))
    assert flat.notes.is_empty()
    assert reasons(flat) == ["pitch 60 that begins at tick 0 is never ended"]


@pytest.mark.parametrize("times_begun", [1, 2, 3])
def test_a_note_that_is_never_ended_is_a_reject_with_its_place(read, times_begun):
    flat = read(midi(C + "00 903e7f" * times_begun, C.replace("90", "91").replace("80", "81")))
    assert times(flat.notes) == [(60, 0.0, 0.5), (60, 0.0, 0.5)]
    assert flat.rejects.select("task", "track", "index", "field", "reason").rows() == [
        ("song", 0, 1 + place, "end", "pitch 62 that begins at tick 480 is never ended") for place in range(times_begun)
    ]
    assert flat.tasks["rejected"].to_list() == [times_begun]


def test_notes_and_rejects_add_up_to_the_note_ons(read):
    flat = read(midi(C + "00 903e7f 00 903e7f" + C + "00 923e7f"))
    assert flat.notes.height + flat.rejects.height == 5


# tracks ------------------------------------------------------------------------------------------------------------


def test_two_tracks_of_one_name_stay_two(read):
    flute = "00 ff0305466c757465 00 c049"
    assert tracks(read(midi(flute + C, flute + C)).notes) == [(0, "Flute", 60), (1, "Flute", 60)]


def test_a_track_that_changes_its_program_is_several_parts(read):
    flat = read(midi("00 c028" + C + "00 c000" + C + "00 c028" + C))
    assert flat.notes.select("track", "instrument", "start").rows() == [
        (1, "Violin", 0.0),
        (0, "Acoustic Grand Piano", 0.5),
        (1, "Violin", 1.0),
    ]


def test_a_note_belongs_to_the_program_at_its_beginning(read):
    assert read(midi("00 c028 00 903c7f 60 c000 60 803c00")).notes["instrument"].to_list() == ["Violin"]


def test_channel_ten_is_percussion(read):
    assert tracks(read(midi("00 c92d 00 992672 60 992600 00 912670 60 912600")).notes) == [
        (1, "Drums", 38),
        (0, "Acoustic Grand Piano", 38),
    ]


def test_a_name_counts_where_it_is_of_what_plays(read):
    names = ["Flute", "low end", "Fl\xfbte"]
    flutes = [f"00 ff03 {len(name):02x} {name.encode('latin-1').hex()} 00 c049" + C for name in names]
    assert read(midi(*flutes)).notes["instrument"].to_list() == ["Flute"] * 3
    assert read(midi("00 ff0305666c757465 00 c049" + C)).notes["instrument"].to_list() == ["flute"]


# time --------------------------------------------------------------------------------------------------------------


def test_tempo_events_count_in_whatever_track_they_stand(read):
    flat = read(midi("", "00 ff51030f4240" + C, C))
    assert times(flat.notes) == [(60, 0.0, 1.0), (60, 0.0, 1.0)]


def test_times_are_the_doubles_nearest_to_the_true_quotients(read):
    flat = read(midi("60 ff5103051615", "60 903c7f 8140 803c00", division=97))  # 333,333 us a quarter from tick 96 on
    start, end = 96 * 500_000, 96 * 500_000 + 192 * 333_333
    assert times(flat.notes) == [(60, float(Fraction(start, 97 * 10**6)), float(Fraction(end, 97 * 10**6)))]


def test_the_last_tempo_of_a_tick_counts(read):
    assert times(read(midi("00 ff5103000001 00 ff51030f4240" + C)).notes) == [(60, 0.0, 1.0)]


def test_the_last_tempo_of_a_tick_counts_among_many_tracks(read):
    many = [f"00 ff5103{1000 + number:06x}" for number in range(100)]
    assert times(read(midi(*many, "00 ff51030f4240" + C)).notes) == [(60, 0.0, 1.0)]


@pytest.mark.parametrize("tempo", ["ff5103000000", "ff51020f42", "ff510400000f42"])
def test_a_tempo_event_that_is_none_is_a_reject(read, tempo):
    flat = read(midi(f"00 {tempo}" + C))
    assert times(flat.notes) == [(60, 0.0, 0.5)]
    assert reasons(flat) == ["expected three bytes above 0 at tick 0; the tempo before goes on"]


@pytest.mark.parametrize(
    ("division", "second"), [(0xE728, 1000), (0xE250, 2400), (0xE878, 24 * 120), (0xE364, Fraction(30_000, 1001) * 100)]
)
def test_smpte_files_count_frames(read, division, second):
    flat = read(midi("00 ff51030f4240" + C, division=division))
    assert times(flat.notes) == [(60, 0.0, float(480 / Fraction(second)))]


def test_sequences_of_format_2_have_tempos_of_their_own(read):
    flat = read(midi("00 ff51030f4240" + C, C, kind=2))
    assert flat.notes.select("track", "end").rows() == [(0, 1.0), (1, 0.5)]


def test_format_0_has_its_channels_as_tracks(read):
    flat = read(midi("00 913c7f 00 903e7f 60 913c00 00 903e00", kind=0))
    assert tracks(flat.notes) == [(0, "Acoustic Grand Piano", 62), (1, "Acoustic Grand Piano", 60)]


# the pedal ---------------------------------------------------------------------------------------------------------

#: The key is let go at 0.1 s; the pedal goes down at 0.05 s and comes up at 0.3 s.
PEDALLED = "00 903c7f 30 b0407f 30 803c00 8140 b04000"


def test_the_pedal_is_left_aside_unless_it_is_asked_for(read):
    assert times(read(midi(PEDALLED)).notes) == [(60, 0.0, 0.1)]


def test_a_note_sounds_until_the_pedal_comes_up(read):
    assert times(read(midi(PEDALLED), pedal="apply").notes) == [(60, 0.0, 0.3)]


def test_a_held_note_ends_where_its_pitch_begins_again(read):
    flat = read(midi("00 b0407f 00 903c7f 30 803c00 30 903c7f 30 803c00 30 b0403f"), pedal="apply")
    assert times(flat.notes) == [(60, 0.0, 0.1), (60, 0.1, 0.2)]


def test_the_pedal_of_a_channel_holds_the_notes_of_every_track_on_it(read):
    flat = read(midi("00 b04040 8360 b04000", "00 903c7f 60 803c00 00 913e7f 60 813e00"), pedal="apply")
    assert times(flat.notes) == [(60, 0.0, 0.5), (62, 0.1, 0.2)]


def test_a_pedal_that_never_comes_up_does_so_at_the_last_event(read):
    assert times(read(midi("00 b0407f 00 903c7f 60 803c00 8340 ff060141"), pedal="apply").notes) == [
        (60, 0.0, 0.5666666666666667)
    ]


def test_a_note_of_no_length_is_held_too(read):
    flat = read(midi("00 b0407f 00 903c7f 00 803c00 60 b04000"), pedal="apply")
    assert times(flat.notes) == [(60, 0.0, 0.1)]


def test_percussion_does_not_sustain(read):
    assert times(read(midi("00 b9407f 00 99267f 60 992600 60 b94000"), pedal="apply").notes) == [(38, 0.0, 0.1)]


def test_in_format_2_a_pedal_is_its_tracks(read):
    flat = read(midi("00 b0407f 8360 b04000", "00 903c7f 60 803c00", kind=2), pedal="apply")
    assert times(flat.notes) == [(60, 0.0, 0.1)]


# damage ------------------------------------------------------------------------------------------------------------


def test_a_cut_file_gives_what_is_there(read):
    whole = midi(C, C + C)
    flat = read(whole[: -len(bytes.fromhex(END)) - 2])
    assert times(flat.notes) == [(60, 0.0, 0.5), (60, 0.0, 0.5)]
    assert reasons(flat) == [
        "MIDI track 1 is cut: 16 bytes of 22 are there, or an event goes beyond",
        "pitch 60 that begins at tick 480 is never ended",
    ]
    assert flat.tasks.select("state", "tracks", "notes", "rejected", "error_message").rows() == [
        ("complete", 2, 2, 1, "MIDI track 1 is cut: 16 bytes of 22 are there, or an event goes beyond")
    ]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("00 9080", "128 is no data byte of 0x90 (tick 480, byte 11)"),
        ("00 f4", "no event begins with 0xf4 (tick 480, byte 10)"),
        ("00 f001f7 00 3c7f", "no event begins with 0x3c (tick 480, byte 14)"),
    ],
)
def test_a_track_is_read_up_to_its_damage_and_the_others_whole(read, bad, why):
    flat = read(midi(C + bad + "00" + C, C))
    assert times(flat.notes) == [(60, 0.0, 0.5), (60, 0.0, 0.5)]
    assert reasons(flat) == [f"MIDI track 0 cannot be read on: {why}"]


def test_events_that_say_nothing_about_notes_are_passed_over(read):
    sysex, escape, song_position, pressure = "00 f0037e09f7", "00 f7023c7f", "00 f20101", "00 d0ff 00 a0ffff"
    assert times(read(midi(sysex + C + escape + song_position + pressure + C)).notes) == [(60, 0, 0.5), (60, 0.5, 1)]


def test_a_track_ends_at_its_end_whatever_follows(read):
    assert times(read(midi(C + END + C)).notes) == [(60, 0.0, 0.5)]
    assert times(read(midi(track(C, end=""))).notes) == [(60, 0.0, 0.5)]


def test_tracks_that_the_header_promises_and_the_file_lacks_are_a_reject(read):
    flat = read(midi(C, promised=3))
    assert (flat.notes.height, reasons(flat)) == (1, ["the header promises 3 tracks, the file has 1"])


def test_every_track_that_is_there_counts_and_other_chunks_do_not(read):
    assert read(midi(C, b"XFIH\x00\x00\x00\x02hi", C, promised=1)).notes.height == 2


def test_a_longer_header_is_passed_over(read):
    content = midi(C)
    assert read(content[:7] + b"\x08" + content[8:14] + b"\x00\x00" + content[14:]).notes.height == 1


def test_a_midi_file_in_a_riff_file_is_one(read):
    content = midi(C)
    size = len(content).to_bytes(4, "little")
    assert read(b"RIFF" + size + b"RMIDdata" + size + content).notes.height == 1


@pytest.mark.parametrize("content", [b"", b"no MIDI at all", b"MThd", midi(C, division=0), midi(C, division=0xE700)])
def test_a_file_that_is_none_is_a_failed_task_and_not_the_end(tmp_path, content):
    (tmp_path / "bad.mid").write_bytes(content)
    (tmp_path / "good.mid").write_bytes(midi(C))
    flat = both(tmp_path)
    assert flat.tasks.select("task", "state", "notes").rows() == [("bad", "failed", 0), ("good", "complete", 1)]
    assert flat.rejects.select("task", "index", "field").rows() == [("bad", None, "file")]
    assert reasons(flat)[0].startswith("cannot be read: ")
    assert flat.tasks["error_message"].to_list() == [reasons(flat)[0], None]


def test_lanes_agree_on_bytes_of_all_kinds(tmp_path, data):
    content, chance = (data / "golden" / "fixture.mid").read_bytes(), random.Random(7)  # noqa: S311 -- no secret
    for number in range(150):
        bad = bytearray(content)
        for _ in range(chance.choice([1, 2, 5])):
            bad[chance.randrange(14, len(bad))] = chance.choice([chance.randrange(256), 0xF0, 0xF7, 0xFF, 0x90, 0])
        (tmp_path / f"{number}.mid").write_bytes(bad)
    flat = both(tmp_path)
    assert flat.tasks.height == 150
    assert flat.notes.height > 5_000


@pytest.mark.parametrize(
    ("content", "takes"),
    [
        (midi(C, C + "00 ff51030f4240" + C), True),
        (midi("00 f0037e09f7 00 c028" + C), True),
        (midi("8170 903c7f 81f060 803c00"), True),
        (midi("00 903e7f" + C), True),
        (midi("00 903e7f 00 903e7f" + C), False),
        (midi(C, kind=2), True),
        (midi(C, C, kind=2), False),
        (midi(track(C, end="")), False),
        (midi(C + END + C), False),
        (midi("00 f001f7 00 3c7f"), False),
        (midi("00 f70100" + C), False),
        (midi("00 903c7f f777 803c00"), True),
        (midi("00 903c7f f0c040 803c00"), True),
        (midi("00 c000 00 f001f7 00 ff060141 00" + C[3:]), True),
        (midi("00 903c7f 00 f001f7 00 ff060141 00 3c00"), False),
        (midi("00 c000 f003 3e 7d f700" + C), False),
        (midi("00 ff5102ffff" + C), False),
        (midi("00 908000"), False),
    ],
)
def test_symusic_reads_what_it_shows_whole_and_no_more(content, takes):
    assert [one is not None for one in read_fast([read_chunks(content)])] == [takes]


def test_notes_that_symusic_pickles_otherwise_are_asked_for_column_by_column(read, monkeypatch):
    content = midi(C, "00 c028" + C + C)
    packed = read(content).notes
    monkeypatch.setattr(symusic_lane, "_packs", lambda: False)
    assert read(content).notes.equals(packed)


def test_symusic_reads_nearly_every_file_of_the_field(shared):
    paths = (shared / "samples" / "midi").glob("*.mid")
    left = {path.name for path in paths if read_fast([read_chunks(path.read_bytes())]) == [None]}
    assert left == {"noteseq_example_is_drum.mid"}


# files -------------------------------------------------------------------------------------------------------------


def test_a_file_without_notes_is_an_empty_task(read):
    flat = read(midi("00 ff030141"))
    assert [one.schema for one in flat] == [NOTES_SCHEMA, TASKS_SCHEMA, REJECTS_SCHEMA]
    assert flat.tasks.select("task", "state", "tracks", "notes").rows() == [("song", "empty", 0, 0)]
    assert read(midi()).tasks["state"].to_list() == ["empty"]


def test_a_folder_without_files_gives_three_empty_tables(tmp_path):
    assert [one.schema for one in both(tmp_path)] == [NOTES_SCHEMA, TASKS_SCHEMA, REJECTS_SCHEMA]


def test_files_are_named_by_their_paths_and_read_in_their_order(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("b.mid", "a/z.MIDI", "a/c.d.mid", "a-b.mid", "é.mid"):
        (tmp_path / name).write_bytes(midi(C))
    (tmp_path / "notes.txt").write_text("no MIDI")
    flat = both(tmp_path)
    assert flat.notes["task"].to_list() == flat.tasks["task"].to_list() == ["a/c.d", "a/z", "a-b", "b", "é"]
    assert flat.tasks["source"][0] == str(tmp_path / "a" / "c.d.mid")


def test_links_to_folders_are_not_followed_and_what_is_no_file_is_passed_over(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "song.mid").write_bytes(midi(C))
    (tmp_path / "a" / "folder.mid").mkdir()
    (tmp_path / "a" / ".mid").write_bytes(midi(C))
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "gone.mid").symlink_to(tmp_path / "nowhere")
    (tmp_path / "linked.mid").symlink_to(tmp_path / "a" / "song.mid")
    os.mkfifo(tmp_path / "pipe.mid")
    assert read_midi(tmp_path).tasks["task"].to_list() == ["a/song", "linked"]


def test_several_files_are_named_below_the_folder_that_they_share(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "song.mid").write_bytes(midi(C))
    paths = [tmp_path / name / "song.mid" for name in ("two", "one")]
    assert both(paths).tasks["task"].to_list() == ["two/song", "one/song"]
    assert both(paths[:1]).tasks["task"].to_list() == both(str(paths[0])).tasks["task"].to_list() == ["song"]
    assert both([]).tasks.is_empty()


def test_one_of_several_files_that_is_not_there_is_a_failed_task(tmp_path):
    assert both([tmp_path / "gone.mid"]).tasks.select("state", "error_message").rows() == [
        ("failed", "cannot be read: No such file or directory")
    ]
    with pytest.raises(MidiError, match=r"gone.mid: no such file or folder"):
        read_midi(tmp_path / "gone.mid")


def test_a_second_file_of_a_task_is_a_reject_and_the_first_stands(tmp_path):
    (tmp_path / "a.mid").write_bytes(midi(C))
    (tmp_path / "a.midi").write_bytes(midi(C + C))
    (tmp_path / "b.mid").write_bytes(midi(C))
    flat = both(tmp_path)
    assert flat.notes["task"].to_list() == ["a", "b"]
    assert flat.tasks.select("task", "notes").rows() == [("a", 1), ("b", 1)]
    assert flat.rejects.select("task", "field", "value", "reason").rows() == [
        ("a", "task", str(tmp_path / "a.midi"), f"bears the task of {tmp_path / 'a.mid'}; its 2 notes are left out")
    ]


def test_batches_that_end_with_the_file_that_fills_them_put_together_are_the_whole(tmp_path):
    for number in range(40):
        (tmp_path / f"{number:02}.mid").write_bytes(midi(C * (number % 3), C))  # 1, 2, 3, 1, 2, 3 ... notes
    (tmp_path / "20b.mid").write_bytes(b"")
    whole, batches = read_midi(tmp_path), list(midi_batches(tmp_path, batch_notes=20))
    assert [batch.notes.height for batch in batches] == [21, 21, 21, 16]
    for at in range(3):
        assert_frame_equal(pl.concat([batch[at] for batch in batches]), whole[at], categorical_as_str=True)


def test_many_files_that_bring_more_than_the_first_ones_are_whole(tmp_path):
    sizes = {f"{number:03}": 1 if number < 256 else 200 for number in range(300)}
    for name, size in sizes.items():
        (tmp_path / f"{name}.mid").write_bytes(midi(C * size))
    notes = read_midi(tmp_path).notes.with_columns(pl.col("task").cast(pl.String))
    assert notes["task"].to_list() == [name for name, size in sizes.items() for _ in range(size)]
    assert notes["start"].to_list() == [place / 2 for size in sizes.values() for place in range(size)]
    assert notes["instrument"].unique().to_list() == ["Acoustic Grand Piano"]


def test_several_processes_give_the_same(tmp_path):
    for number in range(40):
        (tmp_path / f"{number:02}.mid").write_bytes(midi(C * (number % 5)))
    for one, other in zip(read_midi(tmp_path, workers=2), read_midi(tmp_path), strict=True):
        assert_frame_equal(one, other, categorical_as_str=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pedal": "down"}, "pedal: expected 'ignore' or 'apply', got 'down'"),
        ({"engine": "mido"}, "engine: expected one of 'auto', 'symusic', 'python', got 'mido'"),
        ({"workers": 0}, "expected workers and batch_notes of 1 or more, got 0 and "),
    ],
)
def test_an_option_that_there_is_none_of_is_an_error(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        read_midi(tmp_path, **options)


def test_without_symusic_the_files_are_read_in_python(tmp_path, monkeypatch):
    (tmp_path / "song.mid").write_bytes(midi(C))
    monkeypatch.setitem(sys.modules, "symusic", None)
    assert read_midi(tmp_path).notes.height == 1
    with pytest.raises(MissingExtraError, match=r'pip install "kie-notes\[fast\]"'):
        read_midi(tmp_path, engine="symusic")


# files that kie_notes wrote ----------------------------------------------------------------------------------------


def table(*rows, **common):
    base = {"task": "t1", "instrument": "Flute", "pitch": 60, "start": 0.0, "end": 1.0, "velocity": 1.0, "track": 0}
    return sort_notes(pl.DataFrame([base | common | row for row in rows], schema=NOTES_SCHEMA))


@pytest.mark.filterwarnings("ignore::kie_notes.instruments.UnknownInstrumentWarning")
@pytest.mark.parametrize(
    "rows",
    [
        [{}, {"end": 2.0}, {"start": 0.5, "track": 7, "instrument": "Épinette"}, {"track": 9, "instrument": "Drums"}],
        [{"start": place * (60 / (120 * 384)), "end": place} for place in range(1, 50)],
        [{"start": place / 1000, "end": place / 7} for place in range(1, 50)],
        [{"instrument": ""}, {"track": 1, "instrument": "", "pitch": 62}],
    ],
)
def test_what_kie_notes_wrote_comes_back_as_from_midi_gives_it(tmp_path, rows):
    write_midi(table(*rows, task="../t 1"), tmp_path)
    assert_frame_equal(both(tmp_path).notes, from_midi(tmp_path), categorical_as_str=True, check_exact=True)


def test_tracks_that_somebody_changed_are_numbered_in_their_order_and_a_reject_says_so(tmp_path):
    changed = to_midi(table({"track": 5}, {"track": 8, "instrument": "Oboe"}))
    del changed.instruments[0]
    changed.write(str(tmp_path / "song.mid"))
    flat = both(tmp_path)
    assert flat.notes.select("task", "track").rows() == [("t1", 0)]
    assert reasons(flat) == ["the MIDI tracks are not those that kie_notes wrote; they are numbered in their order"]


def test_a_memo_that_is_none_is_left_aside_and_a_reject_says_so(read):
    text = b'{"kie_notes":2}'
    flat = read(midi(f"00 ff01{len(text):02x}{text.hex()}" + C))
    assert flat.notes["task"].to_list() == ["song"]
    assert reasons(flat)[0].startswith("kie_notes' text event cannot be read and is left aside: ")
