// The map of a country's interconnections: who asks on the left, who answers in the middle, blocks on the right; and the same as a table.

import { SIGNS, address, sign, table, trail } from "./country.js";
import { drawn, element } from "./element.js";
import { links, nodes } from "./links.js";
import { say } from "./texts.js";

/** The columns of the picture, and in which of them a connection begins and ends. */
const COLUMNS = ["asks", "answers", "block"];
const ENDS = { claim: ["block", "block"], agreement: ["asks", "answers"], registry: ["answers", "block"], service: ["asks", "block"] };

/** Sizes, in pixels: a node, a line of its name, the space between two nodes, between two columns, and how far a line between two blocks bows out at most. */
const WIDTH = 250;
const LINE = 16;
const GAP = 12;
const APART = 130;
const BOW = 120;
/** Letters that fit into a line of a node, rather too few: the reader's font is not ours to choose. */
const LETTERS = 30;

/** The map of a Stack, or what is connected with one node of it. */
export function map(store, stack, chosen) {
  const everything = links(store, stack);
  const known = nodes(store, stack, everything);
  const only = known.get(chosen);
  const shown = only ? everything.filter(({ from, to }) => from === chosen || to === chosen) : everything;
  const way = (key) => `${address(stack, "~map")}/${encodeURIComponent(key)}`;
  return [
    trail(stack, "map"),
    element("h1", {}, stack.name, element("span", { class: "beside" }, ` ${say("map")}`)),
    element("p", {}, only ? alone(stack, chosen, only) : say("map-help")),
    element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": say("map") }, picture(shown, known, only ? [chosen] : known.keys(), way)),
    element("h2", {}, say("connections")),
    shown.length > 0 ? listed(shown, known) : element("p", {}, say("no-connections")),
  ];
}

/** Which node is shown alone, and the ways from there. */
function alone(stack, key, { name, kind, word }) {
  const page = key.startsWith("block/") ? [element("a", { href: address(stack, name), "data-key": "block-page" }, say("block-page")), " · "] : null;
  return [
    word ? [sign(kind, word), " "] : null, `${say("only", { name })} `, page,
    element("a", { href: address(stack, "~map"), "data-key": "whole-map" }, say("whole-map")),
  ];
}

/** The same in words. */
function listed(shown, known) {
  const rows = shown.map(({ from, to, what, kind, word, why }) => element("tr", {},
    element("th", { scope: "row" }, known.get(from).name),
    element("td", {}, known.get(to).name),
    element("td", {}, what),
    element("td", {}, sign(kind, word)),
    element("td", {}, why ?? "")));
  return table([say("from"), say("to"), say("what"), say("status"), say("message")], rows);
}

function picture(shown, known, always, way) {
  const columns = arranged(shown, [...always].filter((key) => key.startsWith("block/")));
  const boxes = columns.flatMap(({ column, keys }, nth) => stacked(column, keys, known, nth * (WIDTH + APART) + 2));
  const at = new Map(boxes.map((box) => [box.id, box]));
  const width = columns.length * (WIDTH + APART) - APART + BOW;
  const height = Math.max(0, ...boxes.map((box) => box.y + box.height)) + GAP;
  const size = { viewBox: `0 0 ${width} ${height}`, width, height };
  return drawn("svg", { class: "map", ...size, role: "group", "aria-label": say("map") }, lines(shown, at), boxes.map((box) => drawnNode(box, way(box.key))));
}

/** Who is in which column, each near to what it is connected with in the next one. Who asks and answers is in two of them. */
function arranged(shown, blocks) {
  const members = { asks: new Set(), answers: new Set(), block: new Set(blocks) };
  for (const { type, from, to } of shown) {
    const [begins, ends] = ENDS[type];
    members[begins].add(from);
    members[ends].add(to);
  }
  const columns = COLUMNS.map((column) => ({ column, keys: [...members[column]] })).filter(({ keys }) => keys.length > 0);
  for (let nth = columns.length - 2; nth >= 0; nth -= 1) columns[nth].keys = near(columns[nth].keys, columns[nth + 1].keys, shown);
  return columns;
}

/** Sorted by the middle of what each is connected with; those with nothing last. */
function near(keys, next, shown) {
  const middle = (key) => {
    const rows = shown.filter(({ from }) => from === key).map(({ to }) => next.indexOf(to)).filter((row) => row >= 0);
    return rows.length > 0 ? rows.reduce((sum, row) => sum + row, 0) / rows.length : next.length;
  };
  const placed = keys.map((key) => ({ key, row: middle(key) }));
  return placed.sort((a, b) => a.row - b.row || a.key.localeCompare(b.key)).map(({ key }) => key);
}

/** The nodes of a column, one below the other, each as high as its name. */
function stacked(column, keys, known, x) {
  let y = 4;
  return keys.map((key) => {
    const node = known.get(key);
    const rows = wrapped(node.kind ? `${SIGNS[node.kind]} ${node.name}` : node.name);
    const box = { id: `${column} ${key}`, key, ...node, rows, x, y, height: rows.length * LINE + 14 };
    y += box.height + GAP;
    return box;
  });
}

/** One line for each two that are connected, as urgent as the most urgent of what it stands for; that one lies on top. */
function lines(shown, at) {
  const pairs = new Map();
  for (const link of shown) {
    const [begins, ends] = ENDS[link.type];
    const pair = [`${begins} ${link.from}`, `${ends} ${link.to}`];
    if (!pairs.has(pair.join())) pairs.set(pair.join(), { kind: link.kind, ends: pair.map((end) => at.get(end)) });
  }
  return [...pairs.values()].reverse().map(({ kind, ends: [from, to] }) => {
    const start = { x: from.x + WIDTH, y: from.y + from.height / 2 };
    const within = from.x === to.x;
    const end = { x: within ? start.x : to.x, y: to.y + to.height / 2 };
    const reach = within ? Math.min(BOW, 30 + Math.abs(end.y - start.y) / 4) * 1.3 : (end.x - start.x) / 2;
    const back = within ? reach : -reach;
    return [
      drawn("path", { class: `line ${kind}`, d: `M${start.x} ${start.y} C${start.x + reach} ${start.y} ${end.x + back} ${end.y} ${end.x} ${end.y}` }),
      drawn("circle", { class: `end ${kind}`, cx: end.x, cy: end.y, r: 4 }),
    ];
  });
}

/** A node: its name, its state as a sign, and a way to what it is connected with. */
function drawnNode({ id, name, kind, word, rows, x, y, height }, href) {
  // The space that a line is broken at is part of the name.
  const text = rows.map((row, nth) => drawn("tspan", { x: x + 10, y: y + 19 + nth * LINE }, `${row} `));
  const said = word ? `${name}, ${say(word)}` : name;
  return drawn("a", { href, class: `node ${kind ?? ""}`, "data-key": id, "aria-label": said },
    drawn("rect", { x, y, width: WIDTH, height, rx: 6 }),
    drawn("text", {}, text));
}

/** A text in lines; a word that is longer than a line is broken. */
function wrapped(text) {
  const rows = [""];
  for (const word of text.match(new RegExp(`\\S{1,${LETTERS}}`, "gu")) ?? []) {
    const longer = `${rows.at(-1)} ${word}`.trim();
    if (longer.length > LETTERS) rows.push(word);
    else rows[rows.length - 1] = longer;
  }
  return rows;
}
