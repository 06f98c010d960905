"""Which code makes a family's numbers, and its digest.

The digest covers the module a family is written in, all of this package that it imports, directly
or through others, and what changes an answer on its way out: floors, suppression, intervals, noise.
What is imported is read from the source, so that nothing can be forgotten, and nothing is loaded
for it. How a worker reads copies of data and shares sums out, and OpenDP, NumPy and the other
libraries, lie under the digest of the whole release (`compute.released` on the ledger).
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from compute.errors import QueryError

PACKAGE: Final = "compute"
_ROOT: Final = Path(__file__).resolve().parent.parent
# No family imports these: they judge a match, and are the gate with all it lets answers through.
_EVERY_ANSWER: Final = (
    "compute.queries.filters",
    "compute.queries.hierarchy",
    "compute.release",
    "compute.private",
)
# The gate looks families up here. Followed, one family's digest would be every family's.
_EVERY_FAMILY: Final = "compute.queries.catalogue"


@cache
def source_digest(module: str) -> str:
    """Return the SHA-256 (hex) over the source that answers come from. module: a family's own.

    Raises QueryError ``code`` where the source is not there.
    """
    digest = hashlib.sha256(b"omic/code/v2")
    for name in code_modules(module):
        body = _source(name)
        digest.update(f"\n{name} {len(body)}\n".encode())
        digest.update(body)
    return digest.hexdigest()


@cache
def code_modules(module: str) -> tuple[str, ...]:
    """Return the modules an answer of a family depends on, by name; module: the family's own."""
    found: set[str] = set()
    waiting = {module, *_EVERY_ANSWER}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= _imported(name) - found - {_EVERY_FAMILY}
    return tuple(sorted(found))


@cache
def _imported(module: str) -> frozenset[str]:
    """Return the modules of this package that one imports anywhere in its text."""
    found = (_behind(origin, name) for _, origin, name in _imports(module))
    return frozenset(one for one in found if _path(one) is not None)


def _behind(origin: str, name: str) -> str:
    """Return the module that `from origin import name` needs; name: "" for `import origin`.

    A package is a face: needed is the module it has the name from, not everything it shows.
    """
    if name and _path(f"{origin}.{name}") is not None:
        return f"{origin}.{name}"
    path = _path(origin)
    if path is not None and path.name == "__init__.py":
        for bound, source, its_name in _imports(origin):
            if bound == name:
                return _behind(source, its_name)
    return origin


@cache
def _imports(module: str) -> tuple[tuple[str, str, str], ...]:
    """Return what a module imports: (name it is bound to, module, name in it or "")."""
    found = []
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.Import):
            found += [(alias.asname or "", alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(one.asname or one.name, node.module, one.name) for one in node.names]
    return tuple(found)


def _source(module: str) -> bytes:
    path = _path(module)
    if path is None:
        raise QueryError(f"the source of {module} is not available", code="code")
    return path.read_bytes()


def _path(module: str) -> Path | None:
    """Return where a module of this package lies, or None for anything else."""
    package, *rest = module.split(".")
    if package != PACKAGE or not rest:
        return None
    place = _ROOT.joinpath(*rest)
    return next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), None)
