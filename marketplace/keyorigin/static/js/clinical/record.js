// Coded terms, numbers and times of a clinical record, by the rules of compute/ingest/codes.py: a code
// without its terminology's shape is no code. Counts only; no text of the file is kept.

const CODES = {
  HP: /^\d{7}$/, MONDO: /^\d{7}$/, SNOMED: /^\d{6,18}$/, LOINC: /^(LP|LA|MTHU)?\d{1,7}-\d$/,
  ICD10: /^[A-Z]\d{2}(\.\d{1,2})?$/, ICD10CM: /^[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?$/,
  OMIM: /^\d{6}$/, ORPHA: /^\d{1,6}$/, NCIT: /^C\d{1,7}$/, CIEL: /^[1-9]\d{0,9}$/,
};
// OpenMRS names a CIEL concept by its number filled up with A to 36 characters, under any system.
const CIEL_UUID = /^(?=.{36}$)([1-9]\d{0,9})A+$/;
const NODE = /^openEHR-EHR-[A-Z_]{3,20}\.[a-z0-9_-]{1,60}\.v\d{1,3}#at[0-9.]{4,12}$/;
const PREFIXES = new Map(Object.entries({
  hp: "HP", mondo: "MONDO", snomed: "SNOMED", snomedct: "SNOMED", sct: "SNOMED", "snomed-ct": "SNOMED",
  loinc: "LOINC", icd10: "ICD10", "icd-10": "ICD10", icd10cm: "ICD10CM", "icd-10-cm": "ICD10CM",
  omim: "OMIM", orpha: "ORPHA", orphanet: "ORPHA", ncit: "NCIT", ciel: "CIEL",
  "http://snomed.info/sct": "SNOMED", "http://loinc.org": "LOINC",
  "http://hl7.org/fhir/sid/icd-10": "ICD10", "http://hl7.org/fhir/sid/icd-10-cm": "ICD10CM",
  "http://purl.obolibrary.org/obo/hp.owl": "HP", "http://human-phenotype-ontology.org": "HP",
  "http://purl.obolibrary.org/obo/mondo.owl": "MONDO", "http://www.omim.org": "OMIM",
  "https://cielterminology.org": "CIEL", "http://www.orpha.net": "ORPHA", "http://ncicb.nci.nih.gov/xml/owl/evs/thesaurus.owl": "NCIT",
}));
const AGE = /^P(?=\d)(\d{1,3}Y)?(\d{1,4}M)?(\d{1,4}W)?(\d{1,5}D)?(T[0-9HMS]{1,12})?$/;
const INSTANT = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d))?(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)?$/;
const UNIT = /^[!-~µ°²³ ]{1,40}$/;

// What an owner is told when a record is refused.
export class Refusal extends Error {}

const prefixOf = (system) => PREFIXES.get(system.trim().toLowerCase().replace(/\/+$/, ""));
export const isKnownSystem = (system) => prefixOf(system) !== undefined;

// "PREFIX:code" of a kept terminology, or null.
export function curie(system, code) {
  const prefix = prefixOf(system);
  return prefix !== undefined && CODES[prefix].test(code) ? `${prefix}:${code}` : null;
}

// A code written in another form: [CURIE, what was mended], or null.
export function mended(system, code) {
  const plain = code.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
  const concept = CIEL_UUID.exec(plain);
  if (concept) return [`CIEL:${concept[1]}`, "ciel_uuid"];
  const known = curie(system, plain);
  return known === null ? null : [known, "code_trimmed"];
}

export function curieOf(written) {
  const at = written.indexOf(":");
  return at < 0 ? curie(written, "") : curie(written.slice(0, at), written.slice(at + 1));
}

// An archetype's own node, where no terminology codes it, or null.
export const nodeCurie = (archetype, node) => (NODE.test(`${archetype}#${node}`) ? `OPENEHR:${archetype}#${node}` : null);

export const ageOf = (text) => (AGE.test(text) ? text : null);

export function yearOf(text) {
  const year = Number(text.slice(0, 4));
  return /^\d{4}(-|$)/.test(text) && year >= 1850 && year <= 2200 ? year : null;
}

// Is this an ISO 8601 date or instant of the calendar?
export function isTime(text) {
  const found = INSTANT.exec(text);
  if (!found) return false;
  const [year, month, day, hour, minute, second] = found.slice(1).map((part) => Number(part ?? 0));
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
}

export const textOf = (value) => (typeof value === "string" ? value : "");

export function numberOf(value) {
  return typeof value === "number" && Number.isFinite(value) && Math.abs(value) <= 1e15 ? value : null;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

export function obj(value, field) {
  if (value === null || value === undefined) return {};
  if (!isObject(value)) throw new Refusal(`The record is not as its format wants it: ${field} must be an object.`);
  return value;
}

export function objects(value, field) {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value) || !value.every(isObject)) throw new Refusal(`The record is not as its format wants it: ${field} must be a list of objects.`);
  return value;
}

// What is counted while a record is read.
export class Record {
  constructor(source) {
    Object.assign(this, { source, terms: new Map(), measurements: 0, series: 0, by: {}, skipped: {}, mended: {}, sex: null, birthYear: null, region: null });
  }

  skip(why, count = 1) { this.skipped[why] = (this.skipped[why] ?? 0) + count; }

  mend(how) { this.mended[how] = (this.mended[how] ?? 0) + 1; }

  count(code) {
    const prefix = code.slice(0, code.indexOf(":"));
    this.by[prefix] = (this.by[prefix] ?? 0) + 1;
  }

  // The same statement made twice is one.
  term(code, label, excluded, onset) {
    const key = JSON.stringify([code, label, excluded, onset]);
    if (this.terms.has(key)) this.skip("repeated_term");
    else this.count(code);
    this.terms.set(key, { code, excluded });
  }

  measurement(code, value, unit, time) {
    if (value === null) return this.skip("value_not_a_number");
    if (unit && !UNIT.test(unit)) return this.skip("unit_not_plain");
    this.measurements += 1;
    if (time) this.series += 1;
    return this.count(code);
  }

  get excluded() { return [...this.terms.values()].filter((one) => one.excluded).length; }
}
