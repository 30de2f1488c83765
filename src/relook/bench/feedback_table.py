"""The comparison of feedback strategies as a table for people. Layer: bench."""

from __future__ import annotations

from collections.abc import Mapping

from relook.bench.arms import ArmReport

__all__ = ["markdown"]

_HEAD = (
    "strategy",
    "found",
    "gain (95% interval)",
    "AP",
    "gain (95% interval)",
    "harmed",
    "helped",
    "nDCG@10 of the unseen",
)


def markdown(reports: Mapping[str, ArmReport]) -> str:
    """A Markdown table: the unchanged query first, then one row a strategy."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * len(_HEAD)]
    for number, report in enumerate(reports.values()):
        if number == 0:
            unchanged = ("no feedback", f"{report.found_none:.3f}", "", f"{report.ap_none:.3f}")
            cells = (*unchanged, "", "", "", f"{report.residual_ndcg_none:.3f}")
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("| " + " | ".join(_cells(report)) + " |")
    return "\n".join(lines) + "\n"


def _cells(report: ArmReport) -> tuple[str, ...]:
    found, ap = report.found_gain, report.ap_gain
    return (
        report.strategy,
        f"{report.found:.3f}",
        f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})",
        f"{report.ap:.3f}",
        f"{ap.mean:+.3f} ({ap.low:+.3f} to {ap.high:+.3f})",
        f"{100 * report.harmed:.1f}%",
        f"{100 * report.helped:.1f}%",
        f"{report.residual_ndcg:.3f}",
    )
