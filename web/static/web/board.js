// The leaderboard: ranked, sortable, each score with what it is made of.

import { read, repeat } from "./api.js";
import { ago, copyButton, count, dateAndTime, dollars, element, gain, traderLink, write } from "./text.js";

const PAGE = 10;
const REFRESH_SECONDS = 15;
const LESS_IS_BETTER = new Set(["max_drawdown"]);
const NAMES = {
  win_rate: "Win rate",
  max_drawdown: "Drawdown",
  total_volume_usd: "Volume",
  risk_ratio: "Risk ratio",
  account_age_days: "Age",
};

const percent = (text) => `${(Number(text) * 100).toFixed(1)} %`;

function days(text) {
  const value = Number(text);
  if (value >= 1) return `${value.toFixed(1)} d`;
  return value * 24 >= 1 ? `${(value * 24).toFixed(1)} h` : `${Math.floor(value * 1440)} min`;
}

const SHOW = {
  win_rate: percent,
  max_drawdown: percent,
  total_volume_usd: dollars,
  risk_ratio: (text) => Number(text).toFixed(2),
  account_age_days: days,
  closed_trips: count,
  net_pnl: gain,
};
const COLUMNS = ["win_rate", "max_drawdown", "total_volume_usd", "risk_ratio", "account_age_days", "closed_trips", "net_pnl"];

export class Board {
  #root;
  #body;
  #sortBy = "trader_score";
  #order = "desc";
  #window = "30";
  #offset = 0;
  #asked = null;
  #open = new Set();

  /** Fill the section `root` now, every 15 s, and when the server says that there is a new board. */
  constructor(root, updates) {
    this.#root = root;
    this.#body = root.querySelector("tbody");
    for (const head of root.querySelectorAll("[data-sort]")) {
      head.querySelector("button").addEventListener("click", () => this.#sort(head));
    }
    for (const button of root.querySelectorAll("[data-window]")) {
      button.addEventListener("click", () => this.#look(button));
    }
    root.querySelector(".previous").addEventListener("click", () => this.#turn(-PAGE));
    root.querySelector(".next").addEventListener("click", () => this.#turn(PAGE));
    const refresh = repeat(REFRESH_SECONDS, () => this.#show());
    updates.addEventListener("leaderboard_updated", refresh);
  }

  #sort(head) {
    const name = head.dataset.sort;
    const first = LESS_IS_BETTER.has(name) ? "asc" : "desc";
    const second = first === "asc" ? "desc" : "asc";
    this.#order = this.#sortBy === name && this.#order === first ? second : first;
    this.#sortBy = name;
    this.#offset = 0;
    for (const other of this.#root.querySelectorAll("[data-sort]")) other.removeAttribute("aria-sort");
    head.ariaSort = this.#order === "asc" ? "ascending" : "descending";
    this.#show();
  }

  #look(button) {
    this.#window = button.dataset.window;
    this.#offset = 0;
    for (const other of this.#root.querySelectorAll("[data-window]")) other.ariaPressed = other === button;
    this.#show();
  }

  #turn(step) {
    this.#offset = Math.max(0, this.#offset + step);
    this.#show();
  }

  async #show() {
    this.#asked?.abort();
    this.#asked = new AbortController();
    const query = new URLSearchParams({
      window: this.#window,
      sort_by: this.#sortBy,
      order: this.#order,
      limit: PAGE,
      offset: this.#offset,
    });
    const refusal = this.#root.querySelector(".refusal");
    try {
      const board = await read(`/api/v1/leaderboard?${query}`, this.#asked.signal);
      write(refusal, "");
      this.#draw(board);
    } catch (failure) {
      if (failure.name !== "AbortError") write(refusal, failure.message);
    }
  }

  #draw(board) {
    this.#body.replaceChildren(...board.results.flatMap((trader) => this.#rows(trader)));
    const published = this.#root.querySelector(".published");
    write(published, board.updated_at ? `${board.preset}, ranked ${ago(board.updated_at)}` : "");
    if (board.updated_at) published.title = `${dateAndTime(board.updated_at)} · weights ${board.weights_hash}`;
    const last = this.#offset + board.results.length;
    write(this.#root.querySelector(".range"), board.count ? `${this.#offset + 1}–${last} of ${count(board.count)}` : "");
    this.#root.querySelector(".previous").disabled = board.previous === null;
    this.#root.querySelector(".next").disabled = board.next === null;
    const empty = this.#root.querySelector(".empty");
    empty.hidden = board.results.length > 0;
    const nobody = "Nobody is ranked yet: a trader is as soon as the account was read once. The next ranking appears here by itself.";
    write(empty, board.updated_at ? nobody : "The first ranking has not run yet. It appears here by itself.");
  }

  #rows(trader) {
    const row = element("tr", "ranked");
    const rank = element("td", "number rank", count(trader.rank));
    const head = element("th");
    head.scope = "row";
    const who = element("div", "who");
    who.append(traderLink(trader.address), copyButton(trader.address));
    head.append(who);
    const score = element("td");
    const button = element("button", "score", Number(trader.trader_score).toFixed(4));
    button.type = "button";
    button.title = trader.missing.length
      ? `unknown, so it adds nothing: ${trader.missing.map((name) => NAMES[name]).join(", ")}`
      : "what this score is made of";
    score.append(button);
    row.append(rank, head, score, ...COLUMNS.map((name) => cell(name, trader[name])));
    const parts = detail(trader);
    const expand = (open) => {
      button.ariaExpanded = open;
      parts.hidden = !open;
      if (open) this.#open.add(trader.address);
      else this.#open.delete(trader.address);
    };
    button.addEventListener("click", () => expand(parts.hidden));
    expand(this.#open.has(trader.address));
    return [row, parts];
  }
}

function cell(name, value) {
  if (value === null) return element("td", "number unknown", "unknown");
  const made = element("td", "number", SHOW[name](value));
  if (name === "account_age_days") made.title = "at least: since the trader was first seen here";
  if (name === "net_pnl") made.dataset.sign = Math.sign(Number(value));
  return made;
}

function detail(trader) {
  const row = element("tr", "parts");
  const wide = element("td");
  wide.colSpan = 3 + COLUMNS.length;
  const list = element("dl");
  for (const [name, part] of Object.entries(trader.components)) {
    const item = element("div");
    const value = element("dd", "", part.value === null ? "unknown" : SHOW[name](part.value));
    if (part.normalised !== null) {
      const meter = element("meter");
      meter.value = Number(part.normalised);
      meter.ariaLabel = `${NAMES[name]} compared with all`;
      value.append(meter);
    }
    const share = (Number(part.weight) * 100).toFixed(0);
    const place = part.normalised === null ? "nothing" : Number(part.normalised).toFixed(3);
    value.append(element("small", "", `${place} × ${share} % = ${Number(part.contribution).toFixed(4)}`));
    item.append(element("dt", "", NAMES[name]), value);
    list.append(item);
  }
  wide.append(list);
  row.append(wide);
  return row;
}
