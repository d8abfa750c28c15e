import { type Document, isAlias, isMap, isScalar, isSeq, type Node, type Pair, Scalar, type YAMLMap } from 'yaml';
import { Flaws, type Flaw } from './document-errors.js';
import { shorten } from './document-path.js';
import { LIMITS } from './limits.js';
import { refusedKey, refusedNumber, refusedText, type Refusal } from './value-checks.js';
import type { YamlPlaces } from './yaml-places.js';

/** What an anchor names, and what each use of it costs. */
interface Anchored {
  readonly value: unknown;
  readonly nodes: number;
  readonly characters: number;
  /** Levels of nesting inside it. */
  readonly height: number;
}

/** Stands for a value that has been refused; its flaw is noted. */
const REFUSED = Symbol('refused');

/**
 * Turns the syntax tree into plain data. An alias shares the object of its anchor, so expansion costs nothing here, but it
 * is counted in full: whoever walks or writes the data later meets at most LIMITS.
 */
export class YamlToValue {
  private readonly flaws = new Flaws();
  /** `undefined` while the anchor's own value is being read. */
  private readonly anchors = new Map<string, Anchored | undefined>();
  private readonly path: (string | number)[] = [];
  private nodes = 0;
  private characters = 0;
  private aliases = 0;
  private deepest = 0;

  constructor(private readonly places: YamlPlaces) {}

  convert(document: Document.Parsed): unknown {
    const value = this.node(document.contents, 0);
    this.flaws.throwIfAny();
    return value;
  }

  private node(node: unknown, depth: number): unknown {
    if (isAlias(node)) return this.alias(node.source, node, depth);
    const anchor = (node as { anchor?: string } | null)?.anchor;
    if (anchor === undefined) return this.content(node, depth);
    // An alias inside its own anchor would be endless; `undefined` marks that.
    this.anchors.set(anchor, undefined);
    const { nodes, characters, deepest } = this;
    this.deepest = depth;
    const value = this.content(node, depth);
    this.anchors.set(anchor, {
      value,
      nodes: this.nodes - nodes,
      characters: this.characters - characters,
      height: this.deepest - depth,
    });
    this.deepest = Math.max(deepest, this.deepest);
    return value;
  }

  private content(node: unknown, depth: number): unknown {
    this.count(node, 1, 0);
    if (isScalar(node)) return this.scalar(node);
    if (isMap(node)) return this.map(node, depth + 1);
    if (isSeq(node)) return this.list(node.items, node, depth + 1);
    return null;
  }

  private list(items: readonly unknown[], node: Node, depth: number): unknown[] {
    this.enter(node, depth);
    const result: unknown[] = [];
    this.places.register(result, node);
    for (const [index, item] of items.entries()) {
      this.path.push(index);
      result.push(this.node(item, depth));
      this.path.pop();
    }
    return result;
  }

  private map(node: YAMLMap, depth: number): Record<string, unknown> {
    this.enter(node, depth);
    const result: Record<string, unknown> = {};
    this.places.register(result, node);
    const merges: Pair[] = [];
    const seen = new Set<string>();
    for (const pair of node.items) {
      if (isMergeKey(pair.key)) {
        merges.push(pair);
        continue;
      }
      const key = this.key(pair.key, node);
      if (key === undefined) continue;
      this.path.push(key);
      if (seen.has(key)) {
        const message = `The key '${shorten(key, 80)}' stands twice in the same mapping`;
        this.flaw(pair.key, { message, hint: 'Keep one of the two.' });
      }
      seen.add(key);
      result[key] = this.node(pair.value, depth);
      this.path.pop();
    }
    for (const pair of merges) this.merge(pair, result, depth);
    return result;
  }

  /** `<<: *defaults` or a list of them: entries that are not written win over none; of several, the first wins. */
  private merge(pair: Pair, into: Record<string, unknown>, depth: number): void {
    const value = this.node(pair.value, depth);
    if (value === REFUSED) return;
    for (const source of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (typeof source !== 'object' || source === null || Array.isArray(source)) {
        this.flaw(pair.key, {
          message: "The merge key '<<' takes a mapping or a list of mappings",
          hint: "Write '<<: *name', where &name marks a mapping above, or quote the key.",
        });
        return;
      }
      for (const [key, merged] of Object.entries(source)) {
        if (Object.hasOwn(into, key)) continue;
        into[key] = merged;
        this.count(pair.key, 1, key.length);
      }
      this.places.registerMerge(into, source);
    }
  }

