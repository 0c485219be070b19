/** The message box: text, uploads, the name of the user, and the image or region that the message is about. */

import { newId, sentence } from "./api.js";
import { text } from "./messages.js";
import { showRegion } from "./region.js";
import { $, clone, keyed, write } from "./render_message.js";
import { storedName, storeName } from "./user_name.js";

const MAX_IMAGES = 4;
const MAX_BYTES = 20 * 1024 * 1024; // per image

/**
 * Adds the event listeners of the form. `submit(message)` sends a message and throws if that fails; `notice(sentence)`
 * shows a sentence. `regionEditor` is the dialog for regions, and `onName()` is called after a change of the name. Text
 * and uploads stay in the form until they are sent.
 */
export function createComposer(form, { submit, notice, regionEditor, onName }) {
  const box = $("textarea", form);
  const name = $("[data-testid=name]", form);
  const chip = $(".chip", form);
  const uploads = $(".uploads", form);
  const sendButton = $(".send", form);
  const regionButton = $("[data-testid=mark-region]", form);
  let files = []; // [{ id, file, url }], url for the thumbnail
  let picture = null; // the image that the next message is about
  let aim = "reply"; // or "edit": the purpose of the next message
  let region = ""; // of this image
  let draftId = null; // kept after a failed send, because the message may have arrived

  const composer = {
    get author() {
      return name.value.trim() || storedName();
    },
    get about() {
      return picture?.number ?? null;
    },
    /** Sets the image that the next message is about, or null; `verb` is "reply" or "edit". */
    setAbout(chosen, verb = "reply") {
      if (chosen?.number !== picture?.number) setRegion("");
      picture = chosen;
      aim = verb;
      chip.hidden = !picture;
      composer.localize();
      if (!picture) return $("img", chip).removeAttribute("src");
      regionButton.hidden = $(".thumbnail", chip).hidden = !picture.url;
      if (picture.url) $("img", chip).src = picture.url;
      return box.focus();
    },
    /** Shows the texts of the form in the current language. */
    localize() {
      const { number } = picture ?? {};
      const question = aim === "edit" ? "web-what-should-change" : "web-what-about";
      box.placeholder = picture ? text(question, { number }) : text("web-placeholder");
      write($(".verb", chip), picture ? text(aim === "edit" ? "web-editing" : "web-replying-to", { number }) : "");
      write($(".region-note", chip), region && ` ${text("web-a-region")}`);
      for (const item of uploads.children) nameRemoval(item);
    },
    addFiles(added) {
      const { accepted, error } = checkFiles([...added], MAX_IMAGES - files.length);
      files.push(...accepted.map((file) => ({ id: newId(), file, url: URL.createObjectURL(file) })));
      if (error) notice(error);
      update();
    },
    say(message) {
      if (box.readOnly) return;
      box.value = message;
      update();
      form.requestSubmit();
    },
    focus: () => box.focus(),
  };

  const isReady = () => box.value.trim() !== "" || files.length > 0;

  function setRegion(marked) {
    draftId = null;
    region = marked;
    regionEditor.close();
    composer.localize();
    showRegion($("svg", chip), region, picture ?? {});
  }

  function update() {
    draftId = null;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
    sendButton.disabled = !isReady();
    uploads.hidden = files.length === 0;
    keyed(uploads, files, { key: ({ id }) => id, create: () => clone("upload"), patch: patchUpload });
  }

  async function send() {
    if (!isReady() || box.readOnly) return;
    setBusy(true);
    draftId ??= newId();
    try {
      const pictures = await Promise.all(files.map(({ file }) => base64(file)));
      const { author, about } = composer;
      await submit({ id: draftId, author, text: box.value.trim(), about, region: region || undefined, pictures });
      clear();
    } catch (error) {
      notice(error instanceof UnreadableFile ? error.message : sentence(error));
    } finally {
      setBusy(false);
    }
  }

  function setBusy(isBusy) {
    box.readOnly = isBusy;
    form.classList.toggle("busy", isBusy);
  }

  function clear() {
    for (const { url } of files) URL.revokeObjectURL(url);
    files = [];
    box.value = "";
    composer.setAbout(null);
    update();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  box.addEventListener("input", update);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return; // Enter also confirms text of an input method
    event.preventDefault();
    send();
  });
  box.addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    composer.addFiles(event.clipboardData.files);
  });
  $("[data-testid=file]", form).addEventListener("change", ({ target }) => {
    composer.addFiles(target.files);
    target.value = ""; // so that the same file can be selected again
  });
  uploads.addEventListener("click", ({ target }) => {
    const item = target.closest("button")?.closest("li");
    if (!item) return;
    URL.revokeObjectURL(files.find(({ id }) => id === item.dataset.key).url);
    files = files.filter(({ id }) => id !== item.dataset.key);
    update();
    box.focus();
  });
  regionButton.addEventListener("click", () => {
    regionEditor.open(picture, region, (marked) => {
      setRegion(marked);
      box.focus();
    });
  });
  $("[data-testid=remove-about]", chip).addEventListener("click", () => {
    composer.setAbout(null);
    box.focus();
  });
  name.addEventListener("change", () => {
    name.value = composer.author;
    storeName(name.value);
    onName();
  });
  name.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // it would send the message
    box.focus();
  });

  name.value = storedName();
  composer.setAbout(null);
  update();
  return composer;
}

/** Returns the files that are accepted, and a sentence about the first file that is not. */
function checkFiles(added, room) {
  const images = added.filter((file) => file.type.startsWith("image/"));
  const fitting = images.filter((file) => file.size > 0 && file.size <= MAX_BYTES);
  const rejected = added.find((file) => !fitting.includes(file));
  const accepted = fitting.slice(0, room);
  if (rejected && !images.includes(rejected)) return { accepted, error: text("web-not-an-image", rejected) };
  if (rejected?.size === 0) return { accepted, error: text("web-file-empty", rejected) };
  if (rejected) return { accepted, error: text("web-file-too-large", rejected) };
  if (fitting.length > room) return { accepted, error: text("web-too-many-files", { maximum: MAX_IMAGES }) };
  return { accepted, error: null };
}

function patchUpload(item, { file, url }) {
  const image = $("img", item);
  if (image.src !== url) image.src = url;
  image.alt = file.name;
  nameRemoval(item);
}

/** Sets the label of the button that removes an upload. */
function nameRemoval(item) {
  $("button", item).setAttribute("aria-label", text("web-remove-file", { name: $("img", item).alt }));
}

/** A selected file was moved or changed. `message` is a sentence for the user. */
class UnreadableFile extends Error {}

/** Returns the file in base64, without the `data:` prefix. */
function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.onerror = () => reject(new UnreadableFile(text("web-file-unreadable", file)));
    reader.readAsDataURL(file);
  });
}
