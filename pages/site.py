"""Hooks of the documentation site: pages that exist elsewhere in the repository.

The home page is README.md; the list of decisions is made from their titles; links that lead
out of docs/ (benchmarks, training, licence) become links to the repository's files as text.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?:benchmarks|training)[^)]*)\)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the home page and the list of decisions."""
    files.append(File.generated(config, "index.md", content=_home()))
    files.append(File.generated(config, "decisions/index.md", content=_decisions()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Names files outside docs/ instead of linking to what the site does not have."""
    return _OUTSIDE.sub(r"\1 (`\2` in the repository)", markdown)


def _home() -> str:
    """README.md with links as they are from inside docs/."""
    text = (ROOT / "README.md").read_text("utf-8")
    text = text.replace("](docs/README.md)", "](tutorial.md)").replace("](docs/", "](")
    text = re.sub(r"\[([^\]]+)\]\((LICENSE|NOTICE)\)", r"`\2`", text)
    return re.sub(r"\[([^\]]+)\]\(((?:benchmarks|training)/[^)]*)\)", r"\1", text)


def _decisions() -> str:
    lines = ["# Decisions", "", "Why things are as they are, one page each.", ""]
    for file in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")):
        title = file.read_text("utf-8").splitlines()[0].lstrip("# ")
        lines.append(f"- [{title}]({file.name})")
    return "\n".join(lines) + "\n"
