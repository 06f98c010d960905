// Enrolling, ways in and other devices: what every party does with its own keys.

import { ed25519 } from "../vendor/noble.js";
import { b64, unb64 } from "./bytes.js";
import { config } from "./config.js";
import { cosigned, makeEntry, submission, submissionJson } from "./entry.js";
import * as homes from "./home.js";
import { ask } from "./http.js";
import { append } from "./log.js";
import { createConsentKey, createSignInKey, passkeySigner, whichPasskey } from "./passkey.js";
import { publicOf } from "./crypt4gh.js";
import { newCode } from "./recovery.js";
import * as vaults from "./vault.js";

const OWNER_CLAIMS = { person_verified: true, unaffiliated: true };
export const RESEARCHER_CLAIMS = {
  organisation: "Practice University", sector: "academic", non_profit: true, country: "GB",
  ethics_approval: true, accredited_researcher: true,
};

const UNFINISHED = "enrolling.json";
let begun = null; // what a stopped enrolment has made so far: asked again, it goes on from there

// Make keys, passkeys and the printed code; register on the ledger. -> {home, code (text)}
// passphrase: the way in where the authenticator has no PRF. Whatever stops it (a prompt closed, a
// server away), nothing is lost: the same button goes on, and after a reload `finish` does.
export async function enrol(role, { passphrase = null, onStep = () => {} } = {}) {
  if (begun?.role !== role) begun = { role };
  onStep("Making the passkey that signs your consents…");
  begun.passkey ??= await createConsentKey(role);
  if (begun.passkey.secret === null && !passphrase) throw new NeedsPassphrase();
  begun.home ??= await homes.begin(role);
  const { home, passkey } = begun;
  begun.code ??= await secure(home, passkey, passphrase);
  await homes.remember(passkey.credential);
  onStep("Registering you on the ledger…");
  begun.entry ??= await registration(home, role, begun.code);
  if (!home.list("entries").length) home.keep(await append([begun.entry]));
  home.documents[UNFINISHED] = { role };
  await home.save({ backup: false });
  await complete(home, onStep);
  const code = vaults.formatCode(begun.code);
  begun = null;
  return { home, code };
}

// What is left of an enrolment that a reload cut off. Its printed code was not shown, so it gets another.
export async function finish(home, onStep) {
  const code = await newCode(home);
  await complete(home, onStep);
  return vaults.formatCode(code);
}

export const unfinished = (home) => home.documents[UNFINISHED] ?? null;

async function complete(home, onStep) {
  onStep("Registering you on the ledger…");
  if (!home.documents["enrolled.json"]) await attest(home);
  onStep("Making the passkey that signs you in…");
  await addSignInKey(home);
  delete home.documents[UNFINISHED];
  await home.save({ must: true });
  homes.adopt(home);
  await navigator.storage?.persist?.(); // so that the browser does not tidy the keys away
}

// The authenticator has no PRF: a passphrase must close the vault. The passkey made is used all the same.
export class NeedsPassphrase extends Error {
  constructor() {
    super("on this device a passkey signs for you, but cannot lock your keys. Choose a passphrase for that, then press the button again");
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

async function registration(home, role, code) {
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
  return submission(await attested(entry));
}

async function attest(home) {
  const { role } = home.identity;
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
// elsewhere: it must be on another device or security key than those known, or it would save nobody.
export async function addConsentKey(home, { elsewhere = false } = {}) {
  const known = home.passkeys.map(({ credential }) => credential);
  const { credential, publicKey, secret } = await createConsentKey("another device", elsewhere ? known : []);
  const key = { public_key: b64(publicKey), kind: "webauthn", use: "sign" };
  const fields = { party: home.party, role: home.identity.role, key };
  const entry = await makeEntry("party.key_added", fields, home.signer());
  home.keep(await append([submission(entry)]));
  home.documents["passkeys.json"] = { keys: [...home.passkeys, { credential, public_key: key.public_key }] };
  if (secret !== null) home.vault = await vaults.addWay(home.vault, { kind: "prf", secret, credential });
  if (!elsewhere) await homes.remember(credential);
  await home.save();
  return secret !== null;
}

// A passkey the ledger binds to this party, ready to sign: the one this browser used last. A statement
// names its key before it is signed, so where that is unclear the person is asked for one first.
export async function consentSigner(home) {
  const credentials = home.passkeys.map(({ credential }) => credential);
  if (!credentials.length) throw new Error("there is no passkey yet that can sign; add one under Keys first");
  const last = await homes.remembered();
  const credential = credentials.includes(last) ? last : await whichOf(credentials);
  const { public_key: publicKey } = home.passkeys.find((one) => one.credential === credential);
  const signer = passkeySigner({ credential, publicKey: unb64(publicKey) });
  return { ...signer, sign: (message) => signer.sign(message).catch(otherNextTime) };
}

async function whichOf(credentials) {
  const found = credentials.length === 1 ? credentials[0] : await whichPasskey(credentials);
  await homes.remember(found);
  return found;
}

// Perhaps that passkey is gone from here: the next try asks for any of them.
async function otherNextTime(error) {
  await homes.forget();
  throw error;
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
