// The health passport: one dataset for one professional's key, until a day. The header is written for
// that key here; the same statements and documents as marketplace/client/passport.py makes.

import { x25519 } from "../vendor/noble.js";
import { b64, b64url, hex, newId, random, sha256, unb64, utf8 } from "./bytes.js";
import { config } from "./config.js";
import { reencryptHeader } from "./crypt4gh.js";
import { makeEntry, submission } from "./entry.js";
import { ask } from "./http.js";
import { append } from "./log.js";
import { Market } from "./market.js";
import { consentSigner } from "./party.js";

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

// Record the share, signed by the passkey, then leave the header at the market. reader: whom it is
// for, in the owner's words, kept in the vault alone. -> the document, with the link (a secret)
export async function give(home, record, reader, key, until) {
  const token = b64url(random(32));
  const header = reencryptHeader(unb64(record.header), unb64(home.keys.encrypt), key);
  const fields = {
    share: newId(), owner: home.party, dataset: record.dataset, recipient_key: b64(key),
    header_sha256: hex(await sha256(header)), valid_until: until,
  };
  const [place] = await append([submission(await makeEntry("share.given", fields, await consentSigner(home)))]);
  home.keep([place]);
  const link = `${await Market.url(`/passport/${fields.share}`)}#${token}`;
  const made = { ...fields, index: place.index, link, region: null, stopped: null, reader };
  home.documents[`passport/${fields.share}.json`] = made;
  await home.save(); // from here on it can be stopped, whatever the market says
  await home.market.post("/passport", { share: fields.share, header: b64(header), token_sha256: hex(await sha256(utf8(token))) });
  return made;
}

// The page on which its reader fetches it. The secret stands behind the #, which no server is sent.
export const pageOf = ({ share, link }) => `${window.location.origin}/#/fetch/${share}/${link.split("#")[1]}`;

// End a share: no further download. Signed with the dataset's own key, which an unlocked home holds.
export async function stop(home, share, dataset) {
  const fields = { share, owner: home.party, dataset };
  const [place] = await append([submission(await makeEntry("share.stopped", fields, home.signer(`datasets/${dataset}`)))]);
  home.keep([place]);
  const document = home.documents[`passport/${share}.json`];
  if (document) document.stopped = place.index;
  await home.save();
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
