"""Models of single ops with their inputs and reference outputs, and programs for many of them."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.elffile import ELFFile

from litesmith.base import files
from litesmith.build.builder import Binary, workshop
from litesmith.build.project import Project, ProjectOptions
from litesmith.measure.verify import reference
from litesmith.measure.verify.cases import Case, detection_counts
from litesmith.measure.verify.executor import LocalExecutor, find_executor
from litesmith.measure.verify.judgement import ComparedOutput, compare_case
from litesmith.measure.verify.program_under_test import ProgramUnderTest
from litesmith.measure.verify.reference import Answer, Question
from litesmith.model import contents, entry_points, samples
from litesmith.model.analysis import ModelAnalysis
from litesmith.model.entry_points import Part
from litesmith.model.model_file import Model
from litesmith.model.samples import Sample
from litesmith.model.tensors import Array
from litesmith.predict.xnnpack import kernel_choice
from litesmith.runtime import op_registry, pruning, selection, source_tree
from litesmith.runtime.pins import COMPONENTS, XNNPACK_COMPONENTS
from litesmith.study.op_models import all_cases
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain

REGISTRY = op_registry.load()

DIFFERENT_ON_AARCH64 = {
    "DEPTHWISE_CONV_2D_uint8": "the 3x3 kernel in assembly, which aarch64 alone has: one step now and then",
}
"""Cases in which the outputs of aarch64 and x86 differ, in upstream's own build too."""

OTHER_TABLES = {"GELU_int16_approximate": "a table of the C library's tanh: one step"}
"""Cases in which another C library gives other outputs."""


@dataclass(frozen=True)
class Prepared:
    """A case on disk, with its inputs and the outputs of the reference."""

    op: str
    path: Path
    analysis: ModelAnalysis
    part: Part
    tried: Mapping[str, Sample]
    answers: Mapping[str, Answer]

    def inputs_to_try(self, target: str) -> Sequence[str]:
        """Names of the inputs that the reference runs; only one under an emulator, which is slow to start."""
        names = [name for name in self.tried if not self.answers[name].error]
        # Inputs made for the op, if zeros and random numbers are not meaningful for it.
        chosen = [name for name in names if name.startswith("real")] or names
        return chosen if target == "x86_64" else chosen[-1:]


def prepare(folder: Path) -> list[Prepared]:
    """All cases, written into ``folder``."""
    made = []
    for case in all_cases():
        path = case.write(folder)
        model = contents.analyse(path)
        (part,) = entry_points.parts(model)
        made.append((case, path, model, part, samples.samples(model, path, part)))
    questions = [
        Question(
            model=path,
            sha256=model.sha256,
            entry=part.entry,
            samples={name: sample.inputs for name, sample in tried.items()},
        )
        for _, path, model, part, tried in made
    ]
    return [
        Prepared(op=case.op, path=path, analysis=model, part=part, tried=tried, answers=answers)
        for (case, path, model, part, tried), answers in zip(made, reference.answers(questions), strict=True)
    ]


@dataclass
class Round:
    """Cases that one pruned program can run; each kernel file has exactly the dtypes of each case."""

    dtypes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    cases: list[Prepared] = field(default_factory=list)
    sparse: bool = False


def rounds(cases: Sequence[Prepared]) -> list[Round]:
    """A small number of programs that run each case with exactly its own dtypes, largest first."""
    found: list[Round] = []
    for case in cases:
        chosen = selection.select([case.analysis], REGISTRY)
        kept = pruning.kept_dtypes(chosen, REGISTRY.runtime.dispatching)
        fitting = (
            one
            for one in found
            if one.sparse == chosen.sparse and all(one.dtypes.get(f, d) == d for f, d in kept.items())
        )
        one = next(fitting, None)
        if one is None:
            one = Round(sparse=chosen.sparse)
            found.append(one)
        one.dtypes.update(kept)
        one.cases.append(case)
    return found


def build_program(
    target: str, cases: Sequence[Prepared], *, pruned: bool, defines: tuple[str, ...] = ()
) -> tuple[Path, LocalExecutor]:
    """A program for all ``cases``, and its executor; ``defines`` are set for all upstream files."""
    binary = build_binary(target, cases, pruned=pruned, defines=defines)
    executor = find_executor(profiles.load(target))
    return binary.program, executor


