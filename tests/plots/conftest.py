"""What every test of pictures may use: axes, and the result of every helper for real music."""

import functools
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import polars as pl
import pytest
from matplotlib.figure import Figure

import kie_notes as kn
from kie_notes import plots

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "records"

JAZZ, VARIATION = "7ca1092342b6b9749ae58982793500d4", "2563b06b0c5007d373fdb880fde0984a"


@functools.cache
def samples():
    return kn.flatten(kn.read_records(SAMPLES)).notes


def piece(task):
    return samples().filter(pl.col("task") == task)


def halves():
    """Half of the pieces, and the others."""
    tasks = samples()["task"].unique().sort()
    first = pl.col("task").is_in(tasks[:5].implode())
    return samples().filter(first), samples().filter(~first)


def compared():
    features = ["notes_per_second", "mean_polyphony", "pitch_entropy"]
    both = (kn.describe(some, columns=features) for some in halves())
    return kn.compare(*both, features=features, resamples=50)


#: What each plot draws: the result of the helper of its name.
RESULTS = {
    "activity_segments": lambda: kn.activity_segments(piece(JAZZ)),
    "beats": lambda: kn.beats(piece(VARIATION)),
    "chords": lambda: kn.chords(piece(VARIATION)),
    "compare": compared,
    "compare_histograms": lambda: kn.compare_histograms(*map(kn.pitch_class_histogram, halves()), resamples=50),
    "doubling": lambda: kn.doubling(piece(JAZZ)),
    "drum_class_shares": lambda: kn.drum_class_shares(samples()),
    "drum_histogram": lambda: kn.drum_histogram(piece(JAZZ)),
    "duration_histogram": lambda: kn.duration_histogram(piece(JAZZ)),
    "find_motif": lambda: kn.find_motif(piece(VARIATION), intervals=[-2, -2]),
    "hand_split": lambda: kn.hand_split(piece(VARIATION)),
    "hardest_windows": lambda: kn.hardest_windows(piece(JAZZ)),
    "harmonic_change": lambda: kn.harmonic_change(piece(JAZZ)),
    "instrument_fit": lambda: kn.instrument_fit(piece(JAZZ)),
    "inter_onset_histogram": lambda: kn.inter_onset_histogram(piece(JAZZ)),
    "interval_histogram": lambda: kn.interval_histogram(piece(JAZZ)),
    "interval_ngrams": lambda: kn.interval_ngrams(piece(JAZZ)),
    "key_windows": lambda: kn.key_windows(piece(JAZZ)),
    "note_flags": lambda: kn.note_flags(piece(JAZZ)),
    "onset_asynchrony": lambda: kn.onset_asynchrony(piece(JAZZ)),
    "onset_density": lambda: kn.onset_density(piece(JAZZ)),
    "piano_roll": lambda: piece(JAZZ),
    "pitch_class_histogram": lambda: kn.pitch_class_histogram(piece(JAZZ)),
    "pitch_class_transitions": lambda: kn.pitch_class_transitions(piece(JAZZ)),
    "pitch_histogram": lambda: kn.pitch_histogram(piece(JAZZ)),
    "pitch_range": lambda: kn.pitch_range(samples()),
    "polyphony_curve": lambda: kn.polyphony_curve(piece(JAZZ)),
    "quality_score": lambda: kn.quality_score(samples()),
    "skyline": lambda: kn.skyline(piece(JAZZ)),
    "sounding_density": lambda: kn.sounding_density(piece(JAZZ)),
    "tempo": lambda: kn.tempo(samples()),
    "tessitura": lambda: kn.tessitura(samples(), by=["task", "instrument"]),
    "tonal_centroid": lambda: kn.tonal_centroid(piece(JAZZ)),
    "transcription_errors": lambda: kn.transcription_errors(samples(), kn.merge_fragments(samples()).notes),
    "transcription_scores": lambda: kn.transcription_scores(samples(), kn.merge_fragments(samples()).notes),
}


@pytest.fixture(params=sorted(RESULTS))
def name(request):
    """The name of each plot in turn."""
    return request.param


@pytest.fixture
def results():
    """What gives the result that each plot draws."""
    return RESULTS


@pytest.fixture
def all_notes():
    """The notes of the packed samples."""
    return samples()


@pytest.fixture
def drawable(name):
    """The result that the plot of that name draws, from real music."""
    return made(name)


@functools.cache
def made(name):
    return RESULTS[name]()


@functools.cache
def printed(name, inches):
    figure = Figure(figsize=inches, layout="constrained")
    getattr(plots, name)(made(name), figure.subplots())
    figure.draw_without_rendering()
    return figure


@pytest.fixture
def in_print(name):
    """A picture in a column of print, laid out: tests look at it and leave it as it is."""
    return printed(name, (3.4, 2.6))


@pytest.fixture
def on_a_page(name):
    """The same over the width of a page."""
    return printed(name, (7, 3))


@pytest.fixture
def ax():
    return Figure(figsize=(8, 4), layout="constrained").subplots()
