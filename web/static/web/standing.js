// Whether a position is live, stale or unknown: a dot and words, so that nobody needs the colour.

import { dateAndTime, element, time } from "./text.js";

const STATES = { live: "good", stale: "wait", unknown: "none" };
const MEANINGS = {
  live: "No trade of this coin was missed: exact as of",
  stale: "Trades of this coin may have been missed since",
  unknown: "The trader has traded this coin, but nothing tells the size yet",
};

const DAY_MS = 86_400_000;

/** "live", "stale" or "unknown". */
export function standing(position) {
  if (!position.known) return "unknown";
  return position.stale ? "stale" : "live";
}

/** The mark of a position. */
export function mark(position) {
  const word = standing(position);
  const made = element("span", "light");
  made.dataset.state = STATES[word];
  const since = word === "stale" ? ` since ${moment(position.as_of)}` : "";
  const dot = element("span", "dot");
  dot.ariaHidden = "true";
  made.append(dot, element("span", "text", word + since));
  const at = position.as_of === null ? "" : ` ${dateAndTime(position.as_of)}`;
  made.title = MEANINGS[word] + at;
  return made;
}

/** A time, with its date where that is not clear. */
function moment(iso) {
  return Date.now() - new Date(iso) < DAY_MS ? time(iso) : dateAndTime(iso);
}

/** How many there are of each: "2 live · 1 stale". */
export function tally(positions) {
  const words = positions.map(standing);
  return Object.keys(STATES)
    .map((word) => [words.filter((each) => each === word).length, word])
    .filter(([number]) => number > 0)
    .map(([number, word]) => `${number} ${word}`)
    .join(" · ");
}
