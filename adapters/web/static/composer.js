/** The message box: text, uploads, the name of the user, and the image or region that the message is about. */

import { newId, sentence } from "./api.js";
import { showRegion } from "./region.js";
import { $, clone, keyed, write } from "./render_message.js";

const MAX_IMAGES = 4;
const MAX_BYTES = 20 * 1024 * 1024; // per image
const PLACEHOLDER = "Describe an image, or just chat…";

/**
 * Adds the event listeners of the form. `submit(message)` sends a message and throws if that fails; `notice(sentence)`
 * shows a sentence. `regionEditor` is the dialog for regions. Text and uploads stay in the form until they are sent.
 */
export function createComposer(form, { submit, notice, regionEditor }) {
  const text = $("textarea", form);
  const name = $("[data-testid=name]", form);
  const chip = $(".chip", form);
  const uploads = $(".uploads", form);
  const sendButton = $(".send", form);
  const regionButton = $("[data-testid=mark-region]", form);
  let files = []; // [{ id, file, url }], url for the thumbnail
  let picture = null; // the image that the next message is about
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
      chip.hidden = !picture;
      text.placeholder = PLACEHOLDER;
      if (!picture) return $("img", chip).removeAttribute("src");
      const { number, url } = picture;
      write($(".verb", chip), `${verb === "edit" ? "Editing" : "Replying to"} #${number}`);
      regionButton.hidden = $(".thumbnail", chip).hidden = !url;
      if (url) $("img", chip).src = url;
      text.placeholder = verb === "edit" ? `What should change in #${number}?` : `What about #${number}?`;
      return text.focus();
    },
    addFiles(added) {
      const { accepted, error } = checkFiles([...added], MAX_IMAGES - files.length);
      files.push(...accepted.map((file) => ({ id: newId(), file, url: URL.createObjectURL(file) })));
      if (error) notice(error);
      update();
    },
    say(message) {
      if (text.readOnly) return;
      text.value = message;
      update();
      form.requestSubmit();
    },
    focus: () => text.focus(),
  };

  const isReady = () => text.value.trim() !== "" || files.length > 0;

  function setRegion(marked) {
    draftId = null;
    region = marked;
    regionEditor.close();
    write($(".region-note", chip), region && " (a region)");
    showRegion($("svg", chip), region, picture ?? {});
  }

  function update() {
    draftId = null;
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight}px`;
    sendButton.disabled = !isReady();
    uploads.hidden = files.length === 0;
    keyed(uploads, files, { key: ({ id }) => id, create: () => clone("upload"), patch: patchUpload });
  }

  async function send() {
    if (!isReady() || text.readOnly) return;
    setBusy(true);
    draftId ??= newId();
    try {
      const pictures = await Promise.all(files.map(({ file }) => base64(file)));
      const { author, about } = composer;
      await submit({ id: draftId, author, text: text.value.trim(), about, region: region || undefined, pictures });
      clear();
    } catch (error) {
      notice(error instanceof UnreadableFile ? error.message : sentence(error));
    } finally {
      setBusy(false);
    }
  }

  function setBusy(isBusy) {
    text.readOnly = isBusy;
    form.classList.toggle("busy", isBusy);
  }

  function clear() {
    for (const { url } of files) URL.revokeObjectURL(url);
    files = [];
    text.value = "";
    composer.setAbout(null);
    update();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  text.addEventListener("input", update);
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return; // Enter also confirms text of an input method
    event.preventDefault();
    send();
  });
  text.addEventListener("paste", (event) => {
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
    text.focus();
  });
  regionButton.addEventListener("click", () => {
    regionEditor.open(picture, region, (marked) => {
      setRegion(marked);
      text.focus();
    });
  });
  $("[data-testid=remove-about]", chip).addEventListener("click", () => {
    composer.setAbout(null);
    text.focus();
  });
  name.addEventListener("change", () => {
    name.value = composer.author;
    storeName(name.value);
  });
  name.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // it would send the message
    text.focus();
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
  if (rejected && !images.includes(rejected)) return { accepted, error: `“${rejected.name}” is not an image.` };
  if (rejected?.size === 0) return { accepted, error: `“${rejected.name}” is empty.` };
  if (rejected) return { accepted, error: `“${rejected.name}” is too large: an image may have at most 20 MB.` };
  if (fitting.length > room) return { accepted, error: `A message can contain at most ${MAX_IMAGES} images.` };
  return { accepted, error: null };
}

function patchUpload(item, { file, url }) {
  const image = $("img", item);
  if (image.src !== url) image.src = url;
  image.alt = file.name;
  $("button", item).setAttribute("aria-label", `Remove ${file.name}`);
}

/** A selected file was moved or changed. `message` is a sentence for the user. */
class UnreadableFile extends Error {}

/** Returns the file in base64, without the `data:` prefix. */
function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.onerror = () => reject(new UnreadableFile(`“${file.name}” cannot be read any more. Please add it again.`));
    reader.readAsDataURL(file);
  });
}

/** Returns the stored name, or a guest name. If storage is blocked, the guest name lasts as long as the page. */
function storedName() {
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

function storeName(name) {
  try {
    localStorage.setItem("name", name);
  } catch {
    guest = name;
  }
}
