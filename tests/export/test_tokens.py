import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st

import kie_notes as kn
from kie_notes.errors import MissingExtraError, NotesOrderError, NotesSchemaError
from kie_notes.export.tokens import detokenize, tokenize
from kie_notes.export.tokens_lost import token_losses
from kie_notes.notes import NOTES_SCHEMA

miditok = pytest.importorskip("miditok")

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "records"

#: What some classes cannot do without.
NEEDED = {
    "MMM": {"base_tokenizer": "TSD"},
    "PerTok": {
        "beat_res": {(0, 12): 8},
        "ticks_per_quarter": 320,
        "use_microtiming": True,
        "max_microtiming_shift": 0.125,
        "num_microtiming_bins": 30,
    },
}
CLASSES = sorted(miditok.tokenizations.__all__)


def make(name, **options):
    return getattr(miditok, name)(miditok.TokenizerConfig(**(NEEDED.get(name, {}) | options)))


def table(*rows):
    return pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")


def flute(pitch, start, end, *, task="a", velocity=1.0, track=0, name="Flute"):
    return (task, name, pitch, start, end, velocity, track)


def steps(*, task="a"):
    """A piece of three instruments whose times are eighths of a beat at 120, and whose velocities are tokens' own."""
    rows = [flute(60 + k, k / 4, k / 4 + 0.25, task=task, velocity=127 / 127) for k in range(16)]
    rows += [flute(40, k / 2, k / 2 + 0.5, task=task, track=1, name="Cello", velocity=63 / 127) for k in range(8)]
    rows += [flute(36, k / 2, k / 2 + 0.25, task=task, track=2, name="Drums", velocity=99 / 127) for k in range(8)]
    return kn.sort_notes(table(*rows))


@pytest.fixture(scope="module")
def music():
    return kn.flatten(kn.read_records(SAMPLES)).notes


# every tokenizer


@pytest.mark.parametrize("programs", [True, False])
@pytest.mark.parametrize("name", CLASSES)
def test_every_tokenizer_gives_back_what_its_grid_holds(name, programs):
    notes, tokenizer = steps(), make(name, use_programs=programs)
    losses = token_losses(notes, tokenize(notes, tokenizer), tokenizer).row(0, named=True)
    assert (losses["notes"], losses["notes_after"], losses["kept"]) == (32, 32, 32)
    assert losses["largest_start_shift"] < 1e-9
    assert losses["largest_velocity_change"] == 0


@pytest.mark.parametrize("name", CLASSES)
def test_tokens_are_those_that_miditok_makes_of_a_file_of_the_same_ticks(name):
    notes, tokenizer = steps(), make(name, use_programs=True)
    score = symusic.Score(480, ttype="tick")
    score.tempos.append(symusic.Tempo(0, 120, ttype="tick"))
    score.time_signatures.append(symusic.TimeSignature(0, 4, 4, ttype="tick"))
    for instrument, program, drums in (("Flute", 73, False), ("Cello", 42, False), ("Drums", 0, True)):
        part = notes.filter(instrument=instrument)
        track = symusic.Track(instrument, program, drums, ttype="tick")
        start, end = ((part[column].to_numpy() * 960).astype(np.int32) for column in ("start", "end"))
        velocity = np.rint(part["velocity"].to_numpy() * 127).astype(np.int8)
        pitch = part["pitch"].to_numpy().astype(np.int8)
        track.notes = symusic.Note.from_numpy(start, end - start, pitch, velocity, ttype="tick")
        score.tracks.append(track)
    with tempfile.TemporaryDirectory() as folder:
        score.dump_midi(f"{folder}/piece.mid")
        expected = tokenizer.encode(Path(folder, "piece.mid"))
    assert tokenize(notes, tokenizer)["tokens"].to_list() == [expected.ids]


@pytest.mark.parametrize("programs", [True, False])
@pytest.mark.parametrize("name", CLASSES)
def test_rows_are_tasks_or_tracks_as_the_tokenizer_makes_sequences(name, programs):
    notes = pl.concat([steps(task="b"), steps(task="a")])
    tokenizer = make(name, use_programs=programs)
    rows = tokenize(notes, tokenizer).select("task", "track", "instrument", "bpm", "notes", "reason").rows()
    if tokenizer.one_token_stream:
        expected = [(task, None, None, 120.0, 32, None) for task in "ba"]
    else:
        tracks = [(0, "Flute", 120.0, 16, None), (1, "Cello", 120.0, 8, None), (2, "Drums", 120.0, 8, None)]
        expected = [(task, *track) for task in "ba" for track in tracks]
    assert rows == expected


