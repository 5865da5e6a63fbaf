"""Where things live, as absolute paths, so that a notebook may run from any folder."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
STUDIES = ROOT / "studies"
NOTEBOOKS = ROOT / "notebooks"
RESULTS = ROOT / "results"
BENCHMARKS = ROOT / "benchmarks"

# Tests point these two elsewhere so that they never touch a reader's own runs.
OUT = Path(os.environ.get("WORKBOOK_OUT", ROOT / "out"))
CACHE = Path(os.environ.get("WORKBOOK_CACHE", ROOT / ".cache"))

# Passage indexes are in the cache, or under this folder or object-store URL (s3://bucket/prefix), to be shared by machines.
INDEXES = os.environ.get("WORKBOOK_INDEXES", "")


def read_text(path: Path) -> str:
    """The text of a file that people write, with or without the mark that some programs put before UTF-8.

    Raises ValueError with file, line and byte where it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found = error.object[error.start]
        raise ValueError(f"{path}:{line}: not UTF-8 (byte 0x{found:02x}); save the file as UTF-8") from None