def build_binary(
    target: str,
    cases: Sequence[Prepared],
    *,
    pruned: bool,
    defines: tuple[str, ...] = (),
    kernels: str = "builtin",
) -> Binary:
    """Like ``build_program``, but returns the objects too."""
    profile, name = profiles.load(target).with_kernels(kernels).choose(None)
    models = [Model(path=case.path, content=case.path.read_bytes(), analysis=case.analysis) for case in cases]
    delegated_ops = kernel_choice.choose(profile, models, REGISTRY).delegated_ops
    group = XNNPACK_COMPONENTS if delegated_ops else ()
    toolchain, tree, runtime = (
        load_toolchain(name),
        source_tree.source_tree((*COMPONENTS, *group)),
        REGISTRY.runtime,
    )
    chosen = selection.select([case.analysis for case in cases], REGISTRY)
    with workshop(profile, toolchain, tree, precompile=True) as builder:
        options = ProjectOptions(name="ops", pruned=pruned, delegated_ops=delegated_ops)
        project = Project.of(chosen, options, profile=profile, tree=tree, runtime=runtime)
        more = dataclasses.replace(project.pruning, everywhere=(*project.pruning.everywhere, *defines))
        return builder.build(dataclasses.replace(project, pruning=more))


def compared(
    program: Path, executor: LocalExecutor, case: Prepared, name: str, expected: Sequence[Array]
) -> list[ComparedOutput]:
    """Compares the outputs of a program for the inputs ``name`` of a case with the expected ones."""
    under_test = ProgramUnderTest(executor=executor, path=str(program), model=str(case.path))
    inputs = case.tried[name].inputs
    counts = detection_counts(case.analysis, case.part)
    tried = Case(part=case.part, sample=name, inputs=inputs, expected=expected, detection_counts=counts)
    return list(compare_case(under_test, tried))


def check(program: Path, executor: LocalExecutor, case: Prepared, target: str) -> str:
    """What is wrong with the outputs of one case; empty if all are right."""
    names = case.inputs_to_try(target)
    if not names:
        return f"{case.path.stem}: the reference runs none of its inputs"
    for name in names:
        for one in compared(program, executor, case, name, case.answers[name].outputs):
            if one.is_wrong:
                return (
                    f"{case.path.stem}, {name}: output {one.position} off by {one.error}, "
                    f"tolerance {one.tolerance.value}: {one.tolerance.reason}"
                )
    return ""


def is_different(case: Prepared, target: str) -> bool:
    """Whether the target is known to give other outputs than the reference."""
    name = case.path.stem
    if target != "x86_64" and name in OTHER_TABLES:
        return True
    return target == "aarch64" and name in DIFFERENT_ON_AARCH64


def output_bytes(program: Path, executor: LocalExecutor, case: Prepared, name: str) -> list[bytes]:
    """The raw outputs of a case for the inputs ``name``."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        arguments = ["--model", str(case.path), *case.part.arguments()]
        done = executor.run(str(program), arguments, case.tried[name].inputs, folder)
        assert done.code == 0, f"{case.path.stem}, {name}: exit code {done.code}: {done.stderr}"
        return [(folder / f"out{i}.bin").read_bytes() for i in range(len(case.part.outputs))]


def weak_functions(path: Path) -> dict[str, str]:
    """Digest of the code of every function that an object shares with others, by its symbol.

    Targets within the object, whose names differ between objects, do not count.
    """
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        table = elf.get_section_by_name(".symtab")
        symbols = list(table.iter_symbols()) if table is not None else []
        relocations = {
            section["sh_info"]: [
                (r["r_offset"], r["r_info_type"], symbols[r["r_info_sym"]].name, r.entry.get("r_addend"))
                for r in section.iter_relocations()
            ]
            for section in elf.iter_sections()
            if section["sh_type"] in {"SHT_RELA", "SHT_REL"}
        }
        found = {}
        for symbol in symbols:
            index = symbol["st_shndx"]
            weak = symbol["st_info"]["bind"] == "STB_WEAK" and symbol["st_info"]["type"] == "STT_FUNC"
            if weak and isinstance(index, int):
                named = [entry for entry in relocations.get(index, []) if not entry[2].startswith(".L")]
                named = [entry for entry in named if entry[2]]
                found[symbol.name] = files.digest_of(elf.get_section(index).data().hex(), named)
        return found
