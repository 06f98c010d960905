// A stretch of a VCF, cut on this device: the rules of marketplace/client/passport.py.

import { utf8 } from "./bytes.js";
import { plainStream, textLines } from "./textfile.js";

// Lines of other programs can hold paths and names; a part carries what a reader needs.
const HEAD = ["##fileformat", "##contig", "##FORMAT", "##INFO", "##FILTER", "#CHROM", "##reference", "##omic"];

// "22:10000-20000" -> {contig, start, end}; positions count from 1, both ends are in.
export function parseRegion(text) {
  const [, contig, start, end] = /^([^:\s]+):(\d+)-(\d+)$/.exec(text.trim().replaceAll(",", "")) ?? [];
  if (!contig || Number(start) > Number(end)) throw new Error("write the part as chromosome:first-last, such as 22:10000-20000");
  return { contig, start: Number(start), end: Number(end) };
}

export const regionText = ({ contig, start, end }) => `${contig}:${start}-${end}`;

// file: a Blob of VCF text, compressed or not -> the bytes of its part as plain VCF text
export async function cutVcf(file, region) {
  const kept = [];
  let [first, records] = [true, 0];
  for await (const marked of textLines(await plainStream(file), () => {}, file.size)) {
    if (first && !marked.startsWith("##fileformat=VCF")) throw new Error("only a VCF can be cut here. Share it whole; or, where the omic command registered it, cut it with: omic passport share DATASET --key KEY --part 22:10000-20000");
    first = false;
    const line = marked.replace(/\u0000$/, "");
    const inside = !line.startsWith("#") && lies(line, region);
    if (inside) records += 1;
    if (inside || HEAD.some((start) => line.startsWith(start))) kept.push(`${line}\n`);
  }
  if (records === 0) throw new Error("nothing in the file lies there; check the chromosome's name and the positions");
  return utf8(kept.join(""));
}

function lies(line, { contig, start, end }) {
  const [name, position] = line.split("\t", 2);
  const plain = (text) => text.replace(/^chr/, "");
  return plain(name) === plain(contig) && /^\d+$/.test(position ?? "") && Number(position) >= start && Number(position) <= end;
}
