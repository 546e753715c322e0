// The status bar: are the live updates, the exchange's feed and the database there?

import { repeat } from "./api.js";
import { ago, count, time, write } from "./text.js";

const ASK_EVERY_SECONDS = 3;
const SILENT_AFTER_SECONDS = 60; // the sockets live, but somebody always trades

/** Keep the bar true, and tell `changed` (readiness, null where the server does not answer). */
export function watchStatus(bar, updates, changed = () => {}) {
  const show = (name, state, text, hint = "") => {
    const part = bar.querySelector(`[data-status="${name}"]`);
    part.dataset.state = state;
    part.title = hint;
    part.hidden = !text;
    write(part.querySelector(".text"), text);
  };
  const showUpdates = () => {
    const since = updates.liveAt ? ` since ${time(updates.liveAt)}` : "";
    const [state, text] = {
      connecting: ["wait", "Live updates connecting…"],
      live: ["good", "Live"],
      reconnecting: ["wait", "Live updates reconnecting…"],
      stale: ["bad", `Out of date${since}, reconnecting…`],
    }[updates.state];
    show("updates", state, text);
  };
  updates.addEventListener("state", showUpdates);
  showUpdates();
  repeat(ASK_EVERY_SECONDS, async () => {
    let readiness = null;
    try {
      readiness = await (await fetch("/health/ready")).json();
    } catch {
      // Shown as "server does not answer" below.
    }
    show("feed", ...feedStatus(readiness));
    show("storage", ...storageStatus(readiness));
    changed(readiness);
  });
}

function feedStatus(readiness) {
  const feed = readiness?.feed;
  if (!feed) return ["wait", readiness ? "Exchange feed unknown" : ""];
  if (feed.connected) {
    const age = feed.last_block_age_seconds;
    const block = age === null ? "no trade yet" : `last block ${blockAge(age)}`;
    const sockets = `${feed.sockets} ${feed.sockets === 1 ? "socket" : "sockets"}`;
    const silent = age > SILENT_AFTER_SECONDS;
    const coins = `${count(feed.coins)} ${feed.coins === 1 ? "coin" : "coins"} live`;
    const open = feed.open_gaps;
    const gaps = open ? ` · ${count(open)} open ${open === 1 ? "gap" : "gaps"}` : "";
    const text = `Exchange feed ${silent ? "silent" : "live"} · ${sockets} · ${block} · ${coins}${gaps}`;
    return [silent || gaps ? "wait" : "good", text, `since ${feed.since}`];
  }
  const since = feed.since ? ` since ${time(feed.since)} (${ago(feed.since)})` : "";
  const never = "Exchange feed not started";
  return ["bad", since ? `Exchange unreachable${since}` : never, feed.last_error ?? ""];
}

function blockAge(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s ago`;
  return ago(new Date(Date.now() - seconds * 1000));
}

function storageStatus(readiness) {
  if (!readiness) return ["bad", "The server does not answer"];
  if (readiness.database && !readiness.database.connected) return ["bad", "Database away"];
  if (readiness.status === "unavailable") return ["bad", readiness.reasons?.[0] ?? "Not ready"];
  if (readiness.redis && !readiness.redis.connected) {
    return ["wait", "Redis away: updates up to 1 s late"];
  }
  return ["good", ""];
}
