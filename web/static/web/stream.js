// The live list of events: newest first, bounded, drawn once per frame of the screen.

import { read } from "./api.js";
import {
  UNKNOWN,
  dateAndTime,
  decimal,
  dollars,
  element,
  gain,
  price,
  time,
  traderLink,
} from "./text.js";

const LONGEST = 200;
const TAGS = {
  stale: "Trades of this coin may have been missed before this one: the sizes may be wrong",
  replayed: "Its trades were more than 30 s old when they came",
};

export class Stream {
  #list;
  #empty;
  #pauseButton;
  #waiting = [];
  #frame = 0;
  #paused = false;
  #newest = 0;
  #showsTrader;

  /** `root` holds `.events`, `.empty` and `.pause`. */
  constructor(root, { showsTrader = true } = {}) {
    this.#list = root.querySelector(".events");
    this.#empty = root.querySelector(".empty");
    this.#pauseButton = root.querySelector(".pause");
    this.#showsTrader = showsTrader;
    this.#pauseButton.addEventListener("click", () => this.#pause(!this.#paused));
  }

  /** Add events in the order of their numbers; those already shown are passed over. */
  add(events) {
    const fresh = events.filter((event) => event.id > this.#newest);
    if (!fresh.length) return;
    this.#newest = fresh.at(-1).id;
    this.#waiting.push(...fresh);
    if (this.#waiting.length > LONGEST) this.#waiting = this.#waiting.slice(-LONGEST);
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  /** Forget everything, because the log began anew. */
  clear() {
    this.#waiting = [];
    this.#newest = 0;
    this.#list.replaceChildren();
    this.#empty.hidden = false;
  }

  #pause(paused) {
    this.#paused = paused;
    this.#pauseButton.ariaPressed = String(paused);
    this.#draw();
  }

  #draw() {
    this.#frame = 0;
    const missed = this.#waiting.length;
    this.#pauseButton.textContent = !this.#paused
      ? "Pause"
      : missed
        ? `Resume (${missed === LONGEST ? `${LONGEST}+` : missed} new)`
        : "Resume";
    if (this.#paused) return;
    const rows = this.#waiting.reverse().map((event) => row(event, this.#showsTrader));
    this.#waiting = [];
    this.#list.prepend(...rows);
    while (this.#list.childElementCount > LONGEST) this.#list.lastElementChild.remove();
    this.#empty.hidden = this.#list.childElementCount > 0;
  }
}

/** Show what the log already holds, then everything new of `updates`. */
export function follow(updates, stream, history) {
  let early = [];
  let loading = true;
  const load = async (log) => {
    loading = true;
    try {
      stream.add(await history(log));
    } catch {
      // The status bar says what is away; live events are shown all the same.
    }
    stream.add(early);
    early = [];
    loading = false;
  };
  let known = false;
  updates.addEventListener("connection", (frame) => {
    if (!known) load(frame.detail);
    known = true;
  });
  updates.addEventListener("reset", (frame) => {
    stream.clear();
    load(frame.detail);
  });
  updates.addEventListener("trade_event", ({ detail }) => {
    if (loading) early.push(detail);
    else stream.add([detail]);
  });
}

/** The newest events of the whole log. */
export async function newestEvents({ head, oldest }) {
  const after = Math.max(oldest - 1, head - 100, 0);
  return (await read(`/api/v1/events?after=${after}&limit=100`)).results;
}

function row(event, showsTrader) {
  const item = element("li", "event");
  item.dataset.id = event.id;
  item.dataset.side = event.side;
  const sign = event.side === "BUY" ? "▲" : "▼";
  const size = element("span", "change");
  size.append(
    element("span", "before", decimal(event.size_before)),
    element("span", "arrow", " → "),
    element("span", "after", decimal(event.size_after)),
  );
  const when = element("time", "when", time(event.timestamp));
  when.dateTime = event.timestamp;
  when.title = `#${event.id} · ${dateAndTime(event.timestamp)}`;
  const at = element("span", "price", event.price === null ? UNKNOWN : `@ ${price(event.price)}`);
  if (event.price !== null) at.title = decimal(event.price);
  item.append(
    element("span", `kind ${event.event_type.toLowerCase()}`, event.event_type),
    element("span", "coin", event.coin),
    element("span", "side", `${sign} ${event.side}`),
    size,
    at,
    element("span", "worth", dollars(event.notional)),
    by(event, showsTrader),
    when,
  );
  return item;
}

/** Who or what told it, the role in the trades, what was realised, and what speaks against it. */
function by(event, showsTrader) {
  const { role, realised_pnl: realised, fees } = event.details;
  const cell = element("span", "by");
  cell.append(
    showsTrader ? traderLink(event.trader_address) : element("span", "source", event.source),
  );
  if (role) {
    const played = element("span", "role", role === "both" ? "taker + maker" : role);
    if (fees) played.title = `fees about ${dollars(fees)}, estimated`;
    cell.append(played);
  }
  if (realised) {
    const profit = element("span", "gain", gain(realised));
    profit.dataset.sign = Math.sign(Number(realised));
    profit.title = "realised by the closed part, before fees and funding";
    cell.append(profit);
  }
  for (const [name, meaning] of Object.entries(TAGS)) {
    if (!event[name]) continue;
    const tag = element("span", "tag", name);
    tag.title = meaning;
    cell.append(tag);
  }
  return cell;
}
