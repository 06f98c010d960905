// Passkeys: making them, signing an entry with one, and the secret the PRF extension gives.
// Spec: WebAuthn level 3; an entry's challenge is SHA-256 of its pre-authentication encoding.

import { b64url, random, sha256, unb64url, utf8 } from "./bytes.js";
import { config } from "./config.js";

const PRF_INPUT = utf8("omic/vault/prf/v1");
const ES256 = -7;
const EDDSA = -8;

export const available = () => typeof PublicKeyCredential === "function";

// -> {credential (base64url), publicKey (SPKI DER), secret (32 bytes, or null without PRF)}
// known: credentials of which the authenticator asked must hold none.
export async function createConsentKey(label, known = []) {
  const { rp_id: id } = (await config()).trust.passkeys;
  const made = await navigator.credentials.create({
    publicKey: {
      rp: { id, name: "Omic Market" },
      user: { id: random(32), name: `Consent · ${label}`, displayName: `Omic Market: consent (${label})` },
      challenge: random(32),
      excludeCredentials: listed(known),
      pubKeyCredParams: [ES256, EDDSA].map((alg) => ({ type: "public-key", alg })),
      authenticatorSelection: { residentKey: "required", userVerification: "required" },
      extensions: { prf: { eval: { first: PRF_INPUT } } },
      timeout: 120000,
    },
  });
  const algorithm = made.response.getPublicKeyAlgorithm();
  const publicKey = made.response.getPublicKey();
  if (![ES256, EDDSA].includes(algorithm) || publicKey === null) {
    throw new Error("this passkey makes a kind of signature the ledger does not take");
  }
  const prf = made.getClientExtensionResults().prf;
  const credential = b64url(new Uint8Array(made.rawId));
  let secret = prf?.results?.first ? new Uint8Array(prf.results.first) : null;
  if (secret === null && prf?.enabled) secret = (await prfSecret([credential])).secret;
  return { credential, publicKey: new Uint8Array(publicKey), secret };
}

// Ask for the vault's secret. No credentials given: any passkey of ours may answer.
export async function prfSecret(credentials = []) {
  const made = await get(random(32), credentials, { prf: { eval: { first: PRF_INPUT } } });
  const first = made.getClientExtensionResults().prf?.results?.first;
  return { credential: b64url(new Uint8Array(made.rawId)), secret: first ? new Uint8Array(first) : null };
}

// A signer of entries: each signature is one use of the passkey, after the person was verified.
export function passkeySigner({ credential, publicKey }) {
  return {
    kind: "webauthn",
    publicKey,
    async sign(message) {
      const { response } = await get(await sha256(message), [credential], {});
      return [response.authenticatorData, response.clientDataJSON, response.signature].map((part) => new Uint8Array(part));
    },
  };
}

const listed = (credentials) => credentials.map((id) => ({ type: "public-key", id: unb64url(id) }));

// Which of these passkeys is at hand: the person is asked, and nothing is signed but a random number.
export async function whichPasskey(credentials) {
  return b64url(new Uint8Array((await get(random(32), credentials, {})).rawId));
}

async function get(challenge, credentials, extensions) {
  const { rp_id: rpId } = (await config()).trust.passkeys;
  return navigator.credentials.get({
    publicKey: {
      rpId, challenge, extensions, userVerification: "required", timeout: 120000,
      allowCredentials: listed(credentials),
    },
  });
}

// The passkey that only signs in: its options come from the marketplace, which keeps its public key.
export async function createSignInKey(options) {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  return (await navigator.credentials.create({ publicKey })).toJSON();
}
