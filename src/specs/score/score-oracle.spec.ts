import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { formatPath } from '../../common/yaml/document-path.js';
import { parseDocument } from '../../common/yaml/parse-document.js';
import { validateScore } from './validate-score.js';

/** The official schema and documents, which are no part of this repository. */
const ORACLE = join(process.cwd(), '..', 'shared', 'score');
const present = existsSync(join(ORACLE, 'score-v1b1.json'));
const OWN = 'a document of rare keys';
const files = present ? [OWN, ...readdirSync(join(ORACLE, 'valid')).filter((name) => name.endsWith('.yaml'))] : [];

/** Skipped by name, so that a run without the oracle says what it did not show. */
const withOracle = present ? describe : describe.skip;

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** What the official documents leave out: the forms that are out of fashion, and the keys nobody uses. */
const RARE = `apiVersion: score.dev/v1b1
metadata: {name: ab, annotations: {ab: x}}
containers:
  web:
    image: x
    args: [a]
    files:
      - {target: /a, source: b, mode: "0644", noExpand: true}
      - {content: ""}
    volumes:
      - {source: a, target: /b, path: c, readOnly: true}
    before:
      side: {ready: started}
    readinessProbe:
      httpGet: {host: h, scheme: HTTPS, path: /, port: 1, httpHeaders: [{name: A_b, value: c}]}
  side:
    image: y
    files: {/a: {binaryContent: "", noExpand: false}}
resources:
  db: {type: ab, class: cd, id: a.b-c, metadata: {annotations: {ab: x}}, params: {}}
`;

function read(name: string): Json {
  if (name === OWN) return parseDocument(RARE, 'yaml').value as Json;
  return parseDocument(readFileSync(join(ORACLE, 'valid', name)), 'yaml').value as Json;
}

/** A copy of the document in which the value at the path is what `change` makes of it; `undefined` removes it. */
function changed(value: Json, path: readonly (string | number)[], change: (old: Json) => Json | undefined): Json {
  const [key, ...rest] = path;
  if (key === undefined) return change(value) ?? null;
  const copy = structuredClone(value) as Record<string | number, Json>;
  const next = rest.length > 0 ? changed(copy[key] as Json, rest, change) : change(copy[key] as Json);
  if (next !== undefined) copy[key] = next;
  else if (Array.isArray(copy)) copy.splice(Number(key), 1);
  else delete copy[key];
  return copy;
}

function* pathsOf(value: Json, path: (string | number)[] = []): Generator<(string | number)[]> {
  yield path;
  if (typeof value !== 'object' || value === null) return;
  const keys = Array.isArray(value) ? value.keys() : Object.keys(value);
  for (const key of keys) yield* pathsOf((value as Record<string | number, Json>)[key] as Json, [...path, key]);
}

/** Values for every place: of every type, and at the edges of every pattern and bound in the schema. */
const VALUES: Json[] = [
  ...[
    null,
    true,
    false,
    0,
    1,
    -1,
    1.5,
    65535,
    65536,
    1e30,
    '',
    'x',
    'ab',
    'AB',
    'a-b',
    '-ab',
    'ab-',
    'a_b',
    'a.b',
    'a b',
  ],
  ...[
    'a'.repeat(62),
    'a'.repeat(63),
    'a'.repeat(64),
    `${'a'.repeat(64)}/b`,
    'p.q/ab',
    'pp.qq/ab',
    'PP/ab',
    'a--b',
    'a..b',
  ],
  ...[
    '0644',
    '644',
    '0888',
    '06444',
    '1',
    '1m',
    '1.5',
    '.5',
    '1.m',
    '0.5',
    '00',
    '10Mi',
    '10mi',
    '1.5G',
    '0',
    '0.0',
    '01',
  ],
  ...[
    'TCP',
    'tcp',
    'HTTPS',
    'started',
    'ready',
    'score.dev/v1b1',
    'score.dev/v1b2',
    'a=b',
    '=',
    'é',
    '😀😀',
    'ab\n',
    '\nab',
  ],
  ...[[], [''], [1], ['a', 'b'], [null], {}, { a: 1 }, { target: 'x' }, { source: 'x' }, { source: 'x', target: 'y' }],
  ...[
    { content: 'x', source: 'y' },
    { content: '' },
    [{ source: 'x', target: '' }],
    [{ source: 'x', target: '/y' }],
    { ready: 'x' },
  ],
  ...[
    { command: [] },
    { exec: {} },
    { exec: { command: ['a'] } },
    { httpGet: { port: 1, path: '' } },
    { ab: { type: 'ab' } },
  ],
] as Json[];

/** 316 characters, the longest name that an annotation may have. */
const LONGEST = `a${'aa.aa'.repeat(62)}/ab12`;

