import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

export const OUTPUT_LIMIT_BYTES = 64 * 1024;

export interface StepOutput {
  /** All that is right, also when there is a problem. */
  readonly outputs: Record<string, string>;
  /** The first thing that is wrong; it never quotes the file, whose values may be secret. */
  readonly problem?: string;
}

const LINE = /^([A-Za-z_][A-Za-z0-9_-]*)(=|<<)(.*)$/s;

/**
 * Reads what a step wrote for the steps after it: `key=value` lines, and for values of several lines
 *
 *     key<<EOF
 *     ...
 *     EOF
 *
 * Empty lines between entries are skipped; of entries with the same key the last one counts.
 */
export function parseStepOutput(content: Buffer): StepOutput {
  const found = new Map<string, string>();
  let problem: string | undefined;
  if (content.length > OUTPUT_LIMIT_BYTES) {
    return { outputs: {}, problem: `is larger than ${OUTPUT_LIMIT_BYTES / 1024} KiB` };
  }
  const lines = splitLines(content);
  for (let index = 0; index < lines.length; index++) {
    const number = index + 1;
    const line = lines[index];
    if (line === '') continue;
    const [, key, operator, rest] = (line === undefined ? undefined : LINE.exec(line)) ?? [];
    if (key === undefined || rest === undefined) {
      problem ??=
        line === undefined
          ? `line ${number} is not valid UTF-8 text`
          : `line ${number} is neither key=value nor key<<DELIMITER`;
    } else if (operator === '=') {
      found.set(key, rest);
    } else {
      const end = rest === '' ? -1 : lines.indexOf(rest, number);
      if (end < 0) {
        problem ??= rest === '' ? `line ${number} names no delimiter` : `the value begun in line ${number} has no end`;
        continue;
      }
      const value = lines.slice(number, end);
      const bad = value.indexOf(undefined);
      if (bad >= 0) problem ??= `line ${number + bad + 1} is not valid UTF-8 text`;
      else found.set(key, value.join('\n'));
      index = end;
    }
  }
  return { outputs: Object.fromEntries(found), ...(problem === undefined ? {} : { problem }) };
}

/** The outputs in the file; a step may have removed or replaced it. */
export function readStepOutput(path: string): StepOutput {
  const { content, problem } = readRegularFile(path);
  if (content !== undefined) return parseStepOutput(content);
  return { outputs: {}, ...(problem === undefined ? {} : { problem }) };
}

/**
 * The content of a file that a step may have put there, with one byte more than is allowed where there is more; neither
 * `content` nor `problem` where there is no file. It is small, and read at once: see `removeTree`.
 */
export function readRegularFile(path: string, limit = OUTPUT_LIMIT_BYTES): { content?: Buffer; problem?: string } {
  let file: number | undefined;
  try {
    // Of a link the target could be anything; opening a pipe would block.
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if (!fstatSync(file).isFile()) return { problem: 'is not a regular file' };
    const buffer = Buffer.alloc(limit + 1);
    let length = 0;
    for (;;) {
      const bytesRead = readSync(file, buffer, length, buffer.length - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return { content: buffer.subarray(0, length) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    return code === 'ENOENT' ? {} : { problem: `could not be read (${code})` };
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** The lines without their ends; undefined for one that is no text, or holds a NUL, which the database cannot store. */
function splitLines(content: Buffer): (string | undefined)[] {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const lines: (string | undefined)[] = [];
  for (let start = 0; start < content.length;) {
    const newline = content.indexOf(10, start);
    const end = newline < 0 ? content.length : newline;
    const bytes = content.subarray(start, end);
    try {
      lines.push(bytes.includes(0) ? undefined : decoder.decode(bytes));
    } catch {
      lines.push(undefined);
    }
    start = end + 1;
  }
  return lines;
}
