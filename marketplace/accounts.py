"""Signing in: a random challenge, signed by a key the ledger binds to the party. No passwords.

A session is a random token kept only as its SHA-256. It ends with its time, and at once when the
ledger no longer binds the key that opened it. The signed text starts differently from every
ledger statement, so a sign-in can never be turned into a consent.
"""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, delete

from ledger import FormatError, State, fingerprint, unb64
from marketplace import challenges, door_log
from marketplace.errors import ExpiredError, ForbiddenError, InputError, UnauthenticatedError
from marketplace.services import Services
from marketplace.tables import Account, Challenge, LoginSession
from marketplace.view import Snapshot

CONTEXT = b"omic/session/v1\n"
CHALLENGE, LINK = "challenge", "link"
PINNED = ("auditor", "operator")
SCOPES = ("read", "ask")
SPENT = "the challenge is unknown, used or past its time; ask again"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is signed in: a party of the ledger, and its role there."""

    party: str
    role: str
    scopes: tuple[str, ...] = ()

    def may(self, scope: str) -> bool:
        """Tell whether the token reaches this far; one without scopes reaches everything."""
        return not self.scopes or scope in self.scopes

    def require(self, *roles: str) -> None:
        """Raise ForbiddenError unless the party has one of these roles."""
        if self.role not in roles:
            raise ForbiddenError(f"this needs a party of role {' or '.join(roles)}")


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session: the token is shown once; expires_at in Unix ms."""

    token: str
    expires_at: int


def issue_challenge(services: Services, party: str) -> str:
    """Return a fresh challenge (base64) for a party to sign; it works once and expires.

    Writes nothing and has no limit: whoever asks, a party can always get one more.
    """
    expires = services.clock() + services.config.limits.challenge_ms
    return challenges.make(services.challenge_key, party, CHALLENGE, expires)


def open_session(
    services: Services, party: str, challenge: str, public_key: str, signature: str
) -> Opened:
    """Open a session for a signed challenge. Raises UnauthenticatedError."""
    key = _verified(services, challenge, public_key, signature)
    expires = _challenge_end(services, party, CHALLENGE, challenge)
    role = role_of(services, party, key)
    if role is None:
        raise UnauthenticatedError(
            "the ledger does not bind this signing key to this party; register the party first, "
            "or sign in with a key that is still in force"
        )
    used = Challenge(
        secret_sha256=_digest(challenge), party=party, kind=CHALLENGE, expires_at=expires
    )
    try:
        with services.db.write() as session:
            _forget_old(session, services.clock())
            # The row's key is what makes a challenge work once.
            session.add(used)
            return _open(services, session, party, role, fingerprint(key))
    except IntegrityError:
        raise UnauthenticatedError(SPENT) from None


def spend(services: Services, party: str, kind: str, challenge: str) -> None:
    """Use up a challenge of ours for this party and kind. Raises UnauthenticatedError."""
    expires = _challenge_end(services, party, kind, challenge)
    row = Challenge(secret_sha256=_digest(challenge), party=party, kind=kind, expires_at=expires)
    try:
        with services.db.write() as session:
            _forget_old(session, services.clock())
            session.add(row)
    except IntegrityError:
        raise UnauthenticatedError(SPENT) from None


def _challenge_end(services: Services, party: str, kind: str, challenge: str) -> int:
    expires = challenges.expiry(services.challenge_key, party, kind, challenge)
    if expires is None or expires <= services.clock():
        raise UnauthenticatedError(SPENT)
    return expires


def _verified(services: Services, challenge: str, public_key: str, signature: str) -> bytes:
    message = CONTEXT + challenge.encode() + b"\n" + services.config.origin.encode()
    try:
        key = unb64(public_key)
        Ed25519PublicKey.from_public_bytes(key).verify(unb64(signature), message)
    except (InvalidSignature, ValueError, FormatError):
        raise UnauthenticatedError(
            "the signature over the challenge does not verify; sign the line omic/session/v1, "
            f"the challenge and {services.config.origin}, each on its own line"
        ) from None
    return key


def role_of(services: Services, party: str, key: bytes) -> str | None:
    """Return the role of a party if the key is one of its signing keys, looking again once."""
    role = _role(services, services.view.snapshot(), party, fingerprint(key))
    # A party that registered a moment ago is not in the last snapshot yet.
    return role or _role(services, services.view.refresh(), party, fingerprint(key))


def _role(services: Services, snapshot: Snapshot, party: str, key: str) -> str | None:
    for role in PINNED:
        if _is_pinned(services, role, party, key):
            return role
    return party_role(snapshot.state, party, key)


def party_role(state: State, party: str, key: str) -> str | None:
    """Return a party's role if the fingerprint is that of a signing key it has now."""
    known = state.parties.get(party)
    if known is None:
        return None
    bound = known.keys.get(key)
    return known.role if bound is not None and bound.use == "sign" else None


def _is_pinned(services: Services, role: str, party: str, key: str) -> bool:
    """Auditors and operators are pinned keys, not ledger parties: the id is the fingerprint."""
    return party == key and services.trust.pins.is_service(role, key)


def _open(services: Services, session: Session, party: str, role: str, key: str) -> Opened:
    token, now = secrets.token_urlsafe(32), services.clock()
    expires = now + services.config.limits.session_ms
    account = session.get(Account, party) or Account(party=party, role=role, created_at=now)
    account.role = role
    session.add(account)
    session.flush()
    session.add(
        LoginSession(
            token_sha256=_digest(token), party=party, role=role, key=key, expires_at=expires
        )
    )
    session.flush()
    door_log.signed_in(services, party, role)
    return Opened(token, expires)


