// Values as people read them. Unknown (null) is a dash, never a zero. Everything ends up in
// textContent: names come from strangers.

export const UNKNOWN = "–";
const NUMBER = new Intl.NumberFormat("en-US");
const PRICE = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });
const DOLLARS = new Intl.NumberFormat("en-US", {
  style: "currency",
  currency: "USD",
  maximumFractionDigits: 2,
});
const WHOLE_DOLLARS = new Intl.NumberFormat("en-US", {
  style: "currency",
  currency: "USD",
  maximumFractionDigits: 0,
});

/** 0x1234…cdef */
export function shortAddress(address) {
  return `${address.slice(0, 6)}…${address.slice(-4)}`;
}

/** A decimal string with its thousands apart; every digit stays. */
export function decimal(text) {
  if (text === null) return UNKNOWN;
  const [whole, fraction] = text.replace("-", "−").split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction ? `${grouped}.${fraction}` : grouped;
}

/** A price for the eye: at most six significant digits, but the whole number always. */
export function price(text) {
  if (text === null) return UNKNOWN;
  const value = Number(text);
  return value < 1e5 ? PRICE.format(value) : NUMBER.format(Math.round(value));
}

/** A number of things. */
export function count(number) {
  return NUMBER.format(number);
}

/** A share of 1; one that is not whole is never shown as 100 %. */
export function share(text) {
  if (text === null || text === undefined) return UNKNOWN;
  return `${(Math.floor(Number(text) * 1000) / 10).toFixed(1)} %`;
}

/** A sum of money, rounded for the eye. */
export function dollars(text) {
  if (text === null) return UNKNOWN;
  const value = Number(text);
  return (Math.abs(value) >= 1000 ? WHOLE_DOLLARS : DOLLARS).format(value).replace("-", "−");
}

/** A gain or loss with its sign. */
export function gain(text) {
  if (text === null) return UNKNOWN;
  return Number(text) > 0 ? `+${dollars(text)}` : dollars(text);
}

export function time(iso) {
  return new Date(iso).toLocaleTimeString("en-GB");
}

export function dateAndTime(iso) {
  if (iso === null) return UNKNOWN;
  const at = new Date(iso);
  const day = at.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
  return `${day} ${at.toLocaleTimeString("en-GB")}`;
}

/** How long ago: "now", "12 s ago", "5 min ago". */
export function ago(iso) {
  if (iso === null) return "never";
  const seconds = Math.max(0, Math.round((Date.now() - new Date(iso)) / 1000));
  if (seconds < 2) return "now";
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}

/** A new element with its class and text. */
export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Set the text only where it differs, so that nothing flickers and selections survive. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Fill in one of the facts above the tables; the exact time, if there is one, is its title. */
export function fact(name, text, iso = null) {
  const value = document.querySelector(`[data-fact="${name}"]`);
  write(value, text);
  if (iso) value.title = dateAndTime(iso);
}

/** A link to a trader's page: short to read, whole in its title. */
export function traderLink(address) {
  const link = element("a", "address", shortAddress(address));
  link.href = `/traders/${address}`;
  link.title = address;
  return link;
}

/** A button that copies the text. */
export function copyButton(text) {
  const button = element("button", "copy", "Copy");
  button.type = "button";
  button.ariaLabel = `Copy ${text}`;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return button;
}
