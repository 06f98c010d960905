// Sharing data: look into the file, choose terms, encrypt and send; then consent to exact terms.

import { words } from "../config.js";
import { action, alert, facts, h, list, plainError, show } from "../dom.js";
import * as owner from "../owner.js";
import { peek } from "../peek.js";
import { describe, fromPreset } from "../terms.js";
import { adjuster, judged } from "./adjust.js";
import { toMarket } from "./keys.js";

const PRESETS = {
  non_profit_research: ["Non-profit research, free", "Universities, hospitals and charities may compute on it for research. Companies may not."],
  my_condition_free: ["Research on my condition, free", "Only research on the conditions you name, by non-profit organisations."],
  everything_at_a_price: ["Everything, at a price", "Any approved use, also commercial. You are paid for each use. Insurers and employers never."],
};
const VERDICTS = { permitted: ["good", "Yes"], needs_owner: ["wait", "Asks you first"], forbidden: ["stop", "No"] };

export async function share({ home }) {
  if (home.identity.role !== "owner") throw new Error("this identity is for research; make another one to share data");
  const input = h("input", { id: "file", type: "file", accept: ".vcf,.gz,.txt,.csv,.tsv,.json" });
  const below = h("div", { id: "below" });
  const zone = h("div.drop", {}, h("label", { for: "file" }, "Choose the file with your data"), input,
    h("p.muted", {}, "A VCF, raw data of a consumer test, an expression table, or a clinical record (Phenopacket, FHIR or openEHR, as JSON). It is opened here; nothing is sent."));
  input.addEventListener("change", () => chosen(home, input.files[0], below));
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    chosen(home, event.dataTransfer.files[0], below);
  });
  const underWay = home.list("uploads");
  show(h("div.narrow", {}, h("p.eyebrow", {}, "Step 2 of 3"), h("h1", {}, "Which data?"),
    underWay.length ? h("p.note", {}, `An upload of ${underWay[0].name} is not finished. Choose the same file again, and it goes on where it stopped.`) : null,
    zone, below));
}

async function chosen(home, file, below) {
  if (!file) return;
  const bar = h("progress", { max: file.size, "aria-label": "Looking into the file" });
  below.replaceChildren(h("div.progress", {}, bar, h("p", { role: "status" }, "Looking into the file, on this device…")));
  try {
    const look = await peek(file, (read) => { bar.value = Math.min(read, file.size); });
    below.replaceChildren(...await looked(home, file, look));
  } catch (error) {
    below.replaceChildren(alert(plainError(error)));
  }
}

async function looked(home, file, look) {
  const found = [h("section", { "aria-labelledby": "inside" }, h("h2", { id: "inside" }, `What is in it: ${look.kind}`),
    facts([["File", file.name], ...look.facts]),
    ...look.warnings.map((text) => h("p.note", {}, text)), ...look.refusals.map(alert))];
  if (look.refusals.length) return [...found, h("p", {}, "Nothing was sent. Put this right, or choose another file.")];
  return [...found, await termsForm(home, file, look)];
}

async function termsForm(home, file, look) {
  const known = await words();
  const preview = h("div", { "aria-live": "polite" });
  const disease = h("select", { id: "disease" }, Object.entries(known.diseases).map(([id, label]) => h("option", { value: id }, label)));
  const price = h("input", { id: "price", type: "number", min: "1", max: "100000", value: "2", step: "0.5" });
  const extras = {
    my_condition_free: h("p.field", {}, h("label", { for: "disease" }, "Your condition"), disease),
    everything_at_a_price: h("p.field", {}, h("label", { for: "price" }, "Price for each use, in pounds"), price),
  };
  const exact = h("input", { type: "checkbox", id: "exact" });
  const choice = () => document.querySelector("input[name=preset]:checked")?.value ?? "non_profit_research";
  const detail = await adjuster();
  const terms = async () => detail.apply(await fromPreset(choice(), {
    now: Date.now(), diseases: [disease.value], price: Math.round(Number(price.value) * 100), mode: exact.checked ? "trusted" : "private",
  }));
  const redraw = async () => {
    for (const [name, field] of Object.entries(extras)) field.hidden = choice() !== name;
    try {
      const examples = detail.element.open ? await judged(await terms()) : known.presets[choice()].would_allow[exact.checked ? "trusted" : "private"];
      preview.replaceChildren(wouldAllow(examples, choice() === "my_condition_free" && !detail.element.open));
    } catch (error) {
      preview.replaceChildren(alert(plainError(error)));
    }
  };
  const form = h("section", { "aria-labelledby": "terms" }, h("h2", { id: "terms" }, "Who may compute on it?"),
    h("fieldset.choices", {}, h("legend.sr", {}, "Terms"), Object.entries(PRESETS).map(([name, [title, text]], i) => h("label.choice", {},
      h("input", { type: "radio", name: "preset", value: name, checked: i === 0 }), h("strong", {}, title), h("span", {}, text)))),
    ...Object.values(extras),
    h("p.check", {}, exact, h("label", { for: "exact" }, "Also allow exact figures, to accredited researchers, after two people reviewed them")),
    detail.element, preview, sender(home, file, look, terms, detail.facets));
  form.addEventListener("change", redraw);
  detail.element.addEventListener("toggle", redraw);
  queueMicrotask(redraw);
  return form;
}

