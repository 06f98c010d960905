"""Lifting a query's variants to another build with an operator's chain file; never people's data.

Every base of REF must land in one piece on one chromosome; on the other strand alleles are
complemented, and a palindromic pair, which that would turn into itself, fails. A chain holds no
sequence, so REF is held against the operator's loci tables of the new build: where they list the
place, another REF or a swapped pair fails; where they do not, the variant is marked unchecked.
What cannot be lifted is listed with its reason. Source: UCSC chain format; library pyliftover.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from compute.builds import canonical_contig
from compute.errors import QueryError

_OTHER: Final = str.maketrans("ACGTN", "TGCAN")


@dataclass(frozen=True, slots=True)
class Lifted:
    """One variant and where it lies on the other build; problem says why nowhere.

    checked: a table of that build lists the place, with this REF.
    """

    asked: str
    variant: str | None = None
    strand: str = "+"
    problem: str = ""
    checked: bool = False


def parse_chain(data: bytes) -> Any:
    """Parse a chain file (inflated bytes). Raises QueryError ``bad_reference``."""
    # Loaded here: only who lifts needs the library.
    from pyliftover import LiftOver

    try:
        found = LiftOver(io.BytesIO(data))
        chains = found.chain_file.chains
    except Exception:
        raise QueryError("the chain file cannot be read", code="bad_reference") from None
    if not chains:
        raise QueryError("the chain file holds no chain", code="bad_reference")
    return found


def lift_variants(
    names: Iterable[str], chain: Any, known: Mapping[str, Iterable[str]] | None = None
) -> list[Lifted]:
    """Lift variants chrom-pos-ref-alt, in order. known: REF-ALT pairs by chrom-pos, new build."""
    return [_checked(_one(name, chain), known or {}) for name in names]


def _checked(lifted: Lifted, known: Mapping[str, Iterable[str]]) -> Lifted:
    """Hold a lifted variant against what the new build's tables list at its place."""
    contig, pos, ref, alt = (lifted.variant or "---").split("-")
    pairs = set(known.get(f"{contig}-{pos}", ()))
    if not pairs:
        return lifted
    if f"{ref}-{alt}" not in pairs and f"{alt}-{ref}" in pairs:
        return replace(lifted, variant=None, problem="REF and ALT are swapped on the other build")
    refs = {pair.split("-")[0] for pair in pairs}
    # A deletion's REF is longer than a SNP's of the same place.
    if not any(one.startswith(ref) or ref.startswith(one) for one in refs):
        return replace(lifted, variant=None, problem="the other build has another REF there")
    return replace(lifted, checked=True)


def _one(name: str, chain: Any) -> Lifted:
    contig, pos, ref, alt = name.split("-")
    source = "chrM" if contig == "MT" else f"chr{contig}"
    places = [_place(chain, source, int(pos) - 1 + at) for at in range(len(ref))]
    if any(isinstance(place, str) for place in places):
        return Lifted(name, problem=next(p for p in places if isinstance(p, str)))
    whole = [place for place in places if not isinstance(place, str)]
    target, first, strand = whole[0]
    step = 1 if strand == "+" else -1
    if whole != [(target, first + step * at, strand) for at in range(len(ref))]:
        return Lifted(name, problem="its bases do not lie together on the other build")
    new = canonical_contig(target)
    if new is None:
        return Lifted(name, problem="it lies on no primary chromosome of the other build")
    if strand == "+":
        return Lifted(name, f"{new}-{first + 1}-{ref}-{alt}")
    return _turned(name, new, first - len(ref) + 2, ref, alt)


def _turned(name: str, contig: str, start: int, ref: str, alt: str) -> Lifted:
    """Return a variant on the other strand, where its alleles are complemented."""
    if len(ref) != len(alt):
        return Lifted(name, strand="-", problem="an insertion or deletion on the other strand")
    if ref.translate(_OTHER)[::-1] == alt:
        return Lifted(name, strand="-", problem="a palindromic pair on the other strand")
    alleles = "-".join(text.translate(_OTHER)[::-1] for text in (ref, alt))
    return Lifted(name, f"{contig}-{start}-{alleles}", "-")


def _place(chain: Any, contig: str, pos: int) -> tuple[str, int, str] | str:
    found = chain.convert_coordinate(contig, pos)
    if not found:
        return "no chain covers it"
    if len(found) > 1:
        return "it lands at several places"
    target, at, strand, _ = found[0]
    return str(target), int(at), str(strand)
