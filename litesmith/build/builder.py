"""Project + toolchain → :class:`Binary`, with a cache of objects and programs that is keyed by content.

The object of an upstream file depends only on its source, the source tree, the toolchain and the flags, so
all models of a target share it.  The project's own files are keyed by their text.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from litesmith.base import console, files, process
from litesmith.base.errors import BuildError
from litesmith.build import cache
from litesmith.build.compile_units import CompileUnit, compile_units
from litesmith.build.precompiled import LATER, HeaderChoice, PrecompiledHeader, own_text
from litesmith.build.project import Project
from litesmith.runtime.engines.interpreter.glue import registration_variants
from litesmith.runtime.engines.interpreter.sources import (
    MODEL_FILE,
    REGISTRATION,
    REGISTRATION_SYMBOL,
    SELECTED_OPS,
)
from litesmith.runtime.include_closure import IncludeClosure
from litesmith.runtime.pruning import ONE_ORDER
from litesmith.runtime.source_tree import SourceTree, require_whole
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain

Seen = TypeVar("Seen")

_ELSEWHERE = re.compile(r"/objects/[0-9a-f]{2}/[0-9a-f]{64}\.o")


@dataclass(frozen=True, kw_only=True)
class Binary:
    """A linked program in the cache.

    ``program`` is stripped, ``debug`` is the same with symbols, ``map_file`` is the linker's map.
    ``objects`` maps each object to its source: ``component/path``, or the name alone for one of the project's
    own files.  Objects, and files in the cache that the map names, have paths relative to the cache.
    """

    program: Path
    debug: Path
    map_file: Path
    objects: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One run of the compiler: ``argument`` is the source file, relative to ``folder``.

    With a header that is compiled ahead, its flags come before ``flags``, and ``own`` is the text of the
    header that the file includes next.
    """

    source: str
    argument: str
    folder: Path
    flags: tuple[str, ...]
    output: Path
    header: PrecompiledHeader | None = None
    own: str = ""


@contextmanager
def workshop(
    profile: Profile, toolchain: Toolchain, tree: SourceTree, *, precompile: bool = False
) -> Iterator[Builder]:
    """A :class:`Builder` with its scratch folder, inside a session of the toolchain.

    With ``precompile``, headers of kernels are compiled ahead, which pays for more than a few dozen objects.
    """
    with (
        cache.scratch_folder() as scratch,
        toolchain.session(readable=(tree.root, cache.objects_folder()), writable=scratch),
    ):
        choice = HeaderChoice(IncludeClosure(tree)) if precompile else None
        yield Builder(profile=profile, toolchain=toolchain, tree=tree, scratch=scratch, choice=choice)


