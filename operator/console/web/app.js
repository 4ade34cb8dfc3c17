// The page: who looks, in which language, at what; drawn anew when something changes.

import { block } from "./block.js";
import { continuity } from "./continuity.js";
import { countries, country } from "./country.js";
import { element, show } from "./element.js";
import { map } from "./map.js";
import { sandboxes } from "./sandboxes.js";
import { Store, follow } from "./store.js";
import { LANGUAGES, preferred, say, speak } from "./texts.js";

/** The token is forgotten with the tab. */
const TOKEN = "plinth-token";
/** Address of the page of all Sandboxes. */
const SANDBOXES = "sandboxes";
const place = (id) => document.getElementById(id);

let following = new AbortController();
let link = { word: "asking", why: "" };
let drawing = false;
const store = new Store((change) => {
  if (change) tell(change);
  drawSoon();
});

function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function draw() {
  for (const [id, word] of [["skip", "skip"], ["language-label", "language"], ["leave", "leave"]]) place(id).textContent = say(word);
  const token = sessionStorage.getItem(TOKEN);
  place("leave").hidden = !token;
  place("person").textContent = token ? store.person : "";
  const word = link.word === "live" && !store.answers ? "silent" : link.word;
  place("link").textContent = token ? say(word) : "";
  place("link").title = link.why;
  place("link").className = word;
  show(place("places"), token ? places() : []);
  place("places").setAttribute("aria-label", say("places"));
  place("places").hidden = !token;
  if (!token) return signIn();
  if (link.word === "asking") return show(place("main"), element("p", {}, say("asking")));
  const [namespace, name, part, node] = where();
  if (namespace === SANDBOXES && !name) {
    document.title = `${say("sandboxes")} · Plinth`;
    return show(place("main"), sandboxes(store));
  }
  const stack = namespace && name ? store.stack(namespace, name) : undefined;
  if (namespace && !stack) return show(place("main"), element("h1", {}, name), element("p", {}, say("no-such-stack")), element("a", { href: "#/" }, say("countries")));
  document.title = [part?.replace("~", ""), name, "Plinth"].filter(Boolean).join(" · ");
  show(place("main"), stack ? page(stack, part, node) : countries(store));
}

/** A page of a Stack. No block's name begins with `~`. */
function page(stack, part, node) {
  if (!part) return country(store, stack);
  if (part === "~map") return map(store, stack, node);
  return part === "~continuity" ? continuity(store, stack) : block(store, stack, part);
}

/** The pages that are of no single Stack. */
function places() {
  const here = where();
  const current = here.length === 0 ? "" : here.length === 1 ? here[0] : undefined;
  const pages = { countries: "", sandboxes: SANDBOXES };
  return Object.entries(pages).map(([word, path]) => element("a", { href: `#/${path}`, "aria-current": current === path ? "page" : null, "data-key": word }, say(word)));
}

function where() {
  return location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent);
}

function signIn() {
  if (place("token")) return;
  const enter = (event) => {
    event.preventDefault();
    sessionStorage.setItem(TOKEN, place("token").value.trim());
    begin();
  };
  show(place("main"),
    element("h1", {}, say("sign-in")),
    link.word === "refused" ? element("p", { role: "alert", class: "fault" }, say("refused")) : null,
    element("form", { submit: enter },
      element("p", {}, say("token-help"), " ", element("code", {}, "kubectl create token ACCOUNT")),
      element("label", { for: "token" }, say("token")),
      element("input", { id: "token", type: "password", autocomplete: "off", required: true, spellcheck: "false" }),
      element("button", {}, say("enter"))));
}

function begin() {
  following.abort();
  following = new AbortController();
  link = { word: "asking", why: "" };
  const token = sessionStorage.getItem(TOKEN);
  draw();
  if (!token) return;
  follow(store, token, (word, why = "") => {
    if (word === "refused") leave();
    link = { word, why };
    drawSoon();
  }, following.signal);
}

function leave() {
  following.abort();
  sessionStorage.removeItem(TOKEN);
  store.items.clear();
  store.person = "";
  link = { word: "asking", why: "" };
}

/** Says aloud what changed its state. */
function tell({ before, after }) {
  if (after?.kind === "sandbox" && after.view && before?.view && before.view.phase !== after.view.phase) {
    place("news").textContent = `${after.name}: ${say(after.view.phase)}.`;
  }
  if (after?.kind !== "block" || !after.view || before?.view?.state === after.view.state) return;
  place("news").textContent = `${after.view.stack}, ${after.view.block}: ${say(after.view.state)}. ${after.view.message ?? ""}`;
}

place("leave").addEventListener("click", () => {
  leave();
  draw();
});
place("skip").addEventListener("click", (event) => {
  event.preventDefault();
  place("main").focus();
});
place("language").append(...Object.entries(LANGUAGES).map(([code, name]) => element("option", { value: code, lang: code }, name)));
place("language").addEventListener("change", async ({ target }) => {
  await speak(target.value);
  place("main").replaceChildren();
  draw();
});
addEventListener("hashchange", () => {
  draw();
  scrollTo(0, 0);
  place("main").focus({ preventScroll: true });
});
// Times are told as "3 minutes ago".
setInterval(drawSoon, 30_000);

await speak(preferred());
place("language").value = document.documentElement.lang;
begin();
