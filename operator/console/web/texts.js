// Words of the page, in the language of the person. What Plinth says of an object is said as it is.

export const LANGUAGES = { en: "English", uk: "Українська", es: "Español", fr: "Français" };
const KEPT = "plinth-language";

let words = {};
export let language = "en";

/** Chooses a language, and remembers it. */
export async function speak(wanted) {
  language = wanted in LANGUAGES ? wanted : "en";
  words = await (await fetch(`/web/texts/${language}.json`)).json();
  document.documentElement.lang = language;
  localStorage.setItem(KEPT, language);
}

/** The language that was chosen last, or the first of the browser's that there is. */
export function preferred() {
  const kept = localStorage.getItem(KEPT);
  if (kept in LANGUAGES) return kept;
  return navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in LANGUAGES) ?? "en";
}

/** A word, with `{name}` in it replaced. */
export function say(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** A text of somebody else's, in the language of the person, or in one that there is; without any, that word. */
export function named(texts, without) {
  return texts?.[language] ?? texts?.en ?? Object.values(texts ?? {})[0] ?? without;
}

/** An amount, a decimal number, of a currency of ISO 4217. */
export function money(amount, currency) {
  return new Intl.NumberFormat(language, { style: "currency", currency }).format(Number(amount));
}

/** How long ago, in words. */
export function ago(time, now = Date.now()) {
  if (!time) return "";
  const seconds = Math.round((new Date(time).getTime() - now) / 1000);
  const units = [["year", 31557600], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? units.at(-1);
  return new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(Math.trunc(seconds / size), unit);
}

/** A moment, written out. */
export function moment(time) {
  return time ? new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(time)) : "";
}

/** A day, written out. */
export function day(time) {
  return time ? new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(new Date(time)) : "";
}
