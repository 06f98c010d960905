"""What the operator's shelf offers buyers: its files by hash, and names resolved before paying.

The same folder the worker reads. Opens no data, and answers from public reference files alone.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, get_args

from compute import ComputeError, Shelf, lift_variants, pairs_by_place, resolve_names
from compute.queries import Build
from marketplace.errors import InputError
from marketplace.services import Services


def shelf_of(services: Services) -> Shelf:
    """Return the shelf of this server's reference folder."""
    return Shelf(services.config.reference_dir)


def listed(services: Services) -> list[dict[str, Any]]:
    """Return the shelf's files: kind, name, SHA-256, bytes."""
    return [asdict(item) for item in shelf_of(services).items()]


def resolved(
    services: Services, names: Sequence[str], build: str, chain: str | None
) -> dict[str, Any]:
    """Return what each name stands for on a build and, with a chain, where that lies lifted.

    Lifted variants are held against the loci tables of the other build. Raises InputError for an
    unknown build, a file the shelf lacks, or too many names.
    """
    if build not in get_args(Build):
        raise InputError(f"build must be one of {', '.join(get_args(Build))}")
    here: Build
    there: Build
    here, there = ("GRCh37", "GRCh38") if build == "GRCh37" else ("GRCh38", "GRCh37")
    shelf = shelf_of(services)
    try:
        tables = [shelf.parsed(one.sha256) for one in shelf.items() if one.kind == "loci"]
        found = resolve_names(names, here, tables)
        variants = sorted({name for one in found for name in one.variants})
        known = {} if chain is None else pairs_by_place(there, tables)
        lifted = [] if chain is None else lift_variants(variants, shelf.parsed(chain), known)
    except ComputeError as error:
        raise InputError(str(error)) from None
    return {
        "build": build,
        "names": [asdict(one) for one in found],
        "variants": variants,
        "regions": [one.region for one in found if one.region is not None],
        "lifted": [asdict(one) for one in lifted],
    }