@pytest.mark.parametrize("name", CLASSES)
def test_a_task_without_notes_in_the_tokenizers_range_is_lost_and_said_to_be(name):
    notes, tokenizer = table(flute(3, 0.0, 1.0)), make(name)
    row = token_losses(notes, tokenize(notes, tokenizer), tokenizer).row(0, named=True)
    assert (row["notes"], row["kept"], row["lost"], row["mean_start_shift"]) == (1, 0, 1, None)


# the form of the result


def test_tokens_are_lists_of_numbers_or_of_lists_where_there_are_several_vocabularies():
    one, several = tokenize(steps(), make("REMI")), tokenize(steps(), make("CPWord"))
    assert one.schema["tokens"] == pl.List(pl.Int32)
    assert several.schema["tokens"] == pl.List(pl.List(pl.Int32))
    rest = {"task": pl.String, "track": pl.UInt16, "instrument": pl.String, "bpm": pl.Float64, "notes": pl.UInt32}
    assert {name: kind for name, kind in one.schema.items() if name in rest} == rest


def test_a_track_of_which_nothing_is_kept_has_no_tokens_and_the_others_stay_with_theirs():
    notes = table(flute(3, 0.0, 1.0), flute(60, 0.0, 1.0, track=1, name="Oboe"))
    tokens = tokenize(notes, make("REMI"))
    assert [len(one) for one in tokens["tokens"]] == [0, tokens["tokens"].list.len()[1]]
    assert detokenize(tokens, make("REMI")).select("instrument", "pitch", "track").rows() == [("Oboe", 60, 1)]


def test_a_trained_tokenizer_makes_fewer_tokens_of_the_same_notes(music, tmp_path):
    notes = music.filter(task=music["task"][0])
    plain, trained = make("TSD", use_programs=True), make("TSD", use_programs=True)
    kn.write_midi(notes, tmp_path, progress=False)
    trained.train(vocab_size=len(trained) + 100, files_paths=sorted(tmp_path.glob("*.mid")))
    before, after = tokenize(notes, plain), tokenize(notes, trained)
    assert after["tokens"].list.len()[0] < before["tokens"].list.len()[0]
    assert detokenize(after, trained).equals(detokenize(before, plain))


# tempo


def test_notes_are_laid_at_the_tempo_and_read_back_at_it():
    notes, tokenizer = table(flute(60, 1.2, 1.8)), make("REMI")
    tokens = tokenize(notes, tokenizer, bpm=100)  # beats 2 and 3
    assert "Position_16" in [tokenizer[one] for one in tokens["tokens"][0]]
    assert detokenize(tokens, tokenizer).select("start", "end").rows() == [(1.2, 1.8)]


def test_each_task_may_have_its_own_tempo():
    notes = table(flute(60, 0.5, 1.0), flute(60, 0.6, 1.2, task="b"))
    tempi = pl.DataFrame({"task": ["b", "a", "c"], "bpm": [100.0, 120.0, 1.0]})
    tokens = tokenize(notes, make("REMI"), bpm=tempi)
    assert tokens["bpm"].to_list() == [120.0, 100.0]
    assert tokens["tokens"][0].to_list() == tokens["tokens"][1].to_list()


def test_tempi_that_were_estimated_serve():
    notes = steps()
    tempi = kn.tempo(notes).filter(rank=1)
    assert tokenize(notes, make("REMI"), bpm=tempi)["bpm"][0] == tempi["bpm"][0]


@pytest.mark.parametrize(
    ("bpm", "said"),
    [
        (0, "bpm: expected beats a minute above 0, got 0.0 for task 'a'"),
        (float("nan"), "bpm: expected beats a minute above 0, got nan"),
        (pl.DataFrame({"task": ["x"], "bpm": [1.0]}), r"bpm: no row for task 'a' \(1 of 1 tasks have none\)"),
        (pl.DataFrame({"task": ["a", "a"], "bpm": [1.0, 2.0]}), "bpm: expected one row per task, got several of 'a'"),
        (pl.DataFrame({"task": ["a"], "bpm": [None]}), "bpm: expected beats a minute above 0, got None"),
    ],
)
def test_a_tempo_that_cannot_be_is_refused(bpm, said):
    with pytest.raises(ValueError, match=said):
        tokenize(steps(), make("REMI"), bpm=bpm)


