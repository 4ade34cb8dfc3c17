// Sandboxes: whose they are, what they cost, when their time is over.

import { address, sign } from "./country.js";
import { element } from "./element.js";
import { URGENT, condition } from "./store.js";
import { ago, moment, money, say } from "./texts.js";

/** Where a sandbox is in its life, each with how it is shown. */
const PHASES = {
  Pending: "work", Refused: "bad", Starting: "work", Awake: "good", FallingAsleep: "work", Asleep: "quiet",
  Expiring: "work", Expired: "quiet", Deleting: "work",
};

/** Every Sandbox that the person may see, the most urgent first, then by when its time is over. */
export function sandboxes(store) {
  const all = store.all("sandbox").map((sandbox) => ({ sandbox, kind: standing(sandbox) }));
  const end = ({ sandbox }) => sandbox.view.expiresAt ?? "";
  all.sort((a, b) => URGENT.indexOf(a.kind) - URGENT.indexOf(b.kind) || end(a).localeCompare(end(b)) || a.sandbox.name.localeCompare(b.sandbox.name));
  const title = element("h1", {}, say("sandboxes"));
  if (all.length === 0) return [title, element("p", {}, say("no-sandboxes"))];
  return [title, element("ul", { class: "cards" }, all.map(({ sandbox, kind }) => card(store, sandbox, kind)))];
}

/** The kind of its phase, unless something about it wants a person. */
function standing(sandbox) {
  const kind = PHASES[sandbox.view.phase] ?? "work";
  const is = (type) => condition(sandbox, type)?.status === "True";
  if (is("Stalled") || condition(sandbox, "Ready")?.reason === "BudgetSpent") return "bad";
  return is("Expiring") && !["Expiring", "Expired", "Deleting"].includes(sandbox.view.phase) ? "work" : kind;
}

function card(store, sandbox, kind) {
  const { view } = sandbox;
  const ready = condition(sandbox, "Ready");
  const ending = condition(sandbox, "Expiring");
  return element("li", { class: `card ${kind}` },
    element("h2", {}, home(store, sandbox), element("span", { class: "beside" }, ` ${view.from ?? ""} · ${sandbox.namespace}`)),
    element("p", {}, sign(PHASES[view.phase] ?? "work", view.phase), view.phase === "Awake" ? null : ` ${ready?.message ?? ""}`),
    ending?.status === "True" ? element("p", { class: "fault" }, ending.message) : null,
    facts([
      [say("owner"), [view.team, view.donor].filter(Boolean).join(" · ")],
      [say("contact"), view.contact],
      [say("expires"), view.expiresAt ? element("time", { datetime: view.expiresAt, title: moment(view.expiresAt) }, ago(view.expiresAt)) : null],
      [say("extended"), view.extensions ? say("times", { count: view.extensions }) : null],
      [say("asked"), view.asked ? `${say(view.asked.state)}, ${say("by", { person: view.asked.by ?? "?" })}, ${ago(view.asked.at)}` : null],
      [say("cost"), costs(sandbox)],
      [say("endpoints"), where(view.url)],
    ]));
}

/** Its name; a way to its Stack for whoever may see that. */
function home(store, { name, namespace, view }) {
  const stack = view.stack && store.stack(view.stack.namespace, view.stack.name);
  return stack ? element("a", { href: address(stack), "data-key": `sandbox/${namespace}/${name}` }, name) : name;
}

/** This month's cost against the budget, and what a whole month is expected to cost; or what it all was. */
function costs({ view }) {
  const { cost, budget, report } = view;
  if (report?.cost) return say("in-all", { cost: report.cost });
  if (!cost) return budget ? say("budget", { budget: money(budget.monthly, budget.currency) }) : null;
  const month = money(cost.thisMonth, cost.currency);
  const expected = ` · ${say("forecast", { cost: money(cost.perMonth, cost.currency) })}`;
  if (!budget) return [say("this-month", { cost: month }), expected];
  const said = say("of-budget", { cost: month, budget: money(budget.monthly, budget.currency) });
  const most = Number(budget.monthly);
  return [said, expected, element("meter", { min: 0, max: most, low: most * 0.8, high: most, optimum: 0, value: Number(cost.thisMonth), "aria-label": said })];
}

/** An address: a link where a browser can open it. */
function where(url) {
  if (!url) return null;
  return url.startsWith("https://") ? element("a", { href: url, rel: "noreferrer" }, url) : element("code", {}, url);
}

/** Words and what they are, of those that are known. */
function facts(pairs) {
  const known = pairs.filter(([, what]) => what);
  return element("dl", {}, known.map(([word, what]) => element("div", {}, element("dt", {}, word), element("dd", {}, what))));
}
