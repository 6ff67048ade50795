"""Performs the task of a JSON file and reports events on standard output, one JSON object a line.

The events are ``step`` and ``progress``, and at the end ``refused`` or ``result``.  The files go into the
task's folder: ``model.tflite``, ``float32.tflite``, ``inputs.npz``, ``ops_to_register.h``.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from litesmith.workflow.convert.worker.errors import RefusedError
from litesmith.workflow.convert.worker.task import run


def main() -> None:
    """Performs the task of the file that the command line names."""
    # Standard output carries events only: what libraries print goes to standard error.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def report(event: str, **fields: Any) -> None:
        events.write(json.dumps({"event": event, **fields}) + "\n")
        events.flush()

    task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        report("result", **run(task, report))
    except RefusedError as error:
        traceback.print_exc()
        report("refused", message=error.message, next_step=error.next_step, code=error.code)


if __name__ == "__main__":
    main()
