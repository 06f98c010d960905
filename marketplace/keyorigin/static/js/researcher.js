// What a researcher does with keys: order and sign, open the answer.
// The same statement as marketplace/client/researcher.py makes, signed by a passkey.

import { b64, fromUtf8, newId, unb64 } from "./bytes.js";
import { decryptFile, publicOf } from "./crypt4gh.js";
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
