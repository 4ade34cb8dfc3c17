// The countries at a glance, and one of them: its blocks, what waits for a person, what happened.

import { element } from "./element.js";
import { STATES, URGENT, condition, standing, worstOf } from "./store.js";
import { ago, moment, say } from "./texts.js";

/** How each kind of state is drawn: colour alone says nothing to many. */
export const SIGNS = { good: "✔", work: "◐", bad: "✖", unknown: "?", quiet: "‖" };

/** A state as sign and word. */
export function sign(kind, word) {
  return element("span", { class: `sign ${kind}` }, element("span", { "aria-hidden": "true" }, SIGNS[kind]), ` ${say(word)}`);
}

export function address(stack, block) {
  const parts = [stack.namespace, stack.name, ...(block ? [block] : [])];
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

/** Every Stack that the person may see, the most urgent first. */
export function countries(store) {
  const stacks = store.all("stack").map((stack) => ({ stack, ...standing(stack) }));
  stacks.sort((a, b) => URGENT.indexOf(a.kind) - URGENT.indexOf(b.kind) || a.stack.name.localeCompare(b.stack.name));
  const title = element("h1", {}, say("countries"));
  if (stacks.length === 0) return [title, element("p", {}, say("nothing"))];
  const cards = stacks.map(({ stack, kind, word, ready }) => card(stack, kind, word, ready));
  return [title, element("ul", { class: "cards" }, cards)];
}

function card(stack, kind, word, ready) {
  const name = element("a", { href: address(stack), "data-key": `${stack.namespace}/${stack.name}` }, stack.name);
  const worst = kind === "good" ? null : worstOf(stack.view.blocks);
  const fault = worst && worst.state !== "Ready" ? `${worst.name}: ${worst.message ?? say(worst.state)}` : ready?.message;
  return element("li", { class: `card ${kind}` },
    element("h2", {}, name, element("span", { class: "beside" }, ` ${stack.view.country ?? ""} · ${stack.namespace}`)),
    element("p", {}, sign(kind, word), simulated(stack), element("span", { class: "beside" }, ` ${say("blocks-ready", { count: stack.view.summary ?? "0" })}`)),
    progress(stack),
    kind === "good" ? null : element("p", { class: "fault" }, fault));
}

/** Ready on simulated nodes proves the order of things, never the content. */
export function simulated({ view }) {
  const is = view.conditions.some((condition) => condition.type === "Simulated" && condition.status === "True");
  return is ? [" ", element("span", { class: "simulated" }, say("simulated"))] : null;
}

/** A square for each block. */
function progress(stack) {
  const words = stack.view.blocks.map((block) => `${block.name}: ${say(block.state)}`).join(", ");
  const squares = stack.view.blocks.map((block) => element("span", { class: `square ${STATES[block.state]}` }));
  return element("div", { class: "squares", role: "img", "aria-label": words }, squares);
}

/** One Stack. */
export function country(store, stack) {
  const { kind, word, ready } = standing(stack);
  return [
    trail(stack, "blocks"),
    element("h1", {}, stack.name, element("span", { class: "beside" }, ` ${stack.view.country ?? ""} · ${say("profile")} ${stack.view.profile ?? ""}`)),
    element("p", { class: "lead" }, sign(kind, word), simulated(stack), ` ${ready?.message ?? ""}`),
    waiting(stack),
    unusual(stack),
    element("h2", {}, say("blocks")),
    element("ul", { class: "cards" }, stack.view.blocks.map((block) => blockCard(stack, block))),
    areas(stack),
    timeline(store.history(stack)),
  ];
}

/** The way here, and to the other pages of a Stack. */
export function trail(stack, page) {
  const pages = { blocks: address(stack), map: address(stack, "~map"), continuity: address(stack, "~continuity") };
  const links = Object.entries(pages).map(([name, href]) => element("li", {},
    element("a", { href, "data-key": `page/${name}`, "aria-current": name === page ? "page" : null }, say(name))));
  return [
    element("nav", { "aria-label": say("where") }, element("a", { href: "#/" }, say("countries")), " › ", stack.name),
    element("nav", { "aria-label": say("pages") }, element("ul", { class: "pages" }, links)),
  ];
}

/** That more or less runs than the profile says. */
function unusual(stack) {
  const told = ["Surging", "Degraded"].map((type) => condition(stack, type)).filter((one) => one?.status === "True");
  return told.map((one) => element("p", { class: "held" }, element("strong", {}, say(one.type)), ` ${one.message}`));
}

/** What does not go on without a person. */
function waiting(stack) {
  const approved = condition(stack, "Approved");
  const held = approved?.status === "True" ? null : approved;
  return held ? element("p", { class: "held" }, element("strong", {}, say("approval")), ` ${held.message}`) : null;
}

function blockCard(stack, block) {
  const kind = STATES[block.state] ?? "work";
  return element("li", { class: `card ${kind}` },
    element("h3", {}, element("a", { href: address(stack, block.name), "data-key": block.name }, block.name)),
    element("p", {}, sign(kind, block.state), element("span", { class: "beside" }, ` ${block.product ?? say("external")} ${block.version ?? ""}`)),
    block.state === "Ready" ? null : element("p", { class: "fault" }, block.message ?? ""));
}

/** The areas that conditions speak of. */
export function areas({ view }) {
  const rows = view.conditions.map((condition) => element("tr", {},
    element("th", { scope: "row" }, condition.type),
    element("td", {}, condition.status),
    element("td", {}, condition.message),
    element("td", { title: moment(condition.since) }, ago(condition.since))));
  return element("details", {}, element("summary", { "data-key": "areas" }, say("areas")), table([say("area"), say("status"), say("message"), say("since")], rows));
}

/** A table that scrolls by itself where it is wider than the page. No two of a page have one name. */
export function table(heads, rows, name = heads[0]) {
  return element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": name },
    element("table", {}, element("thead", {}, element("tr", {}, heads.map((head) => element("th", { scope: "col" }, head)))), element("tbody", {}, rows)));
}

export function timeline(history) {
  const lines = history.map((told) => element("li", { class: told.warning ? "bad" : "" },
    element("time", { datetime: told.at ?? "", title: moment(told.at) }, ago(told.at)),
    " ", element("strong", {}, [told.block, told.reason].filter(Boolean).join(" · ")),
    told.by ? ` ${say("by", { person: told.by })}` : "",
    element("br"), told.message ?? ""));
  const body = lines.length > 0 ? element("ol", { class: "timeline" }, lines) : element("p", {}, say("no-history"));
  return [element("h2", {}, say("history")), body];
}
