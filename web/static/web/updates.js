// The WebSocket client of every page: one connection, resumed by epoch and number until it is whole.
//
// Each connection subscribes and then resumes, so that filter and place hold from the same answer on:
// whatever comes before it is passed over.
//
// Events it dispatches: "state" (see `state`), "connection" and "reset" (detail: the server's frame;
// after a reset whatever is shown must be read again), "trade_event" (detail: the event),
// "leaderboard_updated" (a new board) and "notice".

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
const HEALTHY_AFTER_MS = 10_000; // only then does the next failure begin with a short delay again
const SILENT_AFTER_MS = 35_000; // two heartbeats of 15 s missed
const STALE_AFTER_MS = 10_000;
const OF_EVERYONE = ["leaderboard_updated", "notice"];

export class Updates extends EventTarget {
  #url;
  #wanted;
  #getsAll;
  #socket = null;
  #answered = false; // the resume of this connection
  #epoch = null;
  #after = null;
  #failures = 0;
  #openedAt = 0;
  #retry = 0;
  #watchdog = 0;
  #staleTimer = 0;

  /** "connecting", "live", "reconnecting", or "stale": out of date for more than 10 s. */
  state = "connecting";
  /** When the page was last known to be up to date (a Date), null before the first connection. */
  liveAt = null;

  /** `filter`: parts of the server's `subscribe`, such as `{ coins: ["BTC"] }`; none is everything. */
  constructor(filter = {}) {
    super();
    this.#wanted = { ...filter, batch: true };
    this.#getsAll = Object.keys(filter).length === 0;
    this.#url = new URL("/ws/v1/updates", location.href);
    this.#url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  }

  /** Everything wanted up to this number was dispatched; null before the first connection. */
  get after() {
    return this.#after;
  }

  start() {
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
    this.#staleTimer = setTimeout(() => this.#become("stale"), STALE_AFTER_MS);
    this.#connect();
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.#answered = false;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    // A socket that was given up may still speak: only the present one is heard.
    socket.onmessage = (message) => socket === this.#socket && this.#receive(message.data);
    socket.onclose = () => socket === this.#socket && this.#lost();
    this.#watch();
  }

  #receive(text) {
    this.#watch();
    const frame = JSON.parse(text);
    if (frame.type === "connection") this.#connected(frame);
    else if (frame.type === "resumed") this.#resumed();
    else if (frame.type === "reset") this.#begin(frame);
    else if (frame.type === "error") this.#giveUp(); // the log is away: try again after a pause
    else if (OF_EVERYONE.includes(frame.type)) this.#dispatch(frame.type, frame);
    else if (this.#answered) this.#advance(frame);
    if (this.state === "live") this.liveAt = new Date();
  }

  #connected(frame) {
    if (this.#epoch === null) {
      this.#epoch = frame.epoch;
      this.#after = frame.head;
    }
    this.#dispatch("connection", frame);
    this.#say({ type: "subscribe", ...this.#wanted });
    this.#say({ type: "resume", epoch: this.#epoch, after: this.#after });
  }

  #say(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #resumed() {
    this.#answered = true;
    this.#openedAt = performance.now();
    clearTimeout(this.#staleTimer);
    this.#staleTimer = 0;
    this.liveAt = new Date();
    this.#become("live");
  }

  #begin(frame) {
    this.#epoch = frame.epoch;
    this.#after = frame.head;
    this.#resumed();
    this.#dispatch("reset", frame);
  }

  #advance(frame) {
    if (frame.type === "trade_event") this.#take(frame.data);
    else if (frame.type === "trade_events") frame.data.forEach((event) => this.#take(event));
    else if (frame.type === "heartbeat") this.#after = Math.max(this.#after, frame.upto);
  }

  #take(event) {
    if (event.id <= this.#after) return;
    const hole = event.id > this.#after + 1;
    if (hole && this.#getsAll) return this.#giveUp(); // never seen; resuming fills it
    this.#after = event.id;
    this.#dispatch("trade_event", event);
  }

  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#giveUp(), SILENT_AFTER_MS);
  }

  #giveUp() {
    const socket = this.#socket;
    this.#lost();
    socket.close();
  }

  #lost() {
    this.#socket = null;
    clearTimeout(this.#watchdog);
    if (this.#openedAt && performance.now() - this.#openedAt > HEALTHY_AFTER_MS) this.#failures = 0;
    this.#openedAt = 0;
    // Full jitter: when a server comes back, its clients do not come all at once.
    const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#retry = setTimeout(() => this.#connect(), Math.random() * longest);
    this.#staleTimer ||= setTimeout(() => this.#become("stale"), STALE_AFTER_MS);
    if (this.state === "live") this.#become("reconnecting");
  }

  #hurry() {
    if (this.#retry) this.#connect();
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#dispatch("state", state);
  }

  #dispatch(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
