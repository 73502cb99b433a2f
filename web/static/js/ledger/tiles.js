// The hashes and entries of a log, as C2SP tlog-tiles serves them. What comes from here is not
// believed: it becomes proofs, and the proofs are verified against the signed root.

import { nodeHash } from "./hash.js";

const wide = 256; // hashes of a full tile

export class Tiles {
  constructor(base, size) {
    this.base = base;
    this.size = size;
    this.known = new Map();
    this.fetched = 0;
  }

  // fetch gets a tile, or the full one where a partial one is no longer kept.
  async fetch(level, index, width) {
    const path = `tile/${level}/${indexPath(index)}`;
    for (const name of width < wide ? [`${path}.p/${width}`, path] : [path]) {
      let data = this.known.get(name);
      if (!data) {
        const answer = await fetch(this.base + name, { cache: "no-store" });
        if (answer.status === 404) continue;
        if (!answer.ok) throw new Error(`The server did not give ${name}: ${answer.status}.`);
        data = new Uint8Array(await answer.arrayBuffer());
        this.known.set(name, data);
        this.fetched++;
      }
      return data;
    }
    throw new Error(`The server does not have ${path}, which the checkpoint covers.`);
  }

  widthOf(level, index) { return Math.min(wide, Math.floor(this.size / wide ** level) - index * wide); }

  // hash is the root over the 2^height leaves that begin at index * 2^height.
  async hash(height, index) {
    const level = Math.floor(height / 8);
    const count = 2 ** (height % 8);
    const first = index * count;
    const tile = Math.floor(first / wide);
    const data = await this.fetch(level, tile, this.widthOf(level, tile));
    const from = first - tile * wide;
    if (data.length < (from + count) * 32) throw new Error("A tile is shorter than it should be.");
    let hashes = [];
    for (let i = from; i < from + count; i++) hashes.push(data.slice(i * 32, i * 32 + 32));
    while (hashes.length > 1) {
      const above = [];
      for (let i = 0; i < hashes.length; i += 2) above.push(await nodeHash(hashes[i], hashes[i + 1]));
      hashes = above;
    }
    return hashes[0];
  }

  // entry gives the bytes of one entry.
  async entry(index) {
    const bundle = Math.floor(index / wide);
    const data = await this.fetch("entries", bundle, this.widthOf(0, bundle));
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    let at = 0;
    for (let i = bundle * wide; ; i++) {
      if (at + 2 > data.length) throw new Error("The bundle of entries ends before this one.");
      const size = view.getUint16(at);
      if (at + 2 + size > data.length) throw new Error("The bundle of entries is cut off.");
      if (i === index) return data.slice(at + 2, at + 2 + size);
      at += 2 + size;
    }
  }
}

// indexPath writes a tile's number in groups of three digits: x001/x234/067.
export function indexPath(index) {
  const groups = [String(index % 1000).padStart(3, "0")];
  for (index = Math.floor(index / 1000); index > 0; index = Math.floor(index / 1000)) groups.unshift("x" + String(index % 1000).padStart(3, "0"));
  return groups.join("/");
}
