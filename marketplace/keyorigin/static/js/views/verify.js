// Check a proof without asking anybody: a bundle or an entry's proof, chosen from this device.
// With an index (#/verify/12) the entry and its proof are fetched from the ledger and checked here.

import { config } from "../config.js";
import { fromUtf8, hex } from "../bytes.js";
import { alert, facts, h, plainError, show } from "../dom.js";
import { provenLeaf } from "../log.js";
import { judge } from "../verdict.js";

export async function verify({ rest: [index] }) {
  const { trust } = await config();
  const out = h("div", { role: "status" });
  const input = h("input", { id: "proof", type: "file", accept: ".json" });
  input.addEventListener("change", async () => out.replaceChildren(...shown(await judge(trust, await input.files[0].text()))));
  const chooser = h("div.drop", {}, h("label", { for: "proof" }, "A result\u2019s proof bundle, or an entry's proof"), input);
  show(h("div.narrow", {}, h("p.eyebrow", {}, "Check a proof"), h("h1", {}, "Believe nothing, check it here"),
    h("p.lead", {}, `Checked in your browser with the keys of ${trust.origin} that this page was released with. Nothing is sent.`),
    ...(index ? [out] : [chooser, out]),
    h("p", {}, h("a", { href: "/verify.html" }, "The same as one file to keep"), ": it works offline, years later."),
    h("details", {}, h("summary", {}, "What is checked, and what is not"),
      h("p", {}, "That every entry is in the log its witnesses cosigned; every signature; that order, payment, opening and answer follow each other and are signed by whom they must be; that the answer is the one committed to. What attesters said of people, and reviews, are checked by ", h("code", {}, "omic audit result"), ".")),
    index ? h("p", {}, h("a", { href: "#/verify" }, "Check a file instead")) : null));
  if (index) out.replaceChildren(...await entryShown(Number(index)));
}

function shown({ holds, title, said, lines }) {
  if (!holds) return [alert(`${title}. ${said}`)];
  return [h("section.note", {}, h("h2", {}, title), h("p", {}, said), facts(lines))];
}

async function entryShown(index) {
  try {
    const [title, more] = await checkEntry(index);
    return [h("section.note", {}, h("h2", {}, title), more)];
  } catch (error) {
    return [alert(`It does not hold: ${plainError(error)}`)];
  }
}

async function checkEntry(index) {
  if (!Number.isSafeInteger(index)) throw new Error("an entry has a whole number");
  const proven = await provenLeaf(index);
  const { type, time } = JSON.parse(fromUtf8(proven.leaf));
  return [`Entry ${index} is in the ledger`, h("div", {}, h("p.lead", {}, saying(type, time, proven.checkpoint)),
    type === "access.recorded" ? h("div.actions", {}, h("a.button", { href: `#/use/${index}` }, "Was my data in it?")) : null, climbed(index, proven))];
}

// What was proved, in one sentence.
export function saying(type, time, { witnesses }) {
  const written = `was written down on ${new Date(time).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" })}`;
  const what = type === "access.recorded" ? `This use of people\u2019s data ${written}, before anything was opened.` : `What this entry says ${written}.`;
  return `Proved: ${what} ${witnesses.length} witnesses have signed the ledger that holds it, so nobody can take it back or change it unseen.`;
}

export function climbed(index, { checkpoint, steps }) {
  const climb = h("ol.climb", {}, h("li.leaf", {}, h("span.step", {}, `Entry ${index}`)),
    steps.map(({ hash, left }) => h("li", {}, h("code", {}, `${hex(hash).slice(0, 16)}\u2026`), h("span.step", {}, ` joined with its ${left ? "left" : "right"} neighbour`))),
    h("li.root", {}, h("span.step", {}, `Root, signed by the log and ${checkpoint.witnesses.length} witnesses`), h("code", {}, hex(checkpoint.root))));
  return h("details.how", {}, h("summary", {}, "How your browser worked it out"), facts([
    ["Computed here", `${steps.length} hashes, from the entry to the root`], ["Entries in the ledger", String(checkpoint.size)],
    ["Witnesses", checkpoint.witnesses.join(", ")], ["Witnessed at", new Date(checkpoint.time * 1000).toLocaleString("en-GB")],
  ]), climb);
}
