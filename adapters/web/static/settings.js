/** The dialog of settings: whose, one row a field, each saved by itself and refused in its place. */

import { sentence } from "./api.js";
import { $, clone, fillSelect, keyed, write } from "./view.js";

const SOURCES = {
  default: "default", server: "everybody here", channel: "this page", thread: "this conversation", me: "you",
};
// Only chat platforms have mentions, channels and ranks; here these would change nothing.
const ELSEWHERE = ["answer", "unasked", "allowed", "blocked", "changers"];
const UNSAVED = "This is not saved yet.";

/** Brings the dialog to life; `command(name, arguments)` asks the server. */
export function createSettings(dialog, { command }) {
  const list = $(".fields", dialog);
  const told = $(".told", dialog);
  const scopes = $(".scopes", dialog);
  let scope = "me";
  let warned = false; // that something is not saved

  async function open() {
    await load(scope);
    warned = false;
    dialog.showModal();
    $("input:checked", scopes).focus();
  }

  async function load(wanted) {
    const { panel } = await command("settings", { scope: wanted });
    scope = wanted;
    list.replaceChildren();
    write(told, "");
    show(panel);
    for (const radio of scopes.querySelectorAll("input")) radio.checked = radio.value === scope;
  }

  function show({ fields }) {
    const here = fields.filter(({ key }) => !ELSEWHERE.includes(key));
    keyed(list, here, { key: ({ key }) => key, create, patch });
  }

  function create(field) {
    const row = clone("field");
    const control = controlFor(field);
    control.id = `setting-${field.key}`;
    $(".control", row).prepend(control);
    $("label", row).htmlFor = control.id;
    for (const name of ["about", "source", "refusal"]) $(`.${name}`, row).id = `${control.id}-${name}`;
    control.setAttribute("aria-describedby", ["about", "source", "refusal"].map((name) => `${control.id}-${name}`).join(" "));
    control.addEventListener("input", () => edited(row));
    control.addEventListener("change", () => control.matches("select") && save(row));
    control.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || (control.matches("textarea") && !event.ctrlKey && !event.metaKey)) return;
      event.preventDefault(); // it would close the dialog
      if (!control.matches("select")) save(row);
    });
    $(".save", row).addEventListener("click", () => save(row));
    $(".reset", row).addEventListener("click", () => change(row, { do: "reset" }));
    return row;
  }

  /** Shows what holds, but leaves alone what somebody has typed and not saved. */
  function patch(row, field) {
    const control = controlOf(row);
    const dirty = isDirty(row);
    write($("label", row), field.title);
    write($(".about", row), field.about);
    write($(".source span", row), `from: ${SOURCES[field.source] ?? field.source}`);
    $(".reset", row).hidden = field.source !== scope;
    $(".reset", row).setAttribute("aria-label", `Reset ${field.title}`);
    $(".save", row).setAttribute("aria-label", `Save ${field.title}`);
    if (field.choices.length) fillSelect(control, field.choices.map((choice) => [choice, choice]));
    row.dataset.held = field.value;
    if (!dirty) control.value = field.value;
    edited(row);
  }

  function edited(row) {
    $(".save", row).hidden = controlOf(row).matches("select") || !isDirty(row);
  }

  const save = (row) => change(row, { do: "set", value: controlOf(row).value });

  async function change(row, asked) {
    const control = controlOf(row);
    row.setAttribute("aria-busy", "true");
    try {
      const { text, panel } = await command("settings", { scope, key: row.dataset.key, ...asked });
      row.dataset.held = control.value; // what was typed is not waited for any more
      refuse(row, "");
      warned = false;
      show(panel);
      write(told, text.replaceAll("**", ""));
    } catch (error) {
      if (control.matches("select")) control.value = row.dataset.held;
      refuse(row, sentence(error));
    } finally {
      row.removeAttribute("aria-busy");
    }
  }

  /** Says once that something would be lost; true if so. */
  function holdsBack() {
    const row = [...list.children].find(isDirty);
    if (!row || warned) return false;
    warned = true;
    refuse(row, UNSAVED);
    controlOf(row).focus();
    return true;
  }

  scopes.addEventListener("change", async ({ target }) => {
    if (holdsBack()) {
      $(`input[value=${scope}]`, scopes).checked = true;
      return;
    }
    warned = false;
    try {
      await load(target.value);
    } catch (error) {
      write(told, sentence(error));
    }
  });
  dialog.addEventListener("cancel", (event) => holdsBack() && event.preventDefault());
  $(".close", dialog).addEventListener("click", () => holdsBack() || dialog.close());

  return { open };
}

const controlOf = (row) => $("select, input, textarea", row);
const isDirty = (row) => row.dataset.held !== undefined && controlOf(row).value !== row.dataset.held;

function refuse(row, text) {
  write($(".refusal", row), text);
  if (text) controlOf(row).setAttribute("aria-invalid", "true");
  else controlOf(row).removeAttribute("aria-invalid");
}

function controlFor({ choices, highest, longest }) {
  if (choices.length) return document.createElement("select");
  if (!highest) return Object.assign(document.createElement("textarea"), { rows: 3, maxLength: longest });
  return Object.assign(document.createElement("input"), { type: "number", min: 0, max: highest, step: 1 });
}
