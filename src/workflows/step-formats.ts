import { DURATION_EXAMPLES, parseDuration } from '../common/duration.js';

/** A `format` of the step schemas: what a text must be, and how that is said after "must be". */
export interface StepFormat {
  readonly rule: string;
  test(text: string): boolean;
}

/** The longest wait of a Node timer. */
const MAX_DURATION_MS = 24 * 86_400_000;

/** Milliseconds of a field of format `duration`: a number or digits for seconds, or a duration such as `1m30s`. */
export function durationMs(value: unknown): number {
  if (typeof value === 'number') return value * 1000;
  const text = String(value);
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : (parseDuration(text) ?? NaN);
}

function matching(pattern: RegExp, rule: string): StepFormat {
  return { rule, test: (text) => pattern.test(text) };
}

/** The formats a step type's schema may use, beside JSON Schema's own keywords. */
export const STEP_FORMATS: Readonly<Record<string, StepFormat>> = {
  duration: {
    rule: `a time above zero and up to 24 days: seconds such as 30, or a duration such as ${DURATION_EXAMPLES}`,
    test: (text) => durationMs(text) > 0 && durationMs(text) <= MAX_DURATION_MS,
  },
  script: {
    rule: 'a script that is not empty and holds no NUL character',
    test: (text) => text.trim() !== '' && !text.includes('\0'),
  },
  path: {
    rule: "a path below the workspace, without '..' and not beginning with '/'",
    test: (text) => text !== '' && !text.startsWith('/') && !/[\0\n]/.test(text) && !text.split('/').includes('..'),
  },
  'file-name': matching(/^[A-Za-z0-9][\w.-]{0,99}$/, "a file's name of letters, digits, '.', '_' and '-'"),
  identifier: matching(/^[A-Za-z_][A-Za-z0-9_-]{0,99}$/, "letters, digits, '_' and '-', a letter or '_' first"),
  'http-url': {
    rule: 'an address that begins with http:// or https://, without a user name or password',
    test: (text) => {
      if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return false;
      const { username, password } = new URL(text);
      return username === '' && password === '';
    },
  },
  'header-name': matching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/, 'the name of an HTTP header'),
  'header-value': matching(/^[\t\x20-\x7e\x80-\xff]*$/, 'one line of text that an HTTP header can hold'),
  'json-path': matching(
    /^[\w$-]+(\.[\w$-]+|\[\d+\])*$/,
    'a path such as data.items[0].name: names with dots between, and indexes in brackets',
  ),
  'kubernetes-namespace': matching(
    /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/,
    "up to 63 lower-case letters, digits and '-', with a letter or digit at both ends",
  ),
  'kubernetes-resource': matching(
    /^[a-z][a-z0-9.]*(\/[a-z0-9]([-a-z0-9.:]{0,251}[a-z0-9])?)?$/i,
    'a kind of resource such as deployment or jobs.batch, or one of them: deployment/web',
  ),
  'kubernetes-name': matching(
    /^[a-z0-9]([-a-z0-9.:]{0,251}[a-z0-9])?$/,
    "lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
  ),
  host: matching(/^[A-Za-z0-9][\w.:[\]-]{0,252}$/, 'the name or address of a host'),
  'ansible-pattern': matching(/^[^@\s-][^\n]*$/, "one line that does not begin with '-' or '@'"),
  'git-url': {
    rule: 'the address of a repository (https://, ssh://, git://, file:// or user@host:path) without a password in it',
    test: (text) => {
      if (/^[\w.-]+@[\w.-]+:[^\s:]\S*$/.test(text)) return true;
      if (!/^(https?|ssh|git|file):\/\/\S+$/.test(text) || !URL.canParse(text)) return false;
      return new URL(text).password === '';
    },
  },
  'git-branch': {
    rule: "the name of a branch: letters, digits, '.', '_', '/' and '-', a letter or digit first",
    test: (text) => /^[A-Za-z0-9_][\w./-]{0,200}$/.test(text) && !/\.\.|\/\/|\/$|\.$|\.lock$/.test(text),
  },
  'git-author': matching(
    /^[^<>\n\0]+ <[^<>\s\0]+>$/,
    'a name and an address, such as "Ada Lovelace <ada@example.org>"',
  ),
};
