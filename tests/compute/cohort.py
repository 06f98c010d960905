"""The demo cohort as the engine sees it: every file cut, parsed and aligned."""

from __future__ import annotations

from functools import cache

from compute.ingest import Features, Genotypes, Participant, parse
from compute.queries import CohortData, PersonData, VariantTable, align
from marketplace.client import demo_data


@cache
def parsed() -> tuple[tuple[Genotypes, Features, Participant], ...]:
    return tuple(
        (
            parse(demo_data.vcf(p.participant), "genotypes", p.participant),
            parse(demo_data.expression(p.participant), "expression", p.participant),
            parse(demo_data.record(p.participant), "participant", p.participant),
        )
        for p in demo_data.people()
    )


@cache
def table() -> VariantTable:
    return VariantTable.union(g for g, _, _ in parsed())


@cache
def cohort(population: str | None = None) -> CohortData:
    people = []
    for genotypes, features, record in parsed():
        if population not in (None, record.population):
            continue
        dosage, ploidy = align(genotypes, table())
        people.append(
            PersonData(
                participant=record.participant,
                dosage=dosage,
                ploidy=ploidy,
                strata={"population": record.population, "sex": record.sex},
                covariates=record.covariates,
                features=dict(zip(features.ids, features.values.tolist(), strict=True)),
            )
        )
    return CohortData.of(table(), people)
