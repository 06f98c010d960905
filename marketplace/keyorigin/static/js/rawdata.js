// Raw data of consumer tests, looked into: the same vendors, builds and markers as compute reads
// (compute/ingest/consumer.py).

const VENDORS = [["23andMe", /^#.{0,80}23andMe/i], ["AncestryDNA", /^#\s?Ancestry/i], ["MyHeritage", /^#.{0,80}MyHeritage/i], ["FamilyTreeDNA", /^#.{0,80}famfinder/i]];
const HEADER = "rsid,chromosome,position,result";
const BUILDS = { 37: "GRCh37", 19: "GRCh37", 38: "GRCh38" };
// Markers nearly every array holds, by position: GRCh37, GRCh38, NCBI36.
const NAMES = ["GRCh37", "GRCh38", "NCBI36"];
const MARKERS = {
  rs3094315: [752566, 817186, 742429], rs11928389: [50927009, 50889578, 50908372], rs964481: [27656823, 27638706, 27566744],
  rs2341354: [918573, 983193, 908436], rs1329546: [135474420, 136392261, 135302086],
};
const NO_CALL = new Set(["--", "00", "-", "0", ""]);

const plain = (line) => line.replaceAll('"', "").replace("\u0000", "").trim();

// Whose raw data these first lines begin, or null.
export function vendorOf(lines) {
  const told = lines.map((line) => line.replace(/^\ufeff/, "")).filter((line) => line.startsWith("#"));
  const found = VENDORS.find(([, pattern]) => told.some((line) => pattern.test(line)));
  if (found) return found[0];
  return plain(lines[0].replace(/^\ufeff/, "")).toLowerCase() === HEADER ? "FamilyTreeDNA" : null;
}

// -> {facts, warnings, refusals, build}
export async function lookAtRawData(vendor, lines) {
  const see = { builds: new Set(), rows: 0, missing: 0, cut: false };
  for await (const line of lines) {
    if (line.endsWith("\u0000")) see.cut = true;
    if (line.startsWith("#")) for (const [, number] of line.matchAll(/\b(?:build|GRCh|hg)[ _]?(\d{2})(?!\d)/gi)) see.builds.add(BUILDS[number] ?? `build ${number}`);
    else row(see, plain(line).split(/[\t,]/));
  }
  const build = see.builds.size === 1 && Object.values(BUILDS).includes([...see.builds][0]) ? [...see.builds][0] : null;
  return { build, facts: facts(vendor, see, build), warnings: [WARNING], refusals: refusals(see, build) };
}

const WARNING = "Raw data of a consumer test gives letters, not which of them is the reference. The market can keep it "
  + "encrypted for you, but takes it into computations only where it has a table of the test's sites.";

function row(see, [name, , place, ...letters]) {
  if (!/\d/.test(place ?? "") && !letters.length) return;
  if (/^(rsid|name)$/i.test(name)) return; // the line of names
  see.rows += 1;
  const known = MARKERS[name]?.indexOf(Number(place)) ?? -1;
  if (known >= 0) see.builds.add(NAMES[known]);
  if (NO_CALL.has(letters.join("").trim())) see.missing += 1;
}

const facts = (vendor, see, build) => [
  ["From", vendor], ["Genome build", build ?? ([...see.builds].join(", ") || "not stated")], ["People in it", "1"],
  ["Markers", see.rows.toLocaleString("en")], ["Markers without an answer", see.missing.toLocaleString("en")],
];

function refusals(see, build) {
  const found = [];
  if (!see.rows) found.push("The file lists no marker.");
  if (see.cut) found.push("The last line does not end: the file is cut short. Download it again.");
  if (build === null && see.rows) found.push(see.builds.size
    ? `The file speaks of ${[...see.builds].join(", ")}. Positions are read on the genome builds GRCh37 and GRCh38, one of them in a file. Download your raw data anew: most vendors hand it out on build 37 now.`
    : "Nothing in the file says on which genome build its positions are. Download your raw data anew, whole: the lines at its top say it.");
  return found;
}
