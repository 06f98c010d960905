// A text file chosen here or fetched, as lines: as it is, gzip, BGZF, or the one file in a zip.

import { isZip, zipStream } from "./zip.js";

// Plain bytes of a file: as they are, gzip, BGZF (many gzip members, each a block of its own), or zip.
export async function plainStream(file) {
  const head = new Uint8Array(await file.slice(0, 18).arrayBuffer());
  if (isZip(head)) return sound(await zipStream(file));
  if (!(head[0] === 0x1f && head[1] === 0x8b)) return file.stream();
  const isBgzf = head[3] & 4 && head[12] === 0x42 && head[13] === 0x43;
  return sound(isBgzf ? bgzfStream(file) : file.stream().pipeThrough(new DecompressionStream("gzip")));
}

// What cannot be unpacked is said in words, not in those of the unpacking program.
async function* sound(stream) {
  try {
    yield* stream;
  } catch {
    throw new Error("the file is damaged or cut short: it cannot be unpacked. Download it again");
  }
}

function bgzfStream(file) {
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      while (at < file.size) {
        const chunk = new Uint8Array(await file.slice(at, at + (1 << 20)).arrayBuffer());
        const { plain, used } = await inflateBlocks(chunk);
        if (used === 0) throw new Error("its last block does not end");
        at += used;
        if (plain.length) return controller.enqueue(plain);
      }
      return controller.close();
    },
  });
}

async function inflateBlocks(chunk) {
  const blocks = [];
  let used = 0;
  while (used + 18 <= chunk.length) {
    const size = chunk[used + 16] + 256 * chunk[used + 17] + 1;
    if (used + size > chunk.length) break;
    blocks.push(chunk.subarray(used + 18, used + size - 8));
    used += size;
  }
  const plain = await Promise.all(blocks.map(async (block) => {
    const stream = new Blob([block]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }));
  return { plain: new Uint8Array(await new Blob(plain).arrayBuffer()), used };
}

// Lines without their end; one that does not end is marked by a NUL.
export async function* textLines(stream, progress, total) {
  const decoder = new TextDecoder();
  let rest = "";
  let seen = 0;
  for await (const bytes of stream) {
    seen += bytes.length;
    progress(seen, total);
    const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = parts.pop();
    yield* parts;
  }
  if (rest) yield `${rest}\u0000`;
}
