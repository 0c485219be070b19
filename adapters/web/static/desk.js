/** What one can ask for besides pictures: settings, the tree, a ZIP, usage, help; from the menu, or typed after a slash. */

import * as api from "./api.js";
import { createSettings } from "./settings.js";
import { createTree } from "./tree.js";
import { $, fillSelect, write } from "./view.js";

const TYPED = /^\/([a-z]+)(?:\s+([^]*))?$/;
const TITLES = {
  usage: "Usage", help: "Help", queue: "The line", cancel: "Cancel", details: "Details", forget: "Forgotten",
};
const BESIDE = ["settings", "tree", "answer", "imagine", "forget"]; // dialogs

/**
 * Brings the toolbar and its dialogs to life.
 *
 * `current()` is the open thread or null, `needed()` opens one where there is none; `author()` is who asks, `title()`
 * what the thread is called. `notice(sentence)` tells the person, `enlarge(picture)` shows one large.
 */
export function createDesk({ current, needed, author, title, notice, enlarge }) {
  const dialog = Object.fromEntries(BESIDE.map((name) => [name, $(`#${name}`)]));
  const menu = $("#more");
  const command = async (name, told = {}) =>
    api.command(await needed(), { id: api.newId(), author: author(), name, arguments: told });
  const settings = createSettings(dialog.settings, { command });
  const tree = createTree(dialog.tree, { load: async () => (current() ? api.lineage(current()) : []), enlarge });
  let wishId = null; // kept after a wish that may have arrived, for the very same wish
  let wished;

  /** Each by its name after the slash; `words` are what stands behind it. */
  const commands = {
    settings: () => settings.open(),
    pictures: openTree,
    export: takeAway,
    imagine: (words) => (words ? wish({ prompt: words }) : openWish()),
    forget: (words) => (words === "settings" ? tell("forget", { what: words }) : askToForget()),
    usage: () => tell("usage"),
    help: () => tell("help"),
    queue: () => tell("queue"),
    cancel: (words) => tell("cancel", { whose: words }),
    details: (words) => tell("details", { picture: words.replace("#", "") }),
  };

  async function tell(name, told) {
    const { html } = await command(name, told);
    showAnswer(TITLES[name], html);
  }

  function showAnswer(heading, html) {
    write($("h2", dialog.answer), heading);
    $(".words", dialog.answer).innerHTML = html; // the server's own rendering of Markdown, raw HTML off
    if (!dialog.answer.open) dialog.answer.showModal();
  }

  // ---- The tree, and all of it to take away

  async function openTree() {
    await tree.open();
    const sheet = $("#sheet");
    sheet.hidden = tree.empty;
    if (!tree.empty) sheet.href = api.sheetAddress(current());
  }

  async function takeAway() {
    const packing = $("#packing");
    packing.hidden = false;
    try {
      const url = URL.createObjectURL(await api.exported(await needed()));
      const link = Object.assign(document.createElement("a"), { href: url, download: `${title()}.zip` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser still reads it
    } finally {
      packing.hidden = true;
    }
  }

  // ---- Pictures in so many words

  const form = $("form.ask", dialog.imagine);
  const refusal = $(".refusal", dialog.imagine);

  async function openWish() {
    const { panel } = await command("settings", { scope: "me" });
    for (const [name, key] of [["ratio", "ratio"], ["model", "picture_model"], ["count", "count"]]) {
      const { choices, value } = panel.fields.find((field) => field.key === key);
      const held = [["", `as set: ${value}`]];
      fillSelect(form.elements[name], [...held, ...choices.filter((each) => each !== "usual").map((each) => [each, each])]);
    }
    write(refusal, "");
    dialog.imagine.showModal();
    form.elements.prompt.focus();
  }

  async function wish(told) {
    const thread = await needed();
    const asked = JSON.stringify([thread, told]);
    if (asked !== wished) wishId = null;
    wished = asked;
    wishId ??= api.newId();
    await api.wish(thread, { id: wishId, author: author(), ...told });
    wishId = null;
  }

  form.addEventListener("input", () => { wishId = null; });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { prompt, ratio, count, model, seed, negative } = Object.fromEntries(new FormData(form));
    const number = (text) => (text.trim() === "" ? null : Number(text));
    const button = $("[type=submit]", form);
    button.disabled = true;
    try {
      await wish({ prompt, ratio, model, negative, count: number(count), seed: number(seed) });
      form.reset();
      dialog.imagine.close();
    } catch (error) {
      write(refusal, api.sentence(error));
    } finally {
      button.disabled = false;
    }
  });

  // ---- Forgetting

  function askToForget() {
    write($(".refusal", dialog.forget), "");
    dialog.forget.showModal();
  }

  $("#forget-it").addEventListener("click", async ({ currentTarget }) => {
    currentTarget.disabled = true;
    try {
      const { html } = await command("forget", { what: "thread" });
      dialog.forget.close();
      showAnswer("Forgotten", html);
    } catch (error) {
      write($(".refusal", dialog.forget), api.sentence(error));
    } finally {
      currentTarget.disabled = false;
    }
  });

  // ---- What a click does

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
  for (const name of ["answer", "tree", "forget"]) {
    dialog[name].addEventListener("click", ({ target }) => {
      if (target === dialog[name]) dialog[name].close(); // beside it
    });
  }

  return {
    /** Does what a typed command says; false where the words are none. Throws what the server refuses. */
    async typed(text) {
      const [, name, words = ""] = TYPED.exec(text) ?? [];
      if (!Object.hasOwn(commands, name ?? "")) return false;
      await commands[name](words.trim());
      return true;
    },
    /** The pictures of the thread are not the same any more. */
    changed: () => tree.changed(),
    /** Something is there to look at, or nothing. */
    setEmpty(empty) {
      for (const name of ["pictures", "export", "forget"]) {
        for (const button of document.querySelectorAll(`[data-command=${name}]`)) button.disabled = empty;
      }
    },
    /** Another thread is opened. */
    close() {
      for (const each of Object.values(dialog)) each.close();
      menu.hidePopover();
    },
    get open() {
      return Object.values(dialog).some((each) => each.open) || menu.matches(":popover-open");
    },
  };
}
