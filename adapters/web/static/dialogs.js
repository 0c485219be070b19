/** The toolbar, the menu and their dialogs: settings, version history, export, usage, help. Runs typed slash commands too. */

import * as api from "./api.js";
import { choiceName, createSettings, DEFAULTS } from "./settings.js";
import { createLineage } from "./lineage.js";
import { text as localized } from "./messages.js";
import { $, fillSelect, write } from "./render_message.js";

const TYPED = /^\/([a-z]+)(?:\s+([^]*))?$/;
const TITLES = {
  usage: "web-usage", help: "web-help", queue: "web-queue", cancel: "web-cancel", details: "web-details", forget: "web-deleted",
};
const DIALOGS = ["settings", "lineage", "answer", "imagine", "forget"]; // ids

/**
 * Adds the event listeners of the toolbar and the dialogs.
 *
 * `current()` returns the open thread or null, `ensureThread()` opens a new one if there is none. `author()` and
 * `title()` return the name of the user and of the thread. `notice(sentence)` shows a sentence, `enlarge(picture)` an
 * image in full size, `onLanguage()` is called after a change of the setting `language`.
 */
export function createDialogs({ current, ensureThread, author, title, notice, enlarge, onLanguage }) {
  const dialog = Object.fromEntries(DIALOGS.map((name) => [name, $(`#${name}`)]));
  const menu = $("#more");
  const command = async (name, values = {}) =>
    api.command(await ensureThread(), { id: api.newId(), author: author(), name, arguments: values });
  const settings = createSettings(dialog.settings, { command, onLanguage });
  const lineage = createLineage(dialog.lineage, {
    load: async () => (current() ? api.lineage(current(), author()) : []), enlarge,
  });
  let imagineId = null; // kept after a failed request, because the request may have arrived
  let lastImagine; // the request with this id, as JSON

  /** The functions of the commands by name; `text` is the text after the name. */
  const commands = {
    settings: () => settings.open(),
    pictures: openLineage,
    export: downloadExport,
    imagine: (text) => (text ? imagine({ prompt: text }) : openImagine()),
    forget: (text) => (text === "settings" ? runCommand("forget", { what: text }) : confirmDelete()),
    usage: () => runCommand("usage"),
    help: () => runCommand("help"),
    queue: () => runCommand("queue"),
    cancel: (text) => runCommand("cancel", { whose: text }),
    details: (text) => runCommand("details", { picture: text.replace("#", "") }),
  };

  async function runCommand(name, values) {
    const { html } = await command(name, values);
    showAnswer(localized(TITLES[name]), html);
  }

  function showAnswer(heading, html) {
    write($("h2", dialog.answer), heading);
    $(".words", dialog.answer).innerHTML = html; // the server renders the Markdown, without raw HTML
    if (!dialog.answer.open) dialog.answer.showModal();
  }

  // ---- Version history and export

  async function openLineage() {
    await lineage.open();
    const sheet = $("#sheet");
    sheet.hidden = lineage.isEmpty;
    if (!lineage.isEmpty) sheet.href = api.sheetAddress(current());
  }

  async function downloadExport() {
    const preparing = $("#preparing");
    preparing.hidden = false;
    try {
      const url = URL.createObjectURL(await api.loadExport(await ensureThread()));
      const link = Object.assign(document.createElement("a"), { href: url, download: `${title()}.zip` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser still reads the file
    } finally {
      preparing.hidden = true;
    }
  }

  // ---- Images without the chat model

  const form = $("form.ask", dialog.imagine);
  const refusal = $(".refusal", dialog.imagine);

  async function openImagine() {
    const { panel } = await command("settings", { scope: "me" });
    for (const [name, key] of [["aspect_ratio", "aspect_ratio"], ["model", "image_model"], ["count", "images_per_request"]]) {
      const setting = panel.fields.find((field) => field.key === key);
      const choices = setting.choices.filter((choice) => !DEFAULTS.includes(choice));
      const options = choices.map((choice) => [choice, choiceName(setting, choice)]);
      const asSet = localized("web-as-set", { value: choiceName(setting, setting.value) });
      fillSelect(form.elements[name], [["", asSet], ...options]);
    }
    write(refusal, "");
    dialog.imagine.showModal();
    form.elements.prompt.focus();
  }

  async function imagine(request) {
    const thread = await ensureThread();
    const asJson = JSON.stringify([thread, request]);
    if (asJson !== lastImagine) imagineId = null;
    lastImagine = asJson;
    imagineId ??= api.newId();
    await api.imagine(thread, { id: imagineId, author: author(), ...request });
    imagineId = null;
  }

  form.addEventListener("input", () => { imagineId = null; });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { count, seed, ...values } = Object.fromEntries(new FormData(form));
    const number = (text) => (text.trim() === "" ? null : Number(text));
    const button = $("[type=submit]", form);
    button.disabled = true;
    try {
      await imagine({ ...values, count: number(count), seed: number(seed) });
      form.reset();
      dialog.imagine.close();
    } catch (error) {
      write(refusal, api.sentence(error));
    } finally {
      button.disabled = false;
    }
  });

  // ---- Deleting the conversation

  function confirmDelete() {
    write($(".refusal", dialog.forget), "");
    dialog.forget.showModal();
  }

  $("#confirm-forget").addEventListener("click", async ({ currentTarget }) => {
    currentTarget.disabled = true;
    try {
      const { html } = await command("forget", { what: "thread" });
      dialog.forget.close();
      showAnswer(localized(TITLES.forget), html);
    } catch (error) {
      write($(".refusal", dialog.forget), api.sentence(error));
    } finally {
      currentTarget.disabled = false;
    }
  });

  // ---- Events

  async function run(name) {
    try {
      await commands[name]("");
    } catch (error) {
      notice(api.sentence(error));
    }
  }

  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-command]");
    if (!button) return;
    menu.hidePopover();
    run(button.dataset.command);
  });
  menu.addEventListener("toggle", ({ newState }) => {
    $("#open-more").setAttribute("aria-expanded", String(newState === "open"));
    if (newState === "open") $("button:enabled", menu).focus();
  });
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const items = [...menu.querySelectorAll("button:enabled")];
    items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
  });
  for (const name of ["answer", "lineage", "forget"]) {
    dialog[name].addEventListener("click", ({ target }) => {
      if (target === dialog[name]) dialog[name].close(); // a click outside
    });
  }

  return {
    /** Runs a typed command; returns false if the text is none. Throws if the server refuses. */
    async runTyped(message) {
      const [, name, text = ""] = TYPED.exec(message) ?? [];
      if (!Object.hasOwn(commands, name ?? "")) return false;
      await commands[name](text.trim());
      return true;
    },
    /** Reloads the version history if it is open. */
    refresh: () => lineage.refresh(),
    /** Disables the commands that need a message in the thread. */
    setEmpty(isEmpty) {
      for (const name of ["pictures", "export", "forget"]) {
        for (const button of document.querySelectorAll(`[data-command=${name}]`)) button.disabled = isEmpty;
      }
    },
    /** Closes all dialogs and the menu. */
    close() {
      for (const each of Object.values(dialog)) each.close();
      menu.hidePopover();
    },
    get isOpen() {
      return Object.values(dialog).some((each) => each.open) || menu.matches(":popover-open");
    },
  };
}
