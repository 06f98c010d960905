// What an owner does: look, encrypt, register, offer, consent, withdraw, erase.
// The same statements as marketplace/client/owner.py makes; a consent here is signed by a passkey.

import { b64, hex, newId, random, sha256, unb64 } from "./bytes.js";
import { reencryptHeader } from "./crypt4gh.js";
import { makeEntry, submission } from "./entry.js";
import { grantInfo, sealGrant } from "./hpke.js";
import { append, recipient } from "./log.js";
import { Market } from "./market.js";
import { consentSigner } from "./party.js";
import { sha256OfTerms } from "./terms.js";
import { newUpload, Upload } from "./upload.js";

const REGION = "local";

// Begin (or take up again) the upload of a file; its secrets lie in the vault from now on.
export async function beginUpload(home, file, modality, onProgress) {
  const same = home.list("uploads").find((one) => one.name === file.name && one.size === file.size);
  const pending = same ?? { ...newUpload(newId(), file, unb64(home.keys.encrypt)), modality };
  home.documents[`uploads/${pending.dataset}.json`] = pending;
  await home.save();
  return new Upload(home.market, pending, file, onProgress);
}

// Register what was uploaded, and offer it: two statements, posted together.
export async function registerAndOffer(home, upload, manifest, look, terms, facets) {
  const { dataset, modality, name, header } = upload.pending;
  home.identity.participant ??= newId();
  const key = home.newSigner(`datasets/${dataset}`);
  const registered = await makeEntry("dataset.registered", {
    dataset, owner: home.party, participant: home.identity.participant, modality,
    signing_key: b64(key.publicKey), ciphertext: manifest, format: look.format, region: REGION,
    controller: home.party, custodian: null,
  }, home.signer());
  const offer = newId();
  const offered = await makeEntry("offer.published", {
    offer, owner: home.party, datasets: [dataset], terms, facets,
  }, home.signer());
  const places = await append([registered, offered].map((entry) => submission(entry)));
  home.keep(places);
  home.documents[`datasets/${dataset}.json`] = {
    dataset, modality, name, content_digest: `browser:${manifest.sha256}`, header, ciphertext: manifest,
    index: places[0].index, erased: false, format: look.format, summary: Object.fromEntries(look.facts),
    offer, terms, facets,
  };
  delete home.documents[`uploads/${dataset}.json`];
  await home.market.post("/datasets", { dataset });
  await home.save();
  return home.documents[`datasets/${dataset}.json`];
}

// The consent: the header packet for compute's key, sealed to the exact terms, signed by passkey.
// order: for that one alone, else standing.
export async function grant(home, record, terms = record.terms, facets = record.facets, order = null) {
  const { keys } = await Market.anonymous("/compute-keys");
  const to = await recipient(keys.map((key) => key.index), REGION);
  const id = newId();
  const activityKey = random(32);
  const packet = reencryptHeader(unb64(record.header), unb64(home.keys.encrypt), unb64(to.crypt4gh_public));
  const info = await grantInfo(home.party, record.dataset, id, terms);
  const sealed = await sealGrant(packet, activityKey, unb64(to.hpke_public), info);
  const entry = await makeEntry("consent.granted", {
    grant: id, owner: home.party, dataset: record.dataset, offer: record.offer ?? null, terms,
    terms_sha256: await sha256OfTerms(terms), facets,
    recipient: { key_id: to.key_id, region: to.region },
    sealed_grant_sha256: hex(await sha256(sealed)), activity_commitment: hex(await sha256(activityKey)),
    order,
  }, await consentSigner(home));
  const [place] = await append([submission(entry, { sealed_grant: sealed })]);
  home.keep([place]);
  home.documents[`grants/${id}.json`] = {
    grant: id, dataset: record.dataset, offer: record.offer ?? null, activity_key: b64(activityKey), terms,
    index: place.index, state: "live", order, facets,
  };
  await home.save();
  return { ...home.documents[`grants/${id}.json`], recipient: to.index };
}

const BECOMES = { "consent.withdrawn": "withdrawn", "consent.paused": "paused" };

// Withdraw or pause: signed with the dataset's own key, which this unlocked home holds.
export async function stop(home, grantId, type) {
  const document = home.documents[`grants/${grantId}.json`];
  if (!document) throw new Error("the keys in this browser know no such consent; open it where you gave it");
  const fields = { grant: grantId, dataset: document.dataset, owner: home.party, stops: [document.index] };
  const entry = await makeEntry(type, fields, home.signer(`datasets/${document.dataset}`));
  const [place] = await append([submission(entry)]);
  home.keep([place]);
  Object.assign(document, { state: BECOMES[type], stop: place.index });
  await home.save();
  return place;
}

export async function resume(home, grantId) {
  const document = home.documents[`grants/${grantId}.json`];
  const fields = { grant: grantId, dataset: document.dataset, owner: home.party, resumes: [document.stop] };
  const [place] = await append([submission(await makeEntry("consent.resumed", fields, await consentSigner(home)))]);
  home.keep([place]);
  Object.assign(document, { state: "live" });
  await home.save();
  return place;
}

// Erase: ends its consents, and lets the file and the private part of every entry about it go.
export async function erase(home, dataset) {
  const record = home.documents[`datasets/${dataset}.json`];
  if (!record) throw new Error("the keys in this browser know no such dataset");
  const grants = home.list("grants").filter((one) => one.dataset === dataset);
  const fields = {
    dataset, owner: home.party,
    stops: grants.filter((one) => ["live", "paused"].includes(one.state)).map((one) => one.index).sort((a, b) => a - b),
    erases: about(home, dataset),
  };
  const [place] = await append([submission(await makeEntry("dataset.erased", fields, home.signer()))]);
  home.keep([place]);
  record.erased = true;
  for (const one of grants) one.state = "erased";
  delete home.keys[`datasets/${dataset}`];
  delete record.header;
  await home.save();
  return place;
}

function about(home, dataset) {
  const fits = (payload) => payload.dataset === dataset || (payload.datasets ?? []).includes(dataset);
  return home.list("entries").filter((one) => fits(payloadOf(one))).map((one) => one.index).sort((a, b) => a - b);
}

function payloadOf(document) {
  const data = unb64(document.entry);
  const view = new DataView(data.buffer);
  const first = view.getUint32(0);
  const size = view.getUint32(4 + first);
  return JSON.parse(new TextDecoder().decode(data.subarray(8 + first, 8 + first + size)));
}
