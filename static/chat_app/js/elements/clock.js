// Times as people read them: local, counting up from or down to a time of the server.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
// The page's language, as the reader's country writes it where the browser says which that is.
const LANGUAGE = document.documentElement.lang;
const LOCALE = navigator.languages.find(isOfPage) ?? LANGUAGE;

function isOfPage(tag) {
  try {
    return writing(tag) === writing(LANGUAGE);
  } catch {
    return false; // some browsers name what is no language, such as en-US@posix
  }
}

/** A language with its script: of `zh-tw` and `zh-hans` one cannot read the other. */
function writing(tag) {
  const { language, script } = new Intl.Locale(tag).maximize();
  return `${language}-${script}`;
}

let ahead = 0; // the server's clock minus this one's
const ticking = new Set();

/** Learn the server's time from one of its answers. */
export function learn(serverNow) {
  const difference = Date.parse(serverNow) - Date.now();
  // Latency moves it a little each time; only a clock that is really off matters.
  if (Math.abs(difference - ahead) > 2000) ahead = difference;
}

function now() {
  return Date.now() + ahead;
}

function unit(number, name) {
  const style = { style: "unit", unit: name, unitDisplay: "short" };
  return new Intl.NumberFormat(LOCALE, style).format(number);
}

/** A duration in its two largest units. */
function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return unit(seconds, "second");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) {
    return `${unit(minutes, "minute")} ${unit(seconds % 60, "second")}`;
  }
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${unit(hours, "hour")} ${unit(minutes % 60, "minute")}`;
  return `${unit(Math.floor(hours / 24), "day")} ${unit(hours % 24, "hour")}`;
}

class Ticking extends HTMLElement {
  connectedCallback() {
    ticking.add(this);
    this.tick();
  }

  disconnectedCallback() {
    ticking.delete(this);
  }
}

/** How long it has been since a time. */
class ElapsedTime extends Ticking {
  tick() {
    this.textContent = duration(now() - Date.parse(this.getAttribute("since")));
  }
}

const EXACT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "full", timeStyle: "long" });
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: "always" });
const LARGEST = [
  [2 * DAY, DAY, "day"],
  [2 * HOUR, HOUR, "hour"],
  [MINUTE, MINUTE, "minute"],
];

/** In how long a time comes, in one unit: in seconds only in the last minute. It is urgent then, and
 * in the last tenth of the time since another. */
class CountDown extends Ticking {
  connectedCallback() {
    super.connectedCallback();
    this.parentElement.title = EXACT.format(Date.parse(this.getAttribute("until")));
  }

  tick() {
    const until = Date.parse(this.getAttribute("until"));
    const left = Math.max(0, until - now());
    const [, size, name] = LARGEST.find(([from]) => left >= from) ?? [0, 1000, "second"];
    const text = relative.format(
      size > MINUTE ? Math.round(left / size) : Math.floor(left / size),
      name,
    );
    if (this.textContent !== text) this.textContent = text;
    const tenth = (until - Date.parse(this.getAttribute("since") ?? until)) / 10;
    this.toggleAttribute("urgent", left < Math.max(MINUTE, tenth));
  }
}

/** Around a `<time>` of the server: the same in the reader's zone and language; where it is `short`,
 * of another day the date alone; with a word for now, that for a minute. */
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

/** Have a function called each second. */
export function everySecond(work) {
  ticking.add({ tick: work });
}

customElements.define("elapsed-time", ElapsedTime);
customElements.define("count-down", CountDown);
customElements.define("local-time", LocalTime);
setInterval(() => ticking.forEach((each) => each.tick()), 1000);
