import fc from 'fast-check';
import { Problem } from '../../src/common/problem/problem.js';

/** What the gate tries, always the same; `FUZZ_SEED` takes one of your own instead, `FUZZ_RUNS` multiplies the runs. */
const SEEDS = process.env.FUZZ_SEED === undefined ? [1, 4711, 20_260_131] : [Number(process.env.FUZZ_SEED)];
const TIMES = Math.max(1, Number(process.env.FUZZ_RUNS ?? 1));

/** Processor time, not time on the clock: a busy machine makes nothing hostile. */
const HANG_MS = 1_000;
/** More than this nobody reads of what is wrong, whatever was sent. */
const MAX_ANSWER = 256 * 1024;

type ErrorClass = abstract new (...args: never[]) => Error;

/** Tries the check on so many values for each seed. A failure says how to see it again. */
export async function tryAll<T>(
  values: fc.Arbitrary<T>,
  runs: number,
  check: (value: T) => unknown,
  options: fc.Parameters<[T]> = {},
): Promise<void> {
  for (const seed of SEEDS) {
    const property = fc.asyncProperty(values, async (value) => void (await check(value)));
    try {
      await fc.assert(property, { numRuns: runs * TIMES, seed, ...options });
    } catch (error) {
      (error as Error).message = `Replay with FUZZ_SEED=${seed} FUZZ_RUNS=${TIMES}\n${(error as Error).message}`;
      throw error;
    }
  }
}

/** Whatever is read is read in time; or refused in a few words, by a Problem of a 4xx or an error of these classes. */
export function readsOrRefuses<T>(read: () => T, ...own: ErrorClass[]): T | undefined {
  const before = process.cpuUsage();
  try {
    return read();
  } catch (error) {
    if (error instanceof Problem) refusedWell(error);
    else if (!own.some((type) => error instanceof type)) throw error;
    else expect((error as Error).message.length).toBeLessThan(MAX_ANSWER);
    return undefined;
  } finally {
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(HANG_MS);
  }
}

function refusedWell(problem: Problem): void {
  expect([problem.code, Math.floor(problem.status / 100)]).toEqual([problem.code, 4]);
  expect(JSON.stringify(problem.toBody('id')).length).toBeLessThan(MAX_ANSWER);
}

const NASTY = [
  ...['', ' ', '\0', '%00', '\u0001', '\n', '\r\n', '\t', '\u001b[2J', '\u2028', '\ufeff', '\ud800', 'ü', '😀', 'ÿ'],
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'null', 'undefined', 'NaN', 'true', '-0', '1e999'],
  ...[
    '9007199254740993',
    '99999999999999999999',
    '-1',
    '0x10',
    '..',
    '../../etc/passwd',
    "'; DROP TABLE x --",
    '%',
    '_',
  ],
  ...[
    '"',
    "'",
    '\\',
    '`',
    '$(id)',
    '${a.b}',
    '$${a.b}',
    '{{x}}',
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    '*',
    '&a ',
    '*a',
    '!!js',
  ],
  ...['9999-12-31T23:59:59-14:00', '1000-01-01T00:00:00+14:00', '2026-02-30T00:00:00Z', '0', '1', '1w', '999999999w'],
] as const;

/** A text that some code or other does not expect. */
export const nastyText = fc.oneof(
  fc.constantFrom(...NASTY),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.tuple(fc.constantFrom(...NASTY), fc.constantFrom(...NASTY)).map((two) => two.join('')),
  fc.tuple(fc.constantFrom('a', 'é', '9', '%', '{', '\\'), fc.nat(3_000)).map(([text, n]) => text.repeat(n)),
);

/** A value of JSON that some code or other does not expect; all that JSON can say, prototype keys included. */
export const nastyValue: fc.Arbitrary<unknown> = fc.oneof(
  nastyText,
  fc.double(),
  fc.integer(),
  fc.constantFrom<unknown>(null, true, false, [], {}, [[]], [null], -0, 1e308),
  fc.jsonValue({ maxDepth: 4 }),
  fc.array(nastyText, { maxLength: 5 }),
  fc.dictionary(nastyText, nastyText, { maxKeys: 4 }),
);

/** An object with some of the keys, and now and then another one; each with one of its good values, or any. */
export function nastyObject(good: Readonly<Record<string, readonly unknown[]>>): fc.Arbitrary<Record<string, unknown>> {
  const entry = fc.constantFrom(...Object.keys(good)).chain((key) => {
    const values = good[key]!;
    const value = fc.oneof(nastyValue, ...(values.length > 0 ? [fc.constantFrom(...values)] : []));
    return fc.tuple(fc.constant(key), value);
  });
  const entries = fc.oneof({ weight: 4, arbitrary: entry }, { weight: 1, arbitrary: fc.tuple(nastyText, nastyValue) });
  return fc.array(entries, { maxLength: 8 }).map((all) => Object.fromEntries(all));
}

/** One of the texts with some of its bytes cut out, doubled, moved or replaced. */
export function mutated(...texts: readonly string[]): fc.Arbitrary<Buffer> {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const edit = fc.record({
    at: share,
    cut: fc.oneof(fc.nat(3), fc.nat(60)),
    piece: fc.oneof(
      nastyText.map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 6 }),
    ),
    copied: fc.option(fc.tuple(share, fc.nat(80)), { nil: undefined }),
  });
  return fc.tuple(fc.constantFrom(...texts), fc.array(edit, { minLength: 1, maxLength: 5 })).map(([text, edits]) => {
    let bytes: Buffer = Buffer.from(text);
    for (const { at, cut, piece, copied } of edits) {
      const place = Math.floor(at * bytes.length);
      const from = copied ? Math.floor(copied[0] * bytes.length) : 0;
      const between = copied ? bytes.subarray(from, from + copied[1]) : piece;
      bytes = Buffer.concat([bytes.subarray(0, place), between, bytes.subarray(place + cut)]);
    }
    return bytes;
  });
}

/** Bodies of half a megabyte, as large as the service accepts, each of which costs some reader more than its length. */
export function largeBodies(fields: readonly string[]): [name: string, body: string][] {
  const size = 500 * 1024;
  const text = (length: number) => 'x'.repeat(length);
  const keys = (count: number, key: (n: number) => string) =>
    JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, n) => [key(n), 1])));
  return [
    ['many unknown keys', keys(40_000, (n) => `k${n}`)],
    ['many keys that are almost known', keys(20_000, (n) => `${fields[n % fields.length]!.slice(1)}${n % 97}_${n}`)],
    ['one long key', JSON.stringify({ [text(size)]: 1 })],
    ['long keys', keys(50, (n) => `${n}${text(size / 50 - 10)}`)],
    ...fields.flatMap((field): [string, string][] => [
      [`a long text as ${field}`, JSON.stringify({ [field]: text(size) })],
      [`a long list as ${field}`, JSON.stringify({ [field]: Array.from({ length: 60_000 }, () => 'a') })],
      [`a list of lists as ${field}`, `{"${field}":${'['.repeat(95)}${'[],'.repeat(50_000)}1${']'.repeat(95)}}`],
      [`many keys in ${field}`, `{"${field}":${keys(40_000, (n) => `k${n}`)}}`],
      [`long keys in ${field}`, `{"${field}":${keys(50, (n) => `${n}${text(size / 50 - 10)}`)}}`],
    ]),
  ];
}
