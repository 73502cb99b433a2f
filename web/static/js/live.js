// Keeps a page current by the server's events. A part with data-live is replaced as things
// happen; any other page only says that there is something newer, since nothing should move
// under the eyes of whoever reads.

const main = document.querySelector("main");
const kinds = main.dataset.stream.split(" ");
const news = document.getElementById("news");
const live = () => document.querySelector("[data-live]");

const pause = 1000; // at least so long between two looks, in milliseconds
const rest = 10000; // the same, where only a hint is shown
const soon = 5000, late = 60000; // between two tries to open a stream that was refused: at first, and at most

let due = false;
let looking = false;

function changed() {
  if (due || document.hidden) { due = true; return; }
  due = true;
  setTimeout(look, live() ? pause : rest);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && due) look();
});

async function look() {
  due = false;
  if (looking) return;
  looking = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected && new URL(answer.url).pathname === "/login") { location.reload(); return; } // logged out, in this tab or another
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const part = live();
    if (!part) {
      if (words(fresh.querySelector("main")) !== words(main)) hint();
      return;
    }
    document.getElementById("sight").replaceWith(document.adoptNode(fresh.getElementById("sight")));
    const next = fresh.querySelector("[data-live]");
    if (!next) { location.reload(); return; } // it has become another page
    part.replaceWith(document.adoptNode(next));
    if (next.dataset.id && !next.querySelector("progress")) { source.close(); clearTimeout(again); } // the run has ended
  } catch {
    // The server is away; the next event comes when it is back.
  } finally {
    looking = false;
  }
}

// words are what a page says, but for times that go by.
function words(element) {
  const copy = element.cloneNode(true);
  for (const gone of copy.querySelectorAll("time, .copy")) gone.remove();
  return copy.textContent.replace(/\s+/g, " ");
}

function hint() {
  if (news.firstChild) return;
  const line = document.createElement("p");
  const again = document.createElement("a");
  again.href = location.href;
  again.textContent = "Show it";
  line.append("Something has changed.", again);
  news.append(line);
}

let source;
let again; // the timer of the next stream, where one ended for good
let wait = soon;

// listen opens a stream. After an error of the network a browser connects again by itself; after an
// answer that is none, like that of an ingress without a server behind it, it never does.
function listen() {
  source = new EventSource("/api/v1/events");
  for (const kind of new Set([...kinds, "sight", "missed"])) source.addEventListener(kind, (event) => {
    const part = live();
    if (kind === "run" && part?.dataset.id) {
      try { if (JSON.parse(event.data).id !== part.dataset.id) return; } catch { /* look anyway */ }
    }
    changed();
  });
  source.addEventListener("open", () => {
    if (again) changed(); // a new stream does not tell what happened before it
    again = undefined;
    wait = soon;
  });
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) return;
    again = setTimeout(listen, wait);
    wait = Math.min(2 * wait, late);
    look();
  });
}
listen();
