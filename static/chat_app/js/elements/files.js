// The files of an unsent message: each is uploaded at once, and the message names the files by id.
// Loaded at the first focus, key or drag on a page that takes files.

import { failure } from "../forms.js";
import { person } from "../person.js";
import { announce, icon, say } from "../words.js";

const LONGEST_NAME = 200; // characters of a file's name that are sent
const form = document.getElementById("composer");
const list = document.getElementById("files");
const problem = document.getElementById("composer-error");
const chooser = form.querySelector("[data-upload]");
const ITEM = `<input type="hidden" name="file_ids" disabled><span class="name" dir="auto"></span>
  <span class="how small"></span><button type="button" class="quiet tool" data-remove>
  ${icon("close")}</button>`;

document.getElementById("written").disabled = false;
chooser.addEventListener("change", choose);
choose(); // a file may have been chosen before this module was loaded

for (const name of ["dragover", "dragleave", "drop"]) {
  addEventListener(name, ({ dataTransfer: { types } }) => {
    const isOver = name === "dragover" && types.includes("Files") && !chooser.closest("[hidden]");
    form.toggleAttribute("data-over", isOver);
  });
}

list.addEventListener("click", (event) => {
  const item = event.target.closest("[data-remove]")?.closest("li");
  if (!item) return;
  item.upload?.abort();
  item.remove();
  document.getElementById("text").focus({ preventScroll: true });
  form.dispatchEvent(new Event("attached"));
});

function choose() {
  attach([...chooser.files]);
  chooser.value = "";
}

/** Upload files, and show the progress of each. */
export function attach(files) {
  if (files.length) problem.textContent = "";
  for (const file of files) send(file, add(file.name, file.size));
}

/** Show files that were uploaded before the page was loaded. */
export function show(files) {
  for (const { id, name, size } of files) keep(add(name, size), { id, name, size });
}

/** Wait until all uploads have ended. */
export function uploaded() {
  return Promise.all(Array.from(list.children, (item) => item.sent));
}

function add(name, size) {
  const item = document.createElement("li");
  item.innerHTML = ITEM;
  item.querySelector(".name").textContent = name;
  item.querySelector(".how").textContent = sizeOf(size);
  item.querySelector("[data-remove]").setAttribute("aria-label", say("remove", { name }));
  list.append(item);
  return item;
}

/** Upload by `XMLHttpRequest`, which reports progress. `sent` resolves even if the upload fails. */
function send(file, item) {
  const body = new FormData();
  body.append("csrfmiddlewaretoken", form.querySelector("[name=csrfmiddlewaretoken]").value);
  body.append("chat_for", person);
  // Of a long name the end, which has the file's type: servers refuse parts with a long head.
  body.append("file", file, file.name.slice(-LONGEST_NAME) || "file");
  const request = new XMLHttpRequest();
  item.upload = request;
  item.dataset.percent = 0;
  request.upload.onprogress = ({ loaded, total }) => {
    item.dataset.percent = Math.floor((100 * loaded) / total);
    item.querySelector(".how").textContent = say("uploading", item.dataset);
  };
  item.sent = new Promise((resolve) => (request.onloadend = resolve)).then(() =>
    finish(request, item, file),
  );
  request.open("POST", chooser.dataset.upload);
  request.responseType = "json";
  request.setRequestHeader("Accept", "application/json");
  request.send(body);
}

function finish(request, item, file) {
  delete item.dataset.percent;
  if (!item.isConnected) return; // the person has removed the file
  const { response: answer, status } = request; // null for HTML, from the sign-in page or a proxy
  if (status === 201) {
    keep(item, answer);
    announce(say("attached", answer));
    form.dispatchEvent(new Event("attached"));
    return;
  }
  item.remove();
  const unsaid = status ? failure(status) : say("uploadFailed", { name: file.name });
  const reason = answer?.error ?? unsaid;
  problem.textContent = say("notAttached", { reason });
}

function keep(item, { id, name, size }) {
  const input = item.querySelector("input");
  Object.assign(input.dataset, { name, size });
  input.value = id;
  input.disabled = false;
  item.querySelector(".name").textContent = name;
  item.querySelector(".how").textContent = sizeOf(size);
}

function sizeOf(bytes) {
  const units = ["byte", "kilobyte", "megabyte"];
  const at = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const format = {
    style: "unit",
    unit: units[at],
    unitDisplay: at ? "short" : "long",
    maximumFractionDigits: at && 1,
  };
  return new Intl.NumberFormat(document.documentElement.lang, format).format(bytes / 1024 ** at);
}
