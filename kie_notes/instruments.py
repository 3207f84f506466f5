"""General MIDI: the instruments' names, programs, families and ranges, and the percussion keys.

A name is looked up by its letters and digits alone, whatever their case: ``"String Ensembles 1"`` as the service spells
it, ``"String Ensemble 1"`` as pretty_midi does, ``"string_ensemble-1"``. Percussion is what bears a *kit's* name
(``DRUM_NAMES``); Steel Drums, Synth Drum, Taiko Drum, Melodic Tom and Percussive Organ are melodic programs.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Final


class UnknownInstrumentWarning(UserWarning):
    """A name that is no General MIDI instrument; it keeps its text and plays as program 0."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """What General MIDI says about one instrument.

    Attributes
    ----------
    name
        The service's spelling; an unknown name's own text.
    program
        0 to 127, counted from 0. Drums and unknown names: 0.
    family
        One of ``FAMILIES``, ``"Drums"``, or None for an unknown name.
    lowest, highest
        Range that General MIDI 2 recommends, as MIDI note numbers, both inclusive; None where it recommends none
        (wood block, drums as programs, sound effects) and for drums and unknown names.
    is_drums
        Whether its pitches are percussion keys instead of pitches.
    """

    name: str
    program: int
    family: str | None = None
    lowest: int | None = None
    highest: int | None = None
    is_drums: bool = False


#: The 128 programs in order, by family, with the range that General MIDI 2 (RP-024) recommends where it recommends one.
#: Spelling: miditok's ``MIDI_INSTRUMENTS``, which the service uses; its names of the sound effects hold commas.
_PROGRAMS: Final = """
Piano: Acoustic Grand Piano 21-108 | Bright Acoustic Piano 21-108 | Electric Grand Piano 21-108 |
 Honky-tonk Piano 21-108 | Electric Piano 1 28-103 | Electric Piano 2 28-103 | Harpsichord 41-89 | Clavi 36-96
Chromatic Percussion: Celesta 60-108 | Glockenspiel 72-108 | Music Box 60-84 | Vibraphone 53-89 | Marimba 48-84 |
 Xylophone 65-96 | Tubular Bells 60-77 | Dulcimer 60-84
Organ: Drawbar Organ 36-96 | Percussive Organ 36-96 | Rock Organ 36-96 | Church Organ 21-108 | Reed Organ 36-96 |
 Accordion 53-89 | Harmonica 60-84 | Tango Accordion 53-89
Guitar: Acoustic Guitar (nylon) 40-84 | Acoustic Guitar (steel) 40-84 | Electric Guitar (jazz) 40-86 |
 Electric Guitar (clean) 40-86 | Electric Guitar (muted) 40-86 | Overdriven Guitar 40-86 | Distortion Guitar 40-86 |
 Guitar Harmonics 40-86
Bass: Acoustic Bass 28-55 | Electric Bass (finger) 28-55 | Electric Bass (pick) 28-55 | Fretless Bass 28-55 |
 Slap Bass 1 28-55 | Slap Bass 2 28-55 | Synth Bass 1 28-55 | Synth Bass 2 28-55
Strings: Violin 55-93 | Viola 48-84 | Cello 36-72 | Contrabass 28-55 | Tremolo Strings 28-93 | Pizzicato Strings 28-93 |
 Orchestral Harp 23-103 | Timpani 36-57
Ensemble: String Ensembles 1 28-96 | String Ensembles 2 28-96 | SynthStrings 1 36-96 | SynthStrings 2 36-96 |
 Choir Aahs 48-79 | Voice Oohs 48-79 | Synth Voice 48-84 | Orchestra Hit 48-72
Brass: Trumpet 58-94 | Trombone 34-75 | Tuba 29-55 | Muted Trumpet 58-82 | French Horn 41-77 | Brass Section 36-96 |
 Synth Brass 1 36-96 | Synth Brass 2 36-96
Reed: Soprano Sax 54-87 | Alto Sax 49-80 | Tenor Sax 42-75 | Baritone Sax 37-68 | Oboe 58-91 | English Horn 52-81 |
 Bassoon 34-72 | Clarinet 50-91
Pipe: Piccolo 74-108 | Flute 60-96 | Recorder 60-96 | Pan Flute 60-96 | Blown Bottle 60-96 | Shakuhachi 55-84 |
 Whistle 60-96 | Ocarina 60-84