function wouldAllow(examples, condition) {
  const rows = examples.map(({ who, what, verdict }) => {
    const [tone, label] = VERDICTS[verdict];
    return h("tr", {}, h("th", { scope: "row" }, `${who} ${what}`), h("td", {}, h(`span.state.${tone}`, {}, label)));
  });
  return h("details", { open: true }, h("summary", {}, "What would this allow?"),
    h("table.would", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Somebody asks"), h("th", { scope: "col" }, "Allowed"))), h("tbody", {}, rows)),
    condition ? h("p.muted", {}, "Shown with diabetes as the condition.") : null);
}

function sender(home, file, look, terms, facets) {
  const bar = h("progress", { max: file.size, value: 0, "aria-label": "Encrypting and sending" });
  const said = h("p", { role: "status" });
  const hold = h("button.button.quiet.small", { type: "button" }, "Pause");
  const box = h("div.progress", { hidden: true }, bar, said, hold);
  const run = async () => {
    box.hidden = false;
    const began = performance.now();
    const upload = await owner.beginUpload(home, file, look.modality, (done, total) => {
      bar.value = done;
      const speed = done / 1048.576 / (performance.now() - began);
      said.textContent = `${Math.round(100 * done / total)} % encrypted and sent (${speed.toFixed(1)} MB/s). Only you can read it.`;
    });
    hold.onclick = () => {
      if (upload.paused) upload.resume();
      else upload.pause();
      hold.textContent = upload.paused ? "Continue" : "Pause";
    };
    const manifest = await upload.run();
    said.textContent = "Registering it on the ledger…";
    const record = await owner.registerAndOffer(home, upload, manifest, look, await terms(), facets());
    window.location.hash = `#/consent/${record.dataset}`;
  };
  return h("div", {}, action("Encrypt and register", run, { busy: "Encrypting…" }), box,
    h("p.muted", {}, "It is encrypted to you alone. Nobody can compute on it until you consent, in the next step."));
}

// The consent: every word of the terms, then one use of the passkey over exactly them.
export async function consent({ home, rest: [dataset] }) {
  const record = home.documents[`datasets/${dataset}.json`];
  if (!record || record.erased) throw new Error("the keys in this browser know no such dataset");
  const terms = record.terms ?? await fromPreset("non_profit_research", { now: Date.now() });
  show(h("div.narrow", {}, h("p.eyebrow", {}, "Step 3 of 3"), h("h1", {}, "Your consent"),
    h("p.lead", {}, "This is all of it. Your passkey signs these terms and no others; compute cannot open your data under any other."),
    h("div.exact", {}, h("h2", {}, record.name), list(await describe(terms))),
    h("details", {}, h("summary", {}, "The terms as they are signed"), h("pre.json", { tabindex: "0", role: "group", "aria-label": "Terms as JSON" }, JSON.stringify(terms, null, 1))),
    h("div.actions", {}, action("Consent with my passkey", async () => granted(home, record, await owner.grant(home, record, terms, record.facets ?? {})), { busy: "Follow your device…" }),
      h("a.button.quiet", { href: "#/" }, "Not now")),
    h("p.muted", {}, "Withdrawing takes two clicks, at any time: the key of this consent is then destroyed."),
  ));
}

function granted(home, record, grant) {
  show(h("div.trouble", {}, h("p.eyebrow", {}, "Done"), h("h1", {}, "Your consent is in force"),
    h("p.lead", {}, "From now on it can be computed on, under your terms only. Every use is written down before it happens, and you see it."),
    facts([["Your receipt", `ledger entry ${grant.index}, cosigned by the witnesses, checked here`], ["Sealed to", `compute's key in ledger entry ${grant.recipient}`]]),
    h("div.actions", {}, toMarket(home), h("a.button.quiet", { href: `#/withdraw/${grant.grant}` }, "Withdraw")),
  ));
  document.getElementById("main").focus();
}
