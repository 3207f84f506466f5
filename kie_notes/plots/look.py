"""How pictures look: colours, legends, tick labels. The other modules load this, and matplotlib, when they draw.

Colours are those of ``kie_notes.palette``. Amounts are shown in cividis (Nunez, Anderton and Renslow 2018,
doi:10.1371/journal.pone.0199239) as far as it stands out from the background. Text and lines take the colour of the
axes' own labels.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib import rcParams
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, to_hex, to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter
from matplotlib.transforms import ScaledTranslation

from kie_notes.instruments import drum_name
from kie_notes.palette import COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.container import Container

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_NATURALS = (0, 2, 4, 5, 7, 9, 11)

#: Width of a letter and height of a line, and what a legend's column has beside its letters, in font sizes.
_LETTER, _LINE, _BESIDE = 0.54, 1.4, 3.0

#: Axes wider than this many inches have their legend beside them, others below.
_WIDE = 4.0


def ink(ax: Axes) -> tuple[float, float, float]:
    """Give the colour of the axes' own text, which stands out from what is behind it."""
    return to_rgb(ax.xaxis.label.get_color())


def colours(ax: Axes, number: int, base: Sequence[str] = COLOURS) -> list[str]:
    """Give as many colours: those of ``base``, then the same mixed with more and more of the text's colour."""
    mixed = []
    for step in range(number):
        part = (step // len(base)) % 3 * 0.35
        red, green, blue = (
            (1 - part) * of + part * to for of, to in zip(to_rgb(base[step % len(base)]), ink(ax), strict=True)
        )
        mixed.append(to_hex((red, green, blue)))
    return mixed


def ramp(ax: Axes) -> Colormap:
    """Give colours for amounts: the more, the further from the background; none is as pale (or dark) as that."""
    on_dark = sum(ink(ax)) > 1.5
    places = np.linspace(0.25, 1.0, 256) if on_dark else np.linspace(0.7, 0.0, 256)
    return ListedColormap(mpl.colormaps["cividis"](places))


def two_sided() -> Colormap:
    """Give colours for amounts below and above 0, which is grey and so stands out from any background."""
    return LinearSegmentedColormap.from_list("two_sided", [COLOURS[1], "#a0a0a0", COLOURS[0]])


def colour_bar(ax: Axes, drawn: ScalarMappable, label: str) -> None:
    """Say beside the axes what the colours of ``drawn`` mean."""
    bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02, aspect=25)
    bar.set_label(label, color=ink(ax), size="medium" if _wide(ax) else "small")
    bar.ax.tick_params(labelsize="small")
    bar.outline.set_visible(False)


def plain(text: str, most: int = 40) -> str:
    """Give a text from outside as a label: no formula, nothing that matplotlib hides, not longer than 40 letters."""
    text = (text if len(text) <= most else text[: most - 1] + "…").replace("$", r"\$")
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
    """Of some places, those whose labels have room, the first ones before the others; ``sizes`` are in points."""

    def __init__(self, places: Sequence[float], sizes: Sequence[float]) -> None:
        super().__init__(places)
        self._places, self._sizes = places, sizes

    def __call__(self) -> list[float]:
        axis: XAxis | YAxis = self.axis  # type: ignore[assignment]  # who asks has set it
        low, high = sorted(axis.get_view_interval())
        box = axis.axes.get_window_extent()
        length = box.width if axis.axis_name == "x" else box.height
        unit = 0.55 * (high - low) / max(_points_of(length, axis.axes), 1.0)
        chosen: list[tuple[float, float]] = []
        for place, size in zip(self._places, self._sizes, strict=True):
            half = size * unit
            if low <= place <= high and all(abs(place - other) >= half + its for other, its in chosen):
                chosen.append((place, half))
        return sorted(place for place, _ in chosen)


def name_places(
    axis: XAxis | YAxis, ticks: Sequence[tuple[float, str]], size: float | str | None = None, *, minor: bool = False
) -> None:
    """Name places on an axis as far as there is room, the first before the others."""
    names = {round(place, 6): name for place, name in ticks}
    usual = rcParams["xtick.labelsize"] if axis.axis_name == "x" else rcParams["ytick.labelsize"]
    points = _points(usual if size is None else size)
    along = [points * _LETTER * len(name) + points if axis.axis_name == "x" else points for _, name in ticks]
    locator = _Roomy([place for place, _ in ticks], along)
    formatter = FuncFormatter(lambda place, _: names.get(round(place, 6), ""))
    if minor:
        axis.set_minor_locator(locator)
        axis.set_minor_formatter(formatter)
    else:
        axis.set_major_locator(locator)
        axis.set_major_formatter(formatter)


