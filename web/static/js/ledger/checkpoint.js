// Signed checkpoints: C2SP tlog-checkpoint in a C2SP signed-note, signed with Ed25519.

import { fromBase64, same, sha256 } from "./hash.js";

const encoder = new TextEncoder();
const ed25519 = 1; // the algorithm's byte in keys
const longest = 1 << 16; // bytes of a checkpoint

// readKey takes a key apart: name+hash+base64(algorithm, key).
export async function readKey(text) {
  const parts = text.trim().split("+");
  if (parts.length < 3) throw new Error("This is no key: it is written name+hash+key.");
  const [name, hash] = parts;
  let body;
  try { body = fromBase64(parts.slice(2).join("+")); } catch { throw new Error("This is no key: its last part is not base64."); }
  if (body[0] !== ed25519 || body.length !== 33) throw new Error("This is no Ed25519 key.");
  const id = (await sha256(encoder.encode(name + "\n"), body)).slice(0, 4);
  if (parseInt(hash, 16) !== new DataView(id.buffer).getUint32(0)) throw new Error("The key does not fit its own hash: part of it is missing or changed.");
  const key = await crypto.subtle.importKey("raw", body.slice(1), "Ed25519", false, ["verify"]);
  return { name, id, key };
}

// openCheckpoint gives the tree that a checkpoint speaks of, if the key signed it.
export async function openCheckpoint(text, key) {
  if (text.length > longest) throw new Error("The checkpoint is too long.");
  const end = text.lastIndexOf("\n\n");
  if (end < 0) throw new Error("The checkpoint has no signatures.");
  const body = text.slice(0, end + 1);
  let signed = false;
  let others = 0;
  for (const line of text.slice(end + 2).split("\n")) {
    const found = /^\u2014 (\S+) (\S+)$/.exec(line);
    if (!found) continue;
    const bytes = fromBase64(found[2]);
    if (found[1] !== key.name || !same(bytes.slice(0, 4), key.id)) { others++; continue; }
    if (!await crypto.subtle.verify("Ed25519", key.key, bytes.slice(4), encoder.encode(body))) throw new Error("The signature of the checkpoint is not this key’s.");
    signed = true;
  }
  if (!signed) throw new Error("The checkpoint is not signed by this key.");
  const [origin, size, root] = body.split("\n");
  if (origin !== key.name) throw new Error("The checkpoint is of another log.");
  if (!/^(0|[1-9][0-9]{0,15})$/.test(size) || !Number.isSafeInteger(Number(size))) throw new Error("The checkpoint’s size is no number.");
  const hash = fromBase64(root);
  if (hash.length !== 32) throw new Error("The checkpoint’s root is no hash.");
  return { origin, size: Number(size), root: hash, others };
}
