// Times that a person picks: shown and meant in the time zone of this computer, and sent with its
// offset. Without this module they are in the zone of the site, which the card names.

const MINUTE = 60_000;

/** Show the fields' times, and name their zone, in the zone of this computer. */
export function showZone(card) {
  for (const control of card.querySelectorAll("[type=datetime-local]")) {
    const zone = control.parentElement.querySelector("[data-zone]");
    if (zone) zone.textContent = new Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (control.dataset.at) control.setAttribute("value", localTime(control.dataset.at));
  }
}

/** Return a time as a `datetime-local` field takes it, in the zone of this computer. */
export function localTime(text) {
  const at = new Date(text);
  if (Number.isNaN(at.valueOf())) return text;
  const shifted = new Date(at.valueOf() - at.getTimezoneOffset() * MINUTE);
  return shifted.toISOString().slice(0, 19).replace(/:00$/, "");
}

/** Add the offset of this computer's zone, at the picked times, to the times of a form's data. */
export function addOffsets(form, data) {
  for (const { name, value } of form.querySelectorAll("[type=datetime-local][name]")) {
    if (value) data.set(name, value + offset(new Date(value)));
  }
}

function offset(at) {
  const minutes = -at.getTimezoneOffset();
  const parts = [Math.trunc(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return (minutes < 0 ? "-" : "+") + parts.map((part) => `${part}`.padStart(2, "0")).join(":");
}
