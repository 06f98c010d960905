// What an owner does: look, encrypt, register, offer, consent, withdraw, erase.
// The same statements as marketplace/client/owner.py makes; a consent here is signed by a passkey.

import { b64, hex, newId, random, sha256, unb64 } from "./bytes.js";
import { reencryptHeader } from "./crypt4gh.js";
import { makeEntry, submission } from "./entry.js";
import * as handed from "./handed.js";
import { grantInfo, sealGrant } from "./hpke.js";
import { append, recipient } from "./log.js";
import { Market } from "./market.js";
import { consentSigner } from "./party.js";
import { sha256OfTerms } from "./terms.js";
import { newUpload, Upload } from "./upload.js";

const REGION = "local";

// Begin (or take up again) the upload of a file; its secrets lie in the vault from now on.
export async function beginUpload(home, file, modality, onProgress, onCut) {
  const same = home.list("uploads").find((one) => one.name === file.name && one.size === file.size);
  const pending = same ?? { ...newUpload(newId(), file, unb64(home.keys.encrypt)), modality };
  home.documents[`uploads/${pending.dataset}.json`] = pending;
  await home.save();
  return new Upload(home.market, pending, file, onProgress, onCut);
}

// Give an unfinished upload up: without its key what was sent is noise, and the market drops it in time.
export async function forgetUpload(home, dataset) {
  delete home.documents[`uploads/${dataset}.json`];
  await home.save();
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
  const made = await newGrant(home, record.dataset, { offer: record.offer ?? null, terms, facets, order });
  return given(home, made, (await append([made.submission]))[0]);
}

// Other terms for a dataset, all or none: what was consented to ends, and counts as these terms say.
export async function changeTerms(home, record, terms, facets) {
  const { dataset } = record;
  const old = standing(home, dataset);
  const offer = newId();
  const offered = await makeEntry("offer.published", { offer, owner: home.party, datasets: [dataset], terms, facets }, home.signer());
  const made = await newGrant(home, dataset, { offer, terms, facets, order: null });
  const ending = old ? [submission(await stopping(home, old, "consent.withdrawn"))] : [];
  const places = await append([...ending, submission(offered), made.submission]);
  home.keep(places.slice(0, -1));
  if (old) Object.assign(old, { state: "withdrawn", stop: places[0].index });
  Object.assign(record, { offer, terms, facets });
  return given(home, made, places.at(-1));
}

// The consent of a dataset that counts for every order its terms allow, or is paused.
export const standing = (home, dataset) => home.list("grants")
  .find((one) => one.dataset === dataset && !one.order && ["live", "paused"].includes(one.state));

async function newGrant(home, dataset, { offer, terms, facets, order }) {
  const { keys } = await Market.anonymous("/compute-keys");
  const to = await recipient(keys.map((key) => key.index), REGION);
  const [id, activityKey] = [newId(), random(32)];
  const { header } = home.documents[`datasets/${dataset}.json`];
  const packet = reencryptHeader(unb64(header), unb64(home.keys.encrypt), unb64(to.crypt4gh_public));
  const info = await grantInfo(home.party, dataset, id, terms);
  const sealed = await sealGrant(packet, activityKey, unb64(to.hpke_public), info);
  const entry = await makeEntry("consent.granted", {
    grant: id, owner: home.party, dataset, offer, terms,
    terms_sha256: await sha256OfTerms(terms), facets,
    recipient: { key_id: to.key_id, region: to.region },
    sealed_grant_sha256: hex(await sha256(sealed)), activity_commitment: hex(await sha256(activityKey)),
    order,
  }, await consentSigner(home));
  const document = { grant: id, dataset, offer, activity_key: b64(activityKey), terms, state: "live", order, facets };
  return { submission: submission(entry, { sealed_grant: sealed }), document, recipient: to.index };
}

async function given(home, { document, recipient: sealedTo }, place) {
  home.keep([place]);
  home.documents[`grants/${document.grant}.json`] = { ...document, index: place.index };
  await home.save();
  return { ...document, index: place.index, recipient: sealedTo };
}

// Withdraw or pause: signed with the dataset's own key, which this unlocked home holds.
export async function stop(home, grantId, type) {
  const document = home.documents[`grants/${grantId}.json`];
  if (!document) throw new Error("the keys in this browser know no such consent; open it where you gave it");
  return handed.stop(home, await stopping(home, document, type));
}

const stopping = (home, { grant: id, dataset, index }, type) => makeEntry(
  type, { grant: id, dataset, owner: home.party, stops: [index] }, home.signer(`datasets/${dataset}`));

export async function resume(home, grantId) {
  const document = home.documents[`grants/${grantId}.json`];
  if (document.stop === null) throw new Error("your pause is still on its way to the ledger; try again when the ledger answers");
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
  return handed.stop(home, await makeEntry("dataset.erased", fields, home.signer()));
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
