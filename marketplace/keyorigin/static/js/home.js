// This person's home while it is unlocked: keys, documents and receipts, as the omic client keeps them
// in files. In memory only; saved closed, here and (ciphertext) at the marketplace.

import { ed25519 } from "../vendor/noble.js";
import { b64, newId, random, unb64, utf8 } from "./bytes.js";
import { config } from "./config.js";
import { Market } from "./market.js";
import { prfSecret } from "./passkey.js";
import * as store from "./store.js";
import * as vaults from "./vault.js";

let current = null;

export const unlocked = () => current;
export const lock = () => { current = null; };
export const known = () => store.get("vault");

export class Home {
  constructor(vault) {
    this.vault = vault;
    this.market = new Market(this);
  }

  get documents() { return this.vault.content.documents; }
  get keys() { return this.vault.content.keys; }
  get identity() { return this.documents["identity.json"]; }
  get party() { return this.identity.party; }
  get passkeys() { return this.documents["passkeys.json"]?.keys ?? []; }

  list(folder) {
    return Object.keys(this.documents).filter((name) => name.startsWith(`${folder}/`)).sort()
      .map((name) => this.documents[name]);
  }

  signer(name = "sign") {
    const seed = unb64(this.keys[name]);
    return {
      kind: "ed25519", publicKey: ed25519.getPublicKey(seed),
      sign: async (message) => [ed25519.sign(message, seed)],
    };
  }

  newSigner(name) {
    this.keys[name] = b64(random(32));
    return this.signer(name);
  }

  // Keep what was signed and the proof of it: the opening of each commitment.
  keep(places) {
    for (const { receipt, ...entry } of places) {
      const name = String(entry.index).padStart(12, "0");
      this.documents[`entries/${name}.json`] = entry;
      this.documents[`receipts/${name}.tlog-proof`] = receipt;
    }
  }

  async save({ backup = true } = {}) {
    const closed = await vaults.close(this.vault);
    await store.put("vault", closed);
    if (backup) await this.market.backUp(closed);
  }
}

export async function begin(role, party = newId()) {
  const documents = { "identity.json": { party, role, origin: (await config()).trust.origin } };
  const keys = { sign: b64(random(32)), encrypt: b64(random(32)) };
  current = new Home(await vaults.newVault({ documents, keys }));
  return current;
}

export async function unlock(way, closed = null) {
  const from = closed ?? await known();
  if (!from) throw new Error("this browser holds no keys of yours");
  current = new Home(await vaults.open(from, way));
  if (closed) await store.put("vault", closed);
  return current;
}

// The usual way in: the passkey this vault was made with.
export async function unlockWithPasskey() {
  const closed = await known();
  const credentials = (closed?.wraps ?? []).filter((one) => one.kind === "prf").map((one) => one.credential);
  const { secret } = await prfSecret(credentials);
  if (secret === null) throw new Error("this passkey cannot unlock keys here; use your passphrase or printed code");
  return unlock({ kind: "prf", secret });
}

// On a new device: a passkey or a printed code finds its vault at the marketplace, and opens it.
export async function recover(way) {
  const closed = await Market.vaultAt(await vaults.locatorOf(way.secret));
  return unlock(way, closed);
}

export const passphrase = (text) => ({ kind: "passphrase", secret: utf8(text) });
