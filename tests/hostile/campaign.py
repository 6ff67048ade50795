"""Runs a program with thousands of damaged models, and says which of them it does not survive."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.hostile.mutator import mutated
from tests.hostile.sanitised import served

_ENTRY = "serving_default"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A damaged model that a program did not refuse or answer: which, what was changed, what happened."""

    seed: str
    number: int
    change: str
    what: str
    stderr: str

    def line(self) -> str:
        """The fault in one line."""
        return f"{self.seed} {self.number}: {self.what} ({self.change})"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a number of damaged models: how often each exit code came, and the faults."""

    codes: Mapping[int, int]
    faults: tuple[Fault, ...]
    seconds: float = field(compare=False)


def attack(program: Path, seed: str, original: bytes, numbers: Iterable[int]) -> Outcome:
    """Runs a program with each of these mutations of a model."""
    start = time.monotonic()
    codes: Counter[int] = Counter()
    faults = []
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        model = Path(name) / "m.tflite"
        arguments = ("--model", model, "--output-dir", name, "--json")
        with (
            served(program, *arguments) as plain,
            served(program, *arguments, "--signature", _ENTRY) as other,
        ):
            for number in numbers:
                damaged = mutated(original, seed, number)
                model.write_bytes(damaged.content)
                ended = (other if number % 5 == 0 else plain).run()
                codes[ended.code] += 1
                if ended.fault:
                    faults.append(
                        Fault(
                            seed=seed,
                            number=number,
                            change=damaged.change,
                            what=ended.fault,
                            stderr=ended.stderr,
                        )
                    )
    return Outcome(codes=codes, faults=tuple(faults), seconds=time.monotonic() - start)


def attack_in_parallel(
    program: Path, seeds: Mapping[str, Path], count: int, workers: int = 2
) -> dict[str, Outcome]:
    """``count`` mutations of each seed; every worker takes its share of each."""
    found = {}
    with ProcessPoolExecutor(workers) as pool:
        for seed, path in seeds.items():
            shares = [range(first, count, workers) for first in range(workers)]
            tasks = [pool.submit(attack, program, seed, path.read_bytes(), share) for share in shares]
            parts = [task.result() for task in tasks]
            codes: Counter[int] = Counter()
            for part in parts:
                codes.update(part.codes)
            found[seed] = Outcome(
                codes=codes,
                faults=tuple(fault for part in parts for fault in part.faults),
                seconds=max(part.seconds for part in parts),
            )
    return found


def summary(found: Mapping[str, Outcome]) -> str:
    """A line for each seed, then the faults."""
    lines = [
        f"{seed}: {sum(one.codes.values())} models in {one.seconds:.0f} s, exit codes "
        f"{dict(sorted(one.codes.items()))}, {len(one.faults)} faults"
        for seed, one in found.items()
    ]
    return "\n".join([*lines, *(fault.line() for one in found.values() for fault in one.faults[:20])])


if __name__ == "__main__":
    from tests.hostile.sanitised import sanitised_program
    from tests.hostile.seeds import written

    with tempfile.TemporaryDirectory() as folder:
        models = written(Path(folder))
        attacked = attack_in_parallel(sanitised_program(list(models.values())), models, int(sys.argv[1]))
    print(summary(attacked))
    sys.exit(any(one.faults for one in attacked.values()))
