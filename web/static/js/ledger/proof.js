// Proofs of RFC 9162: made from the hashes of a log, and verified without them.

import { nodeHash, same } from "./hash.js";

// below is the largest power of two that is less than n.
function below(n) {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

// over is the root over the leaves from one up to, not with, another.
async function over(tiles, from, to) {
  const n = to - from;
  const k = n === 1 ? 1 : below(n);
  if (k * 2 === n || n === 1) return tiles.hash(Math.round(Math.log2(n)), from / n);
  return nodeHash(await over(tiles, from, from + k), await over(tiles, from + k, to));
}

// inclusionProof leads from a leaf to the root.
export async function inclusionProof(tiles, index, size) {
  async function path(from, to) {
    if (to - from === 1) return [];
    const k = below(to - from);
    return index < from + k
      ? [...await path(from, from + k), await over(tiles, from + k, to)]
      : [...await path(from + k, to), await over(tiles, from, from + k)];
  }
  return path(0, size);
}

// consistencyProof shows that the first leaves of a tree are those of a smaller one.
export async function consistencyProof(tiles, first, size) {
  async function path(from, to, whole) {
    if (first === to) return whole ? [] : [await over(tiles, from, to)];
    const k = below(to - from);
    return first <= from + k
      ? [...await path(from, from + k, whole), await over(tiles, from + k, to)]
      : [...await path(from + k, to, false), await over(tiles, from, from + k)];
  }
  return path(0, size, true);
}

// included reports whether a proof leads from a leaf's hash to the root (RFC 9162, 2.1.3.2).
export async function included(index, size, leaf, proof, root) {
  if (index >= size) return false;
  let fn = BigInt(index);
  let sn = BigInt(size) - 1n;
  let hash = leaf;
  for (const step of proof) {
    if (sn === 0n) return false;
    if (fn & 1n || fn === sn) {
      hash = await nodeHash(step, hash);
      while (!(fn & 1n) && fn !== 0n) { fn >>= 1n; sn >>= 1n; }
    } else {
      hash = await nodeHash(hash, step);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  return sn === 0n && same(hash, root);
}

// consistent reports whether a proof leads to both roots (RFC 9162, 2.1.4.2).
export async function consistent(first, size, firstRoot, root, proof) {
  if (first === size) return proof.length === 0 && same(firstRoot, root);
  if (first === 0 || first > size) return false;
  const steps = Number.isInteger(Math.log2(first)) ? [firstRoot, ...proof] : [...proof];
  if (steps.length === 0) return false;
  let fn = BigInt(first) - 1n;
  let sn = BigInt(size) - 1n;
  while (fn & 1n) { fn >>= 1n; sn >>= 1n; }
  let old = steps[0];
  let now = steps[0];
  for (const step of steps.slice(1)) {
    if (sn === 0n) return false;
    if (fn & 1n || fn === sn) {
      old = await nodeHash(step, old);
      now = await nodeHash(step, now);
      while (!(fn & 1n) && fn !== 0n) { fn >>= 1n; sn >>= 1n; }
    } else {
      now = await nodeHash(now, step);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  return sn === 0n && same(old, firstRoot) && same(now, root);
}