@dataclass(frozen=True, kw_only=True)
class Builder:
    """Compiles and links for one profile with one toolchain; see :func:`workshop`.

    ``choice`` says which headers are compiled ahead, if any, and ``ahead`` has the flags that use those that
    have been compiled.
    """

    profile: Profile
    toolchain: Toolchain
    tree: SourceTree
    scratch: Path
    choice: HeaderChoice | None = None
    ahead: dict[PrecompiledHeader, tuple[str, ...]] = field(default_factory=dict)

    def build(self, project: Project) -> Binary:
        """Compiles the files that are not in the cache yet, and links.

        Raises:
            BuildError: the compiler or the linker failed.
        """
        return self._link(self._compiled(project))

    def stripped(self, project: Project) -> Path:
        """Builds only the stripped program, to measure its size.

        Raises:
            BuildError: the compiler or the linker failed.
        """
        return self._link_stripped(self._compiled(project))

    def finished(self, project: Project) -> Path | None:
        """The stripped program if it is already in the cache, else None."""
        # Keys depend only on content, so the project's files need not be written.
        program = self._program(self._jobs(self.scratch, project))
        return program if cache.is_whole(program) else None

    def variants(self, projects: Mapping[str, Project]) -> dict[str, Path]:
        """Builds stripped programs of projects with fewer ops (see :meth:`Project.reduced`), by name.

        Raises:
            BuildError: the compiler or the linker failed.
        """
        return self._variants(projects, lambda _, jobs, aliases: self._link_stripped(jobs, aliases))

    def examine(
        self, projects: Mapping[str, Project], look: Callable[[str, Binary], Seen]
    ) -> dict[str, Seen]:
        """Links the programs of :meth:`variants` with symbols and a map and returns each result of ``look``.

        The programs themselves are not kept, and are not stripped.  Programs of the same objects are linked
        once, and ``look`` gets the first of them.

        Raises:
            BuildError: the compiler or the linker failed.
        """

        def link(name: str, jobs: list[_Job], aliases: Mapping[str, str]) -> Seen:
            with self._aside() as aside:
                inputs = [job.output for job in jobs]
                program, map_file = aside / "program", aside / "map"
                self.toolchain.link(
                    self.profile, inputs, program, strip=False, map_file=map_file, aliases=aliases
                )
                _store_map(map_file, map_file)
                return look(
                    name, Binary(program=program, debug=program, map_file=map_file, objects=_objects(jobs))
                )

        return self._variants(projects, link, "linking")

    def _variants(
        self,
        projects: Mapping[str, Project],
        link: Callable[[str, list[_Job], Mapping[str, str]], Seen],
        progress: str = "",
    ) -> dict[str, Seen]:
        """Compiles the projects, links them in parallel, and returns the result of ``link`` for each.

        All projects share one registration file, which has a function for each of them.  The aliases given
        to ``link`` make the program call the project's own.
        """
        text, functions = registration_variants({name: p.selection for name, p in projects.items()})
        with ExitStack() as stack:
            jobs: dict[str, list[_Job]] = {}
            for name, project in projects.items():
                smaller = dataclasses.replace(project, files={**project.files, REGISTRATION: text})
                own = stack.enter_context(self._own_folder(smaller))
                jobs[name] = self._jobs(own, smaller)
            self._compile(job for one in jobs.values() for job in one)
            pool = stack.enter_context(ThreadPoolExecutor(max_workers=os.cpu_count() or 1))
            links: dict[tuple[object, ...], Future[Seen]] = {}
            content = functools.cache(files.sha256)
            keys = {
                name: (functions[name], *(content(job.output) for job in one)) for name, one in jobs.items()
            }
            advance = (
                stack.enter_context(console.progress(progress, len(set(keys.values()))))
                if progress
                else _silent
            )
            for name, one in jobs.items():
                if keys[name] not in links:
                    aliases = {REGISTRATION_SYMBOL: functions[name]}
                    links[keys[name]] = pool.submit(link, name, one, aliases)
            for future in links.values():
                future.result()
                advance(1)
            return {name: links[key].result() for name, key in keys.items()}

    def _compiled(self, project: Project) -> list[_Job]:
        with self._own_folder(project) as own:
            jobs = self._jobs(own, project)
            self._compile(jobs)
        return jobs

    @contextmanager
    def _own_folder(self, project: Project) -> Iterator[Path]:
        """The project's own files in a scratch folder, so that compilers see only relative names."""
        with tempfile.TemporaryDirectory(prefix="own-", dir=self.scratch) as name:
            folder = Path(name)
            for file, text in project.files.items():
                (folder / file).write_text(text, encoding="utf-8")
            if project.embedded is not None:
                shutil.copyfile(project.embedded, folder / MODEL_FILE)
            yield folder

    def _jobs(self, own: Path, project: Project) -> list[_Job]:
        headers = {name: text for name, text in project.files.items() if name.endswith(".h")}
        units = compile_units(project, self.profile, self.toolchain, self.tree)
        return [
            self._own_job(unit, own, project, headers) if unit.own else self._upstream_job(unit, project)
            for unit in units
        ]

    def _upstream_job(self, unit: CompileUnit, project: Project) -> _Job:
        if self.choice is None:
            return self._job(unit, unit.defines, None, "")
        own = project.own_defines_of(unit.source)
        defines = unit.defines if self.choice.packs(unit.source) else (*unit.defines, ONE_ORDER)
        text = self.choice.text_for(unit.source, own)
        if text is None:
            return self._job(unit, tuple(dict.fromkeys(defines)), None, "")
        shared = tuple(dict.fromkeys(define for define in defines if define not in own))
        dtypes = (LATER,) if any(define.startswith("LITESMITH_DTYPES=") for define in own) else ()
        return self._job(unit, (*shared, *dtypes), text, own_text(own))

    def _job(self, unit: CompileUnit, defined: Sequence[str], ahead: str | None, own: str) -> _Job:
        """The job of an upstream file; ``ahead`` is the text of a header that is compiled ahead."""
        defines = (f"-D{define}" for define in defined)
        include = (f"-I{folder}" for folder in unit.include)
        flags = (*unit.common, *unit.flags, *defines, *include, *_hidden(unit.prefixes))
        identity = self.toolchain.identity(self.profile)
        key = (identity, "upstream", unit.source, self.tree.identity(unit.group), flags)
        return _Job(
            source=unit.source,
            argument=self.tree.locate(unit.source),
            folder=self.tree.root,
            flags=flags,
            output=cache.object_path(*key) if ahead is None else cache.object_path(*key, ahead, own),
            header=None if ahead is None else PrecompiledHeader(text=ahead, flags=flags),
            own=own,
        )

    def _own_job(self, unit: CompileUnit, folder: Path, project: Project, headers: Mapping[str, str]) -> _Job:
        name = unit.source
        flags = (*unit.common, *unit.flags, *(f"-D{define}" for define in unit.defines), "-I.")
        # The include path contains folders of the cache, on which the object does not depend.
        include = (f"-I{self.tree.root / inner}" for inner in unit.include)
        hidden = _hidden([str(self.tree.root / inner) for inner in unit.prefixes])
        embedded = project.embedded if name == SELECTED_OPS else None
        return _Job(
            source=name,
            argument=name,
            folder=folder,
            flags=(*flags, *include, *hidden),
            output=cache.object_path(
                self.toolchain.identity(self.profile),
                *("own", name, project.files[name], headers, self.tree.identity(unit.group), flags),
                files.sha256(embedded) if embedded else "",
            ),
        )

    def _compile(self, jobs: Iterable[_Job]) -> None:
        missing = list({job.output: job for job in jobs if not cache.is_whole(job.output)}.values())
        if not missing:
            return
        require_whole(self.tree)
        self.toolchain.prepare(self.profile)
        workers = os.cpu_count() or 1
        with (
            console.progress(f"compiling for {self.profile.name}", len(missing)) as advance,
            ThreadPoolExecutor(max_workers=workers) as pool,
        ):
            headers = dict.fromkeys(job.header for job in missing if job.header)
            try:
                ahead = [header for header in headers if header not in self.ahead]
                _finish([pool.submit(self._compile_ahead, header) for header in ahead])
                _finish([pool.submit(self._compile_one, job, advance) for job in missing])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                process.kill_children()
                raise

    def _compile_ahead(self, header: PrecompiledHeader) -> None:
        path = self.scratch / header.name
        path.write_text(header.text, encoding="utf-8")
        self.ahead[header] = self.toolchain.precompile(self.profile, path, header.flags, self.tree.root)

    def _compile_one(self, job: _Job, advance: console.Advance) -> None:
        # In a folder of its own, because a killed compiler leaves temporary files next to its output.
        with self._aside() as aside:
            flags = job.flags
            if job.header is not None:
                (aside / "own.h").write_text(job.own, encoding="utf-8")
                flags = (*self.ahead[job.header], "-include", str(aside / "own.h"), *job.flags)
            try:
                self.toolchain.compile(self.profile, job.argument, flags, aside / "object.o", job.folder)
            except BuildError as error:
                raise self._with_paths_of_the_user(error) from None
            cache.store(aside / "object.o", job.output)
        advance(1, job.source.rsplit("/", 1)[-1])

    def _with_paths_of_the_user(self, error: BuildError) -> BuildError:
        """The same error, with the user's path of a custom op's source instead of the copy's path."""
        message = error.message
        for local in self.tree.local.values():
            message = message.replace(f"{local.folder}/", f"{local.origin}/")
        advice = "correct the file" if message != error.message else error.next_step
        return BuildError(message, advice)

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.scratch, ignore_cleanup_errors=True) as name:
            yield Path(name)

    def _link(self, jobs: list[_Job]) -> Binary:
        program = self._link_stripped(jobs)
        # Its libraries are linked below, or read when bytes are attributed.
        self.toolchain.prepare(self.profile)
        debug, map_file = program.with_name("debug"), program.with_name("map")
        if not (cache.is_whole(debug) and _is_of_this_cache(map_file)):
            with self._aside() as aside:
                inputs = [job.output for job in jobs]
                self.toolchain.link(
                    self.profile, inputs, aside / "debug", strip=False, map_file=aside / "map"
                )
                _store_map(aside / "map", map_file)
                cache.store(aside / "debug", debug)
        return Binary(program=program, debug=debug, map_file=map_file, objects=_objects(jobs))

    def _program(self, jobs: list[_Job], aliases: Mapping[str, str] | None = None) -> Path:
        return cache.program_path(
            self.toolchain.identity(self.profile),
            self.toolchain.link_flags(self.profile),
            [job.output.name for job in jobs],
            aliases,
        )

    def _link_stripped(self, jobs: list[_Job], aliases: Mapping[str, str] | None = None) -> Path:
        program = self._program(jobs, aliases)
        if not cache.is_whole(program):
            self.toolchain.prepare(self.profile)
            with self._aside() as aside:
                inputs = [job.output for job in jobs]
                self.toolchain.link(self.profile, inputs, aside / "program", strip=True, aliases=aliases)
                cache.store(aside / "program", program)
        return program


