// The health passport: one dataset, or a part of it, for one professional's key, until a day. The
// header is written for that key here; the same statements and documents as marketplace/client/passport.py makes.

import { x25519 } from "../vendor/noble.js";
import { b64, b64url, hex, newId, random, sha256, unb64, utf8 } from "./bytes.js";
import { config } from "./config.js";
import { decryptFile, encryptFor, readHeader, reencryptHeader } from "./crypt4gh.js";
import { cutVcf, regionText } from "./cut.js";
import { makeEntry, submission } from "./entry.js";
import { ask } from "./http.js";
import { append } from "./log.js";
import { Market } from "./market.js";
import { consentSigner } from "./party.js";
import * as store from "./store.js";

const ARMOUR = /^-----BEGIN [A-Z0-9 ]*PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END [A-Z0-9 ]*PUBLIC KEY-----$/;
const DAY = 86_400_000;

// The 32 bytes of a Crypt4GH public key file.
export function publicKeyIn(text) {
  const plain = text.trim();
  if (/PRIVATE KEY/.test(plain)) throw new Error("this is a private key: it must stay with them alone. Ask for the public one, and tell them to make new keys.");
  const body = ARMOUR.exec(plain)?.[1];
  if (!body) throw new Error("this is no Crypt4GH public key. It begins with -----BEGIN CRYPT4GH PUBLIC KEY-----; take all of its lines.");
  try {
    const key = unb64(body.replace(/\s/g, ""));
    x25519.getSharedSecret(random(32), key); // throws where it has another length, or would hide nothing
    return key;
  } catch {
    throw new Error("this public key is damaged; ask for it again");
  }
}

// The end of a day written YYYY-MM-DD, in Unix ms: the first moment at which the share is over.
export function endOf(day, now = Date.now()) {
  const end = Date.parse(`${day}T00:00:00Z`) + DAY;
  if (!(end > now)) throw new Error("choose the last day on which they may fetch it: today or later");
  return end;
}

// Record the share, signed by the passkey; `send` leaves it at the market. reader: whom it is for, in
// the owner's words, kept in the vault alone. region: only this part, null for all. -> the document,
// with the link (a secret). It is kept before it is sent: it can be sent again or stopped.
export async function give(home, record, { reader, key, until, region = null }) {
  const part = region === null ? null : await cutFor(home, record, key, region);
  const header = part === null ? reencryptHeader(unb64(record.header), unb64(home.keys.encrypt), key) : readHeader(part);
  const fields = {
    share: newId(), owner: home.party, dataset: record.dataset, recipient_key: b64(key),
    header_sha256: hex(await sha256(header)), valid_until: until,
  };
  if (part !== null) await store.put(partName(fields.share), part);
  const [place] = await append([submission(await makeEntry("share.given", fields, await consentSigner(home)))]);
  home.keep([place]);
  const link = `${await Market.url(`/passport/${fields.share}`)}#${b64url(random(32))}`;
  const made = {
    ...fields, index: place.index, link, region: region && regionText(region), stopped: null, reader,
    waiting: part === null ? { header: b64(header) } : { part: null },
  };
  home.documents[`passport/${fields.share}.json`] = made;
  await home.save();
  return made;
}

// A part as a file of its own: own data key, for this reader alone.
async function cutFor(home, record, key, region) {
  const file = await home.market.download(`/datasets/${record.dataset}/file`);
  const plain = await decryptFile(file, unb64(home.keys.encrypt));
  return encryptFor(key, await cutVcf(new Blob([plain]), region));
}

const partName = (share) => `part:${share}`;

// Leave at the market what a share is fetched from; nothing where it has that already.
export async function send(home, made) {
  const { share, link, waiting } = made;
  if (!waiting) return;
  const token = hex(await sha256(utf8(link.split("#")[1])));
  if (waiting.header) await home.market.post("/passport", { share, header: waiting.header, token_sha256: token });
  else await home.market.sendShared(share, await partOf(share, waiting), token);
  made.waiting = null;
  await home.save();
  await store.remove(partName(share));
}

async function partOf(share, waiting) {
  const part = waiting.part ? unb64(waiting.part) : await store.get(partName(share));
  if (!part) throw new Error("the part that was cut lies in the browser you shared it from; send it there, or stop this share and give it anew");
  return part;
}

// The page on which its reader fetches it. The secret stands behind the #, which no server is sent.
export const pageOf = ({ share, link }) => `${window.location.origin}/#/fetch/${share}/${link.split("#")[1]}`;

// End a share: no further download. Signed with the dataset's own key, which an unlocked home holds.
export async function stop(home, share, dataset) {
  const fields = { share, owner: home.party, dataset };
  const [place] = await append([submission(await makeEntry("share.stopped", fields, home.signer(`datasets/${dataset}`)))]);
  home.keep([place]);
  const document = home.documents[`passport/${share}.json`];
  if (document) Object.assign(document, { stopped: place.index, waiting: null });
  await home.save();
  await store.remove(partName(share));
  return place;
}

// What this home shares, newest first, with what the market says of it (nothing where it is silent).
export async function shares(home) {
  const { shares: told } = await home.market.call("/me/passport").catch(() => ({ shares: [] }));
  const said = new Map(told.map((one) => [one.share, one]));
  return home.list("passport").sort((a, b) => b.index - a.index).map((one) => ({ ...said.get(one.share), ...one }));
}

// The Crypt4GH file of a share, for whoever holds the link. -> Blob
export async function fetched(share, token) {
  const { trust } = await config();
  const address = `${trust.marketplace_url}/api/v1/passport/${share}`;
  return (await ask(address, { headers: { Authorization: `Bearer ${token}` }, raw: true })).blob();
}
