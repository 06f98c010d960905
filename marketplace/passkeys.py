"""Signing in with a passkey: a random challenge, and a credential that signs nothing else.

A party's client, signed in by a key the ledger binds to it, registers the passkey; whenever that
key is out of force, so is the passkey. Consents are signed by other passkeys, which the ledger
knows and this server never asks for. A page may use any passkey of a domain it lies in, and a
consent passkey also locks keys (PRF): so the two are of different domains, except on localhost.
Spec: WebAuthn level 3; library: webauthn.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sqlmodel import col, delete, select
from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import bytes_to_base64url
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from ledger import PasskeyPolicy, TrustPolicy, b64, unb64
from marketplace import accounts, challenges
from marketplace.accounts import Opened
from marketplace.config import MarketConfig
from marketplace.errors import ConfigError, InputError, NotFoundError, UnauthenticatedError
from marketplace.services import Services
from marketplace.tables import Passkey

CREATE, SIGN_IN = "passkey-create", "passkey"
ANYBODY = ""
MAX_PASSKEYS = 20
_ALGORITHMS = [COSEAlgorithmIdentifier.ECDSA_SHA_256, COSEAlgorithmIdentifier.EDDSA]
NOT_OURS = (
    "this passkey does not sign in here. Choose the one named “Sign in”; the one named "
    "“Consent” signs consents and nothing else"
)


def _policy(services: Services) -> PasskeyPolicy:
    if services.trust.passkeys is None:
        raise NotFoundError("this market takes no passkeys: its trust file says nothing of them")
    return services.trust.passkeys


def _rp_id(services: Services) -> str:
    """Return the domain sign-in passkeys are of."""
    return services.config.sign_in_rp_id or _policy(services).rp_id


def check_apart(config: MarketConfig, trust: TrustPolicy) -> None:
    """Refuse a domain of consent passkeys that takes in the market's own pages. Raises ConfigError.

    Their code could then ask for a consent passkey's PRF secret, which opens a person's keys.
    """
    if trust.passkeys is None or trust.embedded or not config.keys_url:
        return
    host, rp_id = urlsplit(config.public_url).hostname or "", trust.passkeys.rp_id
    if host == rp_id or host.endswith(f".{rp_id}"):
        raise ConfigError(
            f"passkeys.rp_id in {config.trust_file} is {rp_id}, which takes in this market's own "
            f"pages on {host}: their code could use the passkeys that lock people's keys. Make it "
            "the key origin's host, and set sign_in_rp_id to the domain both share"
        )


def _origins(services: Services) -> list[str]:
    return [services.config.origin, *_policy(services).origins]


def _challenge(services: Services, party: str, kind: str) -> str:
    expires = services.clock() + services.config.limits.challenge_ms
    return challenges.make(services.challenge_key, party, kind, expires)


def _spend(services: Services, party: str, kind: str, client_data: Any) -> bytes:
    """Return the challenge a browser answered, once. Raises UnauthenticatedError."""
    try:
        said = json.loads(base64url_to_bytes(str(client_data)))["challenge"]
        raw = base64url_to_bytes(str(said))
    except (ValueError, KeyError, TypeError):
        raise InputError("the passkey's client data cannot be read") from None
    accounts.spend(services, party, kind, b64(raw))
    return raw


def creation_options(services: Services, party: str) -> dict[str, Any]:
    """Return what a browser needs to make a sign-in passkey for a party."""
    mine = listed(services, party)
    options = generate_registration_options(
        rp_id=_rp_id(services),
        rp_name="Omic Market",
        user_name="Sign in",
        user_display_name="Omic Market: sign in",
        user_id=bytes.fromhex(party),
        challenge=unb64(_challenge(services, party, CREATE)),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[
            PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.credential)) for one in mine
        ],
        supported_pub_key_algs=_ALGORITHMS,
    )
    made: dict[str, Any] = json.loads(options_to_json(options))
    return made


def add(services: Services, token: str, credential: Mapping[str, Any]) -> Passkey:
    """Keep a new sign-in passkey of the party whose session this is. Raises our errors."""
    who = accounts.authenticate(services, token)
    vouching = accounts.key_of(services, token)
    challenge = _spend(services, who.party, CREATE, _of(credential, "clientDataJSON"))
    try:
        verified = verify_registration_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=_rp_id(services),
            expected_origin=_origins(services),
            require_user_verification=True,
            supported_pub_key_algs=_ALGORITHMS,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        raise InputError("the new passkey does not verify; make it again") from None
    if len(listed(services, who.party)) >= MAX_PASSKEYS:
        raise InputError(f"a party has at most {MAX_PASSKEYS} sign-in passkeys; remove one first")
    row = Passkey(
        credential=bytes_to_base64url(verified.credential_id),
        party=who.party,
        key=vouching,
        public_key=b64(verified.credential_public_key),
        sign_count=verified.sign_count,
        created_at=services.clock(),
    )
    with services.db.write() as session:
        if session.get(Passkey, row.credential) is not None:
            raise InputError("this passkey signs in already")
        session.add(row)
    return row


def _of(credential: Mapping[str, Any], name: str) -> Any:
    response = credential.get("response")
    if not isinstance(response, Mapping) or name not in response:
        raise InputError(f"a passkey's answer has response.{name}")
    return response[name]


def listed(services: Services, party: str) -> list[Passkey]:
    """Return a party's sign-in passkeys, oldest first."""
    query = select(Passkey).where(col(Passkey.party) == party).order_by(col(Passkey.created_at))
    with services.db.read() as session:
        return list(session.exec(query).all())


def remove(services: Services, party: str, credential: str) -> None:
    """Let a passkey sign in no more. Raises NotFoundError."""
    mine = (col(Passkey.credential) == credential, col(Passkey.party) == party)
    with services.db.write() as session:
        if session.exec(delete(Passkey).where(*mine)).rowcount == 0:
            raise NotFoundError("you have no sign-in passkey of this id")


def request_options(services: Services) -> dict[str, Any]:
    """Return what a browser needs to ask for any sign-in passkey."""
    options = generate_authentication_options(
        rp_id=_rp_id(services),
        challenge=unb64(_challenge(services, ANYBODY, SIGN_IN)),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    made: dict[str, Any] = json.loads(options_to_json(options))
    return made


def sign_in(services: Services, credential: Mapping[str, Any]) -> Opened:
    """Open a session with a passkey's answer. Raises UnauthenticatedError, InputError."""
    challenge = _spend(services, ANYBODY, SIGN_IN, _of(credential, "clientDataJSON"))
    with services.db.read() as session:
        row = session.get(Passkey, str(credential.get("id")))
    if row is None:
        raise UnauthenticatedError(NOT_OURS)
    try:
        verified = verify_authentication_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=_rp_id(services),
            # Here only: signing in happens on the pages' own origin.
            expected_origin=services.config.origin,
            credential_public_key=unb64(row.public_key),
            credential_current_sign_count=row.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        raise UnauthenticatedError("the passkey's signature does not verify; try again") from None
    with services.db.write() as session:
        used = session.get(Passkey, row.credential)
        if used is None:
            raise UnauthenticatedError(NOT_OURS)
        used.sign_count, used.used_at = verified.new_sign_count, services.clock()
        session.add(used)
    return accounts.open_for(services, row.party, row.key)
