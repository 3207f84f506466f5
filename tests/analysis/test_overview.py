import pytest

from kie_notes import analysis
from kie_notes.analysis.overview import describe
from kie_notes.errors import NotesOrderError

#: The prefixes that the module's text names, and the helpers whose columns bear them.
PREFIXES = {
    "mean_pitch": "pitch_",
    "task_summary": "pitch_",
    "pitch_range": "pitch_",
    "tessitura": "tessitura_",
    "key": "key_",
    "rolling_density": "rolling_",
    "inter_onset_statistics": "inter_onset_",
    "tempo": "tempo_",
    "syncopation": "syncopation_",
    "microtiming": "microtiming_",
    "velocity_statistics": "velocity_",
    "velocity_change": "velocity_change_",
    "drum_class_shares": "drum_",
    "drum_density": "drum_",
    "kick_bass_lock": "kick_bass_",
    "quality_score": "quality_",
}
TAKEN = {row["name"]: row["columns"] for row in analysis.catalogue().rows(named=True) if row["columns"]}


@pytest.fixture(scope="module")
def band(table):
    flute = [("a", "Flute", 60 + k % 5, k / 2, k / 2 + 0.5, (1 + k % 3) / 4, 0) for k in range(24)]
    kit = [("a", "Drums", 36 + 2 * (k % 2), k / 2, k / 2 + 0.1, 0.5, 1) for k in range(24)]
    bass = [("a", "Slap Bass 1", 36, float(k), k + 0.75, 0.5, 2) for k in range(12)]
    ordered = sorted([*flute, *kit, *bass], key=lambda row: (row[3], row[6]))
    return table([*ordered, ("b", "Drums", 36, 0.0, 0.1, 0.5, 0)])


@pytest.fixture(scope="module")
def described(band):
    return describe(band)


@pytest.mark.parametrize("name", TAKEN)
def test_every_column_is_what_its_helper_gives(band, described, name):
    answer = getattr(analysis, name)(band)
    best = answer.filter(rank=1) if name == "tempo" else answer
    rows = {row["task"]: row for row in best.rows(named=True)}
    for column in TAKEN[name]:
        source = column if column in answer.columns else column.removeprefix(PREFIXES[name])
        assert described[column].dtype == answer[source].dtype
        assert described[column].to_list() == [rows.get(task, {}).get(source) for task in ("a", "b")]


def test_every_column_comes_from_a_helper(described):
    assert sorted(column for columns in TAKEN.values() for column in columns) == sorted(described.columns[1:])


def test_a_task_of_drums_alone_has_its_row_without_pitches(described):
    columns = ("task", "notes", "mean_pitch", "key", "tempo_bpm", "drum_kick", "quality_score", "silence_fraction")
    assert described.select(columns).row(1) == ("b", 1, None, None, None, 1.0, 1.0, 1.0)


def test_a_task_without_drums_has_no_shares_of_them(table):
    one = describe(table([("a", "Flute", 60, 0.0, 1.0, 0.5, 0)]))
    assert one.select("drum_notes", "drum_hits_per_second", "drum_kick", "kicks").row(0) == (0, None, None, None)


def test_golden_values_are_the_peers(golden, reference):
    (row,) = describe(golden).rows(named=True)
    for column, peer in {
        "pitches": "muspy.n_pitches_used",
        "pitch_classes": "muspy.n_pitch_classes_used",
        "pitch_range": "muspy.pitch_range",
        "pitch_entropy": "muspy.pitch_entropy",
        "pitch_class_entropy": "muspy.pitch_class_entropy",
        "mean_polyphony": "muspy.polyphony",
        "polyphony_rate": "muspy.polyphony_rate",
        "scale_consistency": "muspy.scale_consistency",
        "npvi": "amads npvi of distinct-onset IOIs",
        "inter_onset_mean_seconds": "np.mean IOI between distinct onset times s",
        "notes_per_second_of_onsets": "amads note_density seconds",
        "mean_duration": "np.mean duration all",
        "staccato_share": "np.staccato frac <0.1s",
        "duration": "pm.end_time",
    }.items():
        assert row[column] == pytest.approx(reference[peer], rel=1e-9), column
    assert (row["key"], round(row["tempo_bpm"])) == ("C major", 96)


def test_starts_that_descend_are_an_error(band):
    with pytest.raises(NotesOrderError, match="call sort_notes"):
        describe(band.reverse())


def test_only_the_columns_that_are_asked_for_come_in_that_order(band, described):
    columns = ["npvi", "notes", "tempo_bpm"]
    assert describe(band, columns=columns).equals(described.select("task", *columns))


def test_what_is_not_asked_for_is_not_computed(band):
    some, all_ = describe(band.lazy(), columns=["mean_pitch", "npvi"]).explain(), describe(band.lazy()).explain()
    assert 5 * some.count("LEFT JOIN") < all_.count("LEFT JOIN")


def test_a_column_that_is_not_there_is_refused_with_the_nearest(band):
    with pytest.raises(ValueError, match="columns: describe has no column 'tempo'; the nearest is 'tempo_bpm'"):
        describe(band, columns=["tempo"])
