// Moving consents to compute's newest key, unasked: the terms do not change, so the dataset's own key
// signs and no passkey is asked for. marketplace/client/renewal.py does the same for the omic command.
// Compute destroys an old key's secret in the end: who never comes lets a consent lapse, and that is meant.

import { hex, sha256, unb64 } from "./bytes.js";
import { reencryptHeader } from "./crypt4gh.js";
import { makeEntry, parseEntryBytes, submission } from "./entry.js";
import { grantInfo, sealGrant } from "./hpke.js";
import { append, recipient } from "./log.js";
import { Market } from "./market.js";

const KEPT = ["grant", "owner", "dataset", "offer", "terms", "terms_sha256", "facets", "activity_commitment", "order"];
const tried = new WeakSet();

// Once for each unlocking: seal every consent in force to the newest key of its region. -> how many moved
// Whatever stands in the way (no network, an order that is closed, an objection) leaves a consent as it
// is: it ends with its key, and the next visit tries again.
export async function renew(home) {
  if (tried.has(home)) return 0;
  tried.add(home);
  const held = home.list("grants").filter((one) => ["live", "paused"].includes(one.state)).flatMap((one) => given(home, one));
  const due = held.length ? await aging(held) : [];
  let moved = 0;
  for (const [one, to] of due) {
    try {
      await move(home, one, to);
      moved += 1;
    } catch (error) {
      console.warn(error.message);
    }
  }
  if (moved) await home.save();
  return moved;
}

// A consent with the statement that gave it, where this home can make it anew.
function given(home, document) {
  const kept = home.documents[`entries/${String(document.index).padStart(12, "0")}.json`];
  const record = home.documents[`datasets/${document.dataset}.json`];
  if (!kept || !record?.header || record.erased || !home.keys[`datasets/${document.dataset}`]) return [];
  const { payload } = parseEntryBytes(unb64(kept.entry));
  return payload.basis.kind === "self" ? [{ document, record, payload }] : [];
}

// Which consents are not sealed to the newest key, each with that key as the ledger itself shows it.
async function aging(held) {
  const { keys } = await Market.anonymous("/compute-keys"); // newest first; a hint, and believed no further
  const newest = new Map();
  const due = [];
  for (const one of held) {
    const { region, key_id: now } = one.payload.recipient;
    const hint = keys.find((key) => key.region === region);
    if (!hint || hint.key_id === now) continue;
    if (!newest.has(region)) newest.set(region, await recipient(keys.map((key) => key.index), region));
    if (newest.get(region).key_id !== now) due.push([one, newest.get(region)]);
  }
  return due;
}

async function move(home, { document, record, payload }, to) {
  const packet = reencryptHeader(unb64(record.header), unb64(home.keys.encrypt), unb64(to.crypt4gh_public));
  const info = await grantInfo(home.party, payload.dataset, payload.grant, payload.terms);
  const sealed = await sealGrant(packet, unb64(document.activity_key), unb64(to.hpke_public), info);
  const entry = await makeEntry("consent.rekeyed", {
    ...Object.fromEntries(KEPT.map((name) => [name, payload[name]])),
    recipient: { key_id: to.key_id, region: to.region },
    sealed_grant_sha256: hex(await sha256(sealed)), replaces: document.index,
  }, home.signer(`datasets/${payload.dataset}`));
  const [place] = await append([submission(entry, { sealed_grant: sealed })]);
  home.keep([place]);
  document.index = place.index;
}
