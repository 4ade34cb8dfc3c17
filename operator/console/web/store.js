// What the server told, kept by kind and name; and the stream that brings it.

/** States, the most urgent first, each with how it is shown. */
export const STATES = {
  Unreachable: "unknown", Conflicted: "bad", Blocked: "bad", Unhealthy: "bad", Drifted: "bad", OutOfDate: "work",
  Progressing: "work", Absent: "work", Waiting: "work", Orphaned: "quiet", Suspended: "quiet", Ready: "good",
};

/** Kinds of states, the most urgent first. */
export const URGENT = ["bad", "unknown", "work", "quiet", "good"];

/** Between two tries to reach the server, in milliseconds. */
const PAUSE = 2000;

export class Store {
  items = new Map();
  person = "";
  /** The API server tells of changes; else all of this is as it was. */
  answers = true;

  constructor(changed) {
    this.changed = changed;
  }

  all(kind) {
    return [...this.items.values()].filter((item) => item.kind === kind && item.view);
  }

  stack(namespace, name) {
    return this.items.get(key({ kind: "stack", namespace, name }));
  }

  blocks(stack) {
    return this.all("block").filter((block) => block.namespace === stack.namespace && block.view.stack === stack.name);
  }

  block(stack, name) {
    return this.blocks(stack).find((block) => block.view.block === name);
  }

  /** What people asked of a Stack. */
  operations(stack) {
    return this.all("operation").filter((operation) => operation.namespace === stack.namespace && operation.view.stack === stack.name);
  }

  /** What happened to a Stack and its blocks, or to one block: the newest first. */
  history(stack, only = null) {
    const blocks = new Map(this.blocks(stack).map((block) => [block.name, block.view.block]));
    const events = this.all("event").filter(({ namespace, view: { about } }) => {
      if (namespace !== stack.namespace) return false;
      if (about.kind === "BuildingBlock") return only ? blocks.get(about.name) === only : blocks.has(about.name);
      return !only && about.kind === "Stack" && about.name === stack.name;
    });
    const operations = only ? [] : this.operations(stack);
    const told = [
      ...events.map(({ name, view }) => ({ key: name, ...view, block: blocks.get(view.about.name) })),
      ...operations.map(({ name, view }) => ({
        key: name, at: view.finishedAt ?? view.at, reason: `${view.type} ${view.phase}`, by: view.by,
        message: view.message ?? view.why, warning: ["Failed", "Refused"].includes(view.phase),
      })),
    ];
    return told.sort((a, b) => new Date(b.at) - new Date(a.at)).slice(0, 100);
  }

  take(event, data) {
    if (event === "everything") {
      this.person = data.person;
      this.items = new Map(data.items.map((item) => [key(item), item]));
      this.changed(null);
    } else if (event === "change") {
      const before = this.items.get(key(data));
      this.items.set(key(data), data);
      this.changed({ before, after: data });
    } else if (event === "gone") {
      const before = this.items.get(key(data));
      this.items.delete(key(data));
      this.changed({ before, after: null });
    } else if (event === "cluster") {
      this.answers = data.answers;
      this.changed(null);
    }
  }
}

function key({ kind, namespace, name }) {
  return `${kind}/${namespace}/${name}`;
}

/** What an item says of itself under that type. */
export function condition(item, type) {
  return item.view.conditions.find((condition) => condition.type === type);
}

/** The word for a Stack, as its conditions say it. */
export function standing(stack) {
  const ready = condition(stack, "Ready");
  if (stack.view.paused) return { kind: "quiet", word: "Suspended", ready };
  if (!ready) return { kind: "work", word: "Absent", ready };
  if (ready.status === "Unknown") return { kind: "unknown", word: "Unreachable", ready };
  if (ready.status === "True" && stack.view.current) return { kind: "good", word: "Ready", ready };
  if (condition(stack, "Stalled")?.status === "True") return { kind: "bad", word: "Blocked", ready };
  const worst = worstOf(stack.view.blocks);
  const bad = worst && STATES[worst.state] === "bad";
  return { kind: bad ? "bad" : "work", word: bad ? worst.state : "Progressing", ready };
}

/** Of blocks or components the most urgent one. */
export function worstOf(all) {
  const order = Object.keys(STATES);
  return [...all].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state))[0];
}

/** Follows the server until `signal`; calls `link` with how that goes: "live", "lost", or "refused" and why. */
export async function follow(store, token, link, signal) {
  while (!signal.aborted) {
    try {
      const answer = await fetch("/api/stream", { headers: { Authorization: `Bearer ${token}` }, signal });
      if (answer.status === 401) return link("refused", await answer.text());
      if (!answer.ok) throw new Error(await answer.text());
      await read(answer.body, (event, data) => {
        store.take(event, JSON.parse(data));
        link("live");
      });
    } catch (error) {
      if (signal.aborted) return;
      link("lost", String(error.message ?? error));
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}

/** Server-sent events by fetch: an EventSource cannot carry a token. */
async function read(body, told) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const lines = part.split("\n");
      const field = (name) => lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2)).join("\n");
      if (field("event")) told(field("event"), field("data"));
    }
  }
}
