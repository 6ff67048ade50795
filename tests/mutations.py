"""Sends 2,000 mutated models (fixed seed) through the analyser and exits 1 on any misbehaviour.

Allowed is an analysis or a ModelError.  A model that takes over 2 s, any other exception, or
more than 500 MB of memory for the whole run is a failure.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import tempfile
import traceback
from pathlib import Path

from litesmith.base.errors import ModelError
from litesmith.model import contents
from litesmith.runtime import op_registry

MODELS = 2000
SECONDS = 2
MEMORY_BYTES = 500 * 1000 * 1000
EXAMPLES = Path(__file__).parent.parent / "examples"


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Damages a file in one of the usual ways: bits, words, blocks, lengths, truncation."""
    changed = bytearray(data)
    kind = rng.randrange(7)
    # Most of a model is weights; its structure is in the first and last kilobytes.
    places = [
        rng.randrange(len(changed)) if rng.random() < 0.3 else rng.choice((1, -1)) * rng.randrange(1, 6000)
        for _ in range(rng.randint(1, 12))
    ]
    places = [place % len(changed) for place in places]
    if kind == 0:
        for place in places:
            changed[place] ^= 1 << rng.randrange(8)
    elif kind == 1:
        for place in places:
            changed[place] = rng.randrange(256)
    elif kind == 2:
        for place in places:
            word = rng.choice((0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, rng.randrange(2**32), 4, 0xFFFF))
            aligned = place // 4 * 4
            changed[aligned : aligned + 4] = word.to_bytes(4, "little")
    elif kind == 3:
        del changed[rng.randrange(len(changed)) :]
    elif kind == 4:
        start = places[0]
        del changed[start : start + rng.randrange(1, 400)]
    elif kind == 5:
        start = places[0]
        changed[start:start] = rng.randbytes(rng.randrange(1, 400))
    else:
        start, other, size = places[0], places[-1], rng.randrange(4, 300)
        changed[start : start + size] = changed[other : other + size]
    return bytes(changed)


def _too_slow(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"over {SECONDS} s")


def _peak_memory() -> int:
    """Peak memory of this program in bytes; getrusage would include the parent's memory from before exec."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


def main() -> int:
    """Runs all mutations and prints how many were accepted and refused."""
    rng = random.Random(20261123)
    originals = [path.read_bytes() for path in sorted(EXAMPLES.glob("*.tflite"))]
    registry = op_registry.load()
    signal.signal(signal.SIGALRM, _too_slow)
    understood = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.tflite"
        for number in range(MODELS):
            path.write_bytes(mutate(rng, rng.choice(originals)))
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            try:
                json.dumps(op_registry.describe(contents.analyse(path), registry))
                understood += 1
            except ModelError:
                refused += 1
            except BaseException:
                print(f"model {number} ended in an unexpected way")
                traceback.print_exc(file=sys.stdout)
                return 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    peak = _peak_memory()
    print(f"{MODELS} models: {understood} understood, {refused} refused, peak {peak} bytes")
    if peak > MEMORY_BYTES or min(understood, refused) < MODELS // 20:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
