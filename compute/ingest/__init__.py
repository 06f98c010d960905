"""Face of ingest: formats and checks, used by the owner's client and by compute's worker.

Importing it loads numpy only; pysam is loaded by the first BCF or `inspect`, h5py by an HDF5 file.
"""

from compute.builds import CONTIGS, Build, contig_lengths, detect_build
from compute.coverage import covered, reference_ploidy
from compute.errors import IngestError, ParserDiedError
from compute.ingest.archive import pack as pack_regions
from compute.ingest.digest import content_digest
from compute.ingest.features import write_features
from compute.ingest.host import HostLimits, ParserHost
from compute.ingest.packed import is_packed, write_packed
from compute.ingest.parse import (
    inspect,
    parse,
    parse_clinical,
    parse_features,
    parse_genotypes,
    parse_participant,
)
from compute.ingest.settled import Given, settle
from compute.ingest.study_plink import split_pgen, split_plink
from compute.ingest.study_vcf import Part, split_vcf
from compute.ingest.summary import (
    ClinicalSummary,
    FeatureSummary,
    GenotypeSummary,
    ParticipantSummary,
    Summary,
    summarise,
)
from compute.ingest.vcf_out import write_bed, write_vcf
from compute.parsed import (
    COVERING,
    MODALITIES,
    NO_CALL,
    NO_HINTS,
    NOT_COVERED,
    Callability,
    Clinical,
    Demographics,
    Features,
    Genotypes,
    Hints,
    Intervals,
    Limits,
    Measurement,
    Modality,
    Parsed,
    Participant,
    Term,
)

__all__ = [
    "CONTIGS",
    "COVERING",
    "MODALITIES",
    "NOT_COVERED",
    "NO_CALL",
    "NO_HINTS",
    "Build",
    "Callability",
    "Clinical",
    "ClinicalSummary",
    "Demographics",
    "FeatureSummary",
    "Features",
    "GenotypeSummary",
    "Genotypes",
    "Given",
    "Hints",
    "HostLimits",
    "IngestError",
    "Intervals",
    "Limits",
    "Measurement",
    "Modality",
    "Parsed",
    "ParserDiedError",
    "ParserHost",
    "Part",
    "Participant",
    "ParticipantSummary",
    "Summary",
    "Term",
    "content_digest",
    "contig_lengths",
    "covered",
    "detect_build",
    "inspect",
    "is_packed",
    "pack_regions",
    "parse",
    "parse_clinical",
    "parse_features",
    "parse_genotypes",
    "parse_participant",
    "reference_ploidy",
    "settle",
    "split_pgen",
    "split_plink",
    "split_vcf",
    "summarise",
    "write_bed",
    "write_features",
    "write_packed",
    "write_vcf",
]
