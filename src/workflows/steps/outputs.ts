import { isMapping } from '../../common/yaml/is-mapping.js';
import { OUTPUT_LIMIT_BYTES } from './step-output.js';

/** The largest text that becomes an output as a whole, without having been asked for by name. */
export const WHOLE_LIMIT = 16 * 1024;

/** The value at a path such as `data.items[0].name`; undefined where there is none. */
export function valueAt(value: unknown, path: string): unknown {
  let found = value;
  for (const [, name, index] of path.matchAll(/([^.[\]]+)|\[(\d+)\]/g)) {
    if (Array.isArray(found)) found = found[Number(index ?? name)] as unknown;
    else if (isMapping(found) && name !== undefined && Object.hasOwn(found, name)) found = found[name];
    else return undefined;
  }
  return found;
}

/** A program's answer. Not with the parser's words where it is none: they quote what may be secret. */
export function parseAnswer(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${what} is no well-formed JSON`);
  }
}

/** A value of a program's answer as an output: texts as they are, the rest as JSON. */
export function outputText(value: unknown): string {
  return (typeof value === 'string' ? value : JSON.stringify(value)).replaceAll('\0', '\ufffd');
}

/** The outputs that a step asks for by name and path; throws for one that the answer does not have. */
export function namedOutputs(answer: unknown, paths: unknown, what: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries((paths ?? {}) as Record<string, string>).map(([name, path]) => {
      const value = valueAt(answer, path);
      if (value === undefined) throw new Error(`output '${name}': ${what} has no '${path}'`);
      return [name, outputText(value)];
    }),
  );
}

/** In bytes, names included. */
export function sizeOf(texts: Readonly<Record<string, string>>): number {
  return Object.entries(texts).reduce((sum, [name, value]) => sum + name.length + Buffer.byteLength(value), 0);
}

/** Throws where the outputs are more than a step may have. */
export function limited(outputs: Record<string, string>): Record<string, string> {
  const bytes = sizeOf(outputs);
  if (bytes <= OUTPUT_LIMIT_BYTES) return outputs;
  throw new Error(
    `its outputs are ${Math.ceil(bytes / 1024)} KiB, more than the ${OUTPUT_LIMIT_BYTES / 1024} KiB of a step: select fewer of them`,
  );
}
