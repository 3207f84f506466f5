"""Pictures as files: every kind that the command line offers, and those of the README."""

from typing import get_args

import pytest

from kie_notes import analysis, pictures, plots
from kie_notes.cli.showing import Picture
from kie_notes.errors import KieNotesError

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_command_line_offers_what_can_be_drawn():
    assert [kind.value for kind in Picture] == list(get_args(pictures.Kind))


@pytest.mark.parametrize("kind", get_args(pictures.Kind))
def test_every_kind_is_written(results, tmp_path, kind):
    notes = results["piano_roll"]()
    pictures.draw(notes.lazy(), notes["task"][0], tmp_path / "deep" / "out.png", kind=kind)
    assert (tmp_path / "deep" / "out.png").read_bytes()[:8] == PNG


def test_every_kind_is_a_plot_and_a_helper():
    names = {kind.replace("-", "_") for kind in get_args(pictures.Kind)} - {"piano_roll"}
    assert names <= set(plots.__all__) & set(analysis.__all__)


def test_a_task_without_notes_is_an_error_that_names_it(results, tmp_path):
    with pytest.raises(KieNotesError, match="task 'nobody': no notes of it are here"):
        pictures.draw(results["piano_roll"](), "nobody", tmp_path / "out.png")


def test_the_gallery_is_small(all_notes, tmp_path):
    files = pictures.gallery(all_notes, tmp_path)
    assert [file.name for file in files] == [
        "piano-roll.png",
        "hands.png",
        "activity.png",
        "keys.png",
        "transitions.png",
    ]
    assert all(1_000 < file.stat().st_size < 100_000 for file in files)