Synth Lead: Lead 1 (square) 21-108 | Lead 2 (sawtooth) 21-108 | Lead 3 (calliope) 36-96 | Lead 4 (chiff) 36-96 |
 Lead 5 (charang) 36-96 | Lead 6 (voice) 36-96 | Lead 7 (fifths) 36-96 | Lead 8 (bass + lead) 21-108
Synth Pad: Pad 1 (new age) 36-96 | Pad 2 (warm) 36-96 | Pad 3 (polysynth) 36-96 | Pad 4 (choir) 36-96 |
 Pad 5 (bowed) 36-96 | Pad 6 (metallic) 36-96 | Pad 7 (halo) 36-96 | Pad 8 (sweep) 36-96
Synth Effects: FX 1 (rain) 36-96 | FX 2 (soundtrack) 36-96 | FX 3 (crystal) 36-96 | FX 4 (atmosphere) 36-96 |
 FX 5 (brightness) 36-96 | FX 6 (goblins) 36-96 | FX 7 (echoes) 36-96 | FX 8 (sci-fi) 36-96
Ethnic: Sitar 48-77 | Banjo 48-84 | Shamisen 50-79 | Koto 55-84 | Kalimba 48-79 | Bag pipe 36-77 | Fiddle 55-96 |
 Shanai 48-72
Percussive: Tinkle Bell 72-84 | Agogo 60-72 | Steel Drums 52-76 | Woodblock | Taiko Drum | Melodic Tom | Synth Drum |
 Reverse Cymbal
Sound Effects: Guitar Fret Noise, Guitar Cutting Noise | Breath Noise, Flute Key Click |
 Seashore, Rain, Thunder, Wind, Stream, Bubbles | Bird Tweet, Dog, Horse Gallop |
 Telephone Ring, Door Creaking, Door, Scratch, Wind Chime | Helicopter, Car Sounds |
 Applause, Laughing, Screaming, Punch, Heart Beat, Footstep | Gunshot, Machine Gun, Lasergun, Explosion
