// One block, down to the object at fault.

import { address, areas, sign, simulated, table, timeline } from "./country.js";
import { element } from "./element.js";
import { STATES } from "./store.js";
import { say } from "./texts.js";

/** A block of a Stack. Who may not list blocks sees the Stack's own line of it. */
export function block(store, stack, name) {
  const line = stack.view.blocks.find((line) => line.name === name);
  const view = store.block(stack, name)?.view ?? { ...line, components: [], objects: [], conditions: [], endpoints: line?.endpoints ?? [] };
  const kind = STATES[view.state] ?? "work";
  const product = `${view.product ?? say("external")} ${view.version ?? ""}`;
  return [
    element("nav", { "aria-label": say("where") },
      element("a", { href: "#/" }, say("countries")), " › ", element("a", { href: address(stack) }, stack.name)),
    element("h1", {}, name, element("span", { class: "beside" }, ` ${product}`)),
    element("p", { class: "lead" }, sign(kind, view.state ?? "Absent"), simulated(stack), ` ${view.message ?? ""}`),
    faults(view),
    components(view),
    endpoints(view),
    areas({ view }),
    timeline(store.history(stack, name)),
  ];
}

/** Objects that are not ready, and what to do about each. */
function faults(view) {
  if (view.objects.length === 0) return null;
  const rows = view.objects.map((object) => element("tr", {},
    element("th", { scope: "row" }, element("code", {}, object.object)),
    element("td", {}, sign(STATES[object.state] ?? "work", object.state)),
    element("td", {}, object.reason),
    element("td", {}, object.message)));
  const more = view.moreObjects ? element("p", {}, say("more", { count: view.moreObjects })) : null;
  return [element("h2", {}, say("at-fault")), table([say("object"), say("status"), say("reason"), say("message")], rows), more];
}

function components(view) {
  if (view.components.length === 0) return null;
  const rows = view.components.map((component) => element("tr", {},
    element("th", { scope: "row" }, component.name),
    element("td", {}, sign(STATES[component.state] ?? "work", component.state)),
    element("td", {}, component.message ?? "")));
  return [element("h2", {}, say("components")), table([say("component"), say("status"), say("message")], rows)];
}

function endpoints(view) {
  if (view.endpoints.length === 0) return null;
  return [element("h2", {}, say("endpoints")), element("ul", {}, view.endpoints.map((url) => element("li", {}, element("code", {}, url))))];
}
