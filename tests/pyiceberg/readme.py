"""What the README shows, for tests that hold it to that."""

from __future__ import annotations

import re

from harness import REPOSITORY


def block_after(marker: str, language: str) -> str:
    """The fenced block which follows the HTML comment `<!-- marker -->` in the README."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    fence = re.compile(
        rf"^<!-- {re.escape(marker)} -->[ \t]*\n\s*^(?P<fence>`{{3,}}|~{{3,}}){language}[ \t]*\n(?P<code>.*?)^(?P=fence)[ \t]*$",
        re.MULTILINE | re.DOTALL,
    )
    found = fence.findall(readme)
    assert len(found) == 1, f"README.md has {len(found)} fenced blocks after <!-- {marker} -->, not one"
    return str(found[0][1])
