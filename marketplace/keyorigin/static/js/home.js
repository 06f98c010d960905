// This person's home while it is unlocked: keys, documents and receipts, as the omic client keeps them
// in files. In memory only; saved closed, here and (ciphertext) at the marketplace. Other tabs and
// devices save the same vault: before each save what they changed is taken in (sync.js).

import { ed25519 } from "../vendor/noble.js";
import { b64, newId, random, unb64, utf8 } from "./bytes.js";
import { config } from "./config.js";
import { Market } from "./market.js";
import { prfSecret } from "./passkey.js";
import * as store from "./store.js";
import { differ, picture, stamp, takeNewer } from "./sync.js";
import * as vaults from "./vault.js";

let current = null;

export const unlocked = () => current;
export const lock = () => { current = null; };
export const adopt = (home) => { current = home; };
export const known = () => store.get("vault");

const MARKET_AWAY = new Set([0, 429, 500, 502, 503, 504]);
const PASSKEY = "passkey"; // which passkey this browser used last: no secret, and not in the vault

export class Home {
  // seen: the closed copy this vault was opened from; none for one that is new.
  constructor(vault, seen = null) {
    this.vault = vault;
    vault.content.keys.vault = b64(vault.key); // so that a copy written elsewhere is of this vault too
    this.seen = seen;
    this.fresh = seen === null;
    this.before = this.fresh ? new Map() : picture(vault);
    this.level = false; // whether the market's copy is known to hold all of this
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

  // The copy here is saved for certain; the market's follows. Where it must (a new vault, which nobody
  // could find again) a market that does not answer is an error; else the next visit sends it.
  async save({ backup = true, must = false } = {}) {
    await this.keepHere();
    if (!backup) return;
    try {
      await this.backUp();
      this.level = true;
    } catch (error) {
      if (must || !MARKET_AWAY.has(error.status)) throw error;
      this.level = false;
    }
  }

  // What another tab saved meanwhile; before anything is shown or signed.
  async refresh() {
    await alone(() => this.takeInHere());
  }

  async takeInHere() {
    const closed = await known();
    if (!closed || await this.takeIn(closed) !== null) return;
    throw new Error("another tab has put other keys into this browser, so these can no longer be saved here. Close this tab and open your keys anew.");
  }

  // -> whether anything was taken from a closed copy; null where it is of other keys.
  async takeIn(closed) {
    if (closed.box === this.seen?.box) return false;
    const content = await vaults.contentOf(this.vault.key, closed);
    if (content === null) return null;
    this.before = stamp(this.vault, this.before);
    const taken = takeNewer(this.vault, { wraps: closed.wraps, content });
    if (taken) this.before = picture(this.vault);
    return taken;
  }

  async keepHere() {
    await alone(async () => {
      if (!this.fresh) await this.takeInHere();
      this.before = stamp(this.vault, this.before);
      const closed = await vaults.close(this.vault);
      await store.put("vault", closed);
      Object.assign(this, { seen: closed, fresh: false });
    });
  }

  async backUp() {
    if (this.market.tag === null) await this.pull();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.market.backUp(this.seen);
      } catch (error) {
        if (error.status !== 412 || attempt === 3) throw error;
        await this.pull(); // another device saved meanwhile
      }
    }
  }

  // Take in what another device left at the market; -> whether the market lacks something of ours.
  async pull() {
    const kept = await this.market.keptVault();
    const taken = kept === null ? null : await this.takeIn(kept);
    if (taken) await this.keepHere();
    return taken === null || differ(picture(this.vault), picture(await this.opened(kept)));
  }

  // Once for each unlocking, and again until the market had everything.
  async catchUp() {
    if (this.level) return;
    if (await this.pull()) await this.backUp();
    this.level = true;
  }

  async opened(closed) {
    return { wraps: closed.wraps, content: await vaults.contentOf(this.vault.key, closed) };
  }
}

// One tab at a time: reading what is kept and writing it belong together.
const alone = (act) => navigator.locks.request("omic-vault", act);

// A new home, which becomes this browser's when it is adopted.
export async function begin(role, party = newId()) {
  const documents = { "identity.json": { party, role, origin: (await config()).trust.origin } };
  const keys = { sign: b64(random(32)), encrypt: b64(random(32)) };
  return new Home(await vaults.newVault({ documents, keys }));
}

export async function unlock(way, closed = null) {
  const from = closed ?? await known();
  if (!from) throw new Error("this browser holds no keys of yours");
  current = new Home(await vaults.open(from, way), from);
  if (closed) await store.put("vault", closed);
  return current;
}

// The usual way in: the passkey this vault was made with.
export async function unlockWithPasskey() {
  const closed = await known();
  const credentials = (closed?.wraps ?? []).filter((one) => one.kind === "prf").map((one) => one.credential);
  const { secret, credential } = await prfSecret(credentials);
  if (secret !== null) await remember(credential);
  if (secret === null) throw new Error("this passkey cannot unlock keys here; use your passphrase or printed code");
  return unlock({ kind: "prf", secret });
}

// On a new device: a passkey or a printed code finds its vault at the marketplace, and opens it.
export async function recover(way) {
  const closed = await Market.vaultAt(await vaults.locatorOf(way.secret));
  return unlock(way, closed);
}

export const byPasskey = (closed) => closed.wraps.some((one) => one.kind === "prf");

export const remember = (credential) => store.put(PASSKEY, credential);
export const forget = () => store.remove(PASSKEY);
export const remembered = () => store.get(PASSKEY);

export const passphrase = (text) => ({ kind: "passphrase", secret: utf8(text) });
