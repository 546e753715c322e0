// The dashboard: a table of traders and the live events of all of them.

import { read, repeat } from "./api.js";
import { Board } from "./board.js";
import { watchStatus } from "./status.js";
import { Stream, follow, newestEvents } from "./stream.js";
import {
  UNKNOWN,
  ago,
  copyButton,
  count,
  dateAndTime,
  dollars,
  element,
  fact,
  traderLink,
  write,
} from "./text.js";
import { Updates } from "./updates.js";

const PAGE = matchMedia("(max-width: 700px)").matches ? 10 : 25;
const REFRESH_SECONDS = 5;
const TYPING_MS = 200;

const panel = document.querySelector("#traders");
const body = panel.querySelector("tbody");
const empty = panel.querySelector(".empty");
const search = panel.querySelector("input[type=search]");
const refusal = panel.querySelector(".refusal");
const [previous, next] = ["previous", "next"].map((name) => panel.querySelector(`.${name}`));
const range = panel.querySelector(".range");
const rows = new Map();
let offset = 0;
let asked = null;
let feedIsThere = null;

async function showTraders() {
  asked?.abort();
  asked = new AbortController();
  const query = new URLSearchParams({ limit: PAGE, offset });
  const prefix = search.value.trim();
  if (prefix) query.set("search", prefix);
  try {
    const page = await read(`/traders?${query}`, asked.signal);
    write(refusal, "");
    draw(page, prefix);
  } catch (failure) {
    if (failure.name !== "AbortError") write(refusal, failure.message);
  }
}

function draw(page, prefix) {
  const addresses = new Set(page.results.map((trader) => trader.address));
  for (const [address, row] of rows) {
    if (!addresses.has(address)) {
      row.remove();
      rows.delete(address);
    }
  }
  page.results.forEach((trader, place) => {
    if (!rows.has(trader.address)) rows.set(trader.address, makeRow(trader.address));
    const row = rows.get(trader.address);
    fill(row, trader);
    if (body.children[place] !== row) body.insertBefore(row, body.children[place] ?? null);
  });
  const last = offset + page.results.length;
  write(range, page.count ? `${offset + 1}–${last} of ${count(page.count)}` : "");
  if (!prefix) fact("traders", count(page.count));
  previous.disabled = page.previous === null;
  next.disabled = page.next === null;
  empty.hidden = page.results.length > 0;
  write(empty, emptyText(prefix));
}

function emptyText(prefix) {
  if (prefix) return `No trader's address begins with ${prefix}.`;
  if (feedIsThere === null) return "Loading…";
  if (!feedIsThere) return "No traders yet: they appear as soon as the exchange can be reached.";
  return "No traders yet. Everyone who trades from now on appears here, usually within seconds.";
}

function makeRow(address) {
  const row = element("tr");
  const head = element("th");
  head.scope = "row";
  const cell = element("div", "who");
  cell.append(traderLink(address), copyButton(address));
  head.append(cell);
  row.append(head);
  for (const name of ["first", "tracked", "value", "positions"]) row.append(element("td", name));
  return row;
}

function fill(row, trader) {
  const [first, tracked, value, positions] = row.querySelectorAll("td");
  write(first, ago(trader.first_seen_at));
  first.title = dateAndTime(trader.first_seen_at);
  write(tracked, trader.last_tracked_at ? ago(trader.last_tracked_at) : "waiting");
  tracked.title = trader.last_tracked_at ? dateAndTime(trader.last_tracked_at) : "in the queue";
  write(value, dollars(trader.account_value));
  write(positions, trader.open_positions === null ? UNKNOWN : String(trader.open_positions));
}

function turn(step) {
  offset = Math.max(0, offset + step);
  showTraders();
}

let typing = 0;
search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    offset = 0;
    showTraders();
  }, TYPING_MS);
});
panel.querySelector("form").addEventListener("submit", (submit) => submit.preventDefault());
previous.addEventListener("click", () => turn(-PAGE));
next.addEventListener("click", () => turn(PAGE));

const updates = new Updates();
new Board(document.querySelector("#board"), updates);
const stream = new Stream(document.querySelector("#stream"));
follow(updates, stream, newestEvents);
watchStatus(document.querySelector("#status"), updates, (readiness) => {
  if (!readiness?.feed || !readiness.tracking) return; // unknown: the status bar says why
  feedIsThere = readiness.feed.connected;
  write(empty, emptyText(search.value.trim()));
  const tracked = readiness.tracking.last_tracked_at;
  const age = readiness.feed.last_block_age_seconds;
  fact("tracked", ago(tracked), tracked);
  fact("block", ago(age === null ? null : new Date(Date.now() - age * 1000)));
});
for (const news of ["connection", "reset", "trade_event"]) {
  updates.addEventListener(news, () => fact("events", count(updates.after)));
}
updates.start();
repeat(REFRESH_SECONDS, showTraders);
