"""The face of compute: consent terms, the one matcher, scopes, messages and bundle verification.

Pure: importing it reads no file and brings in neither parsers nor servers. Encryption is the
sub-face `compute.crypt`; reading people's files is `compute.ingest`. What an answer will be worth
(`expected_error` and its neighbours) is loaded when first used, because it brings in numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from compute.approvals import judge_order, rule_allows
from compute.breach import Breach, breach_scope
from compute.builds import contig_lengths
from compute.bundle import (
    Bundle,
    Check,
    Report,
    bundle_entry,
    make_auditor_bundle,
    make_researcher_bundle,
    parse_bundle,
    verify_bundle,
)
from compute.claims import claims_of, fold_claims
from compute.duo import DUO_TERMS, DuoTerm, duo_term, modernise
from compute.duo_json import from_duo_json, to_duo_json
from compute.errors import BundleError, ComputeError, CryptError, TermsError
from compute.fhir_consent import ConsentRecord, from_fhir, to_fhir
from compute.match import match_terms, parse_release, price_class, price_of
from compute.messages import JobMessage, Outcome
from compute.ontology import (
    TEST_SUBSET,
    DictOntology,
    Ontology,
    current_ontology,
    load_obo,
    load_obographs,
    load_ontology,
    use_ontology,
    use_ontology_file,
)
from compute.presets import PRESETS, TRUSTED_WARNING, describe, plain_words, preset
from compute.prices import rate_of
from compute.result import (
    ResultDocument,
    answer_bytes,
    check_opening,
    commitment_of,
    committed_bytes,
    make_opening,
    result_commitment,
)
from compute.risk import HIGHEST, Risk, error_picture, risk_of, risk_picture, risk_words
from compute.scope import Scope, bucket, parse_scope
from compute.terms import (
    EXACT_STATISTICS,
    NEVER,
    Claim,
    Claims,
    Modifier,
    Purpose,
    Terms,
    canonical_terms,
    claims_from_attestations,
    parse_purpose,
    parse_terms,
    terms_sha256,
)
from compute.values import PRICE_CLASSES, SECTORS, parse_value
from compute.verdict import GROUPS, Match, Reason, Release, Verdict

if TYPE_CHECKING:
    from compute.consent_index import ConsentIndex, index_of
    from compute.expected import sd_problem
    from compute.lift import lift_variants
    from compute.loci import pairs_by_place, resolve_names
    from compute.made_up import made_up_answer
    from compute.release import MIN_PEOPLE
    from compute.selection import Member, Members, ScopeResult, resolve_scope, tell_people
    from compute.shelf import Shelf
    from compute.utility import (
        UselessError,
        expected_error,
        private_counts_request,
        require_useful,
    )

__all__ = [
    "DUO_TERMS",
    "EXACT_STATISTICS",
    "GROUPS",
    "HIGHEST",
    "MIN_PEOPLE",
    "NEVER",
    "PRESETS",
    "PRICE_CLASSES",
    "SECTORS",
    "TEST_SUBSET",
    "TRUSTED_WARNING",
    "Breach",
    "Bundle",
    "BundleError",
    "Check",
    "Claim",
    "Claims",
    "ComputeError",
    "ConsentIndex",
    "ConsentRecord",
    "CryptError",
    "DictOntology",
    "DuoTerm",
    "JobMessage",
    "Match",
    "Member",
    "Members",
    "Modifier",
    "Ontology",
    "Outcome",
    "Purpose",
    "Reason",
    "Release",
    "Report",
    "ResultDocument",
    "Risk",
    "Scope",
    "ScopeResult",
    "Shelf",
    "Terms",
    "TermsError",
    "UselessError",
    "Verdict",
    "answer_bytes",
    "breach_scope",
    "bucket",
    "bundle_entry",
    "canonical_terms",
    "check_opening",
    "claims_from_attestations",
    "claims_of",
    "commitment_of",
    "committed_bytes",
    "contig_lengths",
    "current_ontology",
    "describe",
    "duo_term",
    "error_picture",
    "expected_error",
    "fold_claims",
    "from_duo_json",
    "from_fhir",
    "index_of",
    "judge_order",
    "lift_variants",
    "load_obo",
    "load_obographs",
    "load_ontology",
    "made_up_answer",
    "make_auditor_bundle",
    "make_opening",
    "make_researcher_bundle",
    "match_terms",
    "modernise",
    "pairs_by_place",
    "parse_bundle",
    "parse_purpose",
    "parse_release",
    "parse_scope",
    "parse_terms",
    "parse_value",
    "plain_words",
    "preset",
    "price_class",
    "price_of",
    "private_counts_request",
    "rate_of",
    "require_useful",
    "resolve_names",
    "resolve_scope",
    "result_commitment",
    "risk_of",
    "risk_picture",
    "risk_words",
    "rule_allows",
    "sd_problem",
    "tell_people",
    "terms_sha256",
    "to_duo_json",
    "to_fhir",
    "use_ontology",
    "use_ontology_file",
    "verify_bundle",
]

_LATE = {
    "ConsentIndex": "consent_index",
    "MIN_PEOPLE": "release",
    "Member": "selection",
    "Members": "selection",
    "ScopeResult": "selection",
    "Shelf": "shelf",
    "UselessError": "utility",
    "expected_error": "utility",
    "index_of": "consent_index",
    "lift_variants": "lift",
    "made_up_answer": "made_up",
    "private_counts_request": "utility",
    "require_useful": "utility",
    "sd_problem": "expected",
    "pairs_by_place": "loci",
    "resolve_names": "loci",
    "resolve_scope": "selection",
    "tell_people": "selection",
}


def __getattr__(name: str) -> Any:
    """Load what needs numpy when it is first asked for."""
    if name in _LATE:
        return getattr(import_module(f"compute.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
