"""The card: what is made anew, and what is its owner's."""

import json

import polars as pl
import pytest

from kie_notes.dataset import Recipe, check_dataset, export_dataset

ONE = Recipe(shares={"train": 1.0})


@pytest.fixture
def made(tmp_path, tune):
    """Export one task; gives how to do it again, and the card."""

    def export(*pitches, **options):
        export_dataset(tune("a", *pitches), tmp_path / "set", recipe=options.pop("recipe", ONE), **options)
        return tmp_path / "set/README.md"

    return export


def states(folder):
    return dict(check_dataset(folder).checks.select("check", "state").iter_rows())


def test_hugging_face_reads_the_card(made):
    hub = pytest.importorskip("huggingface_hub")
    card = hub.DatasetCard.load(made(60, 62, licence="cc-by-4.0", pretty_name='Tänze: "alt" & neu #1'))
    assert card.data.pretty_name == 'Tänze: "alt" & neu #1'
    assert card.data.license == "cc-by-4.0"
    assert card.data.size_categories == ["n<1K"]
    assert [config["config_name"] for config in card.data.configs] == ["notes", "tasks"]
    assert card.data.configs[0]["data_files"] == [{"split": "train", "path": "notes/train-*.parquet"}]


def test_a_blank_licence_is_blank_for_hugging_face_and_not_ready(made):
    hub = pytest.importorskip("huggingface_hub")
    card = made(60)
    assert hub.DatasetCard.load(card).data.license is None
    report = check_dataset(card.parent)
    assert not report.ready
    assert report.checks.row(1) == (
        "licence",
        "missing",
        "fill in 'license:' at the top of README.md, or export with a licence",
    )
    assert "license" not in json.loads((card.parent / "croissant.json").read_text())


def test_what_the_owner_wrote_stays_and_what_is_ours_is_made_anew(made):
    card = made(60)
    text = card.read_text()
    text = text.replace("license:", "license: cc-by-4.0  # ours").replace("- midi", "- midi\n- flute\nlanguage:\n- de")
    text = text.replace("*To be written: what music", "Flutes of the town. *What music") + "\nAsk us.\n"
    card.write_text(text)
    again = made(60, 62, 64).read_text()
    changed = [(one, two) for one, two in zip(text.splitlines(), again.splitlines(), strict=True) if one != two]
    assert [one.split("|")[1:5] for one, _ in changed] == [[" train ", " 1 ", " 1 ", " 1 "]]
    assert changed[0][1].split("|")[4] == " 3 "


def test_a_licence_that_was_filled_in_by_hand_is_taken_into_croissant_by_the_next_export(made):
    card = made(60)
    card.write_text(card.read_text().replace("license:", "license: 'cc-by-4.0'"))
    assert states(card.parent)["licence"] == "missing"
    assert check_dataset(card.parent).checks["detail"][1].startswith("croissant.json does not name 'cc-by-4.0' yet")
    made(60)
    assert states(card.parent)["licence"] == "ok"
    assert json.loads((card.parent / "croissant.json").read_text())["license"] == "cc-by-4.0"


def test_what_is_given_takes_the_place_of_what_was_written(made):
    made(60, licence="mit", pretty_name="One")
    text = made(60, licence="cc0-1.0", pretty_name="Two").read_text()
    assert "license: cc0-1.0\n" in text
    assert 'pretty_name: "Two"\n' in text
    assert "mit" not in text.split("---")[1]


def test_a_licence_of_ones_own_wants_its_name_and_link(made):
    card = made(60, licence="other")
    assert states(card.parent)["licence"] == "missing"
    card.write_text(
        card.read_text().replace("license: other", "license: other\nlicense_name: mine\nlicense_link: LICENSE")
    )
    assert states(card.parent)["licence"] == "ok"


def test_where_the_marks_are_gone_the_text_is_put_at_the_end(made):
    card = made(60)
    card.write_text("---\nlicense: mit\n---\n\nAll mine.\n")
    for _ in range(2):
        text = made(60).read_text()
        assert text.startswith("---\nlicense: mit\nsize_categories:\n- n<1K\nconfigs:\n")
        assert text.count("All mine.") == text.count("## Splits") == 1
        assert text.index("All mine.") < text.index("## Splits")


def test_a_card_without_yaml_gets_one(made):
    card = made(60)
    card.write_text("All mine.\n")
    text = made(60, licence="mit").read_text()
    assert text.startswith("---\nlicense: mit\n")
    assert "All mine." in text


def test_a_card_with_windows_line_ends_keeps_its_words(made):
    card = made(60)
    card.write_bytes(card.read_bytes().replace(b"license:", b"license: mit").replace(b"\n", b"\r\n"))
    assert "license: mit\n" in made(60).read_text()
    assert states(card.parent)["licence"] == "ok"


def test_exporting_twice_changes_no_byte_of_the_card(made):
    first = made(60, licence="mit").read_bytes()
    assert made(60).read_bytes() == first


def test_the_card_says_what_was_filtered_how_splits_were_made_and_what_is_lost(tmp_path, tune):
    notes = pl.concat(
        [tune("a", *range(60, 72)), tune("b", 60), tune("c", 60).with_columns(velocity=pl.lit(96, pl.Float32))]
    )
    recipe = Recipe(min_notes=5, min_quality=0.25, faults=("duplicate",), shares={"train": 1.0}, seed=7, window=2.5)
    export_dataset(notes, tmp_path / "set", recipe=recipe)
    text = (tmp_path / "set/README.md").read_text()
    for told in [
        "Tasks in it have 5 or more notes, a quality of 0.25 or more",
        "faults: duplicate)",
        "salted with the seed 7",
        "| notes that could not be taken | 1 | rejects.parquet |",
        "| tasks that were excluded | 2 | excluded.parquet |",
        "| notes of excluded tasks | 1 | excluded.parquet |",
        "Windows are 2.5 s long",
        "| window | uint32 | number k of the window",
    ]:
        assert told in text


def test_words_that_go_out_with_the_tasks_are_named(tmp_path, store, generation, song, put, tune):
    generation(store, "g")
    song(store, 0, "a", music="g")
    put(store, tune("a", 60))
    report = export_dataset(store, tmp_path / "set", recipe=ONE)
    assert report.checks.filter(check="words")["detail"].to_list() == [
        "see that title, tags, prompt of the tasks may be published"
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"licence": "CC BY"}, "licence: expected an identifier, as 'cc-by-4.0', got 'CC BY'"),
        ({"licence": ""}, "licence: expected an identifier"),
        ({"pretty_name": "a\nb"}, "pretty_name: expected one line of text, got"),
        ({"pretty_name": " "}, "pretty_name: expected one line of text, got ' '"),
    ],
)
def test_words_that_a_card_cannot_bear_are_refused(made, options, message):
    with pytest.raises(ValueError, match=message):
        made(60, **options)
