// Elements without a framework: text is always text, so that nothing that a status says is ever taken for HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (nothing for null and false; functions listen) and children. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same of a picture. */
export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Puts children into a place. Whoever had the focus has it again, and where they have scrolled and opened is kept, if it is still there. */
export function show(place, ...children) {
  const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const regions = () => [...place.querySelectorAll(".wide")];
  const scrolled = new Map(regions().map((region) => [region.getAttribute("aria-label"), region.scrollLeft]));
  const opened = new Set([...place.querySelectorAll("details[open] > summary")].map((summary) => summary.dataset.key));
  place.replaceChildren(...children.flat(Infinity).filter(Boolean));
  for (const region of regions()) region.scrollLeft = scrolled.get(region.getAttribute("aria-label")) ?? 0;
  for (const summary of place.querySelectorAll("details > summary")) summary.parentElement.open = opened.has(summary.dataset.key);
  if (key) place.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}
