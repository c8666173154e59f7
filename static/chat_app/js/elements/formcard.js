// Cards that a form answers, or one button for several questions. Loaded with the first of them; until
// then their form is sent by the browser.

import { post as postForm } from "./posting.js";

// What a reader does not see in a field, as `sessions_app/prompts/hidden_characters.py` has it.
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800\u{1D159}]|(?! )\p{Zs}/u;

/** Begin with a card: what was given before a reload comes back, and what changes is marked. */
export function begin(card) {
  // A form that the browser sent comes back with the edits as its defaults: the server has marked them.
  for (const field of card.querySelectorAll(".field[data-changed]")) field.wasChanged = true;
  const kept = card.draft.load();
  if (Array.isArray(kept?.entries) && !isTouched(card)) fill(card, kept.entries);
  card.addEventListener("input", () => keep(card));
  const reset = card.querySelector("[type=reset]");
  reset?.addEventListener("click", () => setTimeout(discard, 0, card)); // once its fields have followed
  keep(card); // what was typed before this was loaded
}

function keep(card) {
  mark(card);
  for (const field of fields(card)) showHidden(field);
  card.draft.save(isTouched(card) ? { entries: entries(card) } : null);
}

/** Have the proposal stand in its table again. */
function discard(card) {
  keep(card);
  card.querySelector(".edit").open = false;
  card.querySelector(".edit summary").focus();
}

/** Whether somebody has begun to answer here. */
export function isTouched(card) {
  return fields(card).some(isChanged);
}

/** What is given, as people read it. */
export function given(card) {
  const changed = fields(card).filter(isChanged);
  return changed.map((field) => `${label(field)}: ${shown(field)}`).join("; ");
}

/** The answer: the pressed button, and the fields. */
export function read(card, submitter) {
  const typed = Object.create(null); // one may be named as what other objects have
  for (const [name, value] of entries(card)) (typed[name] ??= []).push(value);
  return { values: submitter?.name === "value" ? [submitter.value] : [], fields: typed };
}

/** Whether it goes as the form that it is: of several questions, or with files. */
export function isPosted(card) {
  return Boolean(card.querySelector("[data-together], .field [type=file]"));
}

/** Send the form; returns what the socket would say of an answer. */
export async function post(card, submitter) {
  const form = card.querySelector("form");
  const body = new FormData(form);
  // By now it is disabled, and left out.
  if (submitter?.name) body.set(submitter.name, submitter.value);
  const said = await postForm(form, body);
  if (said.outcome) return { type: "ack_message", outcome: said.outcome, content: said };
  return { content: { message: said.error }, details: { errors: said.errors } };
}

/** Say what is wrong at its fields, and return what is said of all of them. */
export function refuse(card, message, errors = {}) {
  const all = card.querySelector(".fields");
  for (const list of all.querySelectorAll(".errorlist")) list.remove();
  for (const control of controls(all)) describe(control, "");
  let isPlaced = false;
  for (const field of all.querySelectorAll("[data-field]")) {
    const problems = errors[field.dataset.field];
    if (!problems) continue;
    const list = listOf(problems);
    list.id = `${card.id}-${field.dataset.field}_error`;
    const own = field.matches(".field") ? controls(field) : [];
    unfold(field);
    (field.querySelector(":scope > [id]:not(small)") ?? field.querySelector(".field")).before(list);
    for (const control of own) describe(control, list.id);
    if (!isPlaced) own[0]?.focus();
    isPlaced = true;
  }
  const whole = errors[""]; // of no field
  if (whole) all.prepend(listOf(whole));
  return isPlaced || whole ? all.dataset.problem : message;
}

/** Have a control be wrong, for the reason that stands in the element of that id; "" for right. */
function describe(control, id) {
  control.dataset.about ??= (control.getAttribute("aria-describedby") ?? "").replace(
    /\S+_error/,
    "",
  );
  const about = `${control.dataset.about} ${id}`.trim();
  if (about) control.setAttribute("aria-describedby", about);
  else control.removeAttribute("aria-describedby");
  if (id) control.setAttribute("aria-invalid", "true");
  else control.removeAttribute("aria-invalid");
}

function fields(card) {
  return [...card.querySelectorAll(".field")];
}

function controls(part) {
  return [...part.querySelectorAll("input, select, textarea")];
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

function isChanged(field) {
  return controls(field).some((control) => {
    if (control.matches("[type=checkbox], [type=radio]")) {
      return control.checked !== control.defaultChecked;
    }
    if (!control.matches("select")) return control.value !== control.defaultValue;
    const options = [...control.options];
    // Where none is chosen by the page, the browser has chosen the first.
    const isChosen = options.some((one) => one.defaultSelected) || control.multiple;
    const before = isChosen ? options.filter((one) => one.defaultSelected) : options.slice(0, 1);
    return options.some((one) => one.selected !== before.includes(one));
  });
}

/** What is changed or wrong stays in sight. */
function unfold(field) {
  const folded = field.closest("details");
  if (folded) folded.open = true;
}

function mark(card) {
  fields(card).filter(isChanged).forEach(unfold);
  for (const field of card.querySelectorAll("[data-proposal] .field:has(> .was)")) {
    field.toggleAttribute("data-changed", Boolean(field.wasChanged) || isChanged(field));
  }
}

/** Have the line below a field show what stands in it, with the codes of what is not seen there. */
function showHidden(field) {
  const line = field.querySelector(":scope > .marked");
  const texts = controls(field).filter((one) => one.matches("textarea, [type=text], [type=url]"));
  if (!line || !texts.length) return;
  const text = texts.map((one) => one.value).join("\n");
  line.hidden = !isHiding(text);
  const quote = "json" in texts[0].dataset ? "" : '"'; // which JSON has itself
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

function span(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

/** Names and values but for files, the names as the form's class has them. */
function entries(card) {
  const data = new FormData(card.querySelector("form"));
  return [...data]
    .filter(([name, value]) => name.startsWith("f-") && typeof value === "string")
    .map(([name, value]) => [name.slice(2), value]);
}

function fill(card, kept) {
  const values = new Map();
  for (const [name, value] of kept) values.set(name, [...(values.get(name) ?? []), value]);
  for (const control of card.querySelectorAll("[name^=f-]")) {
    const own = values.get(control.name.slice(2)) ?? [];
    if (control.matches("[type=checkbox], [type=radio]")) {
      control.checked = own.includes(control.value);
    } else if (control.matches("select")) {
      for (const option of control.options) option.selected = own.includes(option.value);
    } else if (own.length) [control.value] = own;
  }
}

function listOf(problems) {
  const list = document.createElement("ul");
  list.className = "errorlist";
  for (const problem of problems) {
    const item = document.createElement("li");
    item.textContent = problem;
    list.append(item);
  }
  return list;
}