def _objects(jobs: Iterable[_Job]) -> dict[str, str]:
    """The source of each object, by the object's path in the cache."""
    return {cache.in_cache(job.output): job.source for job in jobs}


def _store_map(linked: Path, final: Path) -> None:
    """Stores what the linker wrote: its map names objects by where the cache is now."""
    text = linked.read_text(encoding="utf-8", errors="surrogateescape")
    linked.write_text(cache.without_place(text), encoding="utf-8", errors="surrogateescape")
    if linked != final:
        cache.store(linked, final)


def _is_of_this_cache(map_file: Path) -> bool:
    """Whether a map is whole, and names no object of a cache in another place, as earlier versions wrote."""
    if not cache.is_whole(map_file):
        return False
    text = cache.without_place(map_file.read_text(encoding="utf-8", errors="replace"))
    return _ELSEWHERE.search(text) is None


def _finish(waiting: Sequence[Future[None]]) -> None:
    """Waits for all, or raises the error of the first that fails."""
    done, _ = wait(waiting, return_when=FIRST_EXCEPTION)
    for future in done:
        future.result()


def _hidden(prefixes: Sequence[str]) -> tuple[str, ...]:
    """Flags that keep the cache's folders out of file names in asserts and errors."""
    return tuple(f"-ffile-prefix-map={folder}/=" for folder in prefixes)


def _silent(_amount: float, _what: str = "") -> None:
    """Shows no progress, because the work takes hardly any time."""
