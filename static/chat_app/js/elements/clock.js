// Elements for times of the server: local time, time elapsed since, and countdown to.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const SIZES = [
  [DAY, "day"],
  [HOUR, "hour"],
  [MINUTE, "minute"],
  [1000, "second"],
];
// The page's language as written in the reader's country, if the browser names the country.
const LANGUAGE = document.documentElement.lang;
const LOCALE = navigator.languages.find(isOfPage) ?? LANGUAGE;

function isOfPage(tag) {
  try {
    return writing(tag) === writing(LANGUAGE);
  } catch {
    return false; // some browsers list invalid languages, such as en-US@posix
  }
}

/** Return a language with its script: readers of `zh-tw` may be unable to read `zh-hans`. */
function writing(tag) {
  const { language, script } = new Intl.Locale(tag).maximize();
  return `${language}-${script}`;
}

let ahead = 0; // the server's clock minus this computer's, in ms

/** Learn the server's time from one of its answers. */
export function learn(serverNow) {
  const difference = Date.parse(serverNow) - Date.now();
  // Ignore small differences, which come from latency; only a wrong clock matters.
  if (Math.abs(difference - ahead) > 2000) ahead = difference;
}

function now() {
  return Date.now() + ahead;
}

function unit(number, name) {
  const style = { style: "unit", unit: name, unitDisplay: "short" };
  return new Intl.NumberFormat(LOCALE, style).format(Math.floor(number));
}

/** The time elapsed since `since`, in its two largest units. */
class ElapsedTime extends HTMLElement {
  connectedCallback() {
    this.tick();
  }

  tick() {
    const age = Math.max(0, now() - Date.parse(this.getAttribute("since")));
    const [large, small] = SIZES.slice(SIZES.findIndex(([size]) => age >= size));
    const parts = [unit(age / large[0], large[1])];
    if (small) parts.push(unit((age % large[0]) / small[0], small[1]));
    this.textContent = parts.join(" ");
  }
}

const EXACT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "full", timeStyle: "long" });
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: "always" });

/** The time left until `until` in one unit; seconds only in the last minute. Marked as `urgent` in
 * the last minute, and in the last tenth of the time from `since` to `until`. */
class CountDown extends HTMLElement {
  connectedCallback() {
    this.tick();
    this.parentElement.title = EXACT.format(Date.parse(this.getAttribute("until")));
  }

  tick() {
    const until = Date.parse(this.getAttribute("until"));
    const left = Math.max(0, until - now());
    // Show hours and days only from two on: 90 minutes rather than one hour.
    const isLarge = ([size]) => left >= (size > MINUTE ? 2 * size : size);
    const [size, name] = SIZES.find(isLarge) ?? SIZES.at(-1);
    const number = left / size;
    const text = relative.format(size > MINUTE ? Math.round(number) : Math.floor(number), name);
    if (this.textContent !== text) this.textContent = text;
    const tenth = (until - Date.parse(this.getAttribute("since") ?? until)) / 10;
    this.toggleAttribute("urgent", left < Math.max(MINUTE, tenth));
  }
}

/** A `<time>` in the reader's zone and language. `short`: without the time of day for other days.
 * `data-now`: a word for "now", shown for a minute. */
class LocalTime extends HTMLElement {
  connectedCallback() {
    const time = this.querySelector("time");
    const at = new Date(time.dateTime);
    const near = Math.abs(at - now()) < DAY && at.getDate() === new Date(now()).getDate();
    const date = this.hasAttribute("short")
      ? { day: "numeric", month: "short" }
      : { dateStyle: "medium", timeStyle: "short" };
    const style = near ? { timeStyle: "short" } : date;
    const text = new Intl.DateTimeFormat(LOCALE, style).format(at);
    time.textContent = text;
    time.title = EXACT.format(at);
    const age = now() - at;
    if (!this.dataset.now || age > MINUTE) return;
    time.textContent = this.dataset.now;
    setTimeout(() => (time.textContent = text), MINUTE - age);
  }
}

customElements.define("elapsed-time", ElapsedTime);
customElements.define("count-down", CountDown);
customElements.define("local-time", LocalTime);
setInterval(() => {
  for (const each of document.querySelectorAll("elapsed-time, count-down")) each.tick();
}, 1000);
