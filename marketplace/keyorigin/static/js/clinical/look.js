// What is in a clinical record, before anything leaves: recognised by its content, counted by the same
// rules as compute's, refused where it is unclear. Nothing of what it says is repeated.

import { isFhir, readFhir } from "./fhir.js";
import { isOpenehr, readOpenehr } from "./openehr.js";
import { isPhenopacket, readPhenopacket } from "./phenopacket.js";
import { Refusal } from "./record.js";

export const LONGEST = 32 << 20; // characters, as compute reads
const DEEPEST = 100;
const KINDS = { phenopacket: "Phenopacket", fhir: "FHIR health record", openehr: "openEHR composition" };
const NAMES = { HP: "Human Phenotype Ontology", MONDO: "MONDO", SNOMED: "SNOMED CT", LOINC: "LOINC", ICD10: "ICD-10", ICD10CM: "ICD-10-CM", OMIM: "OMIM", ORPHA: "Orphanet", NCIT: "NCI Thesaurus", CIEL: "CIEL (OpenMRS)", OPENEHR: "openEHR archetypes" };
const UNCODED = ["unknown_terminology", "code_malformed", "uncoded", "measurement_without_code_or_number", "number_without_code"];

// -> what `peek` returns
export function lookAt(text) {
  try {
    return told(read(text));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { modality: "clinical", kind: "a clinical record", facts: [], warnings: [], refusals: [error.message], format: {} };
  }
}

// The counts of a record. Throws Refusal.
export function read(text) {
  const record = parsed(text);
  const found = reader(record)(record);
  if (found.terms.size === 0 && found.measurements === 0) throw new Refusal("The record holds no coded term and no coded number, so there is nothing in it to compute on.");
  return found;
}

function reader(record) {
  if (isPhenopacket(record)) return readPhenopacket;
  if (isFhir(record)) return readFhir;
  if (isOpenehr(record)) return readOpenehr;
  if (Array.isArray(record.members) || Array.isArray(record.relatives)) throw new Refusal("The file speaks of several people. Each person is registered alone: split it first.");
  throw new Refusal("This is JSON, but neither a Phenopacket (version 2), a FHIR R4 record nor an openEHR composition.");
}

function parsed(text) {
  if (text.length > LONGEST) throw new Refusal("The record is longer than 32 million characters, more than is read.");
  let record;
  try {
    record = JSON.parse(text.replace(/^\ufeff/, ""));
  } catch {
    throw new Refusal(isCut(text) ? "The file is cut short: what it begins does not end. Download it again." : "The file is damaged: it begins like JSON, but is none.");
  }
  if (typeof record !== "object" || record === null || Array.isArray(record)) throw new Refusal("The record must be one JSON object.");
  strict(text);
  return record;
}

// Does a bracket or a text stay open?
function isCut(text) {
  let open = 0;
  for (const [token, end] of text.matchAll(/"(?:[^"\\]|\\.)*("|$)|[[\]{}]/gs)) {
    if (end === "") return true;
    open += { "{": 1, "[": 1, "}": -1, "]": -1 }[token] ?? 0;
  }
  return open > 0;
}

// What JSON.parse lets pass and compute refuses: a field named twice, a number too large, deep nesting.
function strict(text) {
  const open = [];
  for (const [token, string, next] of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|[[\]{}]|-?\d[\d.eE+-]*/g)) {
    if (token === "{" || token === "[") open.push(new Set());
    else if (token === "}" || token === "]") open.pop();
    else if (string === undefined && !Number.isFinite(Number(token))) throw new Refusal("The record holds a number too large to be one.");
    else if (next !== undefined) once(open.at(-1), JSON.parse(string));
    if (open.length > DEEPEST) throw new Refusal("The record nests too deeply to be read.");
  }
}

function once(names, name) {
  if (names.has(name)) throw new Refusal("The record names one field twice, so it is unclear which counts.");
  names.add(name);
}

const many = (count) => count.toLocaleString("en");

function told(found) {
  const kept = [found.sex && "sex", found.birthYear && "year of birth", found.region && "country"].filter(Boolean);
  const uncoded = UNCODED.reduce((sum, why) => sum + (found.skipped[why] ?? 0), 0);
  const left = Object.values(found.skipped).reduce((sum, count) => sum + count, 0);
  const facts = [
    ["People in it", "1"], ["Coded terms", many(found.terms.size)], ["Of them ruled out", many(found.excluded)],
    ["Measurements", many(found.measurements)], ["Of them with a date", many(found.series)],
    ["Coded in", Object.entries(found.by).map(([name, count]) => `${NAMES[name]} (${many(count)})`).join(", ")],
    ["Said of you beside it", kept.join(", ") || "nothing"], ["Statements left out", many(left)],
  ];
  const warnings = ["The file may also hold your name, address and notes. It is encrypted whole, to you alone; once you consent, only what is counted here is kept of it."];
  const mended = Object.values(found.mended).reduce((sum, count) => sum + count, 0);
  if (mended) warnings.push(`Codes not written as their terminology writes them, which are kept as what they plainly mean: ${many(mended)}.`);
  if (uncoded) warnings.push(`Statements without a code that is known, which cannot be counted: ${many(uncoded)}.`);
  return { modality: "clinical", kind: KINDS[found.source], facts, warnings, refusals: [], format: {} };
}
