"""The corpus reader beside mido, symusic and pretty_midi, note by note, with every difference counted and explained."""

import io
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import mido
import polars as pl
import pretty_midi
import pytest
import symusic

from kie_notes.midi.corpus import read_midi

pytestmark = pytest.mark.filterwarnings("ignore:Tempo, Key or Time signature change events:RuntimeWarning")

GOLDEN = Path(__file__).parents[2] / "data" / "golden"


def events(file):
    """Give a file's events with their ticks: (track, tick, message)."""
    for place, track in enumerate(file.tracks):
        tick = 0
        for message in track:
            tick += message.time
            yield place, tick, message


def true_notes(path):
    """Read a file by mido's events, pairing first in, first out, with times as fractions."""
    file = mido.MidiFile(path)
    tempos = sorted(((tick, one.tempo) for _, tick, one in events(file) if one.type == "set_tempo"), key=lambda t: t[0])
    tempos = [(0, 500_000), *tempos]
    passed = [0]
    for (tick, tempo), (until, _) in pairwise(tempos):
        passed.append(passed[-1] + (until - tick) * tempo)

    def seconds(tick):
        at = bisect_right(tempos, tick, key=lambda one: one[0]) - 1
        total = passed[at] + (tick - tempos[at][0]) * tempos[at][1]
        return float(Fraction(total, file.ticks_per_beat * 1_000_000))

    open_, notes = defaultdict(deque), []
    for track, tick, one in events(file):
        if one.type == "note_on" and one.velocity:
            open_[track, one.channel, one.note].append((tick, one.velocity))
        elif one.type in ("note_on", "note_off") and open_[track, one.channel, one.note]:
            begin, velocity = open_[track, one.channel, one.note].popleft()
            notes.append((one.note, seconds(begin), seconds(tick), velocity))
    return sorted(notes), sum(map(len, open_.values()))


def in_steps(notes):
    """Count notes with times in hundred-thousandths of a second, cut where no note of the samples lies."""
    return Counter((pitch, int(start * 1e5 + 0.1234), int(end * 1e5 + 0.1234), n) for pitch, start, end, n in notes)


def pretty_notes(source):
    midi = pretty_midi.PrettyMIDI(source)
    return in_steps((n.pitch, n.start, n.end, n.velocity) for one in midi.instruments for n in one.notes)


def with_tempos_in_front(path):
    """Give the file with every tempo event in its first track, where pretty_midi looks for them."""
    file = mido.MidiFile(path)
    tempos = sorted(((tick, one) for _, tick, one in events(file) if one.type == "set_tempo"), key=lambda one: one[0])
    ticks = [0, *(tick for tick, _ in tempos)]
    first = [one.copy(time=tick - before) for (tick, one), before in zip(tempos, ticks, strict=False)]
    file.tracks.insert(0, mido.MidiTrack(first))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return io.BytesIO(buffer.getvalue())


def ours(folder):
    """Give each task's notes as (pitch, start, end, velocity)."""
    notes, _, rejects = read_midi(folder)
    rows = notes.select(pl.col("task").cast(pl.String), "pitch", "start", "end", pl.col("velocity") * 127)
    found = defaultdict(list)
    for task, *times, velocity in rows.iter_rows():
        found[task].append((*times, round(velocity)))
    return found, Counter(rejects["task"])


def test_the_packed_files_give_the_notes_of_mido_and_pretty_midi():
    found, rejected = ours(GOLDEN)
    paths = sorted(GOLDEN.glob("*.mid"))
    for path in paths:
        assert (sorted(found[path.stem]), rejected[path.stem]) == true_notes(path)
        assert in_steps(found[path.stem]) == pretty_notes(str(path))
    assert len(paths) == 2


def test_every_sample_gives_the_notes_of_mido_bit_for_bit(shared):
    folder = shared / "samples" / "midi"
    found, rejected = ours(folder)
    for path in sorted(folder.glob("*.mid")):
        assert (sorted(found[path.stem]), rejected[path.stem]) == true_notes(path), path.name
    assert (sum(map(len, found.values())), rejected.total()) == (70_627, 31)


def test_every_sample_gives_the_notes_of_symusic(shared):
    """Symusic's seconds are float32: times agree within half a millisecond."""
    folder = shared / "samples" / "midi"
    notes = read_midi(folder).notes.with_columns(pl.col("task").cast(pl.String))
    for path in sorted(folder.glob("*.mid")):
        score = symusic.Score(path, ttype="second")
        theirs = [[(n.pitch, n.start, n.end, n.velocity) for n in track.notes] for track in score.tracks]
        tracks = [t for t in theirs if t]
        for number, track in enumerate(tracks):
            own = notes.filter(task=path.stem, track=number).sort("start", "pitch", "end", "velocity")
            peer = pl.DataFrame(track, ["pitch", "start", "end", "velocity"], orient="row")
            peer = peer.sort("start", "pitch", "end", "velocity")
            assert own["pitch"].to_list() == peer["pitch"].to_list()
            assert (own["start"] - peer["start"]).abs().max() < 5e-4
            assert abs(own["end"].sum() - peer["end"].sum()) < 5e-4 * peer.height
        assert notes.filter(task=path.stem)["track"].n_unique() == len(tracks)


def test_every_difference_to_pretty_midi_has_its_reason(shared):
    folder, total = shared / "samples" / "midi", Counter()
    found, rejected = ours(folder)
    for path in sorted(folder.glob("*.mid")):
        own, theirs = in_steps(found[path.stem]), pretty_notes(str(path))
        elsewhere = any(one.type == "set_tempo" and place for place, _, one in events(mido.MidiFile(path)))
        retimed = pretty_notes(with_tempos_in_front(path)) if elsewhere else theirs
        zero = sum(count for (_, start, end, _), count in own.items() if start == end)
        paired_otherwise = (own - retimed).total() - zero
        total += Counter(
            files=1,
            equal_files=own == theirs,
            notes=own.total(),
            notes_of_pretty_midi=theirs.total(),
            equal_notes=(own & theirs).total(),
            files_with_tempos_elsewhere=elsewhere,
            notes_with_tempos_elsewhere=(own & retimed).total() - (own & theirs).total(),
            zero_length=zero,
            paired_otherwise=paired_otherwise,
            never_ended=rejected[path.stem],
        )
        if paired_otherwise:
            assert overlaps(found[path.stem]) or rejected[path.stem], path.name
    assert dict(total) == {
        "files": 93,
        "equal_files": 64,
        "notes": 70_627,
        "notes_of_pretty_midi": 70_636,
        "equal_notes": 61_999,
        "files_with_tempos_elsewhere": 6,
        "notes_with_tempos_elsewhere": 8_203,
        "zero_length": 11,
        "paired_otherwise": 414,
        "never_ended": 31,
    }


def overlaps(notes):
    """Whether two notes of a pitch overlap, as they must for the pairing to matter."""
    last = {}
    for pitch, start, end, _ in sorted(notes, key=lambda note: note[1]):
        if start < last.get(pitch, 0):
            return True
        last[pitch] = max(end, last.get(pitch, 0))
    return False
