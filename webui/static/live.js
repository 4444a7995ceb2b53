// Keeps the first page true while it is seen: asks the box twice a second, and says so when it does not answer.
// The page is complete without this; every word shown comes from the box.

const EVERY_MS = 500;
const LONGEST_WAIT_MS = 15000;
const PATIENCE_MS = 5000;
const QUIET_FAILURES = 1;

const page = document.querySelector("[data-live]");
const part = (root, name) => root.querySelector(`[data-part="${name}"]`);
let failures = 0;
let newest = Number(page.dataset.newest);
let timer = 0;
let asking = false;

function show(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function showOrHide(element, text) {
  show(element, text);
  element.hidden = text === "";
}

function showLine(card, line) {
  if (card.dataset.state !== line.state) {
    card.dataset.state = line.state;
    show(part(page, "spoken"), `${line.line}: ${line.state_text}`);
  }
  show(part(card, "state"), line.state_text);
  show(part(card, "running"), line.running);
  part(card, "level").setAttribute("width", line.level);
  showOrHide(part(card, "trouble"), line.trouble);
  showOrHide(part(card, "asked"), line.asked);
  showOrders(card, line);
}

// An order is for the call that is seen: its start goes with it.
function showOrders(card, line) {
  part(card, "orders").hidden = line.orders.length === 0;
  part(card, "started").value = line.started_at_ms;
  for (const way of card.querySelectorAll("[data-order]")) way.hidden = !line.orders.includes(way.dataset.order);
  const forget = `/lines/${line.line}/forget?started_at_ms=${line.started_at_ms}`;
  card.querySelector('[data-order="forget"]').setAttribute("href", forget);
}

function showChip(tile, chip) {
  tile.dataset.tone = chip.tone;
  show(part(tile, "value"), chip.value);
}

function showNotes(chips) {
  const notes = chips.filter((chip) => chip.note).map((chip) => {
    const note = document.createElement("p");
    note.className = `notice ${chip.tone}`;
    note.textContent = chip.note;
    return note;
  });
  const box = part(page, "notes");
  const before = [...box.children].map((note) => note.textContent).join();
  if (before !== notes.map((note) => note.textContent).join()) box.replaceChildren(...notes);
}

// A line or a figure has come or gone: rare enough to load the page anew.
function fits(kind, things) {
  const here = [...page.querySelectorAll(`[data-${kind}]`)].map((element) => element.dataset[kind]);
  return here.join() === things.map((thing) => thing[kind] ?? thing.name).join();
}

function showAll(live) {
  if (!fits("line", live.lines) || !fits("chip", live.chips)) {
    location.reload();
    return;
  }
  for (const line of live.lines) showLine(page.querySelector(`[data-line="${line.line}"]`), line);
  for (const chip of live.chips) showChip(page.querySelector(`[data-chip="${chip.name}"]`), chip);
  showNotes(live.chips);
  show(part(page, "alarm-text"), live.alarm);
  part(page, "alarm").hidden = live.alarm === "";
}

async function ask(address, accept) {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const answer = await fetch(address, { cache: "no-store", headers: { Accept: accept }, signal });
  if (answer.status === 401 || answer.redirected) {
    location.assign("/login?ended=1");
    return null;
  }
  if (!answer.ok) throw new Error(`answered ${answer.status}`);
  return answer;
}

// The list is exchanged as a whole; whoever had the keyboard on a call has it there afterwards.
async function loadList() {
  const answer = await ask(page.dataset.list, "text/html");
  if (!answer) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("calls");
  const old = document.getElementById("calls");
  const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  old.replaceWith(document.adoptNode(fresh));
  if (fresh.querySelector("li")) document.querySelector(".filter").hidden = false;
  if (focused) fresh.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

async function beat() {
  const answer = await ask(page.dataset.live, "application/json");
  if (!answer) return;
  const live = await answer.json();
  showAll(live);
  if (live.newest_change !== newest && "listMoves" in page.dataset) await loadList();
  newest = live.newest_change;
}

function showConnection() {
  const isCut = failures > QUIET_FAILURES;
  page.toggleAttribute("data-cut", isCut);
  part(page, "cut").hidden = !isCut;
}

// The next question is asked when the last one is answered, so that none pile up.
async function live() {
  if (document.hidden || asking) return;
  clearTimeout(timer);
  asking = true;
  try {
    await beat();
    failures = 0;
  } catch {
    failures += 1;
  }
  asking = false;
  showConnection();
  timer = setTimeout(live, Math.min(LONGEST_WAIT_MS, EVERY_MS * 2 ** failures));
}

document.addEventListener("visibilitychange", live);
live();
