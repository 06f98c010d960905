// Enrolling, ways in and other devices: what every party does with its own keys.

import { ed25519 } from "../vendor/noble.js";
import { b64, unb64 } from "./bytes.js";
import { config } from "./config.js";
import { cosigned, makeEntry, submission, submissionJson } from "./entry.js";
import * as homes from "./home.js";
import { ask } from "./http.js";
import { append } from "./log.js";
import { createConsentKey, createSignInKey, passkeySigner } from "./passkey.js";
import { publicOf } from "./crypt4gh.js";
import * as vaults from "./vault.js";

const OWNER_CLAIMS = { person_verified: true, unaffiliated: true };
export const RESEARCHER_CLAIMS = {
  organisation: "Practice University", sector: "academic", non_profit: true, country: "GB",
  ethics_approval: true, accredited_researcher: true,
};

// Make keys, passkeys and the printed code; register on the ledger. -> {home, code (text)}
// passphrase: the way in where the authenticator has no PRF.
export async function enrol(role, { passphrase = null, made = null, onStep = () => {} } = {}) {
  const home = await homes.begin(role);
  onStep("Making the passkey that signs your consents…");
  const passkey = made ?? await createConsentKey(role);
  if (passkey.secret === null && !passphrase) throw new NeedsPassphrase(passkey);
  const code = await secure(home, passkey, passphrase);
  onStep("Registering you on the ledger…");
  await register(home, role, code);
  onStep("Making the passkey that signs you in…");
  await addSignInKey(home);
  await home.save();
  return { home, code: vaults.formatCode(code) };
}

// The authenticator has no PRF: a passphrase must close the vault. The passkey made is used all the same.
export class NeedsPassphrase extends Error {
  constructor(passkey) {
    super("this passkey cannot keep keys by itself; choose a passphrase as well");
    this.passkey = passkey;
  }
}

async function secure(home, passkey, passphrase) {
  const { credential, publicKey, secret } = passkey;
  home.documents["passkeys.json"] = { keys: [{ credential, public_key: b64(publicKey) }] };
  const code = vaults.newCode();
  if (secret !== null) home.vault = await vaults.addWay(home.vault, { kind: "prf", secret, credential });
  if (passphrase) home.vault = await vaults.addWay(home.vault, homes.passphrase(passphrase));
  home.vault = await vaults.addWay(home.vault, { kind: "code", secret: code });
  return code;
}

async function register(home, role, code) {
  const signer = home.signer();
  const recover = ed25519.getPublicKey(await vaults.recoverySeed(code));
  const key = (publicKey, kind, use) => ({ public_key: b64(publicKey), kind, use });
  const keys = [
    key(signer.publicKey, "ed25519", "sign"),
    ...home.passkeys.map((one) => ({ public_key: one.public_key, kind: "webauthn", use: "sign" })),
    key(publicOf(unb64(home.keys.encrypt)), "x25519", "encrypt"),
    key(recover, "ed25519", "recover"),
  ];
  const entry = await makeEntry("party.registered", { party: home.party, role, keys }, signer);
  home.keep(await append([submission(await attested(entry))]));
  const claims = role === "owner" ? OWNER_CLAIMS : RESEARCHER_CLAIMS;
  const { index } = await attester("/attest", { party: home.party, role, claims });
  home.documents["enrolled.json"] = { attested: index };
  home.documents["attestations.json"] = { indexes: [index] };
}

// The attester's signature beside ours; its key must be one this bundle pins.
async function attested(entry) {
  const answer = await attester("/cosign", { submission: submissionJson({ entry, salt: null, attachments: {} }) });
  const { trust } = await config();
  if (!trust.pins.attesters.person_verified.includes(answer.public_key)) {
    throw new Error("the attester answered with a key this page does not pin; stop here");
  }
  return cosigned(entry, { kind: answer.kind, publicKey: unb64(answer.public_key), parts: answer.parts.map(unb64) });
}

async function attester(path, json) {
  return ask((await config()).trust.attester_url + path, { method: "POST", json });
}

export async function addSignInKey(home) {
  const { options } = await home.market.post("/me/passkeys/options");
  const credential = await createSignInKey(options);
  await home.market.post("/me/passkeys", { credential });
}

// A second passkey: the ledger binds it to the party, and it becomes one more way in.
export async function addConsentKey(home) {
  const { credential, publicKey, secret } = await createConsentKey("another device");
  const key = { public_key: b64(publicKey), kind: "webauthn", use: "sign" };
  const fields = { party: home.party, role: home.identity.role, key };
  const entry = await makeEntry("party.key_added", fields, home.signer());
  home.keep(await append([submission(entry)]));
  home.documents["passkeys.json"] = { keys: [...home.passkeys, { credential, public_key: key.public_key }] };
  if (secret !== null) home.vault = await vaults.addWay(home.vault, { kind: "prf", secret, credential });
  await home.save();
  return secret !== null;
}

// A passkey the ledger binds to this party, ready to sign. Any one in this vault will do.
export async function consentSigner(home) {
  const [first] = home.passkeys;
  if (!first) throw new Error("there is no passkey yet; add one first");
  return passkeySigner({ credential: first.credential, publicKey: unb64(first.public_key) });
}

// One file for another device or the omic command, closed with a passphrase.
export async function exported(home, passphrase) {
  const wrapped = await vaults.addWay({ ...home.vault, wraps: [] }, homes.passphrase(passphrase));
  return vaults.close(wrapped);
}

// Take an exported file into this browser, and give it a passkey of this device.
export async function imported(closed, passphrase) {
  const home = await homes.unlock(homes.passphrase(passphrase), closed);
  await addConsentKey(home);
  return home;
}
