// A ledger entry: DSSE over canonical JSON, its fixed bytes, its commitment and its leaf.
// The same format as ledger/envelope.py and ledger/leaf.py; tests compare the two byte for byte.

import { b64, concat, fromUtf8, hex, hmac, newId, random, sha256, u32, unb64, utf8 } from "./bytes.js";
import { canonical } from "./canonical.js";

const PUBLIC_TYPES = new Set(["order.placed", "review.decided"]);
const BY_ROLE = new Set([
  "party.registered", "party.key_added", "party.key_removed", "party.key_rotated",
  "recovery.requested", "recovery.cancelled",
]);

export const payloadType = (type) => `application/vnd.omic.${type}.v1+json`;

export const fingerprint = async (publicKey) => hex(await sha256(publicKey)).slice(0, 32);

// The DSSE v1 pre-authentication encoding: what every signer signs.
export function pae(type, payload) {
  const name = utf8(payloadType(type));
  return concat(utf8(`DSSEv1 ${name.length} `), name, utf8(` ${payload.length} `), payload);
}

export function isPersonal(type, payload) {
  return BY_ROLE.has(type) ? payload.role === "owner" : !PUBLIC_TYPES.has(type);
}

// signer: {kind, publicKey, sign(message) -> [parts]}
export async function makeEntry(type, fields, signer, now = Date.now()) {
  const subject = fields.owner ?? fields.party ?? null;
  const payload = {
    subject, basis: { kind: "self" }, id: newId(), time: now, ...fields,
    schema: `${type}/1`, actor: await fingerprint(signer.publicKey),
  };
  const entry = { type, payload, payloadBytes: canonical(payload), signatures: [] };
  return cosigned(entry, await signature(signer, pae(type, entry.payloadBytes)));
}

async function signature(signer, message) {
  return { kind: signer.kind, publicKey: signer.publicKey, parts: await signer.sign(message) };
}

export const cosigned = (entry, one) => ({ ...entry, signatures: [...entry.signatures, one] });

export function entryBytes(entry) {
  const fields = [utf8(payloadType(entry.type)), entry.payloadBytes];
  for (const one of entry.signatures) fields.push(utf8(one.kind), one.publicKey, ...one.parts);
  return concat(...fields.flatMap((field) => [u32(field.length), field]));
}

export const commitment = (salt, entry) => hmac(salt, concat(utf8("omic/entry/v1"), entryBytes(entry)));

// By this a personal leaf says whom it is about to who knows the party's id.
export const aboutTag = async (party, committed) =>
  (await sha256(concat(utf8("omic/about/v1"), utf8(party), committed))).slice(0, 16);

// What is posted: the entry, a fresh 32-byte salt if its leaf may hold only a commitment.
export function submission(entry, attachments = {}) {
  const salt = isPersonal(entry.type, entry.payload) ? random(32) : null;
  return { entry, salt, attachments };
}

export function submissionJson({ entry, salt, attachments }) {
  return {
    payload_type: payloadType(entry.type),
    payload: b64(entry.payloadBytes),
    signatures: entry.signatures.map((one) => ({
      kind: one.kind, public_key: b64(one.publicKey), parts: one.parts.map(b64),
    })),
    salt: salt === null ? null : b64(salt),
    attachments: Object.fromEntries(Object.entries(attachments).map(([name, data]) => [name, b64(data)])),
  };
}

// The inverse: a submission written down, to be sent once more.
export function submissionFrom({ payload_type: name, payload, signatures, salt, attachments }) {
  const payloadBytes = unb64(payload);
  const entry = {
    type: typeOf(name), payload: JSON.parse(fromUtf8(payloadBytes)), payloadBytes,
    signatures: signatures.map((one) => ({ kind: one.kind, publicKey: unb64(one.public_key), parts: one.parts.map(unb64) })),
  };
  const opened = Object.fromEntries(Object.entries(attachments).map(([key, data]) => [key, unb64(data)]));
  return { entry, salt: salt === null ? null : unb64(salt), attachments: opened };
}

const typeOf = (name) => name.replace("application/vnd.omic.", "").replace(/\.v\d+\+json$/, "");

// The leaf the ledger must have made of a submission at a time: anything else is not our entry.
export async function leafBytes({ entry, salt }, time) {
  const { payload, type } = entry;
  const leaf = { v: 1, type, version: 1, time };
  if (salt === null) leaf.entry = b64(entryBytes(entry));
  else {
    const committed = await commitment(salt, entry);
    leaf.commitment = hex(committed);
    leaf.about = hex(await aboutTag(payload.owner ?? payload.party ?? "", committed));
  }
  const lists = { stops: type === "consent.rekeyed" ? [payload.replaces] : payload.stops };
  for (const [name, list] of Object.entries({ ...lists, resumes: payload.resumes, erases: payload.erases })) {
    if (list?.length) leaf[name] = list;
  }
  return canonical(leaf);
}

// Read the fixed bytes of an entry that stands in a public leaf.
export function parseEntryBytes(data) {
  const fields = [];
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 0; at < data.length;) {
    const size = view.getUint32(at);
    if (at + 4 + size > data.length) throw new Error("entry bytes are cut inside a field");
    fields.push(data.subarray(at + 4, at + 4 + size));
    at += 4 + size;
  }
  const [name, payloadBytes, ...rest] = fields;
  const type = typeOf(new TextDecoder().decode(name));
  const payload = JSON.parse(new TextDecoder().decode(payloadBytes));
  const signatures = [];
  while (rest.length) {
    const kind = new TextDecoder().decode(rest.shift());
    const publicKey = rest.shift();
    signatures.push({ kind, publicKey, parts: rest.splice(0, kind === "webauthn" ? 3 : 1) });
  }
  return { type, payload, payloadBytes, signatures };
}
