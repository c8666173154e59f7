// Times as people read them: local, counting up from or down to a time of the server.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

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
  return new Intl.NumberFormat(undefined, {
    style: "unit",
    unit: name,
    unitDisplay: "short",
  }).format(number);
}

/** A duration in its two largest units; in minutes it has no seconds unless `exact`. */
function duration(milliseconds, exact) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return unit(seconds, "second");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) {
    return unit(minutes, "minute") + (exact ? ` ${unit(seconds % 60, "second")}` : "");
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
    this.textContent = duration(now() - Date.parse(this.getAttribute("since")), true);
  }
}

/** How long it is until a time: in minutes, and in seconds only in the last one. */
class CountDown extends Ticking {
  tick() {
    const left = Date.parse(this.getAttribute("until")) - now();
    const text = left > 0 ? `(${duration(left, false)})` : "(0)";
    if (this.textContent !== text) this.textContent = text;
    this.toggleAttribute("urgent", left < MINUTE);
  }
}

/** Around a `<time>` of the server: the same in the reader's zone and language; where it is `short`,
 * of another day the date alone. */
class LocalTime extends HTMLElement {
  connectedCallback() {
    const time = this.querySelector("time");
    const at = new Date(time.dateTime);
    const near = Math.abs(at - now()) < DAY && at.getDate() === new Date(now()).getDate();
    const date = this.hasAttribute("short")
      ? { day: "numeric", month: "short" }
      : { dateStyle: "medium", timeStyle: "short" };
    const style = near ? { timeStyle: "short" } : date;
    time.textContent = new Intl.DateTimeFormat(undefined, style).format(at);
    time.title = new Intl.DateTimeFormat(undefined, {
      dateStyle: "full",
      timeStyle: "long",
    }).format(at);
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
