"""Family private_association: one clamped feature regressed on each listed variant, private.

Model, per variant and stratum, over people with a value, every covariate and a call:
feature ~ 1 + dosage + covariates. The feature is clamped to [low, high], which the buyer states,
and scaled to u in [-1, 1], and so is each covariate to bounds of its own; dosage is taken about 1,
g in {-1, 0, 1} (a haploid call counts as two copies). A category (population, sex) is one
covariate for each level listed but the first: 1 for people of it, -1 for the others. Released,
noised once as one vector: for each variant every product of two of (1, g, u, z1 ... zp), summed,
in steps of 1/STEPS. The strata are levels the buyer lists and share nobody, so a person is in one
of them only and they cost no more together than one; a row "all" joins them by inverse variance.
What a person adds is in `product_sums`, the noise in `association_noise`, the fit in `noised_fit`.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from compute.parsed import Modality
from compute.queries.association_noise import AssociationNoise
from compute.queries.assumed import Sampled, of_slope
from compute.queries.data import Frame
from compute.queries.distribution import half_width
from compute.queries.family import Answer, Defaults, Needs, ReleaseMode, Sensitivity
from compute.queries.frequencies import in_order
from compute.queries.params import Strict
from compute.queries.private import PrivateForm
from compute.queries.private_association_params import (
    MAX_COVARIATES,
    MAX_VARIANTS,
    PrivateAssociationParams,
    sum_names,
)
from compute.queries.product_sums import AssociationSums
from compute.queries.traits import CATEGORICAL

SUMS: Final = tuple(sum_names(0))  # without covariates: n, g, u, gg, gu, uu


class PrivateAssociation(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = "private_association"
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Association of a measured feature with listed variants, private"
    limits: ClassVar[str] = (
        f"private only, {MAX_VARIANTS:,} listed variants, {MAX_COVARIATES} columns of covariates"
    )
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"private"})
    params: ClassVar[type[Strict]] = PrivateAssociationParams
    private: ClassVar[PrivateForm] = AssociationNoise()
    sampled: ClassVar[Sampled | None] = Sampled("beta", of_slope, half_width)
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "With the feature and each covariate clamped and scaled to [-1, 1] and dosage about 1, "
        "one person adds at most 1 to each of a variant's sums of products of two (six without "
        "covariates), in one stratum.",
        dict.fromkeys(SUMS, 1),
    )

    def needs(self, params: PrivateAssociationParams) -> Needs:
        """Genotypes, one measured feature, and the record where it is split or adjusted."""
        found: set[Modality] = {"genotypes", "expression"}
        if params.by or params.covariates:
            found.add("participant")
        names = params.covariates or {}
        levels = {*([params.by] if params.by else []), *(set(names) & set(CATEGORICAL))}
        return Needs(
            frozenset(found),
            features=(params.feature,),
            strata=tuple(sorted(levels)),
            covariates=tuple(sorted(set(names) - set(CATEGORICAL))),
        )

    def cost(self, params: PrivateAssociationParams, variants: int, people: int) -> int:
        """Return one unit a genotype and sum."""
        return len(params.variants) * people * len(params.sum_names())

    def start(self, params: PrivateAssociationParams, frame: Frame) -> AssociationSums:
        """Return empty sums."""
        return AssociationSums(params, frame)

    def reduce(self, partial: AssociationSums) -> Answer:
        """Return exact sums by stratum and variant; they leave through the private form only."""
        strata, names = partial.params.strata, in_order(partial.params.variants)
        columns = {
            "stratum": np.repeat(np.array(strata, object), len(names)),
            "variant": np.tile(np.array(names, object), len(strata)),
        }
        sums = partial.sums.reshape(len(columns["variant"]), -1)
        columns |= {name: sums[:, at].copy() for at, name in enumerate(partial.params.sum_names())}
        return Answer(self.name, self.version, columns, {"all": partial.people})
