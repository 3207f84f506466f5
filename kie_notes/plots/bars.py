"""Bars and stairs over an axis of steps: the one shape of all histograms and of all curves over windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kie_notes.palette import COLOURS

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes


def draw_bins(ax: Axes, frame: pl.DataFrame, by: list[str], position: str, value: str) -> None:
    """Draw bars around whole numbers, or an outline for each of several groups."""
    if not by or frame.select(by).n_unique() < 2:
        ax.bar(frame[position].to_numpy(), frame[value].to_numpy(), width=0.9, color=COLOURS[0])
    else:
        draw_outlines(ax, frame, by, position, value, first=-0.5)


def draw_outlines(
    ax: Axes,
    frame: pl.DataFrame,
    by: list[str],
    position: str,
    value: str,
    *,
    width: float = 1.0,
    first: float = 0.0,
    absent: float = 0.0,
) -> None:
    """Draw a stair over each group's values, whose whole-numbered positions are ``width`` wide.

    Step ``k`` reaches from ``(k + first) * width`` to the next; one that a group lacks has the value ``absent``.
    """
    groups = frame.partition_by(by, maintain_order=True) if by else [frame]
    steps = []
    for group in groups:
        at = group[position].to_numpy().astype(np.int64)
        heights = np.full(at.max() - at.min() + 1, absent)
        heights[at - at.min()] = group[value].to_numpy()
        steps.append((heights, (np.arange(at.min(), at.max() + 2) + first) * width))
    draw_stairs(ax, groups, by, steps)


def draw_stairs(
    ax: Axes, groups: list[pl.DataFrame], by: list[str], steps: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    """Draw the heights and edges of each group: one filled, several as outlines with a legend of what differs."""
    from matplotlib.colors import to_rgba
    from matplotlib.patches import StepPatch

    from kie_notes.plots.look import colours, legend, plain

    told = [name for name in by if len({group[name][0] for group in groups}) > 1]  # one task need not be said of each
    drawn = []
    for group, colour, (heights, edges) in zip(groups, colours(ax, len(groups)), steps, strict=True):
        face, line = (colour, 0.0) if len(groups) == 1 else (to_rgba(colour, 0.15), 0.9)
        stairs = StepPatch(heights, edges, fill=True, facecolor=face, edgecolor=colour, linewidth=line)
        stairs.set_label(plain(", ".join(map(str, group.select(told).row(0))) if told else ""))
        stairs.sticky_edges.y.append(0.0)
        ax.add_artist(stairs)  # add_patch, and so ax.stairs, looks for its limits step by step: 1.5 s for 20,000
        ax.update_datalim([(edges[0], 0.0), (edges[-1], np.nanmax(heights, initial=0.0))])
        drawn.append(stairs)
    ax.autoscale_view()
    if len(drawn) > 1:
        legend(ax, drawn)
