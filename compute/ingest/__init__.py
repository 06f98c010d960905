"""Face of ingest: formats and checks, used by the owner's client and by compute's worker.

Importing it loads numpy only; pysam is loaded by the first BCF or `inspect`.
"""

from compute.builds import CONTIGS, Build, contig_lengths, detect_build
from compute.errors import IngestError, ParserDiedError
from compute.ingest.digest import content_digest
from compute.ingest.host import HostLimits, ParserHost
from compute.ingest.parse import (
    inspect,
    parse,
    parse_features,
    parse_genotypes,
    parse_participant,
)
from compute.ingest.summary import (
    FeatureSummary,
    GenotypeSummary,
    ParticipantSummary,
    Summary,
    summarise,
)
from compute.parsed import (
    COVERING,
    NO_CALL,
    NOT_COVERED,
    Callability,
    Features,
    Genotypes,
    Limits,
    Modality,
    Parsed,
    Participant,
)

__all__ = [
    "CONTIGS",
    "COVERING",
    "NOT_COVERED",
    "NO_CALL",
    "Build",
    "Callability",
    "FeatureSummary",
    "Features",
    "GenotypeSummary",
    "Genotypes",
    "HostLimits",
    "IngestError",
    "Limits",
    "Modality",
    "Parsed",
    "ParserDiedError",
    "ParserHost",
    "Participant",
    "ParticipantSummary",
    "Summary",
    "content_digest",
    "contig_lengths",
    "detect_build",
    "inspect",
    "parse",
    "parse_features",
    "parse_genotypes",
    "parse_participant",
    "summarise",
]
