// What is in a file, told before anything leaves this machine. A first look for its owner: compute
// checks again, strictly, when it takes the file in.

import { LONGEST, lookAt } from "./clinical/look.js";
import { words } from "./config.js";
import { plainStream, textLines } from "./textfile.js";
import { lookAtRawData, vendorOf } from "./rawdata.js";

const HEAD = 100;
const MISSING = new Set(["", "NA", "."]);

// -> {modality, kind, facts: [[name, value]], warnings: [], refusals: [], format: {}}
export async function peek(file, progress = () => {}) {
  if (await beginsLikeJson(file)) return lookAt(await textOf(file, progress));
  const lines = textLines(await plainStream(file), progress, file.size);
  const head = await some(lines, HEAD);
  if (!head.length) return found("unknown", "an empty file", [], [], ["The file is empty."]);
  const [all, first] = [chained(head, lines), head[0]];
  if (/^\ufeff?##fileformat=VCF/.test(first)) return peekVcf(all);
  const vendor = vendorOf(head);
  if (vendor !== null) return peekRawData(vendor, all);
  if (/^\ufeff?(##(namespace|unit|assay)=|feature_id\t)/.test(first)) return peekFeatures(all);
  return found("unknown", "unknown", [], [], [
    "This is not a kind of file we know: a VCF (.vcf or .vcf.gz), raw data of 23andMe, AncestryDNA, "
    + "MyHeritage or FamilyTreeDNA, an expression table with the columns feature_id and value, or a "
    + "clinical record (Phenopacket version 2, FHIR R4 or openEHR, as JSON).",
  ]);
}

async function some(lines, count) {
  const head = [];
  for await (const line of { [Symbol.asyncIterator]: () => ({ next: () => lines.next() }) }) {
    head.push(line);
    if (head.length === count) break; // the rest of the lines stays to be read
  }
  return head;
}

async function* chained(head, lines) {
  yield* head;
  yield* lines;
}

async function peekRawData(vendor, lines) {
  const { facts, warnings, refusals, build } = await lookAtRawData(vendor, lines);
  return found("genotypes", `raw data of ${vendor}`, facts, warnings, refusals, build ? { build, callability: "array-manifest" } : {});
}

function found(modality, kind, facts, warnings, refusals, format = {}) {
  return { modality, kind, facts, warnings, refusals, format };
}

async function beginsLikeJson(file) {
  for await (const bytes of await plainStream(file)) {
    const head = new TextDecoder().decode(bytes).trimStart(); // drops a byte order mark
    if (head) return head.startsWith("{");
  }
  return false;
}

// The whole text of a file; a little more than compute reads is enough to refuse it.
async function textOf(file, progress) {
  const decoder = new TextDecoder();
  const parts = [];
  let [seen, size] = [0, 0];
  for await (const bytes of await plainStream(file)) {
    parts.push(decoder.decode(bytes, { stream: true }));
    seen += bytes.length;
    size += parts.at(-1).length;
    progress(seen, file.size);
    if (size > LONGEST) break;
  }
  return parts.join("");
}

async function peekVcf(lines) {
  const see = { lengths: {}, samples: [], variants: 0, called: 0, het: 0, homAlt: 0, gvcf: false, callability: null, cut: false };
  for await (const line of lines) vcfLine(see, line);
  const build = await buildOf(see.lengths);
  const facts = [
    ["Genome build", build ?? (build === null ? "another one" : "not stated")], ["People in it", String(see.samples.length)],
    ["Variants", see.variants.toLocaleString("en")],
    ["Calls", see.variants ? `${(100 * see.called / see.variants).toFixed(1)} %` : "none"],
    ["Differing on one copy", see.het.toLocaleString("en")], ["Differing on both copies", see.homAlt.toLocaleString("en")],
    ["Sites between variants", see.callability ?? (see.gvcf ? "covered blocks are stated" : "not stated: only what is listed can be counted")],
  ];
  const warnings = see.callability || see.gvcf ? [] : [
    "The file lists variants only. Where it lists nothing, nobody can tell \u201cno difference\u201d from \u201cnot looked at\u201d, so you count for fewer questions.",
  ];
  return found("genotypes", "VCF", facts, warnings, vcfRefusals(see, build), build ? { build, callability: see.callability ?? (see.gvcf ? "gvcf-blocks" : "variant-only") } : {});
}

const primary = (name) => (name ?? "").replace(/^chr/i, "");

// Every chromosome of known length has a say, as in compute/builds.py. -> a build, null where the
// lengths fit none or two, undefined where nothing is stated.
async function buildOf(lengths) {
  const { builds } = await words();
  const votes = new Set(Object.entries(lengths).filter(([name]) => name in builds.GRCh37 && name !== "MT")
    .map(([name, length]) => Object.keys(builds).find((build) => builds[build][name] === length) ?? null));
  return votes.size > 1 ? null : [...votes][0];
}

function vcfLine(see, line) {
  if (line.endsWith("\u0000")) see.cut = true;
  if (line.startsWith("##")) {
    const [contig, length] = line.startsWith("##contig=") ? [/[<,]ID=([^,>]+)/.exec(line)?.[1], /[<,]length=(\d{1,12})[,>]/.exec(line)?.[1]] : [];
    if (length) see.lengths[primary(contig)] = Number(length);
    see.callability = /^##omic_callability=(\S+)/.exec(line)?.[1] ?? see.callability;
  } else if (line.startsWith("#CHROM")) see.samples = line.trimEnd().split("\t").slice(9);
  else if (line) vcfRecord(see, line);
}

function vcfRecord(see, line) {
  const columns = line.split("\t", 10);
  if (columns.length < 10) return;
  see.variants += 1;
  if (columns[4].includes("<NON_REF>")) see.gvcf = true;
  const alleles = columns[9].split(":", 1)[0].split(/[/|]/);
  if (alleles.includes(".") || (columns[6] !== "PASS" && columns[6] !== ".")) return;
  see.called += 1;
  const different = alleles.filter((a) => a !== "0").length;
  if (different === 0) return;
  if (alleles.every((a) => a === alleles[0])) see.homAlt += 1;
  else see.het += 1;
}

function vcfRefusals(see, build) {
  const refusals = [];
  if (see.samples.length === 0) refusals.push("The file lists variants of nobody: it has no sample column.");
  if (see.samples.length > 1) {
    refusals.push(`The file holds ${see.samples.length} people. Each person is registered alone: split it first (bcftools +split).`);
  }
  if (build === undefined) refusals.push("The header does not say how long the chromosomes are, so the genome build is unclear. Ask whoever made the file for one with ##contig lines, or add them (bcftools reheader).");
  if (build === null) refusals.push("The file is on another genome build: its chromosomes have not the lengths of GRCh37 or of GRCh38. Ask whoever made it for a file on one of these, or lift it over.");
  if (see.cut) refusals.push("The last line does not end: the file is cut short. Download it again.");
  if (see.variants === 0) refusals.push("The file lists no variant.");
  return refusals;
}

async function peekFeatures(lines) {
  const see = { meta: {}, rows: 0, missing: 0, cut: false };
  for await (const line of lines) featureLine(see, line);
  const facts = [
    ["Names from", see.meta.namespace ?? "not stated"], ["Unit", see.meta.unit ?? "not stated"],
    ["Measured by", see.meta.assay ?? "not stated"], ["People in it", "1"],
    ["Features", see.rows.toLocaleString("en")], ["Not measured", see.missing.toLocaleString("en")],
  ];
  const refusals = ["namespace", "unit", "assay"].filter((name) => !see.meta[name])
    .map((name) => `The file does not say its ${name}: add a line ##${name}=\u2026 at the top.`);
  if (!see.rows) refusals.push("The file lists no measurement.");
  if (see.cut) refusals.push("The last line does not end: the file is cut short.");
  return found("expression", "expression table", facts, [], refusals, see.meta.namespace ? { namespace: see.meta.namespace } : {});
}

function featureLine(see, line) {
  if (line.endsWith("\u0000")) see.cut = true;
  const meta = /^\ufeff?##(namespace|unit|assay)=(.*)$/.exec(line.trimEnd());
  if (meta) see.meta[meta[1]] = meta[2];
  else if (line.includes("\t") && !line.startsWith("feature_id\t")) {
    see.rows += 1;
    if (MISSING.has(line.trimEnd().split("\t")[1] ?? "")) see.missing += 1;
  }
}
