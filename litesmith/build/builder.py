"""Project + toolchain → :class:`Binary`, with a cache of objects and programs by content.

An upstream object depends on its source, the source tree, the toolchain and its flags, and
on nothing else: every model of a target shares it.  Our own files are keyed by their text.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from litesmith.base import console, files, paths, process
from litesmith.base.errors import BuildError
from litesmith.build.generate import (
    MODEL_FILE,
    REGISTRATION,
    REGISTRATION_SYMBOL,
    SELECTED_OPS,
    Project,
    registration_variants,
)
from litesmith.runtime.source_tree import SourceTree
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain

# Bump when the layout of cached programs changes.
_PROGRAM_FORMAT = 1

_IN_USE = ".in-use"

Seen = TypeVar("Seen")


@dataclass(frozen=True, kw_only=True)
class Binary:
    """A linked program in the cache.

    ``program`` is stripped, ``debug`` the same with symbols, ``map_file`` the linker's map.
    ``objects`` maps each object's path in the cache to its source (``component/path``, or the
    bare name of a file of ours).
    """

    program: Path
    debug: Path
    map_file: Path
    objects: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class _Job:
    source: str
    argument: str
    folder: Path
    flags: tuple[str, ...]
    output: Path


@contextmanager
def workshop(
    profile: Profile, toolchain: Toolchain, tree: SourceTree, defines: tuple[str, ...]
) -> Iterator[Builder]:
    """A :class:`Builder` with its scratch folder, for as long as commands of the toolchain run.

    The scratch folder lies in the cache: what is finished moves into it in one rename.
    """
    cache = paths.cache_folder()
    objects, work = cache / "objects", cache / "work"
    for folder in (objects, work):
        folder.mkdir(parents=True, exist_ok=True)
    _sweep(work)
    with tempfile.TemporaryDirectory(dir=work, ignore_cleanup_errors=True) as name:
        scratch = Path(name)
        with (
            files.locked(scratch / _IN_USE),
            toolchain.session(readable=(tree.root, objects), writable=scratch),
        ):
            yield Builder(profile=profile, toolchain=toolchain, tree=tree, defines=defines, scratch=scratch)


def _sweep(work: Path) -> None:
    """Removes what builds that were killed have left; those that run hold their mark."""
    for mark in work.glob(f"*/{_IN_USE}"):
        with contextlib.suppress(OSError), mark.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(mark.parent, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class Builder:
    """Compiles and links for one profile with one toolchain; see :func:`workshop`."""

    profile: Profile
    toolchain: Toolchain
    tree: SourceTree
    defines: tuple[str, ...]
    scratch: Path

    def build(self, project: Project) -> Binary:
        """Compiles what is not in the cache yet, and links.

        Raises:
            BuildError: the compiler or the linker refused.
        """
        return self._link(self._compiled(project))

    def stripped(self, project: Project) -> Path:
        """The stripped program alone, for its size.

        Raises:
            BuildError: the compiler or the linker refused.
        """
        return self._link_stripped(self._compiled(project))

    def finished(self, project: Project) -> Path | None:
        """The stripped program when it is in the cache already, else None."""
        # Keys depend on content: no file of ours needs to lie anywhere.
        program = self._program(self._jobs(self.scratch, project))
        return program if program.exists() else None

    def variants(self, projects: Mapping[str, Project]) -> dict[str, Path]:
        """Stripped programs for other ops than those of one project (see :meth:`Project.reduced`), by name.

        Raises:
            BuildError: the compiler or the linker refused.
        """
        return self._variants(projects, lambda _, jobs, aliases: self._link_stripped(jobs, aliases))

    def examine(
        self, projects: Mapping[str, Project], look: Callable[[str, Binary], Seen]
    ) -> dict[str, Seen]:
        """The same, linked with symbols and a map; what ``look`` makes of them is all that stays.

        Raises:
            BuildError: the compiler or the linker refused.
        """

        def link(name: str, jobs: list[_Job], aliases: Mapping[str, str]) -> Seen:
            with self._aside() as aside:
                inputs = [job.output for job in jobs]
                program, debug, map_file = (aside / name for name in ("program", "debug", "map"))
                self.toolchain.link(self.profile, inputs, program, strip=True, aliases=aliases)
                self.toolchain.link(
                    self.profile, inputs, debug, strip=False, map_file=map_file, aliases=aliases
                )
                objects = {str(job.output): job.source for job in jobs}
                return look(name, Binary(program=program, debug=debug, map_file=map_file, objects=objects))

        return self._variants(projects, link, "linking")

    def _variants(
        self,
        projects: Mapping[str, Project],
        link: Callable[[str, list[_Job], Mapping[str, str]], Seen],
        progress: str = "",
    ) -> dict[str, Seen]:
        text, functions = registration_variants({name: p.selection for name, p in projects.items()})
        with ExitStack() as stack:
            jobs: dict[str, list[_Job]] = {}
            for name, project in projects.items():
                smaller = dataclasses.replace(project, files={**project.files, REGISTRATION: text})
                own = stack.enter_context(self._own_folder(smaller.files, smaller.embedded))
                jobs[name] = self._jobs(own, smaller)
            self._compile(job for one in jobs.values() for job in one)
            pool = stack.enter_context(ThreadPoolExecutor(max_workers=os.cpu_count() or 1))
            advance = stack.enter_context(console.progress(progress, len(jobs))) if progress else _silent
            links = {
                name: pool.submit(link, name, one, {REGISTRATION_SYMBOL: functions[name]})
                for name, one in jobs.items()
            }
            seen = {}
            for name, future in links.items():
                seen[name] = future.result()
                advance(1, name)
            return seen

    def _compiled(self, project: Project) -> list[_Job]:
        with self._own_folder(project.files, project.embedded) as own:
            jobs = self._jobs(own, project)
            self._compile(jobs)
        return jobs

    def _jobs(self, own: Path, project: Project) -> list[_Job]:
        ours = [self._own_job(own, name, project) for name in project.own_sources]
        return ours + [self._upstream_job(source, project) for source in project.sources]

    @contextmanager
    def _own_folder(self, contents: Mapping[str, str], embedded: Path | None) -> Iterator[Path]:
        """Our C++ files in a scratch folder; compilers see relative names only."""
        with tempfile.TemporaryDirectory(prefix="own-", dir=self.scratch) as name:
            folder = Path(name)
            for file, text in contents.items():
                if file.endswith((".cc", ".c", ".h")):
                    (folder / file).write_text(text, encoding="utf-8")
            if embedded is not None:
                shutil.copyfile(embedded, folder / MODEL_FILE)
            yield folder

    def _object(self, *parts: object) -> Path:
        key = files.digest_of(self.toolchain.identity(self.profile), *parts)
        return paths.cache_folder() / "objects" / key[:2] / f"{key}.o"

    def _upstream_job(self, source: str, project: Project) -> _Job:
        flags = self.toolchain.compile_flags(self.profile).for_file(source)
        defines = [f"-D{define}" for define in (*self.defines, *project.source_defines(source))]
        local = self.tree.local.get(source.partition("/")[0])
        group = self.tree.group_of(source)
        own = self.tree.local_include_folders() if local else ()
        folders = [*self.tree.include_folders(group), *own]
        include = [f"-I{folder}" for folder in folders]
        remap = [
            # What a file calls itself (asserts, errors) must not depend on our folders.
            f"-ffile-prefix-map={folder}/="
            for folder in (*self.tree.prefix_maps(group), *([local.folder] if local else ()))
        ]
        own_flags = project.source_flags(source, self.toolchain.name)
        every = (*flags, *own_flags, *defines, *include, *remap)
        return _Job(
            source=source,
            argument=self.tree.locate(source),
            folder=self.tree.root,
            flags=every,
            output=self._object("upstream", source, self.tree.identity(group), every),
        )

    def _own_job(self, folder: Path, name: str, project: Project) -> _Job:
        contents = project.files
        group = project.group
        flags = self.toolchain.compile_flags(self.profile).for_file(name)
        headers = {file: text for file, text in contents.items() if file.endswith(".h")}
        model = files.sha256(project.embedded) if project.embedded and name == SELECTED_OPS else ""
        every = (
            *flags,
            *project.own_flags(name),
            *(f"-D{define}" for define in (*self.defines, *project.defines_of(name))),
            "-I.",
        )
        key = self._object("own", name, contents[name], headers, self.tree.identity(group), every, model)
        include = (f"-I{self.tree.root / inner}" for inner in self.tree.include_folders(group))
        remap = (f"-ffile-prefix-map={self.tree.root / inner}/=" for inner in self.tree.prefix_maps(group))
        return _Job(
            source=name,
            argument=name,
            folder=folder,
            flags=(*every, *include, *remap),
            output=key,
        )

    def _compile(self, jobs: Iterable[_Job]) -> None:
        missing = list({job.output: job for job in jobs if not job.output.exists()}.values())
        if not missing:
            return
        self.toolchain.prepare(self.profile)
        workers = os.cpu_count() or 1
        with (
            console.progress(f"compiling for {self.profile.name}", len(missing)) as advance,
            ThreadPoolExecutor(max_workers=workers) as pool,
        ):
            waiting = [pool.submit(self._compile_one, job, advance) for job in missing]
            try:
                done, _ = wait(waiting, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                process.kill_children()
                raise

    def _compile_one(self, job: _Job, advance: console.Advance) -> None:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        # A folder: a compiler that is killed leaves temporary files beside its output.
        with self._aside() as aside:
            try:
                self.toolchain.compile(self.profile, job.argument, job.flags, aside / "object.o", job.folder)
            except BuildError as error:
                raise self._where_the_user_has_it(error) from None
            (aside / "object.o").rename(job.output)
        advance(1, job.source.rsplit("/", 1)[-1])

    def _where_the_user_has_it(self, error: BuildError) -> BuildError:
        """An error in one of the user's own files with the path that the user knows."""
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
        objects = {str(job.output): job.source for job in jobs}
        debug, map_file = program.with_name("debug"), program.with_name("map")
        if not debug.exists():
            with self._aside() as aside:
                inputs = [job.output for job in jobs]
                self.toolchain.link(
                    self.profile, inputs, aside / "debug", strip=False, map_file=aside / "map"
                )
                (aside / "map").replace(map_file)
                (aside / "debug").replace(debug)
        return Binary(program=program, debug=debug, map_file=map_file, objects=objects)

    def _program(self, jobs: list[_Job], aliases: Mapping[str, str] | None = None) -> Path:
        key = files.digest_of(
            _PROGRAM_FORMAT,
            self.toolchain.identity(self.profile),
            self.toolchain.link_flags(self.profile),
            [job.output.name for job in jobs],
            aliases,
        )
        return paths.cache_folder() / "programs" / key[:2] / key / "program"

    def _link_stripped(self, jobs: list[_Job], aliases: Mapping[str, str] | None = None) -> Path:
        program = self._program(jobs, aliases)
        if not program.exists():
            self.toolchain.prepare(self.profile)
            program.parent.mkdir(parents=True, exist_ok=True)
            with self._aside() as aside:
                inputs = [job.output for job in jobs]
                self.toolchain.link(self.profile, inputs, aside / "program", strip=True, aliases=aliases)
                (aside / "program").replace(program)
        return program


def _silent(_amount: float, _what: str = "") -> None:
    """Progress of what is done in no time."""
