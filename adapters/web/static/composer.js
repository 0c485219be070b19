/** The box one writes in: words, pictures, whom one is, and which picture, or part of one, it is about. */

import { newId, sentence } from "./api.js";
import { showPart } from "./part.js";
import { $, clone, keyed, write } from "./view.js";

const MOST_PICTURES = 4;
const MOST_BYTES = 20 * 1024 * 1024; // of one picture
const PLACEHOLDER = "Describe a picture, or just chat…";

/**
 * Brings the form to life. `submit(message)` sends it and throws where it cannot; `notice(sentence)` tells the person.
 * `mark` is the dialog in which a part is marked. Words and pictures stay in the box until they have arrived.
 */
export function createComposer(form, { submit, notice, mark }) {
  const words = $("textarea", form);
  const name = $("[data-testid=name]", form);
  const chip = $(".chip", form);
  const uploads = $(".uploads", form);
  const sendButton = $(".send", form);
  const markButton = $("[data-testid=mark]", form);
  let files = []; // [{ id, file, url }], url for the thumbnail
  let picture = null; // the one that the next message is about
  let part = ""; // of it
  let draftId = null; // kept after a send that may have arrived, so that sending again is the same message

  const composer = {
    get author() {
      return name.value.trim() || remembered();
    },
    get about() {
      return picture?.number ?? null;
    },
    /** Sets which picture the next message is about, null for none; `verb` is "reply" or "edit". */
    setAbout(chosen, verb = "reply") {
      if (chosen?.number !== picture?.number) setPart("");
      picture = chosen;
      chip.hidden = !picture;
      words.placeholder = PLACEHOLDER;
      if (!picture) return $("img", chip).removeAttribute("src");
      const { number, url } = picture;
      write($(".verb", chip), `${verb === "edit" ? "Editing" : "Replying to"} #${number}`);
      markButton.hidden = $(".thumbnail", chip).hidden = !url;
      if (url) $("img", chip).src = url;
      words.placeholder = verb === "edit" ? `What should change in #${number}?` : `What about #${number}?`;
      return words.focus();
    },
    addFiles(added) {
      const { accepted, complaint } = sift([...added], MOST_PICTURES - files.length);
      files.push(...accepted.map((file) => ({ id: newId(), file, url: URL.createObjectURL(file) })));
      if (complaint) notice(complaint);
      changed();
    },
    say(text) {
      if (words.readOnly) return;
      words.value = text;
      changed();
      form.requestSubmit();
    },
    focus: () => words.focus(),
  };

  const ready = () => words.value.trim() !== "" || files.length > 0;

  function setPart(marked) {
    draftId = null;
    part = marked;
    mark.close();
    write($(".partly", chip), part && ", a part of it");
    showPart($("svg", chip), part, picture ?? {});
  }

  function changed() {
    draftId = null;
    words.style.height = "auto";
    words.style.height = `${words.scrollHeight}px`;
    sendButton.disabled = !ready();
    uploads.hidden = files.length === 0;
    keyed(uploads, files, { key: ({ id }) => id, create: () => clone("upload"), patch: patchUpload });
  }

  async function send() {
    if (!ready() || words.readOnly) return;
    busy(true);
    draftId ??= newId();
    try {
      const pictures = await Promise.all(files.map(({ file }) => base64(file)));
      const { author, about } = composer;
      await submit({ id: draftId, author, text: words.value.trim(), about, part: part || undefined, pictures });
      clear();
    } catch (error) {
      notice(error instanceof Unreadable ? error.message : sentence(error));
    } finally {
      busy(false);
    }
  }

  function busy(yes) {
    words.readOnly = yes;
    form.classList.toggle("busy", yes);
  }

  function clear() {
    for (const { url } of files) URL.revokeObjectURL(url);
    files = [];
    words.value = "";
    composer.setAbout(null);
    changed();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  words.addEventListener("input", changed);
  words.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return; // Enter also ends an input method's word
    event.preventDefault();
    send();
  });
  words.addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    composer.addFiles(event.clipboardData.files);
  });
  $("[data-testid=file]", form).addEventListener("change", ({ target }) => {
    composer.addFiles(target.files);
    target.value = ""; // so that the same file may be picked again
  });
  uploads.addEventListener("click", ({ target }) => {
    const item = target.closest("button")?.closest("li");
    if (!item) return;
    URL.revokeObjectURL(files.find(({ id }) => id === item.dataset.key).url);
    files = files.filter(({ id }) => id !== item.dataset.key);
    changed();
    words.focus();
  });
  markButton.addEventListener("click", () => {
    mark.ask(picture, part, (marked) => {
      setPart(marked);
      words.focus();
    });
  });
  $("[data-testid=unmark]", chip).addEventListener("click", () => {
    composer.setAbout(null);
    words.focus();
  });
  name.addEventListener("change", () => {
    name.value = composer.author;
    remember(name.value);
  });
  name.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // it would send the message
    words.focus();
  });

  name.value = remembered();
  composer.setAbout(null);
  changed();
  return composer;
}

/** Splits what was added into pictures that may come along and a sentence about those that may not. */
function sift(added, room) {
  const pictures = added.filter((file) => file.type.startsWith("image/"));
  const fitting = pictures.filter((file) => file.size > 0 && file.size <= MOST_BYTES);
  const left = added.find((file) => !fitting.includes(file));
  const accepted = fitting.slice(0, room);
  if (left && !pictures.includes(left)) return { accepted, complaint: `“${left.name}” is not a picture.` };
  if (left?.size === 0) return { accepted, complaint: `“${left.name}” is empty.` };
  if (left) return { accepted, complaint: `“${left.name}” is too large: a picture may have at most 20 MB.` };
  if (fitting.length > room) return { accepted, complaint: `One message can carry at most ${MOST_PICTURES} pictures.` };
  return { accepted, complaint: null };
}

function patchUpload(item, { file, url }) {
  const image = $("img", item);
  if (image.src !== url) image.src = url;
  image.alt = file.name;
  $("button", item).setAttribute("aria-label", `Remove ${file.name}`);
}

/** A picked file has gone away or changed since; the message is for the person. */
class Unreadable extends Error {}

/** The file's bytes in base64, without the `data:` prefix. */
function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.onerror = () => reject(new Unreadable(`“${file.name}” cannot be read any more. Please add it again.`));
    reader.readAsDataURL(file);
  });
}

/** The name of last time, or a guest's. Storage may be forbidden; then the guest's name lasts as long as the page. */
function remembered() {
  guest ??= `Guest-${100 + Math.floor(Math.random() * 900)}`;
  try {
    const name = localStorage.getItem("name") ?? guest;
    localStorage.setItem("name", name);
    return name;
  } catch {
    return guest;
  }
}

let guest;

function remember(name) {
  try {
    localStorage.setItem("name", name);
  } catch {
    guest = name;
  }
}
