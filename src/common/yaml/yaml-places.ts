import { isAlias, isMap, isNode, isScalar, isSeq, type Node, Scalar, type YAMLMap } from 'yaml';
import type { Place, Places } from './parsed-document.js';

/** Remembers which node of the syntax tree each object came from, and looks an entry's place up when it is asked for. */
export class YamlPlaces implements Places {
  root: Place = { valueOffset: 0 };
  private readonly nodes = new Map<object, Node>();
  private readonly merged = new Map<object, object[]>();
  /** Made on the first question about a mapping, so that many errors in a large one do not search it again and again. */
  private readonly indexes = new Map<YAMLMap, Map<string, Place>>();

  register(value: object, node: Node): void {
    this.nodes.set(value, node);
  }

  /** `from` was merged into `into` by a merge key; entries that `into` has of its own come first. */
  registerMerge(into: object, from: object): void {
    const sources = this.merged.get(into);
    if (sources === undefined) this.merged.set(into, [from]);
    else sources.push(from);
  }

  find(container: object, key: string | number): Place | undefined {
    const node = this.nodes.get(container);
    if (isSeq(node)) return typeof key === 'number' ? placeOf(node.items[key]) : undefined;
    if (!isMap(node)) return undefined;
    const own = this.indexOf(node).get(String(key));
    if (own !== undefined) return own;
    for (const source of this.merged.get(container) ?? []) {
      const place = this.find(source, key);
      if (place !== undefined) return place;
    }
    return undefined;
  }

  private indexOf(map: YAMLMap): Map<string, Place> {
    const known = this.indexes.get(map);
    if (known !== undefined) return known;
    const index = new Map<string, Place>();
    for (const { key, value } of map.items) {
      if (!isScalar(key)) continue;
      const keyOffset = key.range?.[0] ?? 0;
      const place = placeOf(value) ?? { valueOffset: keyOffset };
      index.set(typeof key.value === 'string' ? key.value : (key.source ?? String(key.value)), { ...place, keyOffset });
    }
    this.indexes.set(map, index);
    return index;
  }
}

function placeOf(value: unknown): Place | undefined {
  if (!isNode(value) || !value.range) return undefined;
  const plain = isScalar(value) && value.type === Scalar.PLAIN && value.source !== '' && !isAlias(value);
  return { valueOffset: value.range[0], ...(plain ? { source: value.source } : {}) };
}
