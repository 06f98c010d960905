"""From an array's letters to calls of REF and ALT. See compute.ingest.consumer for the rules.

Never turns a strand round: letters that are not the site's alleles are counted, and a file in
which more than a tenth of the looked-up letters differ is on another strand or build.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from compute.builds import Build
from compute.errors import IngestError
from compute.ingest.alleles import AlleleTable, Site
from compute.ingest.sex import MT, X, Y, in_par, sex_of_rate
from compute.parsed import NO_CALL, Genotypes

_MAX_DIFFER: Final = 0.1


class ArrayRows:
    """Gathers letters by site; a site seen twice must agree with itself."""

    def __init__(self, build: Build, alleles: AlleleTable, skipped: Counter[str]) -> None:
        self._build, self._alleles = build, alleles
        self._letters: dict[Site, str] = {}
        self._skipped = skipped
        self._no_calls: Counter[str] = Counter()

    def add(self, site: Site, letters: str) -> None:
        """Add one marker; ``letters`` "" is a no call."""
        if letters and not set(letters) <= set("ACGT"):
            self._skipped["indel_letters"] += 1
            return
        known = self._letters.get(site)
        if known is None:
            self._letters[site] = letters
            return
        self._skipped["duplicate_marker"] += 1
        if sorted(known) != sorted(letters):
            self._letters[site] = ""
            self._no_calls["discordant_marker"] += 1

    def finish(self, sample: str, records: int) -> Genotypes:
        """Return Genotypes. Raises IngestError ``alleles_differ``, ``no_alleles``."""
        one_x = self._male()
        rows: list[tuple[int, int, str, str, int, int]] = []
        for site in sorted(self._letters):
            known = self._alleles.sites.get(site)
            if known is None:
                self._skipped["no_reference_allele"] += 1
                continue
            rows.extend(self._site(site, *known, one_x=one_x))
        self._refuse_if_other(rows)
        contig, pos, ref, alt, dosage, ploidy = zip(*rows, strict=True)
        return Genotypes(
            sample=sample,
            build=self._build,
            callability="array-manifest",
            contig=np.array(contig, np.int8),
            pos=np.array(pos, np.int32),
            ref=ref,
            alt=alt,
            dosage=np.array(dosage, np.int8),
            ploidy=np.array(ploidy, np.int8),
            records=records,
            skipped=dict(self._skipped),
            no_calls=dict(self._no_calls),
        )

    def _site(
        self, site: Site, ref: str, alts: tuple[str, ...], *, one_x: bool
    ) -> list[tuple[int, int, str, str, int, int]]:
        letters = self._letters[site]
        if not set(letters) <= {ref, *alts}:
            self._skipped["alleles_differ"] += 1
            return []
        called = self._called(site, letters, one_x=one_x)
        if not called:
            self._no_calls["missing"] += not letters
            return [(*site, ref, alt, NO_CALL, 0) for alt in sorted(alts)]
        return [(*site, ref, alt, called.count(alt), len(called)) for alt in sorted(alts)]

    def _called(self, site: Site, letters: str, *, one_x: bool) -> str:
        """Return the letters with a doubled single copy written once; "" = no call."""
        single = site[0] in {Y, MT} or (one_x and site[0] == X and not in_par(self._build, site[1]))
        if not single and len(letters) == 1 and site[0] != X:
            self._no_calls["one_letter_of_two_copies"] += 1
            return ""
        if not single or len(letters) < 2:
            return letters
        if letters[0] != letters[1]:
            self._no_calls["two_alleles_of_one_copy"] += 1
            return ""
        return letters[0]

    def _male(self) -> bool:
        """Tell whether X calls outside PAR are all but homozygous: vendors double one copy."""
        calls = [
            letters
            for (code, pos), letters in self._letters.items()
            if code == X and letters and not in_par(self._build, pos)
        ]
        het = sum(len(set(letters)) == 2 for letters in calls)
        return sex_of_rate(het, len(calls)) == "male"

    def _refuse_if_other(self, rows: list[tuple[int, int, str, str, int, int]]) -> None:
        differ = self._skipped["alleles_differ"]
        sites = len({row[:2] for row in rows})
        if differ > _MAX_DIFFER * (sites + differ):
            raise IngestError(
                f"the letters at {differ} of {sites + differ} sites are not the table's alleles: "
                "another strand or build, or a table of another array",
                code="alleles_differ",
            )
        if not rows:
            raise IngestError(
                "no site of the file is in the REF/ALT table: nothing can be kept",
                code="no_alleles",
            )
        self._skipped += Counter()
        self._no_calls += Counter()
