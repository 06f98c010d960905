"""What a query opens of one person beside genotypes: record, measurements, clinical data.

Called once a person and pass; nothing of a person outlives its turn. Only what the query's needs
name is decrypted, and of a measurement file only the features asked for are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from compute.copies import decode_clinical, decode_features, decode_participant
from compute.parsed import Clinical, Features, Participant
from compute.queries import Needs, PersonData
from compute.selection import Member
from compute.vault import RecordedAccess, Vault


def open_person(vault: Vault, access: RecordedAccess, needs: Needs, member: Member) -> PersonData:
    """Return a member's data without genotypes. Raises VaultRefusedError, StoreError."""

    def opened(modality: str) -> list[bytes]:
        return vault.reader(member.grants[modality].id, access).whole()

    record: Participant | None = None
    clinical: Clinical | None = None
    if "participant" in needs.modalities:
        record = decode_participant(opened("participant"), member.participant)
    if "clinical" in needs.modalities:
        clinical = decode_clinical(opened("clinical"))
    features: Mapping[str, float] = {}
    kind: tuple[str, str] | None = None
    if needs.feature_modality in needs.modalities:
        found = decode_features(opened(needs.feature_modality))
        features, kind = _wanted(found, needs), (found.namespace, found.unit)
    return PersonData(
        participant=member.participant,
        strata=_strata(record, clinical),
        covariates={} if record is None else dict(record.covariates),
        features=features,
        feature_kind=kind,
        clinical=clinical,
    )


def levels_of(strata: Iterable[str], people: Iterable[PersonData]) -> dict[str, tuple[str, ...]]:
    """Return the levels of each stratum over some people, sorted."""
    found: dict[str, set[str]] = {name: set() for name in strata}
    for person in people if found else ():
        for name, levels in found.items():
            levels.add(person.strata.get(name, "unknown"))
    return {name: tuple(sorted(levels)) for name, levels in found.items()}


def _wanted(found: Features, needs: Needs) -> dict[str, float]:
    pairs = zip(found.ids, found.values.tolist(), strict=True)
    if needs.all_features:
        return dict(pairs)
    wanted = set(needs.features)
    return {name: value for name, value in pairs if name in wanted}


def _strata(record: Participant | None, clinical: Clinical | None) -> dict[str, str]:
    sex = None if record is None else record.sex
    if sex in (None, "unknown") and clinical is not None:
        sex = clinical.demographics.sex
    found = {"population": None if record is None else record.population, "sex": sex}
    return {name: value for name, value in found.items() if value is not None}
