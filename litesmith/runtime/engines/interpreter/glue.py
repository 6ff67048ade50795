"""The C++ code that is generated for a selection: the registration of its ops, and a table of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from litesmith import __version__
from litesmith.base import templates
from litesmith.model.options_schema import SWITCH
from litesmith.runtime.engines.interpreter.sources import OP_NAMES, REGISTRATION, SELECTED_OPS
from litesmith.runtime.op_registry import PackedNames
from litesmith.runtime.selection import SelectedOp, Selection
from litesmith.runtime.xnnpack.project_files import HARDWARE, XnnpackFiles


def files(
    selection: Selection,
    names: PackedNames,
    *,
    embedded_size: int,
    profiling: bool,
    xnnpack: XnnpackFiles | None,
) -> dict[str, str]:
    """The C++ files and headers of a project, by name.

    ``names`` are those of all builtin ops; ``embedded_size`` is 0 without an embedded model.
    """
    return {
        **templates.copied("runtime"),
        **(templates.copied("profiling") if profiling else {}),
        REGISTRATION: _registration(selection),
        OP_NAMES: _op_names(names, profiling=profiling),
        **files_of_selection(selection, embedded_size=embedded_size, xnnpack=xnnpack),
    }


def files_of_selection(
    selection: Selection, *, embedded_size: int, xnnpack: XnnpackFiles | None
) -> dict[str, str]:
    """The files that depend on the selection, except the registration."""
    return {
        SELECTED_OPS: _selected_ops(selection, embedded_size),
        **(_xnnpack_files(xnnpack) if xnnpack else {}),
    }


def registration_variants(selections: Mapping[str, Selection]) -> tuple[str, dict[str, str]]:
    """One C++ file with registration functions: its text, and the name of the function of each selection.

    Selections that register the same share a function.

    It is a single file because nearly all compile time is spent in the headers.
    """
    distinct: dict[tuple[object, ...], str] = {}
    functions: dict[str, str] = {}
    variants: list[dict[str, object]] = []
    for name, smaller in selections.items():
        calls = tuple((op.name, op.custom, op.registration, op.versions) for op in smaller.ops)
        if calls not in distinct:
            distinct[calls] = f"RegisterVariant{len(distinct)}"
            variants.append({"function": distinct[calls], "ops": smaller.ops})
        functions[name] = distinct[calls]
    ops = (op for smaller in selections.values() for op in smaller.ops)
    values = {"version": __version__, "namespaces": _namespaces(ops), "variants": variants}
    return templates.render("registration_variants.cc", values), functions


def _registration(selection: Selection) -> str:
    """``RegisterSelectedOps``.  It does not name models, so that models with the same ops share a program."""
    values = {"version": __version__, "namespaces": _namespaces(selection.ops), "ops": selection.ops}
    return templates.render(REGISTRATION, values)


def _selected_ops(selection: Selection, embedded_size: int) -> str:
    """The table of the ops that the program was built for."""
    readers = {op.options.reader for op in selection.ops if op.options}
    values = {
        "version": __version__,
        "ops": selection.ops,
        "readers": sorted(readers - {SWITCH}),
        "switched": SWITCH in readers,
        "sparse": selection.sparse,
        "strings": any("string" in op.dtypes for op in selection.ops),
        "embedded": embedded_size,
    }
    return templates.render(SELECTED_OPS, values)


def _op_names(names: PackedNames, *, profiling: bool) -> str:
    values = {
        "version": __version__,
        "packed": names,
        "names": names.names.encode("latin-1"),
        "profiling": profiling,
    }
    return templates.render(OP_NAMES, values)


def _xnnpack_files(program: XnnpackFiles) -> dict[str, str]:
    """The project's own files in a program with XNNPACK."""
    values = {"version": __version__, **program.template_values()}
    return {
        **templates.copied("xnnpack"),
        **program.files(),
        HARDWARE: templates.render(HARDWARE, values),
    }


def _namespaces(ops: Iterable[SelectedOp]) -> dict[str, list[str]]:
    """Registration functions by their C++ namespace."""
    found: dict[str, set[str]] = {}
    for op in ops:
        namespace, _, function = op.registration.rpartition("::")
        found.setdefault(namespace, set()).add(function)
    return {namespace: sorted(functions) for namespace, functions in sorted(found.items())}
