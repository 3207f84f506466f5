"""How pictures look: colours, legends and tick labels. ``kie_notes.plots`` loads this, and matplotlib, when it draws.

Colours are those of Petroff, "Accessible Color Sequences for Data Visualization" (2021, arXiv:2107.02270), which
can be told apart with the common kinds of colour blindness too, less its grey: drums have one, between white and black.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib import rcParams
from matplotlib.colors import to_hex, to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter
from matplotlib.transforms import ScaledTranslation

from kie_notes.instruments import drum_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

COLOURS = ("#1845fb", "#ff5e02", "#c91f16", "#c849a9", "#adad7d", "#86c8dd", "#578dff")
GREY = "#808080"

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_NATURALS = (0, 2, 4, 5, 7, 9, 11)

#: Width of a letter and height of a line, and what a legend's column has beside its letters, in font sizes.
_LETTER, _LINE, _BESIDE = 0.54, 1.4, 3.0

#: Axes wider than this many inches have their legend beside them, others below.
_WIDE = 4.0


def colours(number: int, base: Sequence[str] = COLOURS) -> list[str]:
    """Give as many colours: those of ``base``, then the same mixed with more and more of the text's colour."""
    text = to_rgb(rcParams["text.color"])
    mixed = []
    for step in range(number):
        part = (step // len(base)) % 3 * 0.35
        red, green, blue = (
            (1 - part) * of + part * to for of, to in zip(to_rgb(base[step % len(base)]), text, strict=True)
        )
        mixed.append(to_hex((red, green, blue)))
    return mixed


def plain(text: str) -> str:
    """Give a text from outside as a label: no formula, nothing that matplotlib hides, not longer than 40 letters."""
    text = (text if len(text) <= 40 else text[:39] + "…").replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def pitch_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Give places and names of the octaves, or of all naturals where that would leave fewer than two."""
    pitches = [pitch for pitch in range(128) if low <= pitch <= high]
    octaves = [pitch for pitch in pitches if pitch % 12 == 0]
    chosen = octaves if len(octaves) > 1 else [pitch for pitch in pitches if pitch % 12 in _NATURALS]
    return [(float(pitch), f"{PITCH_CLASSES[pitch % 12]}{pitch // 12 - 1}") for pitch in chosen]


def key_ticks(places: dict[int, float]) -> list[tuple[float, str]]:
    """Give places and names of drum keys."""
    return [(place, drum_name(key) or f"key {key}") for key, place in places.items()]


class _Roomy(FixedLocator):
    """Of some places, those whose labels have room, the first ones before the others."""

    def __init__(self, places: Sequence[float], size: float) -> None:
        super().__init__(places)
        self._places, self._size = places, size

    def __call__(self) -> list[float]:
        axes = self.axis.axes  # type: ignore[union-attr]  # who asks has set it
        low, high = sorted(axes.get_ylim())
        gap = 1.1 * self._size * (high - low) / max(_points_of(axes.get_window_extent().height, axes), 1.0)
        chosen: list[float] = []
        for place in self._places:
            if low <= place <= high and all(abs(place - other) >= gap for other in chosen):
                chosen.append(place)
        return sorted(chosen)


def name_rows(ax: Axes, pitches: list[tuple[float, str]], keys: list[tuple[float, str]]) -> None:
    """Name pitches at the major ticks of the y axis, and drum keys at the minor ones in smaller print."""
    names = {round(place, 6): name for place, name in [*pitches, *keys]}
    called = FuncFormatter(lambda place, _: names.get(round(place, 6), ""))
    ax.yaxis.set_major_locator(_Roomy([place for place, _ in pitches], _points(rcParams["ytick.labelsize"])))
    ax.yaxis.set_minor_locator(_Roomy([place for place, _ in keys], _points("x-small")))
    ax.yaxis.set_major_formatter(called)
    ax.yaxis.set_minor_formatter(called)
    ax.tick_params(axis="y", which="minor", labelsize="x-small", length=2)
    ax.grid(visible=True, axis="y", which="major", alpha=0.4, linewidth=0.5)
    ax.set_axisbelow(True)


class _Fit(NamedTuple):
    """A way to set a legend: font size, columns, and how many names it has room for."""

    size: float
    columns: int
    names: int


def legend(ax: Axes, drawn: Sequence[Artist]) -> None:
    """Put a legend beside wide axes and below narrow ones, in smaller print where it would take too much room."""
    box, figure = ax.get_window_extent(), ax.figure.get_window_extent()
    letters = max(len(str(each.get_label())) for each in drawn)
    place: dict[str, Any]
    beside = box.width / ax.figure.dpi > _WIDE
    if beside:
        fit = _fit(len(drawn), letters, _points_of(0.4 * figure.width, ax), _points_of(box.height, ax), dense=False)
        place = {"loc": "upper left", "bbox_to_anchor": (1.02, 1.0), "bbox_transform": ax.transAxes}
    else:
        width = min(box.x1, 1.4 * box.width)
        fit = _fit(len(drawn), letters, _points_of(width, ax), _points_of(0.35 * figure.height, ax), dense=True)
        labels = 1.15 * (_points(rcParams["xtick.labelsize"]) + _points(rcParams["axes.labelsize"]))
        drop = labels + rcParams["xtick.major.size"] + rcParams["xtick.major.pad"] + rcParams["axes.labelpad"] + 2.0
        below = ScaledTranslation(0.0, -drop / 72, ax.figure.dpi_scale_trans)
        place = {"loc": "upper right", "bbox_to_anchor": (1.0, 0.0), "bbox_transform": ax.transAxes + below}
    shown = list(drawn)
    if len(shown) > fit.names:
        more = len(shown) - fit.names + 1
        shown = [*shown[: fit.names - 1], Patch(alpha=0.0, label=f"and {more} more")]
    ax.legend(
        handles=shown,
        ncols=fit.columns,
        fontsize=fit.size,
        frameon=False,
        borderaxespad=0.0,
        borderpad=0.0,
        handlelength=1.2,
        handletextpad=0.6,
        columnspacing=1.2,
        labelspacing=0.25,
        **place,
    )


def _fit(names: int, letters: int, width: float, height: float, *, dense: bool) -> _Fit:
    """Set names into a room (in points) as large as possible, in as many columns as go (dense) or as few."""
    for word in ("small", "x-small", "xx-small"):
        size = _points(word)
        most = max(1, int(width / (letters * _LETTER * size + _BESIDE * size)))
        rows = max(1, int(height / (_LINE * size)))
        if names <= most * rows:
            break
    columns = min(names, most if dense else min(most, ceil(names / rows)))
    return _Fit(size, columns, most * rows)


def _points(size: float | str) -> float:
    return float(FontProperties(size=size).get_size_in_points())


def _points_of(pixels: float, ax: Axes) -> float:
    return pixels / ax.figure.dpi * 72
