// What is connected with what in a country: blocks that ask other blocks, organisations that may call each other, registries and the
// blocks that run them, public services and the blocks that they use. Of what the person may see, nothing else.

import { STATES, URGENT, condition } from "./store.js";
import { named, say } from "./texts.js";

/** Agreements that are not in force, by phase. */
const PHASES = { Scheduled: "quiet", Expired: "quiet", Refused: "bad" };

/** Reasons for which something is not ready yet, and comes by itself. */
const COMES = ["Progressing", "Waiting", "Scheduled"];

/**
 * The connections of a Stack, the most urgent first: `{ type, from, to, what, kind, word, why }`, ends by the key of
 * their node.
 */
export function links(store, stack) {
  const members = new Map(declared(store, stack, "member").map((member) => [`${member.namespace}/${member.name}`, member]));
  const blocks = new Map(stack.view.blocks.map((block) => [block.name, asked(block)]));
  const all = [
    ...claims(stack, blocks),
    ...declared(store, stack, "agreement").flatMap((agreement) => granted(agreement, members)),
    ...declared(store, stack, "registry").flatMap((registry) => runs(registry, members, blocks)),
    ...declared(store, stack, "service").flatMap((service) => uses(service, blocks)),
  ];
  return all.sort((a, b) => URGENT.indexOf(a.kind) - URGENT.indexOf(b.kind) || a.from.localeCompare(b.from) || a.to.localeCompare(b.to));
}

/** Names, and how they are, of everything that is connected; every block, connected or not. */
export function nodes(store, stack, links) {
  const members = declared(store, stack, "member").map(({ view }) => [`org/${view.id}`, named(view.names, view.id)]);
  const services = declared(store, stack, "service").map(({ namespace, name, view }) => [`service/${namespace}/${name}`, named(view.title, name)]);
  const names = new Map([...members, ...services]);
  const standing = (block) => ({ name: block.name, kind: STATES[block.state] ?? "work", word: block.state });
  const found = new Map(stack.view.blocks.map((block) => [ofBlock(block.name), standing(block)]));
  for (const key of links.flatMap(({ from, to }) => [from, to])) {
    if (!found.has(key)) found.set(key, { name: names.get(key) ?? key.slice(key.indexOf("/") + 1) });
  }
  return found;
}

/** What agencies declare for a Stack. */
function declared(store, stack, kind) {
  return store.all(kind).filter(({ view }) => view.stack.namespace === stack.namespace && view.stack.name === stack.name);
}

const ofBlock = (name) => `block/${name}`;

/** `<instance>/<class>/<code>` of an identifier that goes on after that. */
const organisation = (id) => id.split("/").slice(0, 3).join("/");

/** An identifier of so many parts with its instance, which a spec leaves out where it is its own. */
const whole = (id, parts, instance) => (instance && id.split("/").length < parts ? `${instance}/${id}` : id);

/** How a block that is asked is. */
const asked = ({ state, message }) => ({ kind: STATES[state] ?? "work", word: state, why: message });

/** Of several words on a connection the most urgent one. */
const worst = (...words) => words.filter(Boolean).sort((a, b) => URGENT.indexOf(a.kind) - URGENT.indexOf(b.kind))[0];

/** What blocks ask of each other: as well as whoever is asked. */
function claims(stack, blocks) {
  return stack.view.blocks.flatMap(({ name, uses = [] }) => uses.map(({ block, capability }) => ({
    type: "claim", from: ofBlock(name), to: ofBlock(block), what: capability, ...(blocks.get(block) ?? asked({ state: "Absent" })),
  })));
}

/** How an object is by its condition Ready. */
function standing(item) {
  const ready = condition(item, "Ready");
  if (ready?.status === "True") return { kind: "good", word: "Ready", why: ready.message };
  const comes = !ready || COMES.includes(ready.reason);
  return { kind: comes ? "work" : "bad", word: comes ? "Waiting" : "Blocked", why: ready?.message };
}

/** How an agreement is; what it is for, where it holds. */
function agreed(agreement) {
  const { phase, purpose } = agreement.view;
  const ready = standing(agreement);
  if (phase !== "Active") return { kind: PHASES[phase] ?? "work", word: `agreement-${phase}`, why: ready.why };
  return ready.kind === "good" ? { kind: "good", word: "granted", why: named(purpose, "") } : ready;
}

/** Who may call by an agreement; who was to, where it is refused. */
function granted(agreement, members) {
  const { view, namespace } = agreement;
  const member = members.get(`${namespace}/${view.provider.member}`)?.view;
  const instance = member?.id?.split("/")[0];
  const provider = organisation(view.service ?? member?.id ?? view.provider.member);
  const consumers = view.resolved.length > 0 ? view.resolved : view.consumers.map((id) => whole(id, 4, instance));
  const how = agreed(agreement);
  const more = view.moreConsumers ? ` (${say("more", { count: view.moreConsumers })})` : "";
  return [...new Set(consumers.map(organisation))].map((consumer) => ({
    type: "agreement", from: `org/${consumer}`, to: `org/${provider}`,
    what: `${view.provider.subsystem}/${view.provider.service}${more}`, ...how,
  }));
}

/** The block that runs a registry. */
function runs(registry, members, blocks) {
  const { view, namespace } = registry;
  const owner = members.get(`${namespace}/${view.owner}`)?.view.id;
  if (!view.block) return [];
  const ends = { from: `org/${owner ?? view.owner}`, to: ofBlock(view.block) };
  return [{ type: "registry", ...ends, what: named(view.names, view.code), ...worst(standing(registry), blocks.get(view.block)) }];
}

/** Blocks that a public service uses, and what it asks for and nobody has granted. */
function uses(service, blocks) {
  const { view, namespace, name } = service;
  const from = view.client ? `org/${organisation(view.client)}` : `service/${namespace}/${name}`;
  const title = named(view.title, name);
  const instance = view.client?.split("/")[0];
  const used = [...new Set(view.blocks)].map((block) => ({
    type: "service", from, to: ofBlock(block), what: title, ...worst(standing(service), blocks.get(block)),
  }));
  const open = view.uses.filter((use) => !use.granted).map((use) => ({
    type: "agreement", from, to: `org/${organisation(whole(use.service, 5, instance))}`,
    what: use.service.split("/").slice(-2).join("/"), kind: "work", word: "not-granted", why: use.message,
  }));
  return [...used, ...open];
}
