// One trader: the positions, each with how well it is known, and the events, live.

import { read, repeat } from "./api.js";
import { mark, tally } from "./standing.js";
import { watchStatus } from "./status.js";
import { Stream, follow } from "./stream.js";
import {
  UNKNOWN,
  ago,
  copyButton,
  decimal,
  dollars,
  element,
  fact,
  gain,
  price,
  share,
  write,
} from "./text.js";
import { Updates } from "./updates.js";

const REFRESH_SECONDS = 5;
const FOLLOWED_SECONDS = 60;

const address = document.querySelector("main").dataset.address;
const body = document.querySelector("#positions tbody");
const empty = document.querySelector("#positions .empty");
const states = document.querySelector("#positions .states");
const refusal = document.querySelector(".refusal");
document.querySelector("#address").append(copyButton(address));

async function show() {
  try {
    const trader = await read(`/api/v1/traders/${address}`);
    write(refusal, "");
    fact("value", dollars(trader.account_value));
    fact("first", ago(trader.first_seen_at), trader.first_seen_at);
    const { last_tracked_at: tracked, complete_as_of: complete } = trader;
    fact("tracked", tracked ? ago(tracked) : "waiting", tracked);
    fact("complete", complete ? ago(complete) : "unknown", complete);
    body.replaceChildren(...trader.positions.map(row));
    write(states, tally(trader.positions));
    empty.hidden = trader.positions.length > 0;
    write(
      empty,
      trader.complete_as_of
        ? "No open position. The next one that is seen appears here."
        : "Positions are unknown until the first snapshot; this trader waits in the queue for it.",
    );
  } catch (failure) {
    write(refusal, failure.message);
    write(empty, "Nothing can be shown.");
  }
}

/** How well the trader was followed in the month, as the leaderboard has it. */
async function showFollowed() {
  try {
    const month = (await read(`/api/v1/traders/${address}/metrics`)).windows["30"];
    const { coverage, known_share: known, tracking_since: since } = month ?? {};
    fact("coverage", share(coverage), coverage ? since : null);
    fact("known-share", share(known));
  } catch (failure) {
    write(refusal, failure.message);
  }
}

function row(position) {
  const made = element("tr");
  if (position.side) made.dataset.side = position.side;
  const coin = element("th", "coin", position.coin);
  coin.scope = "row";
  const sides = { LONG: "▲ LONG", SHORT: "▼ SHORT" };
  const state = element("td", "state");
  state.append(mark(position));
  const entry = element("td", "number", price(position.entry_price));
  if (position.entry_price) entry.title = decimal(position.entry_price);
  const profit = element("td", "gain number", gain(position.unrealised_pnl));
  profit.dataset.sign = Math.sign(Number(position.unrealised_pnl ?? 0));
  made.append(
    coin,
    element("td", position.side ? "side" : "", sides[position.side] ?? UNKNOWN),
    element("td", "number", decimal(position.size)),
    entry,
    element("td", "number", dollars(position.notional)),
    profit,
    element("td", "number", position.leverage === null ? UNKNOWN : `${position.leverage}×`),
    state,
  );
  return made;
}

const updates = new Updates({ traders: [address] });
const stream = new Stream(document.querySelector("#stream"), { showsTrader: false });
const history = async () => (await read(`/traders/${address}/events?limit=100`)).results.reverse();
follow(updates, stream, history);
watchStatus(document.querySelector("#status"), updates);
updates.start();
const refresh = repeat(REFRESH_SECONDS, show);
repeat(FOLLOWED_SECONDS, showFollowed);
updates.addEventListener("trade_event", refresh);
