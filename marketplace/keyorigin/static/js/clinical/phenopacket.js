// GA4GH Phenopackets v2, one individual: the rules of compute/ingest/phenopacket.py.

import { ageOf, curieOf, isTime, numberOf, obj, objects, Record, Refusal, textOf, yearOf } from "./record.js";

const META = ["created", "createdBy", "resources", "phenopacketSchemaVersion"];
const READ = new Set(["id", "subject", "phenotypicFeatures", "measurements", "diseases", "interpretations", "metaData"]);
const LISTS = new Set(["biosamples", "medicalActions", "files"]);
const NOTED = ["description", "evidence", "modifiers", "severity", "resolution"];

export const isPhenopacket = (record) => "metaData" in record && ("phenotypicFeatures" in record || "subject" in record);

export function readPhenopacket(record) {
  check(record);
  const found = new Record("phenopacket");
  subject(obj(record.subject, "subject"), found);
  for (const one of objects(record.phenotypicFeatures, "phenotypicFeatures")) statement(one, "type", "phenotypicFeatures", found);
  for (const one of objects(record.diseases, "diseases")) statement(one, "term", "diseases", found);
  for (const one of objects(record.interpretations, "interpretations")) interpretation(one, found);
  for (const one of objects(record.measurements, "measurements")) measurement(one, found);
  for (const name of Object.keys(record).filter((key) => !READ.has(key))) {
    const size = LISTS.has(name) && Array.isArray(record[name]) ? record[name].length : 1;
    found.skip(LISTS.has(name) ? name : "unknown_field", size);
  }
  return found;
}

const isEmpty = (value) => !value || (typeof value === "object" && Object.keys(value).length === 0);

function check(record) {
  const meta = obj(record.metaData, "metaData");
  const absent = [...["id", "metaData"].filter((name) => isEmpty(record[name])), ...META.filter((name) => isEmpty(meta[name])).map((name) => `metaData.${name}`)];
  if (absent.length) throw new Refusal(`The phenopacket lacks ${absent.join(", ")}, which its standard requires.`);
  if (!textOf(meta.phenopacketSchemaVersion).startsWith("2")) throw new Refusal("The phenopacket is of another version of its standard; version 2 is read.");
}

function subject(given, found) {
  const species = textOf(obj(given.taxonomy, "subject.taxonomy").id);
  if (species !== "" && species !== "NCBITaxon:9606") throw new Refusal("The phenopacket is not of a human.");
  found.sex = { FEMALE: "female", MALE: "male" }[textOf(given.sex)] ?? null;
  found.birthYear = yearOf(textOf(given.dateOfBirth));
  obj(obj(given.timeAtLastEncounter, "subject.timeAtLastEncounter").age, "subject.timeAtLastEncounter.age");
}

function statement(item, key, field, found) {
  const coded = obj(item[key], `${field}.${key}`);
  if (isEmpty(coded.id)) throw new Refusal(`The record is not as its format wants it: an entry of ${field} has no ${key}.id.`);
  const excluded = item.excluded === undefined ? false : item.excluded;
  if (typeof excluded !== "boolean") throw new Refusal(`The record is not as its format wants it: ${field}.excluded must be true or false.`);
  const code = curieOf(textOf(coded.id));
  if (code === null) return found.skip("unknown_terminology");
  found.term(code, textOf(coded.label), excluded, onset(obj(item.onset, `${field}.onset`), found));
  for (const name of NOTED) if (!isEmpty(item[name])) found.skip(`feature_${name}`);
  return undefined;
}

function onset(given, found) {
  if (isEmpty(given)) return null;
  const kept = ageOf(textOf(obj(given.age, "onset.age").iso8601duration))
    ?? curieOf(textOf(obj(given.ontologyClass, "onset.ontologyClass").id)) ?? yearOf(textOf(given.timestamp));
  if (kept === null) found.skip("onset_not_kept");
  return kept;
}

function interpretation(item, found) {
  const diagnosis = obj(item.diagnosis, "interpretations.diagnosis");
  const disease = obj(diagnosis.disease, "interpretations.diagnosis.disease");
  const variants = objects(diagnosis.genomicInterpretations, "genomicInterpretations");
  if (variants.length) found.skip("genomic_interpretation", variants.length);
  const code = curieOf(textOf(disease.id));
  if (textOf(item.progressStatus) !== "SOLVED" || code === null) return found.skip("interpretation_not_solved");
  const known = [...found.terms.values()].some((one) => one.code === code && !one.excluded);
  return known ? undefined : found.term(code, textOf(disease.label), false, null);
}

function measurement(item, found) {
  const code = curieOf(textOf(obj(item.assay, "measurements.assay").id));
  const quantity = obj(obj(item.value, "measurements.value").quantity, "measurements.value.quantity");
  if (code === null || isEmpty(quantity)) return found.skip("measurement_without_code_or_number");
  const unit = textOf(obj(quantity.unit, "unit").id).replace(/^UCUM:/, "");
  const time = textOf(obj(item.timeObserved, "timeObserved").timestamp);
  return found.measurement(code, numberOf(quantity.value), unit, isTime(time));
}