# losses


def test_losses_are_those_worked_by_hand():
    # REMI has eighths of a beat (62.5 ms) and 32 velocities of 1 to 127, of which 63 is one and 61 is not.
    notes = table(
        flute(12, 0.0, 1.0),  # below the range
        flute(60, 0.01, 0.5, velocity=63 / 127),
        flute(62, 0.5, 0.99, velocity=61 / 127),
        flute(64, 1.0, 1.5, velocity=63 / 127),
    )
    row = token_losses(notes, tokenize(notes, make("REMI")), make("REMI")).row(0, named=True)
    velocities = miditok.REMI().velocities.tolist()
    assert 63 in velocities
    nearest = min(abs(61 - one) for one in velocities) / 127
    assert row == {
        "task": "a",
        "bpm": 120.0,
        "bpm_after": None,
        "tracks": 1,
        "tracks_after": 1,
        "notes": 4,
        "notes_after": 3,
        "kept": 3,
        "lost": 1,
        "added": 0,
        "exact": 1,
        "mean_start_shift": pytest.approx(0.01 / 3),
        "largest_start_shift": pytest.approx(0.01),
        "mean_end_shift": pytest.approx(0.01 / 3),
        "largest_end_shift": pytest.approx(0.01),
        "mean_velocity_change": pytest.approx(nearest / 3, abs=1e-7),
        "largest_velocity_change": pytest.approx(nearest, abs=1e-7),
    }


def test_bars_beyond_those_that_a_tokenizer_has_are_lost():
    notes = table(flute(60, 0.0, 0.5), flute(60, 121.0, 121.5))  # in bar 61 of 60
    tokenizer = make("Octuple")
    with pytest.warns(UserWarning, match="60 bars"):
        tokens = tokenize(notes, tokenizer)
    assert token_losses(notes, tokens, tokenizer).select("notes", "kept", "lost").rows() == [(2, 1, 1)]


def test_tracks_of_one_program_become_one_where_a_sequence_is_the_tasks():
    notes = table(flute(60, 0.0, 0.5), flute(64, 0.0, 0.5, track=1))
    tokenizer = make("REMI", use_programs=True)
    losses = token_losses(notes, tokenize(notes, tokenizer), tokenizer)
    assert losses.select("tracks", "tracks_after", "kept", "lost").rows() == [(2, 1, 2, 0)]


def test_a_note_of_another_program_is_no_partner():
    notes = table(flute(60, 0.05, 0.5), flute(60, 0.0625, 0.5, track=1, name="Cello"))
    tokenizer = make("REMI", use_programs=True, programs=[73])  # which leaves out the cello
    losses = token_losses(notes, tokenize(notes, tokenizer), tokenizer)
    assert losses.select("kept", "lost", "largest_start_shift").rows() == [(1, 1, pytest.approx(0.0125))]


def test_the_tempo_that_tokens_say_is_told():
    tokenizer = make("REMI", use_tempos=True)
    losses = token_losses(steps(), tokenize(steps(), tokenizer, bpm=117.0), tokenizer)
    nearest = min(tokenizer.tempos.tolist(), key=lambda tempo: abs(tempo - 117.0))
    assert losses["bpm_after"].to_list() == [pytest.approx(nearest, abs=1e-3)]
    assert losses["largest_start_shift"][0] < 0.04


def test_losses_of_music_are_those_of_half_a_step_at_most(music):
    notes = music.filter(pl.col("pitch").is_between(21, 109), pl.col("instrument") != "Drums")
    tokenizer = make("TSD", use_programs=True)
    losses = token_losses(notes, tokenize(notes, tokenizer, progress=False), tokenizer)
    assert losses["notes"].sum() == notes.height
    assert losses["lost"].sum() == losses["added"].sum() == 0
    assert losses["largest_start_shift"].max() <= 1 / 32 + 1e-4


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_counts_add_up_whatever_the_notes(data):
    note = st.tuples(st.integers(0, 127), st.integers(0, 800), st.integers(0, 300), st.integers(0, 2))
    rows = [flute(p, s / 192, (s + d) / 192, track=k) for p, s, d, k in data.draw(st.lists(note, max_size=12))]
    notes, tokenizer = kn.sort_notes(table(*rows)), make(data.draw(st.sampled_from(["MIDILike", "REMI", "PerTok"])))
    losses = token_losses(notes, tokenize(notes, tokenizer), tokenizer)
    assert losses["notes"].sum() == notes.height
    assert losses.filter(pl.col("kept") + pl.col("lost") != pl.col("notes")).height == 0
    assert losses.filter(pl.col("kept") + pl.col("added") != pl.col("notes_after")).height == 0