def authenticate(services: Services, token: str) -> Principal:
    """Return who a token belongs to. Raises UnauthenticatedError."""
    with services.db.read() as session:
        found = session.get(LoginSession, _digest(token))
    if found is None or found.expires_at <= services.clock():
        raise UnauthenticatedError("the session is unknown or over; sign in again")
    if _role(services, services.view.snapshot(), found.party, found.key) != found.role:
        raise UnauthenticatedError("the key that opened this session is no longer in force")
    return Principal(found.party, found.role, tuple(found.scopes.split()))


def key_of(services: Services, token: str) -> str:
    """Return the fingerprint of the ledger key behind a session. Raises UnauthenticatedError."""
    with services.db.read() as session:
        found = session.get(LoginSession, _digest(token))
    if found is None:
        raise UnauthenticatedError("the session is unknown or over; sign in again")
    return found.key


def open_for(services: Services, party: str, key: str) -> Opened:
    """Open a session that rests on a ledger key in force (fingerprint). Raises our errors."""
    role = _role(services, services.view.snapshot(), party, key)
    if role is None:
        raise UnauthenticatedError("the key that vouched for this passkey is no longer in force")
    with services.db.write() as session:
        return _open(services, session, party, role, key)


def issue_token(services: Services, token: str, scopes: Collection[str], lasts_ms: int) -> Opened:
    """Open a narrower session for the same party: for a notebook or a script.

    scopes: of SCOPES; lasts_ms: at most as long as a session. Raises InputError, ForbiddenError.
    """
    who = authenticate(services, token)
    if who.scopes:
        raise ForbiddenError("a scoped token makes no further tokens; use your session")
    wrong = sorted(set(scopes) - set(SCOPES))
    if wrong or not scopes:
        raise InputError(f"name one or more scopes: {', '.join(SCOPES)}")
    opened, now = secrets.token_urlsafe(32), services.clock()
    expires = now + min(lasts_ms, services.config.limits.session_ms)
    with services.db.write() as session:
        session.add(
            LoginSession(
                token_sha256=_digest(opened), party=who.party, role=who.role,
                key=_opener(session, token), scopes=" ".join(sorted(set(scopes))),
                expires_at=expires,
            )
        )  # fmt: skip
    return Opened(opened, expires)


def _opener(session: Session, token: str) -> str:
    found = session.get(LoginSession, _digest(token))
    return found.key if found else ""


def end_session(services: Services, token: str) -> None:
    """End a session; one that is over already is no error."""
    with services.db.write() as session:
        mine = col(LoginSession.token_sha256) == _digest(token)
        session.exec(delete(LoginSession).where(mine))


def end_other_sessions(services: Services, token: str) -> int:
    """End every session and token of the same party but this one; return how many there were."""
    who = authenticate(services, token)
    if who.scopes:
        raise ForbiddenError("a scoped token ends no sessions; use your session")
    others = (
        col(LoginSession.party) == who.party,
        col(LoginSession.token_sha256) != _digest(token),
    )
    with services.db.write() as session:
        gone = session.exec(delete(LoginSession).where(*others).returning(col(LoginSession.party)))
        return len(gone.all())


def issue_link(services: Services, token: str) -> str:
    """Return a secret that opens one more session for the same party, once, within minutes."""
    principal = authenticate(services, token)
    if principal.scopes:
        raise ForbiddenError("a scoped token opens no further sessions; use your session")
    secret, now = secrets.token_urlsafe(32), services.clock()
    with services.db.write() as session:
        _forget_old(session, now)
        opener = session.get(LoginSession, _digest(token))
        expires = now + services.config.limits.link_ms
        session.add(
            Challenge(
                secret_sha256=_digest(secret), party=principal.party, kind=LINK,
                key=opener.key if opener else "", expires_at=expires,
            )
        )  # fmt: skip
    return secret


def redeem_link(services: Services, secret: str) -> Opened:
    """Open a session with a one-time link's secret. Raises UnauthenticatedError, ExpiredError."""
    with services.db.read() as session:
        found = session.get(Challenge, _digest(secret))
    if found is None or found.kind != LINK:
        raise ExpiredError("this link was used or is not ours; ask for a new one")
    _spend_link(services, secret)
    role = _role(services, services.view.snapshot(), found.party, found.key)
    if role is None:
        raise UnauthenticatedError("the key behind this link is no longer in force")
    with services.db.write() as session:
        return _open(services, session, found.party, role, found.key)


def _spend_link(services: Services, secret: str) -> None:
    """Use up a link; deleting the row is what makes it happen once."""
    mine = (col(Challenge.secret_sha256) == _digest(secret), col(Challenge.kind) == LINK)
    with services.db.write() as session:
        row = session.exec(
            delete(Challenge).where(*mine).returning(col(Challenge.expires_at))
        ).first()
    if row is None or row[0] <= services.clock():
        raise UnauthenticatedError(SPENT)


def _forget_old(session: Session, now: int) -> None:
    session.exec(delete(Challenge).where(col(Challenge.expires_at) <= now))
    session.exec(delete(LoginSession).where(col(LoginSession.expires_at) <= now))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
