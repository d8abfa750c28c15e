import { load } from 'js-yaml';
import { LIMITS } from './limits.js';
import { countPlainKeys } from './plain-data.js';

/** Bounds what the library is given; and so few characters hold fewer values and tokens than the limits allow. */
const MAX_LENGTH = 64 * 1024;

/** Tabs, carriage returns, control characters, and whatever else somebody may take for a space or a line's end. */
const ODD_CHARACTER = /(?![\n ])[\s\p{Cc}\p{Noncharacter_Code_Point}]/u;

/** No empty key, no number, none of the words that are no texts. */
const KEY = '(?!(?:null|true|false):)[a-z_/][\\w./-]{0,100}';
const QUOTED = '"[^"\\\\\\n]*"|\'[^\'\\n]*\'';
const NUMBER = '-?(?:0|[1-9]\\d{0,14})(?:\\.\\d{1,15})?';
/** Such as 250m, 128Mi and 1.2.3: begins like a number and certainly is none. */
const MEASURE = '\\d+(?:[acdf-np-wyz]|\\.\\d+\\.)[\\w.-]*';
const TEXT = '(?:--?|\\.\\.?(?=/))?[a-z/_$](?:[^ :\\n]|:(?=[^ \\n])| +(?=[^ #\\n]))*|\\.';
const ITEM = `(?:${QUOTED}|${NUMBER}|--?[a-z][\\w./-]*|[a-z/_$][\\w./@$-]*)`;
const LIST = `\\[ ?(?:${ITEM}(?:, ?${ITEM})*)? ?\\]`;
const MAPPING = `\\{ ?(?:${KEY}: ${ITEM}(?:, ?${KEY}: ${ITEM})*)? ?\\}`;
const VALUE = `(?:${QUOTED}|${NUMBER}|${MEASURE}|${TEXT}|${LIST}|${MAPPING})`;

const BEGIN = /^\n*---\n/;
const COMMENT = /^ *(?:#.*)?$/;
const LINE = new RegExp(
  `^(?<indent> *(?<dash>- )?)(?:(?<key>${KEY}:)(?: +(?:(?<block>[|]-?)|(?<value>${VALUE})))?|(?<=- )${VALUE})(?: +#.*)? *$`,
  'i',
);

/**
 * The value of a YAML text written the way most people write it: keys, lists, words, quotes without escapes and literal
 * blocks, all in their lines. Undefined for all others, good or not: the YAML library that knows places takes five to twenty
 * times as long, but only it can tell what is wrong. What is taken here, both libraries read alike.
 */
export function quickYaml(text: string): unknown {
  if (text.length > MAX_LENGTH || ODD_CHARACTER.test(text)) return undefined;
  if (!isSimple(text.replace(BEGIN, ''))) return undefined;
  let value: unknown;
  try {
    value = load(text, { maxDepth: LIMITS.depth });
  } catch {
    return undefined;
  }
  // A text without any value is read as null.
  return value !== null && countPlainKeys(value) !== undefined ? value : undefined;
}

/** Whether every line is of a known form, and stands deeper than the one above only where that leaves its value open. */
function isSimple(text: string): boolean {
  /** Where the key or the dash of the line above stands, and whether a value is still to come. */
  let column = 0;
  let open = false;
  /** How deep the literal block is, while there is one: 0 before its first line. */
  let block: number | undefined;
  for (const line of text.split('\n')) {
    if (block !== undefined && line !== '') {
      const indent = line.search(/[^ ]/);
      if (indent === -1) return false;
      if (block === 0 && indent > column) block = indent;
      if (block > 0 && indent >= block) continue;
      if (indent > column) return false;
      block = undefined;
    }
    if (COMMENT.test(line)) continue;
    const found = LINE.exec(line)?.groups;
    if (found === undefined) return false;
    const start = found.indent!.length - (found.dash ? 2 : 0);
    if (start > column && !open) return false;
    column = found.key === undefined ? start : found.indent!.length;
    open = found.key !== undefined && found.block === undefined && found.value === undefined;
    if (found.block !== undefined) block = 0;
  }
  return true;
}
