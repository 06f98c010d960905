// Sharing data: look into the file, choose terms, encrypt and send; then consent to exact terms.

import { action, alert, facts, h, list, plainError, show } from "../dom.js";
import * as owner from "../owner.js";
import { peek } from "../peek.js";
import { describe, fromPreset } from "../terms.js";
import { toMarket } from "./keys.js";
import { termsForm } from "./termsform.js";

export async function share({ home }) {
  if (home.identity.role !== "owner") throw new Error("this identity is for research; make another one to share data");
  const input = h("input", { id: "file", type: "file", accept: ".vcf,.gz,.txt,.csv,.tsv,.json,.zip" });
  const below = h("div", { id: "below" });
  const zone = h("div.drop", {}, h("label", { for: "file" }, "Choose the file with your data"), input,
    h("p.muted", {}, "A VCF, raw data of a consumer test (the .zip as you got it will do), an expression table, or a clinical record (Phenopacket, FHIR or openEHR, as JSON). It is opened here; nothing is sent."));
  input.addEventListener("change", () => chosen(home, input.files[0], below));
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    chosen(home, event.dataTransfer.files[0], below);
  });
  const underWay = home.list("uploads");
  show(h("div.narrow", {}, h("p.eyebrow", {}, "Step 2 of 3"), h("h1", {}, "Which data?"),
    ...underWay.map((one) => unfinished(home, one)),
    zone, below));
}

function unfinished(home, { dataset, name }) {
  const box = h("div.note", {}, h("p", {}, `An upload of ${name} is not finished. Choose the same file again, and it goes on where it stopped.`),
    action("Forget it", async () => { await owner.forgetUpload(home, dataset); box.remove(); }, { quiet: true }));
  return box;
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
  const form = await termsForm();
  form.element.append(sender(home, file, look, form));
  return [...found, form.element];
}

function sender(home, file, look, form) {
  const bar = h("progress", { max: file.size, value: 0, "aria-label": "Encrypting and sending" });
  const said = h("p", { role: "status" });
  const hold = h("button.button.quiet.small", { type: "button" }, "Pause");
  const box = h("div.progress", { hidden: true }, bar, said, hold);
  const run = async () => {
    const terms = form.terms(); // what is not decided is said before anything is sent
    box.hidden = false;
    const began = performance.now();
    const upload = await owner.beginUpload(home, file, look.modality, (done, total) => {
      bar.value = done;
      const speed = done / 1048.576 / (performance.now() - began);
      said.textContent = `${Math.round(100 * done / total)} % encrypted and sent (${speed.toFixed(1)} MB/s). Only you can read it.`;
    }, () => { said.textContent = "The connection is cut. It goes on by itself when it is back; leave this page open, or come back another day."; });
    hold.onclick = () => {
      if (upload.paused) upload.resume();
      else upload.pause();
      hold.textContent = upload.paused ? "Continue" : "Pause";
    };
    const manifest = await upload.run();
    said.textContent = "Registering it on the ledger…";
    const record = await owner.registerAndOffer(home, upload, manifest, look, terms, form.facets());
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
    h("div.exact", {}, h("h2", {}, record.name), list([...await describe(terms), inPublic(record.facets)])),
    h("details", {}, h("summary", {}, "The terms as they are signed"), h("pre.json", { tabindex: "0", role: "group", "aria-label": "Terms as JSON" }, JSON.stringify(terms, null, 1))),
    h("div.actions", {}, action("Consent with my passkey", async () => granted(home, record, await owner.grant(home, record, terms, record.facets ?? {})), { busy: "Follow your device…" }),
      h("a.button.quiet", { href: "#/" }, "Not now")),
    h("p.muted", {}, "Withdrawing takes two clicks, at any time: the key of this consent is then destroyed."),
  ));
}

// What stands in the consent beside its terms, and is seen by whoever looks for data.
export const inPublic = (facets) => {
  const said = Object.entries(facets ?? {}).map(([name, value]) => `${name} ${value}`).join(", ");
  return said ? `Said in public, so that you can be found: ${said}.` : "Nothing about you is said in public.";
};

function granted(home, record, grant) {
  show(h("div.trouble", {}, h("p.eyebrow", {}, "Done"), h("h1", {}, "Your consent is in force"),
    h("p.lead", {}, "From now on it can be computed on, under your terms only. Every use is written down before it happens, and you see it."),
    facts([["Your receipt", `ledger entry ${grant.index}, cosigned by the witnesses, checked here`], ["Sealed to", `compute's key in ledger entry ${grant.recipient}`]]),
    h("div.actions", {}, toMarket(home), h("a.button.quiet", { href: `#/withdraw/${grant.grant}` }, "Withdraw")),
  ));
  document.getElementById("main").focus();
}
