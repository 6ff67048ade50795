"""Verdicts: models that move by a rounding are verified, and mistakes are found at their nodes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from litesmith.build.project import Project
from litesmith.build.request import WARN, Request, resolve
from litesmith.build.session import Session, opened
from litesmith.measure.verify import verification
from litesmith.measure.verify.verdict import Verdict
from litesmith.model import schema
from litesmith.model.model_file import Model
from litesmith.workflow import build_and_verify
from litesmith.workflow.node_programs import SessionPrograms
from tests import verdict_models
from tests.broken_kernels import MISTAKES, SHARED_MEMORY, Mistake

pytestmark = pytest.mark.build

BROKEN = ("integers", "inverted_residuals", "dynamic_range")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: verdict_models.write(name, folder) for name in verdict_models.MODELS}


@pytest.mark.parametrize(
    ("target", "kernels"),
    [("x86_64", "builtin"), ("armv7", "builtin"), ("aarch64", "builtin"), ("x86_64", "xnnpack")],
)
def test_models_that_move_by_a_rounding(
    models: dict[str, Path], tmp_path: Path, target: str, kernels: str
) -> None:
    request = Request(
        target=target,
        models=tuple(map(str, models.values())),
        out=str(tmp_path / "out"),
        kernels=kernels,
        verify=WARN,
    )
    found = build_and_verify.build(request).verdicts
    assert [verdict.line() for verdict in found if verdict.status != "verified"] == []
    assert all(output.error <= output.tolerance for verdict in found for output in verdict.outputs)


@dataclass(frozen=True)
class BrokenPrograms:
    """Programs with a mistake, and upstream's without it."""

    session: Session
    mistake: Mistake

    def _build(self, project: Project) -> Path:
        return self.session.builder.stripped(self.mistake.broken(project))

    def program(self) -> Path:
        return self._build(self.session.project())

    def checked(self) -> Path:
        return self._build(self.session.project(node_check=True))

    def unpruned(self) -> Path:
        return SessionPrograms(session=self.session).unpruned()

    def verdict(self) -> Verdict:
        return verification.verify(self.program(), self.session.profile, self.model, nodes=self, sysroot=None)

    @property
    def model(self) -> Model:
        return next(one for one in self.session.models if one.path.stem == self.mistake.model)

    def node(self) -> int:
        """The node with the mistake."""
        analysis = self.model.analysis
        code = schema.enum("BuiltinOperator")[self.mistake.op]
        codes = [analysis.operator_codes[node.opcode_index].code for node in analysis.subgraphs[0].nodes]
        return [index for index, one in enumerate(codes) if one == code][self.mistake.chosen]


@pytest.fixture(scope="module")
def session(models: dict[str, Path]) -> Iterator[Session]:
    chosen = tuple(models[name] for name in BROKEN)
    with opened(resolve(Request(target="x86_64", models=tuple(map(str, chosen))))) as found:
        yield found


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda one: one.name)
def test_a_mistake_is_found_at_its_node(session: Session, mistake: Mistake) -> None:
    programs = BrokenPrograms(session, mistake)
    verdict = programs.verdict()
    assert verdict.status == "wrong", verdict.line()
    assert verdict.wrong_node is not None, verdict.line()
    assert (verdict.wrong_node.node, verdict.wrong_node.op) == (programs.node(), mistake.op), verdict.line()
    assert verdict.wrong_node.upstream == "upstream's own build of this version is right"
    kept = Path(verdict.wrong_node.inputs)
    with np.load(kept / "node.inputs.npz") as inputs:
        assert inputs.files
    alone = build_and_verify.open_model(str(kept / "node.tflite"))
    assert len(alone.analysis.subgraphs[0].nodes) == 1


def test_shared_memory_is_no_mistake_of_a_node(session: Session) -> None:
    """The node writes into the input of its block, which a later ADD reads."""
    programs = BrokenPrograms(session, SHARED_MEMORY)
    nodes = programs.model.analysis.subgraphs[0].nodes
    (block,) = {nodes[programs.node() - 1].inputs[0]}
    body = SHARED_MEMORY.body % block
    verdict = BrokenPrograms(session, dataclasses.replace(SHARED_MEMORY, body=body)).verdict()
    assert verdict.status == "wrong"
    assert verdict.wrong_node is None
    assert "every node is right by itself" in verdict.reason
    assert json.loads(json.dumps(verdict.to_json()))["status"] == "wrong"