  private key(key: unknown, map: YAMLMap): string | undefined {
    if (!isScalar(key)) {
      const what = isAlias(key) ? 'an alias' : 'a mapping or a list';
      const message = `A key must be a text, not ${what}`;
      this.flaw(key ?? map, isTemplate(key, map) ? TEMPLATE : { message, hint: 'Put the key in quotes.' });
      return undefined;
    }
    if (key.value === null || (key.source === '' && key.type === Scalar.PLAIN)) {
      const hint = 'Write the key before the colon; put it in quotes if null is its name.';
      this.flaw(key, { message: 'A key is missing or null', hint });
      return undefined;
    }
    this.count(key, 1, 0);
    // Numbers and the words true and false are keys as they are written: 8080 and "8080" are the same key.
    const text = typeof key.value === 'string' ? this.text(key.value, key) : (key.source ?? JSON.stringify(key.value));
    if (text === REFUSED) return undefined;
    const refusal = refusedKey(text);
    if (refusal !== undefined) this.flaw(key, refusal);
    return refusal === undefined ? text : undefined;
  }

  private scalar(node: Scalar): unknown {
    const { value } = node;
    if (typeof value === 'string') return this.text(value, node);
    if (typeof value !== 'number') return value ?? null;
    const refusal = refusedNumber(value, shorten(node.source ?? String(value), 40));
    if (refusal !== undefined) this.flaw(node, refusal);
    return value === 0 ? 0 : value;
  }

  private text(text: string, node: Node): string | typeof REFUSED {
    this.count(node, 0, text.length);
    const refusal = refusedText(text);
    if (refusal === undefined) return text;
    this.flaw(node, refusal);
    return REFUSED;
  }

  private alias(name: string, node: Node, depth: number): unknown {
    if (++this.aliases > LIMITS.aliases) this.refuse(node, `The document has more than ${LIMITS.aliases} aliases`);
    const anchored = this.anchors.get(name);
    if (anchored === undefined) {
      const message = this.anchors.has(name)
        ? `The alias '*${shorten(name, 40)}' stands inside the value that it names`
        : `The alias '*${shorten(name, 40)}' names no anchor above it`;
      const hint = `Mark the value with '&${shorten(name, 40)}' first; put a text that begins with '*' in quotes.`;
      this.flaw(node, { message, hint });
      return REFUSED;
    }
    this.enter(node, depth + anchored.height);
    this.count(node, anchored.nodes, anchored.characters);
    return anchored.value;
  }

  private enter(node: Node, depth: number): void {
    if (depth > LIMITS.depth) this.refuse(node, `Mappings and lists are nested more than ${LIMITS.depth} deep`);
    this.deepest = Math.max(this.deepest, depth);
  }

  private count(node: unknown, nodes: number, characters: number): void {
    this.nodes += nodes;
    this.characters += characters;
    if (this.nodes > LIMITS.nodes) this.refuse(node, `The document has more than ${LIMITS.nodes} values`);
    if (this.characters > LIMITS.characters) {
      this.refuse(node, `The document has more than ${LIMITS.characters} characters, with its aliases written out`);
    }
  }

  private flaw(node: unknown, refusal: Refusal): void {
    this.flaws.add(this.at(node, refusal));
  }

  private refuse(node: unknown, message: string): never {
    return this.flaws.refuse(this.at(node, { message }));
  }

  private at(node: unknown, refusal: Refusal): Flaw {
    const offset = (node as Node | null)?.range?.[0] ?? 0;
    return { offset, ...refusal, path: [...this.path] };
  }
}

const TEMPLATE: Refusal = {
  message: "'{{' begins a mapping inside a mapping in YAML",
  hint: 'If a template is meant, put the whole value in quotes: "{{ … }}"',
};

function isTemplate(key: unknown, map: YAMLMap): boolean {
  return isMap(key) && key.range !== undefined && key.range?.[0] === (map.range?.[0] ?? 0) + 1;
}

/** Quoted, it is a key like any other. */
function isMergeKey(key: unknown): boolean {
  return isScalar(key) && key.value === '<<' && key.type === Scalar.PLAIN && key.tag === undefined;
}
