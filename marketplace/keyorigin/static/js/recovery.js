// An account taken back with its recovery key: seven days in public, then a new key counts. The same
// statements and documents as marketplace/client/account.py makes.

import { ed25519 } from "../vendor/noble.js";
import { b64, fromUtf8, newId, unb64 } from "./bytes.js";
import { publicOf } from "./crypt4gh.js";
import { fingerprint, makeEntry, parseEntryBytes, submission } from "./entry.js";
import * as homes from "./home.js";
import { append, provenLeaf } from "./log.js";
import * as vaults from "./vault.js";

const WAIT = 7 * 86_400_000;
const MARGIN = 60_000; // the log's clock may be ahead of ours
const REQUEST = "recovery.json";
const CODE_KEY = "recovery-key.json";

const signerOf = (seed) => ({
  kind: "ed25519", publicKey: ed25519.getPublicKey(seed), sign: async (message) => [ed25519.sign(message, seed)],
});
const keyOf = (publicKey, kind, use) => ({ public_key: b64(publicKey), kind, use });
const partyOf = (home) => ({ party: home.party, role: home.identity.role });

// The file `omic account key` makes -> {party, signer}
export function keyInFile(text) {
  try {
    const { party, seed } = JSON.parse(text);
    return { party: checkedParty(party), signer: signerOf(unb64(seed)) };
  } catch {
    throw new Error("this is no recovery file; `omic account key FILE` makes one");
  }
}

// A printed code stands for a key too, but not for whose it is.
export async function keyInCode(party, code) {
  return { party: checkedParty(party.trim().toLowerCase()), signer: signerOf(await vaults.recoverySeed(vaults.parseCode(code))) };
}

function checkedParty(party) {
  if (!/^[0-9a-f]{32}$/.test(party)) throw new Error("your number on the ledger has 32 letters and digits, 0 to 9 and a to f");
  return party;
}

export const underWay = (home) => {
  const asked = home.documents[REQUEST];
  return asked && asked.finished === undefined ? asked : null;
};

// Ask that this home's new key count for its party. What else the party shall have, passkey and
// recovery key, waits in the home: a recovered key can add only itself at first.
export async function request(home, signer, passkey, code) {
  const key = keyOf(home.signer().publicKey, "ed25519", "sign");
  const fields = { ...partyOf(home), recovery: newId(), key, effective_at: Date.now() + WAIT + MARGIN };
  const [place] = await append([submission(await makeEntry("recovery.requested", fields, signer))]);
  home.keep([place]);
  home.documents[REQUEST] = {
    party: home.party, index: place.index, effective_at: fields.effective_at,
    passkey: { credential: passkey.credential, public_key: b64(passkey.publicKey) },
    code_key: b64(signerOf(await vaults.recoverySeed(code)).publicKey),
  };
  await home.save({ backup: false }); // the market knows the new key once it counts
  return home.documents[REQUEST];
}

// Put the new key on the account, and with it the passkey, the printed code's key and one to encrypt to.
export async function finish(home) {
  const asked = home.documents[REQUEST];
  const add = async (key) => submission(await makeEntry("party.key_added", { ...partyOf(home), key }, home.signer()));
  home.keep(await append([await add(keyOf(home.signer().publicKey, "ed25519", "sign"))]));
  const { passkey } = asked;
  const more = [
    { public_key: passkey.public_key, kind: "webauthn", use: "sign" },
    keyOf(publicOf(unb64(home.keys.encrypt)), "x25519", "encrypt"),
    { public_key: asked.code_key, kind: "ed25519", use: "recover" },
  ];
  const places = await append(await Promise.all(more.map(add)));
  home.keep(places);
  home.documents["passkeys.json"] = { keys: [passkey] };
  home.documents[CODE_KEY] = { fingerprint: await fingerprint(unb64(asked.code_key)) };
  home.documents[REQUEST] = { ...asked, finished: places[0].index };
  await home.save({ backup: false });
  return places[0];
}

// Cancel a recovery by its leaf, which need not be readable to us.
export async function cancel(home, index) {
  const leaf = JSON.parse(fromUtf8((await provenLeaf(index)).leaf));
  if (leaf.type !== "recovery.requested" || !leaf.about) throw new Error(`ledger entry ${index} asks for no account`);
  const fields = { ...partyOf(home), recovery: leaf.about };
  const [place] = await append([submission(await makeEntry("recovery.cancelled", fields, home.signer()))]);
  home.keep([place]);
  await home.save();
  return place;
}

// A new printed code: one more way in, and on the ledger its key in the place of the last code's.
export async function newCode(home) {
  const code = vaults.newCode();
  const { publicKey } = signerOf(await vaults.recoverySeed(code));
  const signed = async (type, fields) => submission(await makeEntry(type, { ...partyOf(home), ...fields }, home.signer()));
  const wanted = [await signed("party.key_added", { key: keyOf(publicKey, "ed25519", "recover") })];
  const last = await lastCodeKey(home);
  if (last) wanted.push(await signed("party.key_removed", { fingerprint: last }));
  home.keep(await append(wanted));
  home.documents[CODE_KEY] = { fingerprint: await fingerprint(publicKey) };
  home.vault = await vaults.addWay(home.vault, { kind: "code", secret: code });
  await home.save();
  return code;
}

// The first code's key stands in the registration.
async function lastCodeKey(home) {
  if (home.documents[CODE_KEY]) return home.documents[CODE_KEY].fingerprint;
  for (const one of home.list("entries").filter(({ type }) => type === "party.registered")) {
    const key = parseEntryBytes(unb64(one.entry)).payload.keys.find(({ use }) => use === "recover");
    if (key) return fingerprint(unb64(key.public_key));
  }
  return null;
}

// A home for a party that exists: new keys, closed by a new passkey and a new code. -> {home, code}
export async function freshHome(party, passkey, passphrase) {
  const home = await homes.begin("owner", party);
  const code = vaults.newCode();
  const ways = [
    passkey.secret && { kind: "prf", secret: passkey.secret, credential: passkey.credential },
    passphrase && homes.passphrase(passphrase), { kind: "code", secret: code },
  ];
  for (const way of ways.filter(Boolean)) home.vault = await vaults.addWay(home.vault, way);
  return { home, code };
}
