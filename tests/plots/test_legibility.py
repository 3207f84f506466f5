"""Whether pictures of real music can be read: in a column of print, over a page, on white and on black."""

import itertools

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

from kie_notes import plots


def texts(figure):
    """Give the texts of a picture, laid out, that one can see."""
    drawn = []
    for ax in figure.axes:
        ticks = {*ax.get_xticklabels(which="both"), *ax.get_yticklabels(which="both")}
        seen = [label for axis in (ax.xaxis, ax.yaxis) for label in (axis.label, *ticks_in_sight(axis))]
        drawn += seen + [each for each in ax.findobj(Text) if each not in ticks and each not in seen]
    return [each for each in drawn if each.get_text() and each.get_visible()]


def ticks_in_sight(axis):
    low, high = sorted(axis.get_view_interval())
    for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
        if low <= tick.get_loc() <= high:
            yield tick.label1
            yield tick.label2


def contrast(colour, behind):
    """Give the contrast of WCAG 2, 1 to 21."""

    def luminance(rgb):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(to_rgb(colour)), luminance(to_rgb(behind))), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("width", ["in_print", "on_a_page"])
def test_everything_lies_inside_the_figure_and_the_notes_have_most_of_it(request, name, width):
    figure = request.getfixturevalue(width)
    inside, ax = figure.bbox.padded(2), figure.axes[0]
    for text in texts(figure):
        box = text.get_window_extent()
        assert inside.x0 <= box.x0, text
        assert box.x1 <= inside.x1, text
        assert inside.y0 <= box.y0, text
        assert box.y1 <= inside.y1, text
    assert ax.get_window_extent().width > 0.35 * figure.bbox.width
    assert ax.get_window_extent().height > 0.25 * figure.bbox.height


@pytest.mark.parametrize("width", ["in_print", "on_a_page"])
def test_the_legend_covers_neither_data_nor_labels(request, name, width):
    ax = request.getfixturevalue(width).axes[0]
    if ax.get_legend():
        legend = ax.get_legend().get_window_extent()
        assert not legend.overlaps(ax.get_window_extent())
        assert not legend.overlaps(ax.xaxis.label.get_window_extent())


def test_labels_of_an_axis_do_not_overlap_in_print(in_print):
    ax = in_print.axes[0]
    for axis, low, high in ((ax.xaxis, "x0", "x1"), (ax.yaxis, "y0", "y1")):
        boxes = [each.get_window_extent() for each in ticks_in_sight(axis) if each.get_visible() and each.get_text()]
        spans = sorted((getattr(box, low), getattr(box, high)) for box in boxes)
        assert all(after >= before - 1.5 for (_, before), (after, _) in itertools.pairwise(spans))


def assert_all_stands_out(figure, ax):
    """Hold the colours of texts, lines, boxes and bars against what is behind them."""
    behind = ax.get_facecolor()
    assert all(contrast(text.get_color(), behind) > 4.5 for text in texts(figure))
    assert all(contrast(line.get_color(), behind) > 1.8 for line in ax.lines)
    shown = [colour for each in ax.collections for colour in (*each.get_facecolor(), *each.get_edgecolor())]
    assert all(contrast(colour[:3], behind) > 1.8 for colour in shown if colour[3] > 0)
    for patch in ax.patches:
        colours = (to_rgba(patch.get_facecolor())[:3], to_rgba(patch.get_edgecolor())[:3])
        assert max(contrast(colour, behind) for colour in colours) > 1.8


def test_text_and_what_is_drawn_stand_out_from_a_white_page(in_print):
    assert_all_stands_out(in_print, in_print.axes[0])


def test_text_and_what_is_drawn_stand_out_from_a_dark_page(name, drawable):
    with plt.style.context("dark_background"):
        figure = Figure(figsize=(7, 3))
        ax = getattr(plots, name)(drawable, figure.subplots())
        figure.draw_without_rendering()
        assert_all_stands_out(figure, ax)
