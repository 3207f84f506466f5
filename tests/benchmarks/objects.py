"""Questions answered by libraries that hold a note as an object: on a few tasks, whose objects are made beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from kie_notes.instruments import is_drums

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.benchmarks.measure import Ready, Way

#: Notes at the least, in whole tasks; these libraries take seconds for as many.
_FEW: Final = 5_000

#: Steps of a second: of the grid that the times lie on.
_GRID: Final = 192


def first_tasks(corpus: Path) -> list[pl.DataFrame]:
    """Give the first tasks: as many as make a few thousand notes."""
    notes = pl.read_parquet(min((corpus / "parts").iterdir()), n_rows=_FEW * 10)
    some: list[pl.DataFrame] = []
    for task in notes.partition_by("task", maintain_order=True):
        if sum(one.height for one in some) >= _FEW:
            break
        some.append(task)
    return some


def tracks(task: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Give the tracks of a task in their order, each with its instrument."""
    found = task.partition_by("track", "instrument", as_dict=True, maintain_order=True)
    return [(name, track) for (_, name), track in sorted(found.items(), key=lambda item: item[0][0])]


def _pretty_midi(task: pl.DataFrame) -> Any:
    import pretty_midi

    score = pretty_midi.PrettyMIDI()
    for name, track in tracks(task):
        part = pretty_midi.Instrument(0, is_drum=is_drums(name))
        for pitch, start, end, velocity in track.select("pitch", "start", "end", "velocity").iter_rows():
            part.notes.append(pretty_midi.Note(round(velocity * 127), pitch, start, end))
        score.instruments.append(part)
    return score


def _muspy(task: pl.DataFrame) -> Any:
    import muspy

    parts = []
    for name, track in tracks(task):
        steps = track.select(
            (pl.col("start") * _GRID).round().cast(pl.Int64), (pl.col("end") * _GRID).round().cast(pl.Int64), "pitch"
        )
        notes = [muspy.Note(start, pitch, end - start) for start, end, pitch in steps.iter_rows()]
        parts.append(muspy.Track(0, is_drum=is_drums(name), notes=notes))
    return muspy.Music(resolution=_GRID // 2, tracks=parts)


def _objects(make: Callable[[pl.DataFrame], Any], answer: Callable[[Any], Any]) -> Way:
    """Make a way that calls ``answer`` with a few tasks as objects; gives the answers."""

    def ready(corpus: Path) -> Ready:
        tasks = first_tasks(corpus)
        scores = [make(task) for task in tasks]
        return (lambda: [answer(score) for score in scores]), sum(task.height for task in tasks)

    return ready


def pretty_midi(answer: Callable[[Any], Any]) -> Way:
    """Make a way of pretty_midi."""
    return _objects(_pretty_midi, answer)


def muspy(name: str) -> Way:
    """Make a way of one of muspy's metrics."""

    def answer(music: Any) -> Any:
        import muspy

        return getattr(muspy, name)(music)

    return _objects(_muspy, answer)


def mir_eval_scores(corpus: Path) -> Ready:
    """Score notes against themselves 1/192 s later, task by task."""
    import mir_eval

    pairs, tasks = [], first_tasks(corpus)
    for task in tasks:
        times = task.select("start", pl.max_horizontal("end", pl.col("start") + 1e-3)).to_numpy()
        pairs.append((times, 440 * 2 ** ((task["pitch"].to_numpy().astype(float) - 69) / 12)))
    score = mir_eval.transcription.precision_recall_f1_overlap
    notes = sum(task.height for task in tasks)
    return (lambda: [score(t, hz, t + 1 / _GRID, hz, offset_ratio=None) for t, hz in pairs]), notes


#: Libraries by question, each with what of it answers.
OBJECTS: Final[dict[str, dict[str, Way]]] = {
    "pitch_classes_by_seconds": {
        "pretty_midi": pretty_midi(lambda one: one.get_pitch_class_histogram(use_duration=True)),
    },
    "pitch_range": {"muspy": muspy("pitch_range")},
    "polyphony": {
        "pretty_midi, a piano roll": pretty_midi(
            lambda one: (one.get_piano_roll(100) > 0).sum(axis=0).max(initial=0),
        ),
        "muspy": muspy("polyphony"),
    },
    "key": {"muspy, scale_consistency": muspy("scale_consistency")},
    "pitch_class_transitions": {
        "pretty_midi, notes that meet": pretty_midi(lambda one: one.get_pitch_class_transition_matrix()),
    },
    "tempo": {"pretty_midi": pretty_midi(lambda one: one.estimate_tempi())},
    "transcription_scores": {"mir_eval": mir_eval_scores},
}
