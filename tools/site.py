"""What mkdocs lacks: the site begins with README.md, and shows the repository's files that pages link to.

A hook of mkdocs (`hooks` in mkdocs.yml). Pages are written to be read in the repository, too, where a
link to ../scenarios/dnat-10.yaml leads to the file. In the site it leads to a page that shows it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_LINK: Final = re.compile(r"""(\]\(|\b(?:src|href)=")([^)#"\s]+)""")
_ELSEWHERE: Final = re.compile(r"[a-z]+:|/")
_BLOCK: Final = re.compile(r"^```[^\n]*\n(?:[^\n]*\n)*?```$|(?:^ {4}[^\n]*\n)+", re.MULTILINE)
_SHOWN: Final = "repository"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add README.md as the first page, and a page for each file or folder that some page links to."""
    root, docs = _places(config)
    files.append(File.generated(config, "index.md", content=(root / "README.md").read_text("utf-8")))
    pages = [root / "README.md", *docs.glob("*.md")]
    wanted = {target for page in pages for target in _targets(page.read_text("utf-8"), page.parent)}
    ahead = [target for target in wanted if _is_shown(target, root, docs)]
    for target in ahead:
        files.append(File.generated(config, _address(target, root), content=_shown(target, root)))
        if target.is_dir():
            ahead += [child for child in _children(target) if child not in ahead]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where things are in the site."""
    del files
    root, docs = _places(config)
    if page.file.src_uri.startswith(f"{_SHOWN}/"):
        return markdown
    folder = root if page.file.src_uri == "index.md" else docs

    def moved(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(folder / link[2]))
        if _ELSEWHERE.match(link[2]) or not target.exists():
            return link[0]  # what leads nowhere, mkdocs tells
        if _is_shown(target, root, docs):
            return link[1] + _address(target, root)
        return link[1] + target.relative_to(docs).as_posix()

    return _outside_code(markdown, lambda text: _LINK.sub(moved, text))


def _outside_code(markdown: str, change: Callable[[str], str]) -> str:
    parts, end = [], 0
    for block in _BLOCK.finditer(markdown):
        parts += [change(markdown[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, change(markdown[end:])])


def _places(config: MkDocsConfig) -> tuple[Path, Path]:
    docs = Path(config.docs_dir)
    return docs.parent, docs


def _targets(markdown: str, folder: Path) -> Iterator[Path]:
    for link in _LINK.finditer(_BLOCK.sub("", markdown)):
        target = Path(os.path.normpath(folder / link[2]))
        if not _ELSEWHERE.match(link[2]) and target.exists():
            yield target


def _is_shown(target: Path, root: Path, docs: Path) -> bool:
    """Say whether the site needs a page for it: mkdocs takes over the files of docs/ itself."""
    if target == root / "README.md":
        return False
    return target.is_dir() or not target.is_relative_to(docs)


def _address(target: Path, root: Path) -> str:
    return f"{_SHOWN}/{target.relative_to(root).as_posix()}.md"


def _children(folder: Path) -> list[Path]:
    return sorted(
        child for child in folder.iterdir() if child.is_file() and not child.name.startswith((".", "__"))
    )


def _shown(target: Path, root: Path) -> str:
    """Write the page that shows a file, or lists a folder."""
    title = f"# {target.relative_to(root).as_posix()}\n\n"
    if target.is_dir():
        return title + "".join(
            f"- [{child.name}]({target.name}/{child.name}.md)\n" for child in _children(target)
        )
    try:
        text = target.read_text("utf-8")
    except UnicodeDecodeError:
        return f"{title}Not a text.\n"
    return title + "".join(f"    {line}\n" for line in text.splitlines())
