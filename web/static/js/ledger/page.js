// The ledger's page: verifies the checkpoint, one entry, and that nothing that this browser saw
// before was changed or dropped.

import { openCheckpoint, readKey } from "./checkpoint.js";
import { fromBase64, hex, leafHash, toBase64 } from "./hash.js";
import { consistencyProof, consistent, included, inclusionProof } from "./proof.js";
import { Tiles } from "./tiles.js";

const place = document.getElementById("verifier");
const form = place.querySelector("form");
const list = place.querySelector(".checks");
form.hidden = false;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  verify();
});
if (place.dataset.entry) verify();

// say adds a line to what was checked.
function say(state, title, detail) {
  const line = document.createElement("li");
  line.className = state;
  const body = document.createElement("div");
  body.append(title);
  if (detail) {
    const p = document.createElement("p");
    p.textContent = detail;
    body.append(p);
  }
  line.append(body);
  list.append(line);
  return line;
}

// memory is where this browser keeps the newest checkpoint of a log that it verified.
const memory = (key) => `bailey-ledger ${key}`;

async function verify() {
  list.replaceChildren();
  const button = form.querySelector("button");
  button.disabled = true;
  const wait = say("going", "Fetching and computing");
  try {
    const keyText = form.elements.key.value.trim();
    const key = await readKey(keyText);
    const answer = await fetch(place.dataset.base + "checkpoint", { cache: "no-store" });
    if (!answer.ok) throw new Error(`The server did not give the checkpoint: ${answer.status}.`);
    const tree = await openCheckpoint(await answer.text(), key);
    say("good", `The checkpoint is signed by ${key.name}`, `${tree.size} entries, root ${hex(tree.root)}` + (tree.others ? `; ${tree.others} more signatures, whose keys this page does not know` : ""));
    if (tree.size === 0) return;
    const tiles = new Tiles(place.dataset.base, tree.size);
    await verifyEntry(tree, tiles);
    await verifyHistory(tree, tiles, keyText);
  } catch (error) {
    say("bad", "Not verified", error.name === "NotSupportedError" ? "This browser cannot verify Ed25519 signatures; a newer one can." : error.message);
  } finally {
    wait.remove();
    button.disabled = false;
    place.dataset.done = list.querySelector(".bad") ? "bad" : "good";
  }
}

async function verifyEntry(tree, tiles) {
  const asked = form.elements.entry.value.trim();
  const index = asked === "" ? tree.size - 1 : Number(asked);
  if (!Number.isSafeInteger(index) || index < 0 || index >= tree.size) throw new Error(`There is no entry ${asked}: the log has ${tree.size}.`);
  const leaf = await leafHash(await tiles.entry(index));
  const proof = await inclusionProof(tiles, index, tree.size);
  if (!await included(index, tree.size, leaf, proof, tree.root)) throw new Error(`Entry ${index} is not what the signed root covers: the entry or the log was changed.`);
  say("good", `Entry ${index} is in the log`, `its hash is ${hex(leaf)}, and ${proof.length} more lead from it to the signed root`);
}

async function verifyHistory(tree, tiles, keyText) {
  let kept = null;
  try { kept = JSON.parse(localStorage.getItem(memory(keyText))); } catch { /* nothing that can be read */ }
  if (kept) {
    const seen = new Date(kept.at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
    if (kept.size > tree.size) throw new Error(`The log has ${tree.size} entries, and this browser saw ${kept.size} on ${seen}: an older copy was put back.`);
    const proof = kept.size === tree.size ? [] : await consistencyProof(tiles, kept.size, tree.size);
    if (!await consistent(kept.size, tree.size, fromBase64(kept.root), tree.root, proof)) throw new Error(`The log does not go on from the ${kept.size} entries that this browser saw on ${seen}: history was rewritten.`);
    say("good", "Nothing was changed or dropped since this browser looked last", `the ${kept.size} entries of ${seen} are the first of these ${tree.size}` + (proof.length ? `, as ${proof.length} hashes prove` : ""));
  } else {
    say("open", "This browser has not seen the log before", "It remembers this checkpoint, and proves next time that the log goes on from it.");
  }
  localStorage.setItem(memory(keyText), JSON.stringify({ size: tree.size, root: toBase64(tree.root), at: Date.now() }));
}
