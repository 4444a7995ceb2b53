"""The figures by which Linekeep is judged, in one JSON object: `python -m tests.bench.whole [PART ...]`.

Takes about five minutes. Both sides of a ratio are measured in the same run; figures of other machines differ.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.desk import measure_desk
from tests.bench.eight_lines import measure_eight_lines
from tests.bench.eight_lines_cost import measure_eight_lines_cost
from tests.bench.hour import measure_hour

PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "hour": measure_hour,
    "desk": measure_desk,
    "eight_lines": measure_eight_lines,
    "eight_lines_cost": measure_eight_lines_cost,
}


def main() -> None:
    """Measure the parts named on the command line, or all."""
    figures: dict[str, Any] = {}
    for part in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory(prefix="lk-", dir="/tmp") as folder:
            figures |= PARTS[part](Path(folder))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
