// The page that checks proofs without any network: one file that can be kept. It may connect nowhere.

import { alert, facts, h, show } from "./dom.js";
import { judge } from "./verdict.js";

let trust = JSON.parse(document.getElementById("trust").textContent);
const out = h("div", { role: "status" });
const keys = h("div");
const proof = h("input", { id: "proof", type: "file", accept: ".json" });
const own = h("input", { id: "own", type: "file", accept: ".json" });

proof.addEventListener("change", check);
own.addEventListener("change", async () => {
  try {
    const chosen = JSON.parse(await own.files[0].text());
    if (!chosen.witness_policy || !chosen.pins) throw new Error("no keys in it");
    trust = chosen;
    believed();
    await check();
  } catch {
    out.replaceChildren(alert("That is not a trust file. It is called trust.json and lies at the market's address."));
  }
});

async function check() {
  if (!proof.files.length) return;
  const { holds, title, said, lines } = await judge(trust, await proof.files[0].text());
  const kind = holds ? "section.note" : "section.alert";
  out.replaceChildren(h(kind, { role: holds ? null : "alert" }, h("h2", {}, title), h("p", {}, said), lines.length ? facts(lines) : null));
}

function believed() {
  keys.replaceChildren(h("p", {}, `The log ${trust.origin}, and these keys of it and of its witnesses:`), h("pre", { tabindex: "0", role: "group", "aria-label": "Keys of the log and its witnesses" }, trust.witness_policy));
}

const kept = location.protocol === "file:";
show(h("p.eyebrow", {}, "Check a proof"), h("h1", {}, "Believe nothing, check it here"),
  h("p.lead", {}, "Choose the proof that came with an answer. It is checked on this device; this page is not able to send anything anywhere."),
  h("div.drop", {}, h("label", { for: "proof" }, "A proof bundle, or an entry's proof"), proof), out,
  kept ? h("p.muted", {}, "You opened a kept copy. It needs no network.")
    : h("p.actions", {}, h("a.button.quiet", { href: location.pathname, download: "omic-check-a-proof.html" }, "Keep this page"), h("span.muted", {}, "It works from your disk, without any network, as long as there are browsers.")),
  h("details", {}, h("summary", {}, "Whose keys this page believes"), keys,
    h("p", {}, "Compare them with what witnesses and log publish elsewhere. Do you have a trust file you believe more?"),
    h("div.drop", {}, h("label", { for: "own" }, "Your own trust.json"), own)),
  h("details", {}, h("summary", {}, "What is checked, and what is not"),
    h("p", {}, "That every entry is in the log that a majority of its witnesses signed; every signature; that the researcher signed the order, the marketplace the payment, and compute the opening and the answer, in this order; that question, program and answer are the ones named there."),
    h("p", {}, "Not what attesters said of people, nor reviews, nor each consent: ", h("code", {}, "omic audit result"), " checks those too.")));
believed();
