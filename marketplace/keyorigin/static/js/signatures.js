// The signatures on an entry: Ed25519 keys and passkeys. The same verdicts as ledger/signatures.py.

import { concat, equal, fromUtf8, sha256, unb64url, unhex, utf8 } from "./bytes.js";
import { pae } from "./entry.js";
import { verifyEd25519 } from "./note.js";

const ES256 = [unhex("a5010203262001215820"), unhex("225820")];
const COSE_ED25519 = unhex("a4010103272006215820");
const PRESENT_AND_VERIFIED = 0x05;

// passkeys: {rp_id, origins} of the trust file, or none. Throws, naming what is wrong.
export async function verifySignatures(entry, passkeys) {
  if (!entry.signatures.length) throw new Error("nobody signed it");
  const message = pae(entry.type, entry.payloadBytes);
  for (const { kind, publicKey, parts } of entry.signatures) {
    const good = kind === "ed25519" ? verifyEd25519(publicKey, message, parts[0])
      : kind === "webauthn" && await verifyPasskey(publicKey, await sha256(message), parts, passkeys);
    if (!good) throw new Error("a signature is wrong");
  }
}

async function verifyPasskey(publicKey, challenge, [authenticator, client, signature], passkeys) {
  if (!passkeys) throw new Error("a passkey signed it, and the trust file names none");
  const said = JSON.parse(fromUtf8(client));
  const rightPlace = said.type === "webauthn.get" && passkeys.origins.includes(said.origin) && !said.crossOrigin;
  const rightParty = equal(authenticator.subarray(0, 32), await sha256(utf8(passkeys.rp_id)));
  const checked = (authenticator[32] & PRESENT_AND_VERIFIED) === PRESENT_AND_VERIFIED;
  if (!rightPlace || !rightParty || !checked || !equal(unb64url(said.challenge), challenge)) return false;
  return verifyCose(publicKey, concat(authenticator, await sha256(client)), signature);
}

async function verifyCose(key, message, signature) {
  if (equal(key.subarray(0, COSE_ED25519.length), COSE_ED25519)) return verifyEd25519(key.subarray(COSE_ED25519.length), message, signature);
  const made = await es256Key(key);
  return crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, made, plainEcdsa(signature), message);
}

// COSE_Key or SPKI, as the ledger takes them.
async function es256Key(key) {
  const curve = { name: "ECDSA", namedCurve: "P-256" };
  if (key[0] === 0x30) return crypto.subtle.importKey("spki", key, curve, false, ["verify"]);
  const [head, between] = ES256;
  const x = key.subarray(head.length, head.length + 32);
  const y = key.subarray(-32);
  if (!equal(key, concat(head, x, between, y))) throw new Error("a passkey's public key is of an unknown kind");
  return crypto.subtle.importKey("raw", concat(Uint8Array.of(4), x, y), curve, false, ["verify"]);
}

// DER SEQUENCE of two INTEGERs -> r and s, 32 bytes each, as WebCrypto wants them.
function plainEcdsa(der) {
  const made = new Uint8Array(64);
  let at = 2;
  for (const end of [32, 64]) {
    const size = der[at + 1];
    const number = der.subarray(at + 2, at + 2 + size);
    const bare = number[0] === 0 ? number.subarray(1) : number;
    if (der[at] !== 2 || number.length !== size || bare.length > 32) throw new Error("a passkey's signature is malformed");
    made.set(bare, end - bare.length);
    at += 2 + size;
  }
  return made;
}
