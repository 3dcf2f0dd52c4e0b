"""One hash over everything that a verdict is drawn from, so that a board can tell that it reads the same evidence."""

from __future__ import annotations

import hashlib
from pathlib import Path

from slotproof.run_folder import RunFolder


def evidence_sha256(folder: RunFolder) -> str:
    """SHA-256 over names and contents of ops, ledgers, fault journal and samples, as lower-case hex.

    The trace is left out, since no verdict comes from it; so is plan.json, which is what was asked, not what was seen.
    The same figure: `sha256sum` of each file, in order of name, as "<hash>  <path>" lines, hashed again.
    """
    files = [*sorted(folder.record.glob("*.arrow")), *sorted(folder.ledger.glob("*.arrow")), folder.faults]
    listed = sorted((path.relative_to(folder.path).as_posix(), path) for path in [*files, folder.samples])
    lines = [f"{_file_sha256(path)}  {name}\n" for name, path in listed if path.is_file()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