"""

#: pretty_midi's names that other letters make. Its sound effects bear the first of the service's names.
_OTHER_SPELLINGS: Final = {
    "Clavinet": 7,
    "String Ensemble 1": 48,
    "String Ensemble 2": 49,
    "Synth Choir": 54,
}

#: Percussion keys 27 to 87 of the standard kit, General MIDI 2 (RP-024); 35 to 81 as pretty_midi spells them.
_DRUM_KEYS: Final = """
High Q | Slap | Scratch Push | Scratch Pull | Sticks | Square Click | Metronome Click | Metronome Bell |
Acoustic Bass Drum | Bass Drum 1 | Side Stick | Acoustic Snare | Hand Clap | Electric Snare | Low Floor Tom |
Closed Hi Hat | High Floor Tom | Pedal Hi Hat | Low Tom | Open Hi Hat | Low-Mid Tom | Hi-Mid Tom | Crash Cymbal 1 |
High Tom | Ride Cymbal 1 | Chinese Cymbal | Ride Bell | Tambourine | Splash Cymbal | Cowbell | Crash Cymbal 2 |
Vibraslap | Ride Cymbal 2 | Hi Bongo | Low Bongo | Mute Hi Conga | Open Hi Conga | Low Conga | High Timbale |
Low Timbale | High Agogo | Low Agogo | Cabasa | Maracas | Short Whistle | Long Whistle | Short Guiro | Long Guiro |
Claves | Hi Wood Block | Low Wood Block | Mute Cuica | Open Cuica | Mute Triangle | Open Triangle | Shaker |
Jingle Bell | Bell Tree | Castanets | Mute Surdo | Open Surdo
"""

#: Key of the first of ``_DRUM_KEYS``.
_LOWEST_DRUM_KEY: Final = 27

#: The kits of General MIDI 2 (RP-024).
_KITS: Final = ("standard", "room", "power", "electronic", "analog", "jazz", "brush", "orchestra", "sfx")

#: Names that mean percussion, by their letters and digits in lower case. In a Polars expression:
#: ``name.str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", "").is_in(DRUM_NAMES)``.
DRUM_NAMES: Final = frozenset(
    ["drum", "drums", "drumkit", "drumkits", "drumset", "percussion", "drumspercussion", "percussiondrums"]
    + ["drumsandpercussion", "percussionkit", "percussionset", "acousticdrums", "electronicdrums"]
    + [kit + word for kit in _KITS for word in ("kit", "set", "drumkit", "drumset")]
)


def _key(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _programs() -> list[Instrument]:
    programs: list[Instrument] = []
    for line in _PROGRAMS.replace("\n ", " ").strip().splitlines():
        family, _, names = line.partition(": ")
        for entry in names.split("|"):
            name, _, span = entry.strip().rpartition(" ")
            low, dash, high = span.partition("-")
            ranged = bool(dash) and low.isdigit()
            programs.append(
                Instrument(name, len(programs), family, int(low), int(high))
                if ranged
                else Instrument(entry.strip(), len(programs), family)
            )
    return programs


#: The instrument of each program, 0 to 127.
PROGRAMS: Final = tuple(_programs())

#: The 16 families, in the order of their programs.
FAMILIES: Final = tuple(dict.fromkeys(one.family for one in PROGRAMS if one.family))

#: What stands for every drum kit.
DRUMS: Final = Instrument("Drums", 0, "Drums", is_drums=True)

_BY_KEY: Final = (
    dict.fromkeys(DRUM_NAMES, DRUMS)
    | {_key(one.name.partition(",")[0]): one for one in PROGRAMS}
    | {_key(one.name): one for one in PROGRAMS}
    | {_key(name): PROGRAMS[program] for name, program in _OTHER_SPELLINGS.items()}
)
_DRUM_NAMES_BY_KEY: Final = {
    key: name.strip() for key, name in enumerate(_DRUM_KEYS.split("|"), start=_LOWEST_DRUM_KEY)
}
_warned: Final[set[str]] = set()


def find_instrument(name: str) -> Instrument | None:
    """Look up an instrument by the service's or pretty_midi's name, and give None when there is none of that name.

    Parameters
    ----------
    name
        Any spelling: case, spaces and punctuation make no difference.

    Returns
    -------
    The instrument, ``DRUMS`` for any name in ``DRUM_NAMES``, or None.

    Examples
    --------
    >>> find_instrument("synth strings 1").name
    'SynthStrings 1'
    >>> find_instrument("Theremin") is None
    True
    """
    return _BY_KEY.get(_key(name))


def instrument(name: str) -> Instrument:
    """Give what General MIDI says about the instrument of that name.

    A name that is not known makes an instrument of its own: its text stays, it plays as program 0 and has neither
    family nor range. ``UnknownInstrumentWarning`` says so, once for each name.

    Parameters
    ----------
    name
        Any spelling: case, spaces and punctuation make no difference.

    Returns
    -------
    The instrument, ``name`` in the service's spelling. Drums: ``DRUMS``, whichever kit is meant.

    References
    ----------
    General MIDI 2, RP-024 (MIDI Association): programs, families, recommended ranges, percussion keys.

    Examples
    --------
    >>> instrument("String Ensemble 1")
    Instrument(name='String Ensembles 1', program=48, family='Ensemble', lowest=28, highest=96, is_drums=False)
    >>> instrument("drum kit").is_drums, instrument("Steel Drums").is_drums
    (True, False)
    """
    found = find_instrument(name)
    if found is None and name not in _warned:
        text = f"{name!r} is no General MIDI instrument: it plays as program 0, an acoustic grand piano"
        warnings.warn(text, UnknownInstrumentWarning, stacklevel=2)
        _warned.add(name)
    return found or Instrument(name, 0)


def is_drums(name: str) -> bool:
    """Whether a track of that name is percussion, its pitches being keys of a drum kit.

    Parameters
    ----------
    name
        Any spelling: case, spaces and punctuation make no difference.

    Examples
    --------
    >>> [is_drums(name) for name in ("Drums", "standard drum-kit", "Taiko Drum", "Melodic Tom")]
    [True, True, False, False]
    """
    return _key(name) in DRUM_NAMES


def drum_name(pitch: int) -> str | None:
    """Name the percussion key of the General MIDI 2 standard kit.

    Parameters
    ----------
    pitch
        MIDI note number.

    Returns
    -------
    The key's name, or None outside 27 to 87. The service's drum labels are unreliable: a steady pulse can come out as
    Vibraslap.

    Examples
    --------
    >>> drum_name(38), drum_name(87), drum_name(88)
    ('Acoustic Snare', 'Open Surdo', None)
    """
    return _DRUM_NAMES_BY_KEY.get(pitch)
