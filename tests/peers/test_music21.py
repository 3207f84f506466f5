"""music21 judges: keys by its five profiles, pitch classes by fifths, melodic intervals and nPVI, live.

Its objects are built from the table, since its reader of MIDI moves times to sixteenths and triplets and splits notes.
"""

import polars as pl
import pytest

from kie_notes.analysis import key, melodic_intervals, npvi, pitch_class_histogram

music21 = pytest.importorskip("music21")

#: Lengths that are no whole numbers become fractions there, up to 1e-10 off, so a quarter stands for 2**-40 s.
UNIT = 2.0**40

PROFILES = {
    "krumhansl-kessler": "KrumhanslSchmuckler",
    "aarden-essen": "AardenEssen",
    "bellman-budge": "BellmanBudge",
    "temperley-kostka-payne": "TemperleyKostkaPayne",
    "simple-weights": "SimpleWeights",
}


@pytest.fixture(scope="module")
def scales(pitched):
    """Give, per task, a stream of twelve notes: each pitch class for as long as all its notes last together.

    The unit makes no difference to a correlation.
    """
    seconds = pitched.group_by(pl.col("task").cast(pl.String), pl.col("pitch") % 12).agg(
        (pl.col("end") - pl.col("start")).sum()
    )
    streams = {}
    for (task,), rows in sorted(seconds.partition_by("task", as_dict=True).items()):
        streams[task] = music21.stream.Stream()
        for _, pitch_class, length in rows.rows():
            streams[task].insert(0, music21.note.Note(60 + pitch_class, quarterLength=round(length * UNIT)))
    return streams


@pytest.mark.parametrize("profile", PROFILES)
def test_keys_and_their_scores_are_music21s_to_nine_decimals(pitched, scales, profile):
    # Keys whose scores differ by the rounding of sums alone, or not at all, come in another order there.
    found = key(pitched, method=profile)
    assert found["task"].to_list() == sorted(scales)
    for task, name, score, second, margin in found.rows():
        judge = getattr(music21.analysis.discrete, PROFILES[profile])()
        best, _ = judge.process(scales[task], storeAlternatives=True)
        others = judge.alternativeSolutions
        assert (score, margin) == pytest.approx((best[2], best[2] - others[0][2]), abs=1e-9), task
        near = [one for one in (best, *others) if best[2] - one[2] < 1e-9]
        assert numbered(name) in [(tonic.pitchClass, mode) for tonic, mode, _ in near], task
        near = [one for one in (best, *others) if abs(score - margin - one[2]) < 1e-9]
        assert numbered(second) in [(tonic.pitchClass, mode) for tonic, mode, _ in near], task


def numbered(name):
    tonic, mode = name.split()
    return music21.pitch.Pitch(tonic.replace("b", "-")).pitchClass, mode


def test_shares_of_pitch_classes_by_fifths_are_music21s_to_twelve_decimals(pitched, by_task):
    ours = pitch_class_histogram(pitched, order="fifths", normalize=True)
    shares = dict(ours.group_by("task", maintain_order=True).agg("share").rows())
    for task, notes in by_task(pitched).items():
        # The feature asks for no time, so all of a task's notes can be one chord.
        chord = music21.chord.Chord([music21.note.Note(pitch) for pitch in notes["pitch"].to_list()])
        stream = music21.stream.Stream([chord])
        theirs = music21.features.jSymbolic.FifthsPitchHistogramFeature(stream).extract().vector
        assert shares[task] == pytest.approx(theirs, abs=1e-12), task


@pytest.fixture(scope="module")
def lines(pitched, by_track):
    """Give, per track that has one note at a time, a stream of its notes, each held until the next begins.

    What several notes at once mean for a melody is the caller's affair in music21.
    """
    tracks = {}
    for track, notes in by_track(pitched).items():
        start = notes["start"]
        if notes.height > 2 and (start.diff().slice(1) > 1e-6).all() and (notes["end"].shift(1) <= start + 1e-6).all():
            lengths = [*start.diff().slice(1), 1.0]
            tracks[track] = [
                # A number below 12 would be a pitch class in the middle octave.
                music21.note.Note(music21.pitch.Pitch(midi=pitch), quarterLength=round(length * UNIT))
                for pitch, length in zip(notes["pitch"].to_list(), lengths, strict=True)
            ]
    assert tracks
    return tracks


def line(notes):
    stream = music21.stream.Stream()
    stream.append(notes)
    return stream


def test_intervals_of_single_lines_are_music21s_exactly(pitched, lines):
    found = melodic_intervals(pitched).group_by("task", "track", maintain_order=True).agg("interval")
    ours = {(task, track): intervals for task, track, intervals in found.rows()}
    for track, notes in lines.items():
        # In pieces that share a note, as its cost grows with the square of their length.
        pieces = (line(notes[k : k + 101]) for k in range(0, len(notes) - 1, 100))
        assert ours[track] == [step.semitones for piece in pieces for step in piece.melodicIntervals()], track


def test_the_npvi_of_single_lines_is_music21s_to_eight_decimals(pitched, lines, values):
    # The last note is left out, as it has no next: its length is no interval between onsets.
    theirs = {track: music21.analysis.patel.nPVI(line(notes[:-1])) for track, notes in lines.items()}
    ours = values(npvi(pitched, per="track"), "npvi", ("task", "track"))
    assert {track: ours[track] for track in theirs} == pytest.approx(theirs, abs=1e-8)