# faults


class Broken(miditok.REMI):
    """A tokenizer that fails on notes of pitch 66."""

    def preprocess_score(self, score):
        if 66 in score.tracks[0].notes.numpy()["pitch"]:
            raise KeyError("66")
        return super().preprocess_score(score)


def test_what_a_tokenizer_raises_names_the_task():
    with pytest.raises(KeyError, match="66") as caught:
        tokenize(table(flute(66, 0.0, 1.0)), Broken())
    assert caught.value.__notes__ == ["task 'a': Broken made no tokens of it"]


def test_a_task_that_fails_is_kept_with_its_reason_and_the_others_go_on():
    notes = table(flute(66, 0.0, 1.0), flute(60, 0.0, 1.0, task="b"))
    tokens = tokenize(notes, Broken(), on_error="skip")
    assert tokens.select("task", "notes", "reason").rows() == [("a", 1, "KeyError: '66'"), ("b", 1, None)]
    assert tokens["tokens"].is_null().to_list() == [True, False]
    losses = token_losses(notes, tokens, Broken())
    assert losses.select("task", "bpm", "kept", "lost").rows() == [("a", None, 0, 1), ("b", 120.0, 1, 0)]


def test_a_task_too_long_for_ticks_says_so():
    with pytest.raises(ValueError, match="its last note ends at beat 2000000, expected at most 223696"):
        tokenize(table(flute(60, 0.0, 1e6)), make("REMI"))


def test_no_notes_make_no_tokens_and_these_no_notes():
    tokens = tokenize(table(), make("REMI"))
    assert tokens.schema == tokenize(steps(), make("REMI")).schema
    assert detokenize(tokens, make("REMI")).equals(table())
    assert token_losses(table(), tokens, make("REMI")).height == 0


def test_a_lazy_table_makes_the_same_tokens():
    assert tokenize(steps().lazy(), make("REMI")).equals(tokenize(steps(), make("REMI")))


def test_what_is_no_tokenizer_is_refused():
    with pytest.raises(TypeError, match=r"tokenizer: expected one of miditok, such as miditok.REMI\(\), got 'REMI'"):
        tokenize(steps(), "REMI")


def test_tokens_of_another_kind_of_tokenizer_are_refused():
    with pytest.raises(ValueError, match=r"'tokens' is List\(Int32\), expected List\(List\(Int32\)\)"):
        detokenize(tokenize(steps(), make("REMI")), make("CPWord"))


def test_a_column_that_is_missing_is_named():
    with pytest.raises(ValueError, match="'bpm' is None, expected Float64"):
        detokenize(tokenize(steps(), make("REMI")).drop("bpm"), make("REMI"))


def test_a_sequence_of_a_track_needs_its_track():
    tokens = tokenize(steps(), make("REMI")).with_columns(track=pl.lit(None, pl.UInt16))
    with pytest.raises(ValueError, match=r"tokens\[0\]: expected a task and a tempo, a track and its name"):
        detokenize(tokens, make("REMI"))


def test_notes_in_two_places_or_with_a_value_that_cannot_be_are_refused():
    with pytest.raises(NotesOrderError, match="task 'a': its notes do not stand together"):
        tokenize(pl.concat([steps(), steps(task="b"), steps()]), make("REMI"))
    with pytest.raises(NotesSchemaError, match=r"notes\[0\]: velocity 2.0 is above 1"):
        tokenize(table(flute(60, 0.0, 1.0, velocity=2.0)), make("REMI"))


def test_without_miditok_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "miditok", None)
    with pytest.raises(MissingExtraError, match=r'pip install "kie-notes\[ml\]"'):
        tokenize(steps(), object())
