import sys
import wave

import numpy as np
import polars as pl
import pytest

from kie_notes.errors import MissingExtraError, NotesSchemaError
from kie_notes.notes import NOTES_SCHEMA
from kie_notes.sound import RATE, render_audio


@pytest.fixture
def heard(tmp_path):
    """Render rows (instrument, pitch, start, end, velocity) and read the file back: samples of -1 to 1."""

    def render(*rows, **options):
        told = [("a", name, pitch, start, end, velocity, 0) for name, pitch, start, end, velocity in rows]
        path = render_audio(
            pl.DataFrame(told, schema=NOTES_SCHEMA, orient="row"), tmp_path / "new" / "a.wav", **options
        )
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getsampwidth()) == (44_100, 2)
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
            return samples.reshape(-1, file.getnchannels())[:, 0]

    return render


def peak(samples):
    """The frequency that is strongest, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * RATE / len(samples)


def loudness(samples):
    return float(np.sqrt((samples**2).mean()))


@pytest.mark.parametrize(("pitch", "hertz"), [(21, 27.5), (60, 261.63), (69, 440.0), (108, 4186.01)])
def test_a_note_sounds_at_its_frequency(heard, pitch, hertz):
    assert peak(heard(("Flute", pitch, 0.0, 2.0, 0.8))) == pytest.approx(hertz, abs=0.5)


def test_a_chord_has_all_its_frequencies(heard):
    samples = heard(("Flute", 60, 0.0, 2.0, 0.5), ("Flute", 64, 0.0, 2.0, 0.5), ("Flute", 67, 0.0, 2.0, 0.5))
    spectrum = np.abs(np.fft.rfft(samples))
    for hertz in (261.63, 329.63, 392.0):  # C4, E4, G4
        assert spectrum[round(2 * hertz)] > 20 * np.median(spectrum)


def test_where_no_note_sounds_there_is_silence(heard):
    samples = heard(("Flute", 60, 0.5, 1.0, 0.8), ("Flute", 62, 2.0, 2.5, 0.8))
    assert len(samples) == round(2.5 * RATE)
    assert not samples[: round(0.5 * RATE)].any()
    assert not samples[round(1.0 * RATE) : round(2.0 * RATE)].any()
    assert loudness(samples[round(0.5 * RATE) : round(1.0 * RATE)]) > 0.02


def test_a_note_begins_and_ends_without_a_click(heard):
    samples = heard(("Flute", 60, 0.0, 1.0, 1.0))
    assert abs(samples[:5]).max() < 0.01
    assert abs(samples[-5:]).max() < 0.01


def test_a_note_across_the_edge_of_a_piece_is_whole(heard):
    samples = heard(("Flute", 69, 9.5, 10.5, 0.8))
    assert peak(samples[round(9.5 * RATE) :]) == pytest.approx(440.0, abs=1.0)
    steps = np.abs(np.diff(samples[10 * RATE - 200 : 10 * RATE + 200]))
    assert steps.max() < 0.05  # a jump would be a click


def test_louder_notes_are_louder(heard):
    soft, loud = (loudness(heard(("Flute", 60, 0.0, 1.0, velocity))) for velocity in (0.2, 0.8))
    assert loud > 2.5 * soft


@pytest.mark.parametrize("key", [36, 38, 42, 45, 49, 58, 100])
def test_every_kind_of_percussion_is_heard(heard, key):
    samples = heard(("Drums", key, 0.5, 0.55, 0.8))
    assert not samples[: round(0.5 * RATE)].any()
    assert loudness(samples[round(0.5 * RATE) : round(0.6 * RATE)]) > 0.01


def test_a_kick_is_deep_and_a_hat_is_bright(heard):
    assert peak(heard(("Drums", 36, 0.0, 0.1, 0.8))) < 150
    assert peak(heard(("Drums", 42, 0.0, 0.1, 0.8))) > 2000


def test_dense_music_does_not_clip(heard):
    samples = heard(*[("Flute", 40 + k, 0.0, 1.0, 1.0) for k in range(40)])
    assert abs(samples).max() < 1.0
    full = np.abs(samples) > 0.9999
    assert not (full[1:] & full[:-1]).sum() > 50


def test_the_same_notes_make_the_same_file(heard):
    rows = [("Drums", 38, 0.0, 0.1, 0.8), ("Flute", 60, 0.0, 0.5, 0.5)]
    assert np.array_equal(heard(*rows), heard(*rows))


def test_no_notes_make_a_file_without_samples(heard):
    assert len(heard()) == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("Flute", 60, 0.0, 30_000.0, 0.5), "a note ends at 30000 s: a sound file holds 21600 s"),
        (("Flute", 60, 0.0, 1.0, 96.0), r"notes\[0\]: velocity 96.0 is above 1"),
        (("Flute", 60, 2.0, 1.0, 0.5), r"notes\[0\]: end 1.0 s is before start 2.0 s"),
    ],
)
def test_what_cannot_sound_is_refused(heard, row, message):
    with pytest.raises(ValueError, match=message):
        heard(row)


def test_several_tasks_are_refused(tmp_path):
    rows = [(task, "Flute", 60, 0.0, 1.0, 0.5, 0) for task in "ab"]
    with pytest.raises(ValueError, match=r"a sound file holds one task, got 2: keep one with .filter\(task='a'\)"):
        render_audio(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), tmp_path / "a.wav")
    assert not (tmp_path / "a.wav").exists()


def test_what_is_no_notes_table_is_refused(tmp_path):
    with pytest.raises(NotesSchemaError, match="not a notes table"):
        render_audio(pl.DataFrame({"task": ["a"]}), tmp_path / "a.wav")


def test_an_unknown_sound_is_refused(heard):
    with pytest.raises(ValueError, match="sound: expected 'tones' or 'sampled', got 'loud'"):
        heard(sound="loud")


def test_tones_take_no_soundfont(heard):
    with pytest.raises(ValueError, match="soundfont: tones need none; sound='sampled' uses it"):
        heard(soundfont="a.sf2")


def test_sampled_sound_without_fluidsynth_names_the_extra(heard, monkeypatch):
    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'kie-notes\[sound\]'"):
        heard(("Flute", 60, 0.0, 1.0, 0.5), sound="sampled")


@pytest.fixture
def fluidsynth():
    return pytest.importorskip("fluidsynth", reason="FluidSynth is not installed", exc_type=ImportError)


def test_sampled_sound_has_the_pitch_of_the_note(heard, fluidsynth):
    samples = heard(("Flute", 72, 0.5, 2.5, 0.8), sound="sampled")
    assert len(samples) == round(4.5 * RATE)
    assert loudness(samples[: round(0.45 * RATE)]) < 1e-4
    assert peak(samples[round(0.7 * RATE) : round(2.4 * RATE)]) == pytest.approx(523.25, rel=0.01)


def test_sampled_drums_are_heard(heard, fluidsynth):
    assert loudness(heard(("Drums", 38, 0.0, 0.2, 0.9), sound="sampled")[: RATE // 4]) > 0.005


def test_a_soundfont_that_is_not_there_is_named(heard, fluidsynth):
    with pytest.raises(ValueError, match=r"soundfont: there is no file 'none\.sf2'"):
        heard(("Flute", 60, 0.0, 1.0, 0.5), sound="sampled", soundfont="none.sf2")
