// What a researcher does with keys: order and sign, open the answer.
// The same statement as marketplace/client/researcher.py makes, signed by a passkey.

import { b64, fromUtf8, newId, unb64, utf8 } from "./bytes.js";
import { decryptFile, encryptFor, publicOf } from "./crypt4gh.js";
import { makeEntry, submission } from "./entry.js";
import { append } from "./log.js";
import { consentSigner } from "./party.js";

// Sign and place the order a quote names, to the letter. -> order id
export async function place(home, quote) {
  if (Date.now() >= quote.valid_until) throw new Error("this price is past its time; ask for a new one");
  const order = newId();
  const entry = await makeEntry("order.placed", {
    order, researcher: home.party, ...quote.order_fields,
    result_key: b64(publicOf(unb64(home.keys.encrypt))),
    attestations: home.documents["attestations.json"]?.indexes ?? [],
  }, await consentSigner(home));
  const [kept] = await append([submission(entry)]);
  home.keep([kept]);
  await home.market.post("/orders", { quote: quote.quote, index: kept.index });
  home.documents[`orders/${order}.json`] = { order, index: kept.index, fields: entry.payload };
  await home.save();
  return order;
}

// -> {document, text, bundle (text)}: decrypted here, checked by the caller.
export async function answer(home, order) {
  const secret = unb64(home.keys.encrypt);
  const open = async (name) => fromUtf8(await decryptFile(await home.market.download(`/orders/${order}/objects/${name}`), secret));
  const text = await open("result");
  return { document: JSON.parse(text), text, bundle: await open("bundle") };
}

export function csv(columns) {
  const names = Object.keys(columns);
  const cell = (value) => (value === null || value === undefined ? "" : /[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  const rows = (columns[names[0]] ?? []).map((_, i) => names.map((name) => cell(columns[name][i])).join(","));
  return `${[names.join(","), ...rows].join("\n")}\n`;
}

// The numbers as Parquet: whole columns of one type, missing values as nulls. Its writer is a third of
// all code here, so it is loaded when somebody asks for one.
export async function parquet(columns) {
  const { parquetWriteBuffer } = await import("../vendor/parquet.js");
  return parquetWriteBuffer({ columnData: Object.entries(columns).map(([name, values]) => typed(name, values)) });
}

function typed(name, values) {
  const there = values.filter((v) => v !== null && v !== undefined);
  const data = values.map((v) => v ?? null);
  const whole = there.every((v) => Number.isInteger(v) && Math.abs(v) < 2 ** 31);
  if (there.length && there.every((v) => typeof v === "number")) return { name, data, type: whole ? "INT32" : "DOUBLE", nullable: true };
  if (there.length && there.every((v) => typeof v === "boolean")) return { name, data, type: "BOOLEAN", nullable: true };
  return { name, data: data.map((v) => (v === null ? null : String(v))), type: "STRING", nullable: true };
}

// The key others encrypt to, as text to hand around; and back, with what is wrong with it.
export const answerKey = (home) => `omic-answers:${b64(publicOf(unb64(home.keys.encrypt)))}`;

export function parseAnswerKey(text) {
  const [kind, value] = text.trim().split(":");
  let bytes = new Uint8Array();
  try { bytes = unb64(value ?? ""); } catch { /* said below */ }
  if (kind !== "omic-answers" || bytes.length !== 32) throw new Error("this is not a co-author's key; it begins with omic-answers: and stands on the first page of their keys");
  return bytes;
}

const SHARED = "omic/shared-answer/1";

// The answer with its proof, encrypted to a co-author; it goes by any way, the market sees nothing of it.
export function shareWith(reader, order, { text, bundle }) {
  return encryptFor(reader, utf8(JSON.stringify({ kind: SHARED, order, result: text, bundle })));
}

export async function openShared(home, file) {
  let value;
  try {
    value = JSON.parse(fromUtf8(await decryptFile(file, unb64(home.keys.encrypt))));
  } catch {
    throw new Error("this file does not open with your keys: it was made for somebody else, or it was changed");
  }
  if (value.kind !== SHARED) throw new Error("this is no answer that was shared");
  return { order: value.order, found: { document: JSON.parse(value.result), text: value.result, bundle: value.bundle } };
}
