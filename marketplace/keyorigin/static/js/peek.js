// What is in a file, told before anything leaves this machine. A first look for its owner: compute
// checks again, strictly, when it takes the file in.

import { LONGEST, lookAt } from "./clinical/look.js";
import { plainStream, textLines } from "./textfile.js";

const CHR1 = { 249250621: "GRCh37", 248956422: "GRCh38" };
const VENDORS = [["23andMe", /^#.{0,80}23andMe/i], ["AncestryDNA", /^#\s?Ancestry/i], ["MyHeritage", /^#.{0,80}MyHeritage/i]];
const MISSING = new Set(["", "NA", "."]);

// -> {modality, kind, facts: [[name, value]], warnings: [], refusals: [], format: {}}
export async function peek(file, progress = () => {}) {
  if (await beginsLikeJson(file)) return lookAt(await textOf(file, progress));
  const lines = textLines(await plainStream(file), progress, file.size);
  const { value: first, done } = await lines.next();
  if (done) return found("unknown", "an empty file", [], [], ["The file is empty."]);
  if (/^\ufeff?##fileformat=VCF/.test(first)) return peekVcf(lines);
  if (VENDORS.some(([, pattern]) => pattern.test(first)) || /^"?rsid"?,/i.test(first)) return peekConsumer(first, lines);
  if (/^\ufeff?(##(namespace|unit|assay)=|feature_id\t)/.test(first)) return peekFeatures(first, lines);
  return found("unknown", "unknown", [], [], [
    "This is not a kind of file we know: a VCF (.vcf or .vcf.gz), raw data of 23andMe, AncestryDNA, "
    + "MyHeritage or FamilyTreeDNA, an expression table with the columns feature_id and value, or a "
    + "clinical record (Phenopacket version 2, FHIR R4 or openEHR, as JSON).",
  ]);
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
  const see = { chr1: 0, samples: [], variants: 0, called: 0, het: 0, homAlt: 0, gvcf: false, callability: null, cut: false };
  for await (const line of lines) vcfLine(see, line);
  const build = CHR1[see.chr1] ?? null;
  const facts = [
    ["Genome build", build ?? "not stated"], ["People in it", String(see.samples.length)],
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

function vcfLine(see, line) {
  if (line.endsWith("\u0000")) see.cut = true;
  if (line.startsWith("##")) {
    const length = /^##contig=<.*ID=(?:chr)?1[,>].*length=(\d+)/.exec(line) ?? /^##contig=<.*length=(\d+).*ID=(?:chr)?1[,>]/.exec(line);
    if (length) see.chr1 = Number(length[1]);
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
  if (build === null) refusals.push("The header does not say how long chromosome 1 is, so the genome build is unclear. Add the ##contig lines (bcftools reheader).");
  if (see.cut) refusals.push("The last line does not end: the file is cut short. Download it again.");
  if (see.variants === 0) refusals.push("The file lists no variant.");
  return refusals;
}

async function peekConsumer(first, lines) {
  const vendor = VENDORS.find(([, pattern]) => pattern.test(first))?.[0] ?? "FamilyTreeDNA";
  const see = { build: stated(first), rows: 0, missing: 0, cut: false };
  for await (const line of lines) {
    if (line.endsWith("\u0000")) see.cut = true;
    if (line.startsWith("#")) see.build ??= stated(line);
    else if (/\d/.test(line)) {
      see.rows += 1;
      if (/(--|00|\t0\t0|"0","0")\s*$/.test(line)) see.missing += 1;
    }
  }
  const facts = [
    ["From", vendor], ["Genome build", see.build ?? "not stated"], ["People in it", "1"],
    ["Markers", see.rows.toLocaleString("en")],
    ["Markers without an answer", see.missing.toLocaleString("en")],
  ];
  const refusals = see.rows ? [] : ["The file lists no marker."];
  if (see.cut) refusals.push("The last line does not end: the file is cut short. Download it again.");
  const warnings = [
    "Raw data of a consumer test gives letters, not which of them is the reference. The market can keep it "
    + "encrypted for you, but takes it into computations only where it has a table of the test's sites.",
  ];
  return found("genotypes", `raw data of ${vendor}`, facts, warnings, refusals, see.build ? { build: see.build, callability: "array-manifest" } : {});
}

function stated(line) {
  const number = /\b(?:build|GRCh|hg)[ _]?(\d{2})(?!\d)/i.exec(line)?.[1];
  return { 37: "GRCh37", 19: "GRCh37", 38: "GRCh38" }[number] ?? null;
}

async function peekFeatures(first, lines) {
  const see = { meta: {}, rows: 0, missing: 0, cut: false };
  featureLine(see, first);
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
