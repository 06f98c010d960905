// What a chosen file is worth, in sentences: a proof bundle, or one entry with its proof. Asks nobody.

import { checkBundle, checkEntry } from "./bundle.js";
import { parsePolicy } from "./note.js";

const LOG_OF = /\n\n([^\n]+)\n\d+\n/;
const AGAIN = "Something in it was changed after it was made, or it was never true. Do not rely on it; ask for the file again where it came from.";

// trust: a trust file's content. -> {holds, title, said, lines}; never throws for a bad file.
export async function judge(trust, text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return bad("This cannot be read as a proof", "The file is of another kind, or it was changed or cut short on its way. A proof bundle is called ….bundle.json.");
  }
  const entries = Array.isArray(value?.entries) ? value.entries : value?.leaf ? [value] : null;
  if (!entries?.length) return bad("This is no proof", value?.answer ? "It is an answer alone. Its proof is the file called ….bundle.json, saved beside it." : "Choose a proof bundle (….bundle.json) or an entry's proof saved from the ledger's pages.");
  const foreign = otherLog(trust, entries);
  if (foreign) return bad("It is of another log", `Its proofs are of the log ${foreign}; this page holds the keys of ${trust.origin} alone, and can say nothing of others. Use that market's own page, or choose its trust file below.`);
  try {
    return value.entries ? await wholeBundle(trust, text) : await oneEntry(trust, value);
  } catch (error) {
    if (/did not sign|too few/.test(error.message)) return bad("The keys of this log did not sign it", `Its proofs name ${trust.origin}, but not enough signatures are by the keys this page holds. It is of another log of that name, or was changed. (${error.message})`);
    return bad("It does not hold", `${AGAIN} What was found: ${error.message}.`);
  }
}

const bad = (title, said) => ({ holds: false, title, said, lines: [] });

function otherLog(trust, entries) {
  const names = entries.map(({ receipt }) => LOG_OF.exec(String(receipt))?.[1]);
  return names.every((name) => name && name !== trust.origin) ? names[0] : null;
}

async function wholeBundle(trust, text) {
  const { bundle, lines } = await checkBundle(trust, text);
  const more = bundle.kind === "auditor" ? [["Not checked here", "The consents one by one: omic audit result does"]] : [];
  return { holds: true, title: "It holds", said: "Question, payment, the opening of data and this very answer stand in the log, in this order, as signed.", lines: [...lines, ...more] };
}

async function oneEntry(trust, value) {
  const entry = await checkEntry(trust, await parsePolicy(trust.witness_policy), value);
  const { checkpoint, steps } = entry.proof;
  return { holds: true, title: `Entry ${entry.index} is in the log`, said: entry.payload ? "It stands there as it was signed." : "It is about a person: the log holds a sealed commitment to it and nothing else.", lines: [
    ["Kind", entry.type], ["Sequenced", new Date(entry.time).toISOString()],
    ["Computed here", `${steps.length} hashes, from the entry to the root`], ["Entries under that root", String(checkpoint.size)],
    ["Signed by the witnesses", checkpoint.witnesses.join(", ")],
  ] };
}