def name_pitches(ax: Axes, pitches: list[tuple[float, str]], keys: list[tuple[float, str]]) -> None:
    """Name pitches at the major ticks of the y axis, and drum keys at the minor ones in smaller print."""
    name_places(ax.yaxis, pitches)
    name_places(ax.yaxis, keys, "x-small", minor=True)
    ax.tick_params(axis="y", which="minor", labelsize="x-small", length=2)
    ax.grid(visible=True, axis="y", which="major", alpha=0.4, linewidth=0.5)
    ax.set_axisbelow(True)


def name_times(ax: Axes, ticks: Sequence[tuple[float, str]]) -> None:
    """Name times above the axes, the first before the others where there is no room for all."""
    name_places(ax.xaxis, ticks, "x-small", minor=True)
    ax.tick_params(
        axis="x", which="minor", length=0, labelsize="x-small", labeltop=True, labelbottom=False, labelcolor=ink(ax)
    )


def name_rows(ax: Axes, names: Sequence[str]) -> None:
    """Name the rows of a table, the first on top, in names that leave most of the width to the picture."""
    box, figure = ax.get_window_extent(), ax.figure.get_window_extent()
    row = _points_of(box.height, ax) / (1.3 * len(names))
    sizes = [word for word in ("small", "x-small", "xx-small") if _points(word) <= row or word == "xx-small"]
    size = sizes[0] if _wide(ax) else sizes[-1] if sizes[0] == "xx-small" else "x-small"
    most = max(8, int(_points_of(0.3 * figure.width, ax) / (_LETTER * _points(size))))
    short = ["\n".join(plain(line, most) for line in name.split("\n")) for name in names]
    name_places(ax.yaxis, [(float(row), name) for row, name in enumerate(short)], size)
    ax.tick_params(axis="y", labelsize=size, length=2)
    ax.set_ylim(len(names) - 0.5, -0.5)


def name_columns(ax: Axes, names: Sequence[str]) -> None:
    """Name the columns of a matrix."""
    ax.set_xticks(range(len(names)), [plain(name) for name in names], fontsize="small" if _wide(ax) else "x-small")
    ax.tick_params(axis="x", length=2)
    ax.set_xlim(-0.5, len(names) - 0.5)


class _Fit(NamedTuple):
    """A way to set a legend: font size, columns, and how many names it has room for."""

    size: float
    columns: int
    names: int


def legend(ax: Axes, drawn: Sequence[Artist | Container]) -> None:
    """Put a legend beside wide axes and below narrow ones, in smaller print where it would take too much room."""
    box, figure = ax.get_window_extent(), ax.figure.get_window_extent()
    letters = max(len(str(each.get_label())) for each in drawn)
    place: dict[str, Any]
    if _wide(ax):
        fit = _fit(len(drawn), letters, _points_of(0.4 * figure.width, ax), _points_of(box.height, ax), dense=False)
        place = {"loc": "upper left", "bbox_to_anchor": (1.02, 1.0), "bbox_transform": ax.transAxes}
    else:
        width = min(box.x1, 1.4 * box.width)
        fit = _fit(len(drawn), letters, _points_of(width, ax), _points_of(0.35 * figure.height, ax), dense=True)
        lines = 1 + ax.get_xlabel().count("\n")
        labels = 1.15 * (_points(rcParams["xtick.labelsize"]) + lines * _points(rcParams["axes.labelsize"]))
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
        labelcolor=[ink(ax)] * len(shown),
        frameon=False,
        borderaxespad=0.0,
        borderpad=0.0,
        handlelength=1.2,
        handletextpad=0.6,
        columnspacing=1.2,
        labelspacing=0.25,
        **place,
    )


def _wide(ax: Axes) -> bool:
    return ax.get_window_extent().width / ax.figure.dpi > _WIDE


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
