"""Curves of a feedback benchmark as a picture. Layer: bench."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from relook.bench.arms import ArmReport
from relook.core.errors import MissingExtraError

__all__ = ["plot_found"]


def plot_found(reports: Mapping[str, ArmReport], file: Path) -> None:
    """Draws the share found over images seen, one curve a strategy, into a PNG or SVG file.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "missing_extra", "a plot needs the package 'matplotlib'", "pip install 'relook[plot]'"
        ) from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    first = next(iter(reports.values()))
    views = [n for n, _, _ in first.found_at]
    axes.plot(views, [none for _, none, _ in first.found_at], "k--", label="no feedback")
    for name, report in reports.items():
        axes.plot(views, [found for _, _, found in report.found_at], marker="o", label=name)
    axes.set(xlabel="images seen", ylabel="share found", xticks=views)
    axes.legend(fontsize="small")
    figure.savefig(file)
    plt.close(figure)
