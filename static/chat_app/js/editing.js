// An earlier message in the message field, to be sent as another version. Loaded when it is wanted.

const field = document.getElementById("text");
const { replaces } = document.getElementById("composer").elements;

/** Begin with the message that a link stands below, or end with the link that cancels. */
export function change(composer, link) {
  const run = link.dataset.edit;
  if (run) {
    const text = link.closest(".item").querySelector(".bubble").textContent;
    composer.fill(text, run, replaces.value ? composer.rest : field.value);
  } else {
    history.replaceState(null, "", link.href); // a reload does not begin again
    composer.fill();
  }
  composer.keep();
  field.focus();
}
