// Cards whose answer is a form, or one button for several questions. Loaded with the first such
// card; until then the browser itself submits the form.

import { controls, isChanged } from "../forms.js";

// Characters that readers cannot see, the same as in `sessions_app/prompts/hidden_characters.py`.
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800\u{1D159}]|(?! )\p{Zs}/u;

document.addEventListener("click", ({ target }) => {
  if (!target.matches("prompt-card [type=reset]")) return;
  setTimeout(discard, 0, target.closest("prompt-card")); // once the fields are reset
});

/** Show the proposal as a table again, without the edits. */
function discard(card) {
  card.dispatchEvent(new Event("input")); // updates the draft and the marks
  card.querySelector(".edit").open = false;
  card.querySelector(".edit summary").focus();
}

/** Return the changed fields of the card as a text for people. */
export function given(card) {
  const changed = fields(card).filter(isTouched);
  return changed.map((field) => `${label(field)}: ${shown(field)}`).join("; ");
}

/** Mark changed fields, and characters that readers cannot see. */
export function mark(card) {
  fields(card).filter(isTouched).forEach(unfold);
  for (const field of card.querySelectorAll("[data-proposal] .field:has(> .was)")) {
    // If the browser submitted the form, the reply has the edits as defaults of the fields.
    field.wasChanged ??= "changed" in field.dataset;
    field.toggleAttribute("data-changed", field.wasChanged || isTouched(field));
  }
  for (const field of fields(card)) showHidden(field);
}

/** Show each error at its field, and return the message for the whole card. */
export function refuse(card, message, errors = {}) {
  const all = card.querySelector(".fields");
  for (const list of all.querySelectorAll(".errorlist")) list.remove();
  for (const control of controls(all)) describe(control, "");
  let isPlaced = false;
  for (const field of all.querySelectorAll("[data-field]")) {
    const name = field.dataset.field; // may be `constructor`, a property of all objects
    const problems = Object.hasOwn(errors, name) && errors[name];
    if (!problems) continue;
    const list = listOf(problems);
    list.id = `${card.id}-${name}_error`;
    const own = field.matches(".field") ? controls(field) : [];
    unfold(field);
    (field.querySelector(":scope > [id]:not(small)") ?? field.querySelector(".field")).before(list);
    for (const control of own) describe(control, list.id);
    if (!isPlaced) own[0]?.focus();
    isPlaced = true;
  }
  const whole = errors[""]; // errors that belong to no field
  if (whole) all.prepend(listOf(whole));
  return isPlaced || whole ? all.dataset.problem : message;
}

/** Mark a control as invalid, for the reason in the element `id`; as valid if `id` is "". */
function describe(control, id) {
  const about = (control.getAttribute("aria-describedby") ?? "").replace(/\S+_error/, "");
  control.setAttribute("aria-describedby", `${about} ${id}`.trim());
  control.ariaInvalid = id ? "true" : null;
}

function fields(card) {
  return [...card.querySelectorAll(".field")];
}

function label(field) {
  return field.querySelector(":is(label, legend) > .name").textContent.trim();
}

function shown(field) {
  const chosen = controls(field).flatMap((control) => {
    if (control.matches("select")) return [...control.selectedOptions].map((one) => one.text);
    if (control.files) return [...control.files].map((file) => file.name);
    if (!control.matches("[type=checkbox], [type=radio]")) return control.value;
    return control.checked ? (control.closest("label")?.textContent.trim() ?? "✓") : [];
  });
  return chosen.join(", ") || "–";
}

function isTouched(field) {
  return controls(field).some(isChanged);
}

/** Unfold the section of a changed or invalid field. */
function unfold(field) {
  const folded = field.closest("details");
  if (folded) folded.open = true;
}

/** Show the text of a field in the line below, with the codes of invisible characters. */
function showHidden(field) {
  const line = field.querySelector(":scope > .marked");
  const texts = controls(field).filter((one) => one.matches("textarea, [type=text], [type=url]"));
  if (!line || !texts.length) return;
  const text = texts.map((one) => one.value).join("\n");
  line.hidden = !isHiding(text);
  const quote = "json" in texts[0].dataset ? "" : '"'; // JSON has its own quotation marks
  const parts = [span("quote", quote), marked(text), span("quote", quote)];
  if (!line.hidden) line.querySelector("span").replaceChildren(...parts);
}

function isHiding(text) {
  return [...text].some(isHidden) || text !== text.replace(/^[ \t]+|[ \t]+$/g, "");
}

function isHidden(character) {
  return character !== "\n" && character !== "\t" && HIDDEN.test(character);
}

function marked(text) {
  const whole = document.createElement("bdi");
  for (const character of text) {
    const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    whole.append(isHidden(character) ? span("hidden-character", `U+${code}`) : character);
  }
  whole.normalize();
  return whole;
}

function span(className, textContent) {
  return Object.assign(document.createElement("span"), { className, textContent });
}

function listOf(problems) {
  const list = Object.assign(document.createElement("ul"), { className: "errorlist" });
  for (const textContent of problems) {
    list.append(Object.assign(document.createElement("li"), { textContent }));
  }
  return list;
}
