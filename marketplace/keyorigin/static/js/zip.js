// The one data file in a .zip, as a stream: consumer tests hand out their raw data so. What compute
// refuses of an archive (compute/ingest/archive.py) is refused here too.

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const LONGEST_TAIL = 65_557;

export const isZip = (head) => head[0] === 0x50 && head[1] === 0x4b && [3, 5].includes(head[2]);

const viewOf = async (file, from, to) => new DataView(await file.slice(from, to).arrayBuffer());

// -> a stream of the plain bytes of its one data file; a BED of callable regions beside it is left out.
export async function zipStream(file) {
  const members = await listed(file);
  const data = members.filter(({ name }) => !/\.bed(\.gz)?$/i.test(name));
  if (data.length !== 1) throw new Error(`the archive holds ${data.length} data files. Unpack it, and choose the one with your data`);
  const [{ method, encrypted, packed, at }] = data;
  if (encrypted) throw new Error("the archive is locked with a password. Unpack it, and choose the file inside");
  if (method !== 0 && method !== 8) throw new Error("the archive is packed in a way that is not read here. Unpack it, and choose the file inside");
  const head = await viewOf(file, at, at + 30);
  const begin = at + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  const body = file.slice(begin, begin + packed);
  return method === 0 ? body.stream() : body.stream().pipeThrough(new DecompressionStream("deflate-raw"));
}

async function listed(file) {
  const from = Math.max(0, file.size - LONGEST_TAIL);
  const tail = await viewOf(file, from, file.size);
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== END) end -= 1;
  if (end < 0) throw new Error("the archive is cut short. Download it again");
  const [count, size, start] = [tail.getUint16(end + 10, true), tail.getUint32(end + 12, true), tail.getUint32(end + 16, true)];
  return entries(await viewOf(file, start, start + size), count);
}

function entries(view, count) {
  const found = [];
  for (let at = 0; found.length < count; at += 46 + view.getUint16(at + 28, true) + view.getUint16(at + 30, true) + view.getUint16(at + 32, true)) {
    if (at + 46 > view.byteLength || view.getUint32(at, true) !== ENTRY) throw new Error("the archive is damaged. Download it again");
    const name = new TextDecoder().decode(new Uint8Array(view.buffer, at + 46, view.getUint16(at + 28, true)));
    found.push({
      name, encrypted: view.getUint16(at + 8, true) & 1, method: view.getUint16(at + 10, true),
      packed: view.getUint32(at + 20, true), at: view.getUint32(at + 42, true),
    });
  }
  return found;
}
