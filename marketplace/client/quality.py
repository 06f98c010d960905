"""What the check of a file found, in words for the person whose file it is."""

from collections.abc import Mapping
from typing import Any

_WORDS = {
    "modality": "kind",
    "sample": "sample",
    "build": "genome build",
    "callability": "what absence means",
    "records": "records read",
    "variants": "variants",
    "called": "of them called",
    "call_rate": "call rate",
    "het": "heterozygous",
    "hom_alt": "homozygous for ALT",
    "het_hom_ratio": "het/hom ratio",
    "ti_tv": "Ti/Tv",
    "contigs": "chromosomes",
    "covered_bases": "covered bases beside the sites",
    "sex_check": "sex the X chromosome suggests",
    "by_terminology": "codes",
    "lowest": "lowest value",
    "median": "median value",
    "highest": "highest value",
}
_CALLABILITY = {
    "all-sites": "every site of the file was looked at; a site not in it was not",
    "gvcf-blocks": "its reference blocks say where you are like the reference",
    "array-manifest": "the array looked at its own sites only",
    "variant-only": "nothing: a site that is not listed may not have been looked at, so you enter "
    "no allele frequency. To change that give --regions (a BED of what your caller could call), or "
    "--callability all-sites if it wrote every site",
}
_BY_REASON = {"skipped": "skipped", "no_calls": "no call", "mended": "kept, but mended"}
_REASONS = {
    "code_trimmed": "codes with blanks around them",
    "ciel_uuid": "codes that are OpenMRS's own, read as CIEL's",
}
_HIDDEN = frozenset({"content_digest"})


def lines_of(summary: Mapping[str, Any]) -> dict[str, object]:
    """Return a summary as label -> words: ratios rounded, counts by reason one to a line."""
    found: dict[str, object] = {}
    for key, value in summary.items():
        if key in _HIDDEN or value in (None, {}, (), [], ""):
            continue
        label = _WORDS.get(key, key.replace("_", " "))
        if key in _BY_REASON:
            reasons = {_REASONS.get(why, why.replace("_", " ")): n for why, n in value.items()}
            found |= {f"{_BY_REASON[key]}: {why}": n for why, n in sorted(reasons.items())}
        elif isinstance(value, Mapping):
            found[label] = ", ".join(f"{name} {n}" for name, n in sorted(value.items()))
        elif key == "callability":
            found[label] = f"{value} ({_CALLABILITY[value]})"
        else:
            found[label] = _plain(value)
    return found


def _plain(value: Any) -> object:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
