import json
import subprocess
import sys
import warnings

import polars as pl
import pretty_midi
import pytest

from kie_notes.instruments import (
    DRUM_NAMES,
    FAMILIES,
    PROGRAMS,
    UnknownInstrumentWarning,
    drum_name,
    find_instrument,
    instrument,
    is_drums,
)


def test_pretty_midis_name_of_every_program_is_that_program():
    named = [instrument(pretty_midi.program_to_instrument_name(program)).program for program in range(128)]
    assert named == list(range(128))


def test_the_services_spelling_of_every_program_with_its_range_is_that_program(shared):
    rows = json.loads((shared / "reference" / "general-midi-2.json").read_text())
    expected = [
        (row["name"], row["program"], *((row["lo"], row["hi"]) if (row["lo"], row["hi"]) != (0, 127) else (None, None)))
        for row in rows
    ]
    found = [instrument(row["name"]) for row in rows]
    assert [(one.name, one.program, one.lowest, one.highest) for one in found] == expected


def test_families_are_those_of_pretty_midi():
    families = [pretty_midi.program_to_instrument_class(program) for program in range(128)]
    assert [one.family for one in PROGRAMS] == families
    assert list(FAMILIES) == list(dict.fromkeys(families))


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("Acoustic Grand Piano", 0),
        ("acoustic_grand-piano", 0),
        ("Clavi", 7),
        ("Clavinet", 7),
        ("Electric Bass (finger)", 33),
        ("ELECTRIC BASS FINGER", 33),
        ("String Ensembles 1", 48),
        ("String Ensemble 1", 48),
        ("SynthStrings 2", 51),
        ("Synth Strings 2", 51),
        ("Synth Voice", 54),
        ("Synth Choir", 54),
        ("Lead 2 [Sawtooth]", 81),
        ("Lead 8 (bass + lead)", 87),
        ("Bagpipe", 109),
        ("Bird Tweet", 123),
        ("Bird Tweet, Dog, Horse Gallop", 123),
        ("Explosion", None),
    ],
)
def test_both_spellings_in_any_case_and_punctuation_are_one_program(name, program):
    found = find_instrument(name)
    assert (found.program if found else None) == program


@pytest.mark.parametrize(
    "name", ["Drums", "drums", "DRUM KIT", "drum-set", "Percussion", "Standard Drum Kit", "Jazz Kit"]
)
def test_a_kits_name_is_percussion(name):
    assert is_drums(name)
    assert instrument(name).is_drums
    assert (instrument(name).program, instrument(name).lowest) == (0, None)


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("Percussive Organ", 17),
        ("Steel Drums", 114),
        ("Taiko Drum", 116),
        ("Melodic Tom", 117),
        ("Synth Drum", 118),
        ("Reverse Cymbal", 119),
        ("Timpani", 47),
        ("Woodblock", 115),
    ],
)
def test_a_melodic_program_with_a_drums_name_is_no_percussion(name, program):
    assert not is_drums(name)
    assert (instrument(name).program, instrument(name).is_drums) == (program, False)


def test_drum_names_work_in_a_polars_expression():
    names = pl.Series(["Drums", "Drum Kit!", "Steel Drums", "Flute"])
    letters = names.str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", "")
    assert letters.is_in(list(DRUM_NAMES)).to_list() == [True, True, False, False]


def test_an_unknown_name_keeps_its_text_and_warns_once():
    with pytest.warns(UnknownInstrumentWarning, match="'Ondes Martenot' is no General MIDI instrument"):
        found = instrument("Ondes Martenot")
    assert (found.name, found.program, found.family, found.is_drums) == ("Ondes Martenot", 0, None, False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert instrument("Ondes Martenot") == found


def test_an_empty_name_is_unknown():
    assert find_instrument("") is None
    assert not is_drums("")


def test_percussion_keys_bear_pretty_midis_names_where_it_has_them():
    assert [drum_name(key) for key in range(35, 82)] == [
        pretty_midi.note_number_to_drum_name(key) for key in range(35, 82)
    ]


def test_general_midi_2_adds_keys_below_and_above():
    assert [drum_name(key) for key in (26, 27, 28, 33, 34)] == [
        None,
        "High Q",
        "Slap",
        "Metronome Click",
        "Metronome Bell",
    ]
    assert [drum_name(key) for key in (82, 83, 84, 85, 86, 87, 88)] == [
        "Shaker",
        "Jingle Bell",
        "Bell Tree",
        "Castanets",
        "Mute Surdo",
        "Open Surdo",
        None,
    ]


def test_the_module_itself_imports_neither_pretty_midi_nor_polars():
    code = (
        "import sys, importlib.util as u; s = u.spec_from_file_location('i', sys.argv[1]); m = u.module_from_spec(s);"
        "sys.modules['i'] = m; s.loader.exec_module(m); print({'polars', 'pretty_midi', 'numpy'} & set(sys.modules))"
    )
    path = sys.modules[instrument.__module__].__file__
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
