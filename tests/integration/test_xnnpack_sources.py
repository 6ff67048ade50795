"""``ops_registry/xnnpack/sources.json`` agrees with the pinned sources."""

from __future__ import annotations

import json

import pytest

from litesmith.runtime import source_tree
from litesmith.runtime.pins import COMPONENTS, XNNPACK_COMPONENTS
from litesmith.runtime.source_tree import SourceTree
from litesmith.runtime.xnnpack import patched_sources
from litesmith.study import derive_xnnpack
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def tree() -> SourceTree:
    return source_tree.source_tree((*COMPONENTS, *XNNPACK_COMPONENTS))


def test_the_registry_agrees_with_the_sources(tree: SourceTree) -> None:
    stored = json.loads((ROOT / "ops_registry" / "xnnpack" / "sources.json").read_text())
    assert json.loads(json.dumps(derive_xnnpack.derive(tree))) == stored


def test_files_of_programs_without_xnnpack_do_not_include_it(tree: SourceTree) -> None:
    plain = source_tree.source_tree()
    assert tree.identity() == plain.identity()
    assert tree.include_folders() == plain.include_folders()
    assert tree.identity("xnnpack") != plain.identity()


def test_patches_of_upstream_apply(tree: SourceTree) -> None:
    found = patched_sources.files(tree)
    assert set(found) == set(patched_sources.ORIGINALS)
    for name, original in patched_sources.ORIGINALS.items():
        assert found[name] != (tree.root / tree.locate(original)).read_text()
    visited = found[patched_sources.DELEGATE].count("LITESMITH_DELEGATED(kTfLiteBuiltin")
    assert visited > 40
