"""GA4GH visas: read as claims about a buyer, and issued for a grant that is in force.

Reading: only issuers an attester pins, by (iss, jku) and by key; nothing is fetched; a visa with
conditions is ignored, as the specification asks of who does not evaluate them. Issuing: one hour
at most, because a grant can be taken back and a visa cannot; ask again for the next hour.
Spec: GA4GH Passport 1.2 (ga4gh_duri_v1), RFC 7515, RFC 7519.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from ledger import Grant, State
from marketplace.errors import ConflictError, InputError, NotFoundError

if TYPE_CHECKING:
    from marketplace.services import Services

ALGORITHMS = ("RS256", "ES256", "EdDSA")
MAX_VISAS, MAX_VISA_BYTES = 200, 16 * 1024
BONA_FIDE = "https://doi.org/10.1038/s41431-018-0219-y"
LIFE_S = 3600
KEY_FILE = "visa.key"
CLAIM = "ga4gh_visa_v1"


@dataclass(frozen=True, slots=True)
class Issuer:
    """A visa issuer an attester pins: its name, key address (compared, never fetched), keys.

    organisations: an affiliation's domain -> the claims it stands for.
    """

    iss: str
    jku: str
    keys: KeySet
    organisations: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Vouched:
    """What visas vouch for: claims, until when (Unix ms), and of whom (iss and sub)."""

    claims: Mapping[str, Any]
    expires_at: int
    subject: str


def load_issuers(path: Path) -> list[Issuer]:
    """Read the pinned issuers of an attester: JSON, a list. Raises InputError naming the path."""
    try:
        return [
            Issuer(
                str(one["iss"]),
                str(one["jku"]),
                KeySet.import_key_set(one["jwks"]),
                dict(one.get("organisations", {})),
            )
            for one in json.loads(path.read_text())
        ]
    except (OSError, ValueError, KeyError, TypeError, JoseError) as error:
        raise InputError(f"{path} is no list of visa issuers ({type(error).__name__})") from None


def read_visas(tokens: Sequence[str], issuers: Iterable[Issuer], now_ms: int) -> Vouched:
    """Return what these visas vouch for now. Raises InputError saying what is missing.

    Registered access needs both its visas. All must be of one subject: identities are not linked
    here, so somebody else's visa in the list makes the list nobody's.
    """
    if not 0 < len(tokens) <= MAX_VISAS:
        raise InputError(f"give 1 to {MAX_VISAS} visas")
    pinned = {(one.iss, one.jku): one for one in issuers}
    known = [found for token in tokens if (found := _checked(token, pinned, now_ms)) is not None]
    subjects = {subject for subject, _, _ in known}
    if len(subjects) != 1:
        raise InputError(
            "no visa of an issuer we know, in time and without conditions, was given"
            if not subjects
            else "the visas are of different people; give one person's"
        )
    claims = _claims([(visa, issuer) for _, visa, issuer in known])
    if not claims:
        raise InputError("these visas vouch for nothing a consent here asks about")
    expires = min(int(visa["exp"]) for _, visa, _ in known)
    return Vouched(claims, expires * 1000, subjects.pop())


def _checked(
    token: str, pinned: Mapping[tuple[str, str], Issuer], now_ms: int
) -> tuple[str, dict[str, Any], Issuer] | None:
    """Return (subject, claims, issuer) of a visa that counts, or None."""
    if len(token) > MAX_VISA_BYTES:
        return None
    try:
        header, body = (json.loads(_b64(part)) for part in token.split(".")[:2])
        issuer = pinned.get((str(body["iss"]), str(header["jku"])))
        if issuer is None:
            return None
        read = jwt.decode(token, issuer.keys, algorithms=list(ALGORITHMS))
        visa, now = dict(read.claims), now_ms // 1000
        held = visa[CLAIM]
        in_time = int(visa["iat"]) <= now + 5 and int(held["asserted"]) <= now + 5 < visa["exp"] + 5
        if not in_time or now >= int(visa["exp"]) or held.get("conditions"):
            return None
        return f"{visa['iss']}|{visa['sub']}", visa, issuer
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _b64(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _claims(visas: Sequence[tuple[Mapping[str, Any], Issuer]]) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    bona_fide = set()
    for visa, issuer in visas:
        held = visa[CLAIM]
        kind, value = str(held["type"]), str(held["value"])
        if kind == "AffiliationAndRole":
            claims |= dict(issuer.organisations.get(value.partition("@")[2], {}))
        elif value == BONA_FIDE and (kind == "ResearcherStatus" or held.get("by")):
            bona_fide.add(kind)
    if bona_fide >= {"ResearcherStatus", "AcceptedTermsAndPolicies"}:
        claims["accredited_researcher"] = True
    return claims


# -- issuing


def visa_key(services: "Services") -> ECKey:
    """Return this marketplace's P-256 visa key, drawn at first use (file mode 0600)."""
    path = services.config.directory / KEY_FILE
    if not path.exists():
        key = ECKey.generate_key("P-256", auto_kid=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(key.as_dict(private=True)))
    return ECKey.import_key(json.loads(path.read_text()))


def public_keys(services: "Services") -> dict[str, Any]:
    """Return the JWKS whose keys sign our visas."""
    return {"keys": [{**visa_key(services).as_dict(private=False), "use": "sig", "alg": "ES256"}]}


def issue(services: "Services", owner: str, grant_id: str, holder: str | None = None) -> str:
    """Return a ControlledAccessGrants visa for a grant of this owner that is in force now.

    holder: the visa's subject; None for the researcher of the order the grant is for. It lets its
    holder show that access was given; the data itself is computed on here and never handed out.
    Raises NotFoundError, ConflictError.
    """
    state, now = services.view.fresh().state, services.clock()
    grant = state.grants.get(grant_id)
    if grant is None or grant.owner != owner:
        raise NotFoundError("you have no consent of this id")
    if not state.in_force(grant):
        raise ConflictError("this consent is not in force, so no visa can be issued for it")
    subject = holder or _researcher(state, grant)
    if subject is None:
        raise ConflictError("a standing consent names nobody: say for whom the visa is")
    ends = grant.terms.get("valid_until")
    expires = now // 1000 + LIFE_S if ends is None else min(now // 1000 + LIFE_S, ends // 1000)
    if expires * 1000 <= now:
        raise ConflictError("this consent is over, so no visa can be issued for it")
    return _sign(services, subject, grant, now // 1000, expires)


def _researcher(state: State, grant: Grant) -> str | None:
    order = state.orders.get(grant.order or "")
    return None if order is None else str(order.payload["researcher"])


def _sign(services: "Services", subject: str, grant: Grant, now: int, expires: int) -> str:
    origin, key = services.config.origin, visa_key(services)
    header = {
        "alg": "ES256",
        "typ": "vnd.ga4gh.visa+jwt",
        "kid": key.kid,
        "jku": f"{origin}/api/v1/jwks.json",
    }
    claims = {
        "iss": origin,
        "sub": subject,
        "iat": now,
        "exp": expires,
        "jti": grant.id,
        CLAIM: {
            "type": "ControlledAccessGrants",
            "asserted": now,
            "value": f"{origin}/ga4gh/drs/v1/objects/{grant.dataset}",
            "source": origin,
            "by": "dac",
        },
    }
    return jwt.encode(header, claims, key)
