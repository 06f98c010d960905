"""Genome builds: primary contigs, their lengths, and which build a header speaks of.

Lengths are those of the GRC primary assemblies (GRCh37.p13, GRCh38.p14). MT takes no part in
the decision: hg19's chrM (16,571) is another sequence than GRCh37's MT (16,569), and GRCh38
uses the same MT as GRCh37. Never guesses from a file name or a free-text reference line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from compute.errors import IngestError

Build = Literal["GRCh37", "GRCh38"]

CONTIGS: Final = (*(str(n) for n in range(1, 23)), "X", "Y", "MT")
AUTOSOMES: Final = frozenset(CONTIGS[:22])
CONTIG_CODE: Final[Mapping[str, int]] = {name: code for code, name in enumerate(CONTIGS)}

# fmt: off
_GRCH37 = (
    249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022,
    141213431, 135534747, 135006516, 133851895, 115169878, 107349540, 102531392, 90354753,
    81195210, 78077248, 59128983, 63025520, 48129895, 51304566, 155270560, 59373566, 16569,
)
_GRCH38 = (
    248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636,
    138394717, 133797422, 135086622, 133275309, 114364328, 107043718, 101991189, 90338345,
    83257441, 80373285, 58617616, 64444167, 46709983, 50818468, 156040895, 57227415, 16569,
)
# fmt: on
LENGTHS: Final[Mapping[Build, tuple[int, ...]]] = {"GRCh37": _GRCH37, "GRCh38": _GRCH38}


def contig_lengths(build: Build) -> dict[str, int]:
    """Return name -> length in bases of a build's primary contigs, in genome order."""
    return dict(zip(CONTIGS, LENGTHS[build], strict=True))


def canonical_contig(name: str) -> str | None:
    """Return "1".."22", "X", "Y" or "MT" for a contig's common spellings, else None."""
    bare = name[3:] if name[:3].lower() == "chr" else name
    if bare in {"M", "MT"}:
        return "MT"
    return bare if bare in CONTIG_CODE else None


def detect_build(declared: Mapping[str, int]) -> Build:
    """Tell the build from a header's contig lengths (bases).

    Raises IngestError ``build_unclear`` where no primary contig states a length, and
    ``build_wrong`` where a length fits neither build or two contigs disagree.
    """
    votes = {
        contig: _vote(contig, length)
        for contig, length in _primary(declared).items()
        if contig != "MT"
    }
    if not votes:
        raise IngestError(
            "the genome build is unclear: no ##contig line of chromosome 1-22, X or Y states a "
            "length. Write the header of your reference in again (bcftools reheader --fai)",
            code="build_unclear",
            where="header",
        )
    strange = [contig for contig, vote in votes.items() if vote is None]
    if strange or len(set(votes.values())) > 1:
        _refuse_build(strange or sorted(votes))
    return next(build for build in votes.values() if build is not None)


def _primary(declared: Mapping[str, int]) -> dict[str, int]:
    named = ((canonical_contig(name), length) for name, length in declared.items())
    return {contig: length for contig, length in named if contig is not None}


def _vote(contig: str, length: int) -> Build | None:
    for build, lengths in LENGTHS.items():
        if lengths[CONTIG_CODE[contig]] == length:
            return build
    return None


def _refuse_build(contigs: list[str]) -> None:
    raise IngestError(
        f"the ##contig lengths of {', '.join(contigs[:5])} are not those of one build: GRCh37 and "
        "GRCh38 are accepted and never mixed. Give the file its own build's header, or lift it",
        code="build_wrong",
        where="header",
    )
