"""Ops that run other subgraphs, or assign and read variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from litesmith.predict.arena.subgraph import ControlOp, Subgraph
from litesmith.runtime.graph import MISSING, UNSIZED, Dims, RuntimeNode, RuntimeTensor

_BRANCHES = ("then_subgraph_index", "else_subgraph_index")
_LOOP = ("cond_subgraph_index", "body_subgraph_index")
_DECOMPOSITION = "decomposition_subgraph_index"

_CHOOSING = {"IF": 1, "STABLEHLO_CASE": 1}
"""How many inputs choose a branch."""


def _prepare_branches(
    node: RuntimeNode, branches: Sequence[Subgraph], alike: Sequence[Subgraph], depth: int
) -> None:
    """Prepares the branches; the outputs have the shapes of the first one if all of ``alike`` have them."""
    passed = _passed(node)
    for branch in branches:
        branch.take(passed, borrow=True)
        branch.allocate(depth + 1)
    first = alike[0].results()
    dynamic = any(branch.dynamic for branch in branches) or any(
        a.dims != b.dims for other in alike[1:] for a, b in zip(first, other.results(), strict=True)
    )
    for position, result in enumerate(first):
        if dynamic:
            node.heap(position, None)
        else:
            node.resize(position, result.dims, known=result.known)


def _passed(node: RuntimeNode) -> list[RuntimeTensor]:
    """The tensors that a branch takes: all but the one that chooses it."""
    return [node.of(position) for position in range(_CHOOSING.get(node.op, 0), len(node.inputs))]


def _run_branches(
    subgraph: Subgraph, node: RuntimeNode, taken: Sequence[Subgraph], depth: int, certain: bool
) -> None:
    """Runs the branches that may be taken, one of which is."""
    sure = certain and len(taken) == 1
    for branch in taken:
        branch.take(_passed(node), borrow=True)
        if node.pending:
            branch.allocate(depth + 1)
        branch.invoke(depth + 1, certain=sure)
    for position in node.pending:
        results = [branch.results()[position] for branch in taken]
        largest = max(results, key=lambda one: one.bytes)
        same = all(one.dims == largest.dims and one.known for one in results)
        node.at_most = all(one.known for one in results)
        node.pending[position] = (largest.dims, same)
    smallest = min(taken, key=lambda branch: branch.arena_bytes)
    if certain:
        smallest.release()
    if not certain or (len(taken) > 1 and len({branch.arena_bytes for branch in taken}) > 1):
        why = "which branch runs, and gives its arena back, depends on data"
        subgraph.record_unknown(node, node.of(0).name, why, at_most=True)


def _prepare_if(subgraph: Subgraph, node: RuntimeNode, depth: int) -> None:
    branches = [subgraph.state.called(node, option, depth) for option in _BRANCHES]
    for branch in branches:
        branch.drop_unused_inputs()
    _prepare_branches(node, branches, branches, depth)


def _run_if(subgraph: Subgraph, node: RuntimeNode, depth: int, certain: bool) -> None:
    branches = [subgraph.state.called(node, option, depth) for option in _BRANCHES]
    condition = node.ints(0) if node.of(0).known else None
    taken = branches if condition is None else [branches[0 if condition[0] else 1]]
    _run_branches(subgraph, node, taken, depth, certain)


def _prepare_case(subgraph: Subgraph, node: RuntimeNode, depth: int) -> None:
    """The kernel takes all subgraphs but the first for branches of its node, and prepares them."""
    subgraphs = subgraph.state.subgraphs
    for one in subgraphs:
        one.drop_unused_inputs()
    branches = [subgraph.state.called_by_number(node, number, depth) for number in range(1, len(subgraphs))]
    alike = _cases(subgraph, node, depth)
    _prepare_branches(node, branches, alike[: max(1, len(branches))], depth)


def _cases(subgraph: Subgraph, node: RuntimeNode, depth: int) -> list[Subgraph]:
    numbers = node.options.integers("branch_subgraph_indices")
    return [subgraph.state.called_by_number(node, number, depth) for number in numbers]


def _run_case(subgraph: Subgraph, node: RuntimeNode, depth: int, certain: bool) -> None:
    branches = _cases(subgraph, node, depth)
    index = node.ints(0) if node.of(0).known else None
    # A number that no branch has chooses the last one.
    chosen = None if index is None else branches[index[0] : index[0] + 1] or branches[-1:]
    _run_branches(subgraph, node, branches if chosen is None else chosen, depth, certain)


def _prepare_composite(subgraph: Subgraph, node: RuntimeNode, depth: int) -> None:
    decomposition = subgraph.state.called(node, _DECOMPOSITION, depth)
    decomposition.drop_unused_inputs()
    _prepare_branches(node, [decomposition], [decomposition], depth)


def _run_composite(subgraph: Subgraph, node: RuntimeNode, depth: int, certain: bool) -> None:
    _run_branches(subgraph, node, [subgraph.state.called(node, _DECOMPOSITION, depth)], depth, certain)


def _prepare_while(subgraph: Subgraph, node: RuntimeNode, depth: int) -> None:
    condition, body = (subgraph.state.called(node, option, depth) for option in _LOOP)
    passed = [node.of(position) for position in range(len(node.inputs))]
    condition.drop_unused_inputs()
    condition.take(passed, borrow=False)
    condition.allocate(depth + 1)
    body.take(passed, borrow=False)
    uses = subgraph.uses()
    for position, (inside, outside) in enumerate(zip(body.graph.inputs, body.graph.outputs, strict=True)):
        wanted = node.outputs[position]
        loose = wanted != MISSING and not uses.get(wanted)
        if inside == outside and loose and body.graph.tensors[inside].dtype not in UNSIZED:
            # It is passed through unchanged, and its result is not used.
            node.outputs[position] = MISSING
    body.take(passed, borrow=True)
    body.allocate(depth + 1)
    results = body.results()
    dynamic = body.dynamic or any(
        _grows(source.dims, result.dims) for source, result in zip(passed, results, strict=True)
    )
    for position, result in enumerate(results):
        if dynamic:
            node.heap(position, None)
        else:
            node.resize(position, result.dims, known=result.known)


def _run_while(subgraph: Subgraph, node: RuntimeNode, depth: int, certain: bool) -> None:
    condition, body = (subgraph.state.called(node, option, depth) for option in _LOOP)
    passed = [node.of(position) for position in range(len(node.inputs))]
    condition.invoke(depth + 1, certain=certain)
    body.take(passed, borrow=True)
    if node.pending:
        body.allocate(depth + 1)
    body.invoke(depth + 1, certain=False)
    for position in node.pending:
        result = body.results()[position]
        stays = result.known and result.dims == passed[position].dims
        node.pending[position] = (passed[position].dims, stays)
    if certain:
        condition.release()
        body.release()
    else:
        why = "whether it runs, and gives its arenas back, depends on data"
        subgraph.record_unknown(node, node.of(0).name, why, at_most=True)


def _run_once(subgraph: Subgraph, node: RuntimeNode, depth: int, certain: bool) -> None:  # noqa: ARG001
    initialisation = subgraph.state.called(node, "init_subgraph_index", depth)
    if initialisation.index in subgraph.state.initialised:
        return
    subgraph.state.initialised.add(initialisation.index)
    initialisation.allocate(depth + 1)
    initialisation.invoke(depth + 1, certain=True)
    initialisation.release()


def _run_assign(subgraph: Subgraph, node: RuntimeNode, depth: int, certain: bool) -> None:  # noqa: ARG001
    subgraph.state.variables[node.of(0).handle] = node.of(1)


def _run_read(subgraph: Subgraph, node: RuntimeNode, depth: int, certain: bool) -> None:  # noqa: ARG001
    held = subgraph.state.variables.get(node.of(0).handle)
    if node.pending and held is not None:
        node.pending[0] = (held.dims, held.known)


def _grows(before: Dims, after: Dims) -> bool:
    """Whether a loop's tensor has another shape after an iteration; () and (1,) count as the same."""
    return before != after and (before[0] if before else 0) + (after[0] if after else 0) != 1


CONTROL: Mapping[str, ControlOp] = {
    "IF": ControlOp(prepare=_prepare_if, run=_run_if),
    "STABLEHLO_CASE": ControlOp(prepare=_prepare_case, run=_run_case),
    "STABLEHLO_COMPOSITE": ControlOp(prepare=_prepare_composite, run=_run_composite),
    "WHILE": ControlOp(prepare=_prepare_while, run=_run_while),
    "CALL_ONCE": ControlOp(run=_run_once),
    "ASSIGN_VARIABLE": ControlOp(run=_run_assign),
    "READ_VARIABLE": ControlOp(run=_run_read),
}
