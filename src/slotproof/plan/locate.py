"""A name of a scenario or experiment to its file: path > ./scenarios or ./chaos > packaged (CONTRACTS.md section 6)."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from slotproof.errors import UsageError
from slotproof.plan.yaml_file import suggestion

_PACKAGE = Path(__file__).resolve().parents[1]


class Shelf(StrEnum):
    """A folder of YAML files that ships."""

    SCENARIOS = "scenarios"
    CHAOS = "chaos"


def packaged(shelf: Shelf) -> Path:
    """Where the shipped files lie: inside an installed wheel, or beside `src` in a checkout."""
    inside = _PACKAGE / "shipped" / shelf
    return inside if inside.is_dir() else _PACKAGE.parents[1] / shelf


def shelves(shelf: Shelf) -> list[Path]:
    """Folders that are searched, first wins."""
    folders = [Path.cwd() / shelf, packaged(shelf)]
    return list(dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir()))


def names(shelf: Shelf) -> dict[str, Path]:
    """Every name that can be given, and its file."""
    found: dict[str, Path] = {}
    for folder in shelves(shelf):
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def find(name: str, shelf: Shelf, where: str) -> Path:
    """The file of a name or path. `where` says who asked, for the error.

    Raises:
        UsageError: there is none; the hint names near ones.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path = Path(name)
        if path.is_file():
            return path.resolve()
        raise UsageError(f"there is no file {name}", where=where, hint="name an existing YAML file")
    known = names(shelf)
    if name in known:
        return known[name]
    noun = "scenario" if shelf is Shelf.SCENARIOS else "experiment"
    raise UsageError(f"unknown {noun} {name!r}", where=where, hint=suggestion(name, known))
