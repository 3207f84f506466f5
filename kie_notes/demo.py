"""The whole way on real music, in one call: a service on loopback, fetched, stored, described, pictured, exported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kie_notes.errors import KieNotesError

if TYPE_CHECKING:
    import polars as pl

    from kie_notes.collect import CollectReport


class Demo(NamedTuple):
    """What the demo made."""

    report: CollectReport
    summary: pl.DataFrame
    picture: Path
    midi: Path
    page: Path


def samples() -> Path:
    """Give the folder of packed samples: in the package when it was installed, beside it in a checkout."""
    here = Path(__file__).parent
    for folder in (here / "samples", here.parent / "data" / "samples"):
        if (folder / "records").is_dir():
            return folder
    raise KieNotesError("the packed samples are missing from this installation")


def demo(folder: str | Path) -> Demo:
    """Fetch the packed samples over HTTP from a sandbox and do with them what the library is for.

    Parameters
    ----------
    folder
        A new folder, or one that an earlier demo made: it will hold ``store``, ``midi``, ``piano-roll.png``
        and ``page.html``.

    Returns
    -------
    ``Demo(report, summary, picture, midi, page)``.
    """
    from kie_notes.analysis.summary import task_summary
    from kie_notes.api.client import KieClient
    from kie_notes.api.sandbox import Sandbox
    from kie_notes.collect import collect
    from kie_notes.midi import write_midi
    from kie_notes.pictures import draw
    from kie_notes.report import write_report
    from kie_notes.store import Store

    folder = Path(folder)
    records = samples() / "records"
    tasks = sorted(path.stem for path in records.glob("*.json"))
    with (
        Store(folder / "store") as store,
        Sandbox(records) as service,
        KieClient(api_key=service.key, base_url=service.url) as client,
    ):
        report = collect(tasks, store, client, deadline=2.0, first_look=0.0, poll=(1.0, 1.0))
        notes = store.scan_notes().collect(engine="streaming")
        page = write_report(store, folder / "page.html", title="kie_notes: nine pieces")
    draw(notes, PICTURED, folder / "piano-roll.png")
    write_midi(notes, folder / "midi")
    return Demo(report, task_summary(notes), folder / "piano-roll.png", folder / "midi", page)


#: "read_m", jazz for piano, bass and drums (see ATTRIBUTION.md beside the samples).
PICTURED = "7ca1092342b6b9749ae58982793500d4"
