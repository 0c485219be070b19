/** The texts of the page in the language of the user, from the message catalogs of the server, and formats of numbers. */

const RETRY_DELAY = 2000; // milliseconds
const ATTRIBUTES = { textTitle: "title", textLabel: "aria-label", textPlaceholder: "placeholder" };

let language = "en";
let texts = {};

/** Loads the texts for a user, tries again until the server answers, and fills the elements of the page. */
export async function loadTexts(author) {
  for (;;) {
    try {
      const response = await fetch(`/api/messages?author=${encodeURIComponent(author)}`);
      if (response.ok) {
        ({ language, texts } = await response.json());
        document.documentElement.lang = language;
        fill(document);
        return;
      }
    } catch {
      // no connection
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
  }
}

/**
 * Returns the text with this id. `{name}` is an argument: a number is formatted, unless it is `{name:id}`. The plural
 * form depends on the argument `count`. The text is empty before the texts are loaded.
 */
export function text(id, values = {}) {
  const found = texts[id] ?? "";
  const template = typeof found === "string" ? found : pluralForm(found, values.count);
  return template.replace(/\{(\w+)(:id)?\}/g, (gap, name, isId) => {
    const value = values[name] ?? gap;
    return typeof value === "number" && !isId ? formatNumber(value) : String(value);
  });
}

const pluralForm = (forms, count) => forms[new Intl.PluralRules(language).select(count)] ?? forms.other;

export const formatNumber = (value, options) => new Intl.NumberFormat(language, options).format(value);

/** Formats a share from 0 to 1. */
export const formatPercent = (share) => formatNumber(share, { style: "percent" });

/** Formats a value with a unit of CLDR, such as "second". */
export const formatUnit = (value, unit, options) =>
  formatNumber(value, { style: "unit", unit, unitDisplay: "short", ...options });

/** Formats a time such as "5 minutes ago". */
export const formatRelative = (value, unit) =>
  new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(value, unit);

/** Fills the elements that name a text, also those of templates: `data-text` is the content, the others attributes. */
function fill(root) {
  for (const element of root.querySelectorAll("[data-text]")) {
    element.replaceChildren(...text(element.dataset.text).split(/\[(.+?)\]/).map(keyOrText));
  }
  for (const [name, attribute] of Object.entries(ATTRIBUTES)) {
    const selector = `[data-${name.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)}]`;
    for (const element of root.querySelectorAll(selector)) element.setAttribute(attribute, text(element.dataset[name]));
  }
  for (const template of root.querySelectorAll("template")) fill(template.content);
}

/** Returns each second part, which was in brackets, as a key of the keyboard. */
function keyOrText(part, index) {
  return index % 2 ? Object.assign(document.createElement("kbd"), { textContent: part }) : part;
}
