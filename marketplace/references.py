"""What the operator's shelf offers buyers: its files by hash, and names resolved before paying.

The same folder the worker reads. Opens no data, and answers from public reference files alone.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, get_args

from compute import ComputeError, Shelf, lift_variants, resolve_names
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

    Raises InputError for an unknown build, a file the shelf lacks, or too many names.
    """
    if build not in get_args(Build):
        raise InputError(f"build must be one of {', '.join(get_args(Build))}")
    shelf = shelf_of(services)
    try:
        tables = [shelf.parsed(one.sha256) for one in shelf.items() if one.kind == "loci"]
        found = resolve_names(names, "GRCh37" if build == "GRCh37" else "GRCh38", tables)
        variants = sorted({name for one in found for name in one.variants})
        lifted = [] if chain is None else lift_variants(variants, shelf.parsed(chain))
    except ComputeError as error:
        raise InputError(str(error)) from None
    return {
        "build": build,
        "names": [asdict(one) for one in found],
        "variants": variants,
        "regions": [one.region for one in found if one.region is not None],
        "lifted": [asdict(one) for one in lifted],
    }
