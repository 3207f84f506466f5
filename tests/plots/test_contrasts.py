"""Pictures of differences: dots with intervals, scores, fates."""

import polars as pl
import pytest

from kie_notes import plots


def rows(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


FEATURES = pl.DataFrame(
    {
        "feature": ["npvi", "pitches", "key_score"],
        "cliffs_delta": [0.5, -0.25, None],
        "cliffs_delta_low": [0.25, -1.0, None],
        "cliffs_delta_high": [0.75, 0.5, None],
        "q_value": [0.01, 0.6, None],
    }
)


def test_an_effect_is_a_dot_with_its_interval_in_the_row_of_its_feature(ax):
    plots.compare(FEATURES, ax)
    assert rows(ax) == ["npvi", "pitches", "key_score"]
    spans = [(line[0, 0], line[1, 0], line[0, 1]) for line in ax.collections[0].get_segments()[:2]]
    assert spans == [(0.25, 0.75, 0), (-1.0, 0.5, 1)]
    assert [(line.get_label(), line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines[:2]] == [
        ("q < 0.05", 0.5, 0),
        ("q ≥ 0.05", -0.25, 1),
    ]


def test_found_differences_are_full_and_others_hollow(ax):
    plots.compare(FEATURES, ax)
    full, hollow = ax.lines[:2]
    assert full.get_markerfacecolor() == full.get_color()
    assert hollow.get_markerfacecolor() == ax.get_facecolor()
    assert legend_texts(ax) == ["q < 0.05", "q ≥ 0.05"]


def test_the_axis_shows_all_effects_that_there_can_be_and_says_whose_is_higher(ax):
    plots.compare(FEATURES, ax)
    assert ax.get_xlim() == (-1.05, 1.05)
    assert ax.get_xlabel() == "Cliff's delta, 95 % interval\n(above 0: the second set is higher)"


def test_distances_bear_their_units(ax):
    table = pl.DataFrame(
        {
            "measure": ["jensen_shannon_distance", "circular_wasserstein"],
            "unit": ["bits ** 0.5", "semitones"],
            "value": [0.5, 1.0],
            "low": [0.25, 0.5],
            "high": [0.75, 3.0],
            "p_value": [0.01, 0.5],
        }
    )
    plots.compare_histograms(table, ax)
    assert rows(ax) == ["jensen shannon\n(bits ** 0.5)", "circular wasserstein\n(semitones)"]
    assert [line[:, 0].tolist() for line in ax.collections[0].get_segments()] == [[0.25, 0.75], [0.5, 3.0]]
    assert ax.get_xlim()[0] == 0


def test_scores_are_dots_from_0_to_1(ax):
    table = pl.DataFrame({"task": ["a", "b"], "precision": [1.0, None], "recall": [0.5, 0.25], "f1": [0.75, 0.0]})
    plots.transcription_scores(table, ax)
    assert [line.get_xdata().tolist()[0] for line in ax.lines] == [1.0, 0.5, 0.75]
    assert legend_texts(ax) == ["precision", "recall", "f1"]
    assert (rows(ax), ax.get_xlabel()) == (["a", "b"], "score (0-1)")


def test_fates_stand_end_to_end(ax):
    fates = {"matched": 6, "wrong_instrument": 1, "octave": 0, "merged": 2, "missed": 0, "split": 0, "extra": 3}
    plots.transcription_errors(pl.DataFrame({"task": ["a"]} | fates), ax)
    assert [(bar.get_x(), bar.get_width()) for bar in ax.patches] == [(0, 6), (6, 1), (7, 2), (9, 3)]
    assert legend_texts(ax) == ["matched", "wrong instrument", "merged", "extra"]


def test_over_two_hundred_features_are_refused(ax):
    many = pl.concat([FEATURES.head(1)] * 201)
    with pytest.raises(ValueError, match="201 rows, more than the 200"):
        plots.compare(many, ax)
