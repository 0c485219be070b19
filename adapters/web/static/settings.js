/** The settings dialog: a scope, and one row per setting that is saved by itself and shows its own errors. */

import { sentence } from "./api.js";
import { text } from "./messages.js";
import { $, clone, fillSelect, keyed, write } from "./render_message.js";

const SOURCES = {
  default: "web-source-default", server: "web-source-server", channel: "web-source-channel",
  thread: "web-source-thread", me: "web-source-me",
};
// Settings of chat platforms: they have no effect here.
const HIDDEN = ["reply_in", "reply_mode", "allowed", "blocked", "who_can_edit_settings"];

export const DEFAULTS = ["default"]; // the values that choose the default

/** Returns the name of a choice that users see. */
export const choiceName = ({ choices, choice_names }, choice) => choice_names[choices.indexOf(choice)] ?? choice;

/**
 * Adds the event listeners of the dialog. `command(name, arguments)` sends a command to the server, `onLanguage()` is
 * called after a change of the setting `language`.
 */
export function createSettings(dialog, { command, onLanguage }) {
  const list = $(".fields", dialog);
  const result = $(".result", dialog);
  const scopes = $(".scopes", dialog);
  let scope = "me";
  let wasWarned = false; // about an unsaved value

  async function open() {
    await load(scope);
    wasWarned = false;
    dialog.showModal();
    $("input:checked", scopes).focus();
  }

  async function load(selected) {
    const { panel } = await command("settings", { scope: selected });
    scope = selected;
    list.replaceChildren();
    write(result, "");
    show(panel);
    for (const radio of scopes.querySelectorAll("input")) radio.checked = radio.value === scope;
  }

  function show({ fields }) {
    const visible = fields.filter(({ key }) => !HIDDEN.includes(key));
    keyed(list, visible, { key: ({ key }) => key, create, patch });
  }

  function create(field) {
    const row = clone("field");
    const control = createControl(field);
    control.id = `setting-${field.key}`;
    $(".control", row).prepend(control);
    $("label", row).htmlFor = control.id;
    for (const name of ["about", "source", "refusal"]) $(`.${name}`, row).id = `${control.id}-${name}`;
    control.setAttribute("aria-describedby", ["about", "source", "refusal"].map((name) => `${control.id}-${name}`).join(" "));
    control.addEventListener("input", () => showSave(row));
    control.addEventListener("change", () => control.matches("select") && save(row));
    control.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || (control.matches("textarea") && !event.ctrlKey && !event.metaKey)) return;
      event.preventDefault(); // Enter would close the dialog
      if (!control.matches("select")) save(row);
    });
    $(".save", row).addEventListener("click", () => save(row));
    $(".reset", row).addEventListener("click", () => change(row, { do: "reset" }));
    return row;
  }

  /** Shows the current value, but keeps a value that is not saved yet. */
  function patch(row, field) {
    const control = controlOf(row);
    const keepInput = isDirty(row);
    write($("label", row), field.title);
    write($(".about", row), field.description);
    write($(".source span", row), SOURCES[field.source] ? text(SOURCES[field.source]) : field.source);
    $(".reset", row).hidden = field.source !== scope;
    $(".reset", row).setAttribute("aria-label", text("web-reset-setting", field));
    $(".save", row).setAttribute("aria-label", text("web-save-setting", field));
    if (field.choices.length) fillSelect(control, field.choices.map((choice) => [choice, choiceName(field, choice)]));
    row.dataset.saved = field.value;
    if (!keepInput) control.value = field.value;
    showSave(row);
  }

  function showSave(row) {
    $(".save", row).hidden = controlOf(row).matches("select") || !isDirty(row);
  }

  const save = (row) => change(row, { do: "set", value: controlOf(row).value });

  async function change(row, values) {
    const control = controlOf(row);
    row.setAttribute("aria-busy", "true");
    try {
      const { text: answer, panel } = await command("settings", { scope, key: row.dataset.key, ...values });
      row.dataset.saved = control.value; // the input is saved now
      showError(row, "");
      wasWarned = false;
      if (row.dataset.key === "language") await onLanguage();
      show(panel);
      write(result, answer.replaceAll("**", ""));
    } catch (error) {
      if (control.matches("select")) control.value = row.dataset.saved;
      showError(row, sentence(error));
    } finally {
      row.removeAttribute("aria-busy");
    }
  }

  /** Warns once about an unsaved value; returns whether it did. */
  function warnUnsaved() {
    const row = [...list.children].find(isDirty);
    if (!row || wasWarned) return false;
    wasWarned = true;
    showError(row, text("web-unsaved"));
    controlOf(row).focus();
    return true;
  }

  scopes.addEventListener("change", async ({ target }) => {
    if (warnUnsaved()) {
      $(`input[value=${scope}]`, scopes).checked = true;
      return;
    }
    wasWarned = false;
    try {
      await load(target.value);
    } catch (error) {
      write(result, sentence(error));
    }
  });
  dialog.addEventListener("cancel", (event) => warnUnsaved() && event.preventDefault());
  $(".close", dialog).addEventListener("click", () => warnUnsaved() || dialog.close());

  return { open };
}

const controlOf = (row) => $("select, input, textarea", row);
const isDirty = (row) => row.dataset.saved !== undefined && controlOf(row).value !== row.dataset.saved;

function showError(row, text) {
  write($(".refusal", row), text);
  if (text) controlOf(row).setAttribute("aria-invalid", "true");
  else controlOf(row).removeAttribute("aria-invalid");
}

function createControl({ choices, maximum, max_length }) {
  if (choices.length) return document.createElement("select");
  if (!maximum) return Object.assign(document.createElement("textarea"), { rows: 3, maxLength: max_length });
  return Object.assign(document.createElement("input"), { type: "number", min: 0, max: maximum, step: 1 });
}