const KEYS = [
  LONGEST,
  `${LONGEST}b`,
  '',
  'x',
  'extra',
  'ab',
  'Ab',
  'a_b',
  'a=b',
  'target',
  'toString',
  'hasOwnProperty',
  'a'.repeat(64),
  'pp/ab',
  '😀',
];

/** One step away from the document, at the given place. */
function* mutantsAt(document: Json, path: readonly (string | number)[]): Generator<Json> {
  if (path.length > 0) yield changed(document, path, () => undefined);
  for (const value of VALUES) yield changed(document, path, () => value);
  const key = path.at(-1);
  if (typeof key === 'string') {
    for (const name of [...KEYS, `${key}s`, key.slice(1), key.toUpperCase()]) yield renamed(document, path, name);
  }
  yield changed(document, path, (old) => (Array.isArray(old) ? [...old, old[0] ?? 1] : old));
  for (const name of KEYS) {
    yield changed(document, path, (old) =>
      typeof old === 'object' && old !== null && !Array.isArray(old) ? { ...old, [name]: 'ab' } : old,
    );
  }
}

function renamed(document: Json, path: readonly (string | number)[], name: string): Json {
  return changed(document, path.slice(0, -1), (parent) =>
    Object.fromEntries(
      Object.entries(parent as object).map(([key, value]) => [key === path.at(-1) ? name : key, value as Json]),
    ),
  );
}

withOracle('the official schema of score.dev/v1b1 (../shared/score)', () => {
  let official: ValidateFunction;

  beforeAll(() => {
    const schema = JSON.parse(readFileSync(join(ORACLE, 'score-v1b1.json'), 'utf8')) as object;
    official = new Ajv2020({ strict: false }).compile(schema);
  });

  /** Whether both accept; throws where they differ. */
  function verdict(value: Json): boolean {
    const expected = official(value);
    const document = parseDocument(JSON.stringify(value), 'json');
    const ours = validateScore(document);
    if (ours.valid !== expected) {
      throw new Error(`official: ${expected}, ours: ${JSON.stringify(ours)}\n${JSON.stringify(value, null, 1)}`);
    }
    if (!ours.valid) {
      // A refusal names at least one thing, and all that it names is in plain words.
      expect(ours.issues.length).toBeGreaterThan(0);
      for (const { message, hint } of ours.issues) {
        expect(`${message} ${hint ?? ''}`).not.toMatch(
          /must NOT|must match|schema|additional propert|RegExp|undefined|\[object/,
        );
      }
    }
    return ours.valid;
  }

  test('has documents to compare', () => expect(files.length).toBeGreaterThan(15));

  test.each(files)('%s is valid', (name) => expect(verdict(read(name))).toBe(true));

  test.each(files)('every mutant of %s gets the same verdict', (name) => {
    const document = read(name);
    const count = { valid: 0, invalid: 0 };
    for (const path of pathsOf(document)) {
      for (const mutant of mutantsAt(document, path)) {
        // Extension keys at the root are ours by design.
        if (
          mutant !== null &&
          typeof mutant === 'object' &&
          Object.keys(mutant).some((key) => /^(x-|workflow|env)/.test(key))
        ) {
          continue;
        }
        count[verdict(mutant) ? 'valid' : 'invalid']++;
      }
    }
    // Both kinds occur, or this shows nothing.
    expect(count.valid).toBeGreaterThan(10);
    expect(count.invalid).toBeGreaterThan(100);
  });

  test('random documents get the same verdict', () => {
    const random = fc.tuple(
      fc.constantFrom(...files),
      fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 4 }),
    );
    fc.assert(
      fc.property(random, ([name, steps]) => {
        let document = read(name);
        for (const [place, which] of steps) {
          const paths = [...pathsOf(document)].slice(1);
          const path = paths[place % paths.length];
          if (path === undefined) break;
          const mutants = [...mutantsAt(document, path)];
          document = mutants[which % mutants.length] ?? document;
        }
        verdict(document);
      }),
      { numRuns: 150 },
    );
  });

  test('every place that is named exists, or is missing from one that does', () => {
    const document = read('score-full.yaml');
    for (const path of pathsOf(document)) {
      const mutant = changed(document, path, () => ({ wrong: [1] }));
      const verdict = validateScore(parseDocument(JSON.stringify(mutant), 'json'));
      if (verdict.valid) continue;
      const known = new Set([...pathsOf(mutant)].map(formatPath));
      for (const issue of verdict.issues) {
        expect(known.has(formatPath(issue.path)) || known.has(formatPath(issue.path.slice(0, -1)))).toBe(true);
      }
    }
  });
});
