// How a country gets through a surge or a loss: its mode, who stands by, what is being taken over, how old the backups are, when certificates end.

import { sign, table, trail } from "./country.js";
import { element } from "./element.js";
import { STATES, condition } from "./store.js";
import { ago, day, moment, say } from "./texts.js";

const HOUR = 3600_000;
/** So long before its end people should have replaced a certificate; the alert PlinthCertificateToReplace says the same. */
const REPLACE = 30 * 24 * HOUR;

/** Everything about a Stack's continuity. */
export function continuity(store, stack) {
  return [
    trail(stack, "continuity"),
    element("h1", {}, stack.name, element("span", { class: "beside" }, ` ${say("continuity")}`)),
    mode(stack),
    without(stack),
    takeovers(store, stack),
    standbys(stack),
    backups(stack),
    certificates(stack),
  ];
}

/** Which mode is on, and what that means now. */
function mode(stack) {
  const kind = { Normal: "good", Surge: "work", Degraded: "bad" }[stack.view.mode] ?? "work";
  const surging = condition(stack, "Surging");
  return element("p", { class: "lead" }, sign(kind, stack.view.mode ?? "Normal"), surging ? ` ${surging.message}` : null);
}

/** What has no pods, or is cut from the exchange, and why. */
function without(stack) {
  const blocks = stack.view.blocks.filter((block) => block.state === "Suspended").map((block) => [say("block"), block.name, block.message]);
  const off = (stack.view.off ?? []).filter((off) => !off.block).map((off) => [
    say(off.registry ? "registry" : "service"), off.registry ?? off.publicService, off.reason,
  ]);
  const rows = [...blocks, ...off].map(([kind, name, why]) => element("tr", {},
    element("td", {}, kind), element("th", { scope: "row" }, name), element("td", {}, why ?? "")));
  if (rows.length === 0) return null;
  return [element("h2", {}, say("without")), table([say("kind"), say("name"), say("reason")], rows, say("without"))];
}

/** Takeovers that are under way, then those that have ended. */
function takeovers(store, stack) {
  const own = store.operations(stack).filter((operation) => operation.view.takeover);
  own.sort((a, b) => Boolean(a.view.finishedAt) - Boolean(b.view.finishedAt) || new Date(b.view.at) - new Date(a.view.at));
  const rows = own.slice(0, 20).map(({ view }) => element("tr", {},
    element("th", { scope: "row" }, view.takeover.block),
    element("td", {}, `${view.type}${view.takeover.to ? ` → ${view.takeover.to}` : ""}`),
    element("td", {}, sign(view.finishedAt ? (view.phase === "Succeeded" ? "good" : "bad") : "work", view.finishedAt ? view.phase : "under-way")),
    element("td", {}, view.message ?? view.steps?.at(-1) ?? view.why),
    element("td", {}, view.by ?? ""),
    element("td", { title: moment(view.finishedAt ?? view.at) }, ago(view.finishedAt ?? view.at))));
  const body = rows.length > 0 ? table([say("block"), say("takeover"), say("status"), say("message"), say("person"), say("since")], rows, say("takeovers")) : element("p", {}, say("no-takeovers"));
  return [element("h2", {}, say("takeovers")), body];
}

/** Each block that another cluster is to take over, and whether it could. */
function standbys(stack) {
  const rows = stack.view.blocks.flatMap((block) => (block.standby ?? []).map((standby) => element("tr", {},
    element("th", { scope: "row" }, block.name),
    element("td", {}, block.cluster ?? "hub"),
    element("td", {}, standby.cluster),
    element("td", {}, sign(STATES[standby.state] ?? "work", standby.state)),
    element("td", {}, standby.message ?? ""))));
  const body = rows.length > 0 ? table([say("block"), say("serves"), say("stands-by"), say("status"), say("message")], rows, say("standbys")) : element("p", {}, say("no-standbys"));
  return [element("h2", {}, say("standbys")), body];
}

/** Each database that is backed up: how old the newest backup is, and when one was last proven. */
function backups(stack) {
  const { backups = [], recoveryPointHours: hours, provenWithinDays: days } = stack.view;
  const title = element("h2", {}, say("backups"));
  if (!hours) return [title, element("p", {}, say("no-backups"))];
  const backedUp = condition(stack, "BackedUp");
  const [kind, word] = { True: ["good", "in-time"], False: ["bad", "late"] }[backedUp?.status] ?? ["unknown", "unknown"];
  const rows = backups.map((one) => element("tr", {},
    element("th", { scope: "row" }, one.name),
    age(one.lastBackup, hours * HOUR),
    days ? age(one.lastProven, days * 24 * HOUR) : element("td", {}, say("not-asked"))));
  const asked = say("backup-policy", { hours }) + (days ? ` ${say("proof-policy", { days })}` : "");
  return [
    title,
    backedUp ? element("p", {}, sign(kind, word), ` ${backedUp.message}`) : null,
    element("p", { class: "beside" }, asked),
    rows.length > 0 ? table([say("database"), say("last-backup"), say("last-proven")], rows) : null,
  ];
}

/** When each certificate ends, the next one first; one that was to be made anew an hour ago is late, and so is one that people have not replaced in time. */
function certificates(stack) {
  const { certificates: known = [], moreCertificates: more } = stack.view;
  const rows = known.map((one) => element("tr", {},
    element("td", {}, ending(one)),
    element("td", { title: moment(one.notAfter) }, day(one.notAfter), element("br"), element("span", { class: "beside" }, ago(one.notAfter))),
    element("th", { scope: "row" }, one.object, one.cluster ? ` (${one.cluster})` : ""),
    element("td", {}, one.block ?? ""),
    element("td", {}, say(`certificate-${one.source}`)),
    element("td", { title: moment(one.renewal) }, ago(one.renewal))));
  const body = rows.length > 0 ? table([say("status"), say("ends"), say("certificate"), say("block"), say("next-from"), say("renewed")], rows, say("certificates")) : element("p", {}, say("no-certificates"));
  const rest = more ? element("p", {}, say("more-certificates", { more })) : null;
  return [element("h2", {}, say("certificates")), element("p", { class: "beside" }, say("renewal-policy")), body, rest];
}

/** Whether a certificate is in time, with a sign. */
function ending({ notAfter, renewal, source }) {
  const left = new Date(notAfter) - Date.now();
  if (left < 0) return sign("bad", "ended");
  if (renewal && Date.now() - new Date(renewal) > HOUR) return sign("bad", "late");
  const byPeople = source === "Supplied" || source === "Trusted";
  return byPeople && left < REPLACE ? sign("work", "replace") : sign("good", "in-time");
}

/** How long ago, and whether that is too long. */
function age(time, most) {
  if (!time) return element("td", {}, sign("work", "never"));
  const late = Date.now() - new Date(time) > most;
  return element("td", { title: moment(time) }, sign(late ? "bad" : "good", late ? "late" : "in-time"), ` ${ago(time)}`);
}
