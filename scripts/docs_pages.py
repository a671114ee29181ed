"""Gathers the pages of the site in one folder: the README as its first page, docs/, and the public API.

    docs_pages.py FOLDER

Links between pages are made to fit the new places. Other files that pages link to lie in `files/` of the site.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import distrib

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "cluster_configs/README.md": "cluster_configs.md"}
PAGES |= {name: name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")}
PAGES |= {
    str(path.relative_to(ROOT)): str(path.relative_to(ROOT / "docs")) for path in ROOT.glob("docs/**/*.md")
}


def moved(text: str, source: str, files: set[str]) -> str:
    """The text of a page, with links from its new place; adds the files that it links to."""

    def link(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        if not target or ":" in target:
            return match[0]
        path = (ROOT / source).parent.joinpath(target).resolve().relative_to(ROOT).as_posix()
        if path in PAGES:
            depth = PAGES[source].count("/")
            return f"]({'../' * depth}{PAGES[path]}{anchor})"
        if path.startswith("docs/images/"):
            return f"]({'../' * PAGES[source].count('/')}{path.removeprefix('docs/')})"
        if not (ROOT / path).is_file():
            return match[0]  # the check of links finds it
        files.add(path)
        return f"]({'../' * PAGES[source].count('/')}files/{path}.txt{anchor})"

    return re.sub(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", link, text)


def reference() -> str:
    """A page with everything public."""
    lines = ["# API", "", "Everything that `import distrib` offers.", ""]
    for name in distrib.__all__:
        value = getattr(distrib, name)
        if isinstance(value, type) or callable(value):
            lines += [f"## distrib.{name}", "", f"::: {value.__module__}.{value.__name__}", ""]
        elif hasattr(value, "__all__"):
            lines += [f"## distrib.{name}", "", *members(name, value)]
    return "\n".join(lines)


def members(name: str, module: ModuleType) -> Iterator[str]:
    """The lines for what a name space offers, those within it included."""
    for each in module.__all__:
        member = getattr(module, each)
        if isinstance(member, ModuleType):
            yield from members(f"{name}.{each}", member)
        else:
            yield from (f"### {name}.{each}", "", f"::: {member.__module__}.{member.__name__}", "")


def main(folder: Path) -> None:
    """Write all pages."""
    shutil.rmtree(folder, ignore_errors=True)
    files: set[str] = set()
    for source, page in PAGES.items():
        target = folder / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(moved((ROOT / source).read_text(), source, files))
    for path in files:
        target = folder / "files" / f"{path}.txt"  # so that a browser shows it
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, target)
    shutil.copytree(ROOT / "docs" / "images", folder / "images")
    (folder / "api.md").write_text(reference())


if __name__ == "__main__":
    main(ROOT / sys.argv[1])
