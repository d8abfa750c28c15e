import { existsSync, readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { evaluate, explain } from './evaluate.js';
import { type ConditionScope, EvaluationError, ExpressionError, type Value } from './expression.js';
import { parseExpression } from './parse-expression.js';

const VARIABLES: Record<string, string> = {
  ENVIRONMENT: 'staging',
  SKIP: '',
  NO: 'False',
  YES: 'yes please',
  REPLICAS: '10',
  VERSION: 'v2.1.0-rc1',
  FILE: 'config.yaml',
  BIG: '9007199254740993',
  PATTERN: '^v[0-9]',
  LOOK: '(?=a)',
};
const PATHS: Record<string, Value> = {
  'build.success': true,
  'build.failed': false,
  'build-backend.success': true,
  'build.coverage': '80.5',
  'workflow.MIN': '80',
  'metadata.name': 'shop',
  'resources.s3-bucket': null,
  'resources.db.replicas': 3,
};
const scope: ConditionScope = {
  variable: (name) => VARIABLES[name],
  lookUp: (path) => PATHS[path.join('.')],
};
const answer = (text: string) => evaluate(parseExpression(text), scope);

function faultOf(text: string, steps?: string[]): ExpressionError {
  try {
    parseExpression(text, steps);
  } catch (error) {
    if (error instanceof ExpressionError) return error;
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

describe('a condition', () => {
  it.each([
    ['$ENVIRONMENT == staging', true],
    ['${ENVIRONMENT} == staging', true],
    ["'staging' == $ENVIRONMENT", true],
    ['$ENVIRONMENT==staging', true],
    ['$ENVIRONMENT == Staging', false],
    ['$ENVIRONMENT != "staging"', false],
    ["$ENVIRONMENT == 'it''s'", false],
    ["$SKIP == ''", true],
    ['$REPLICAS == 10.0', true],
    ["$REPLICAS == '10.0'", false],
    ['$REPLICAS >= 9', true],
    ['$REPLICAS < "9"', false],
    ['$REPLICAS > -1e1', true],
    ['$BIG == 9007199254740992', false],
    ['${build.coverage} >= ${workflow.MIN}', true],
    ['resources.db.replicas <= 3', true],
    ['$VERSION matches ^v[0-9]+\\.[0-9]+\\.0(-rc[0-9]+)?$', true],
    ['($VERSION matches ^v(1|2)\\.) and build.success', true],
    ['$VERSION matches ^[)]', false],
    ["$VERSION matches 'v2 ?\\.'", true],
    ['$VERSION matches $PATTERN', true],
    ['$VERSION contains rc', true],
    ['$VERSION startsWith v2.1.0', true],
    ['$FILE endsWith .yaml', true],
    ['build-backend.success', true],
    ['!build.failed&&$ENVIRONMENT==staging', true],
    ['not build.success or $ENVIRONMENT == staging', true],
    ['$SKIP or $NO', false],
    ['$YES', true],
    ['resources.s3-bucket', false],
    ['resources.s3-bucket != null', false],
    ['resources.s3-bucket == null and metadata.name != null', true],
    ['resources.s3-bucket contains x', false],
    ['not $ENVIRONMENT == staging', false],
    ['! ! (true)', true],
    ['false or true and false', false],
    ['(false or true) and false', false],
    ['${metadata.name} == ${metadata.name}', true],
  ])('%s is %s', (text, expected) => {
    expect(answer(text)).toBe(expected);
  });

  it('looks no further than it needs to', () => {
    expect(answer('$ENVIRONMENT == staging or $UNKNOWN')).toBe(true);
    expect(answer('resources.s3-bucket != null and unknown.step')).toBe(false);
  });

  it('names what it refers to, each once', () => {
    const { references } = parseExpression('$A == x and (${A} or ${build.version} != $B) and build.version');
    expect(references).toEqual([
      { kind: 'variable', name: 'A' },
      { kind: 'path', path: ['build', 'version'] },
      { kind: 'variable', name: 'B' },
    ]);
  });

  it('explains its answer by the values it has looked at', () => {
    const because = (text: string) => explain(parseExpression(text), scope);
    expect(because('$ENVIRONMENT == production')).toBe(
      "$ENVIRONMENT == production is false ($ENVIRONMENT is 'staging')",
    );
    expect(because('build.failed and $ENVIRONMENT')).toBe(
      'build.failed and $ENVIRONMENT is false (build.failed is false)',
    );
    expect(because('true')).toBe('true is true');
  });
});

describe('a condition that cannot be answered', () => {
  it.each([
    ['$UNKNOWN', "$UNKNOWN has no value: neither the step's env nor the workflow's variables have 'UNKNOWN'"],
    ['test.success', "test.success has no value: nothing here is called 'test.success'"],
    ['$ENVIRONMENT < 5', "'<' compares numbers, but $ENVIRONMENT is 'staging'"],
    ['resources.s3-bucket > 5', "'>' compares numbers, but resources.s3-bucket is null"],
    ['$VERSION matches $LOOK', 'lookahead and lookbehind, which is not supported'],
  ])('%s: %s', (text, message) => {
    expect(() => answer(text)).toThrow(EvaluationError);
    expect(() => answer(text)).toThrow(message);
  });

  it('has a text too long for a pattern', () => {
    const long = { ...scope, variable: () => 'a'.repeat(10_001) };
    expect(() => evaluate(parseExpression('$A matches a'), long)).toThrow('too long for a regular expression');
  });
});

describe('what is no condition', () => {
  it.each<[string, number, ...string[]]>([
    ['', 0, 'empty'],
    ['   ', 0, 'empty'],
    ['ENVIRONMENT == production', 0, 'neither a variable nor', 'Write $ENVIRONMENT'],
    ['$ENVIRONMENT = production', 13, "'=' is no operator", "Did you mean '=='?"],
    ['$ENVIRONMENT -eq 3', 13, "'-eq' is no operator", "Did you mean '=='?"],
    ['$ENVIRONMENT startswith a', 13, "'startswith' is no operator", "Did you mean 'startsWith'?"],
    ['$A == b AND $C', 8, "'AND' does not belong here", "Did you mean 'and'?"],
    ['$A ==', 5, 'nothing to compare with', 'in quotes'],
    ['$A == and $B', 6, 'nothing to compare with'],
    ['$A == (b)', 6, 'nothing to compare with'],
    ['($A == b', 0, "'(' is never closed"],
    ['$A == b)', 7, "')' does not belong here"],
    ["$A == 'b", 6, 'has no end'],
    ["$A == 'b'c", 9, 'something follows'],
    ['$A == b c', 8, "'c' does not belong here", 'A text with spaces stands in quotes'],
    ['$A == == b', 6, '= cannot stand'],
    ['$A == "$B"', 6, '$B is not filled in inside a text', 'Write $B alone'],
    ["'${a.b}' == x", 0, '${a.b} is not filled in'],
    ['$A == $B-x', 8, 'must stand alone'],
    ['$A matches ^$B', 11, '$B is not filled in'],
    ['${A:-x} == y', 0, 'is no reference'],
    ['$(touch x) == y', 0, 'is no reference'],
    ['$1 == y', 0, 'is no reference'],
    ['$A < abc', 5, "'<' compares numbers, and abc is none"],
    ["'a' == 'b'", 0, 'two fixed texts'],
    ['$A != null', 6, 'a variable is never null', "$A == ''"],
    ['$A == metadata.name', 6, 'may be meant as', 'Write ${metadata.name}'],
    ['$A == build.failed', 6, 'may be meant as'],
    ['$A matches [a', 11, 'missing closing ]', 'in quotes'],
    ['$A matches (?<=a)b', 11, 'lookahead and lookbehind', 'RE2'],
    ['$A matches (a)\\1', 11, 'references back', 'RE2'],
    ['$A matches (a{100}){100}', 11, 'invalid repeat count'],
    ['$A matches [ab]{999}[cd]{999}', 11, 'too large'],
    ['$A == b and', 11, 'not where a condition can begin'],
    ['$A == b == c', 8, "'==' does not belong here"],
  ])('%j at %i: %s', (...[text, offset, message, hint = '']) => {
    const fault = faultOf(text);
    expect(fault.message).toContain(message);
    expect(fault.offset).toBe(offset);
    expect(fault.hint ?? '').toContain(hint);
  });

  it('is a bare word that may be an output of a step', () => {
    expect(faultOf('$A == build.version', ['build']).hint).toBe(
      "Write ${build.version} for its value, or 'build.version' for the text.",
    );
    expect(() => parseExpression('$A == build.version', ['test'])).not.toThrow();
  });

  it.each([
    ['brackets', '('.repeat(100_000)],
    ['some brackets', `${'('.repeat(51)}$A${')'.repeat(51)}`],
    ['negations', '!'.repeat(100_000)],
    ['a long text', `$A == ${'a'.repeat(100_000)}`],
    ['a long pattern', `$A matches ${'a'.repeat(1_001)}`],
  ])('is one of too many %s', (_name, text) => {
    expect(() => parseExpression(text)).toThrow(ExpressionError);
  });

  it('is told from a condition for every text, and fast', () => {
    const piece = fc.constantFrom(
      ...['$A', '${A}', '${a.b}', 'build.success', 'x', '.yaml', '^(a|b)$', '[', ']', '(', ')', "'", '"', '\\', ' '],
      ...[
        '==',
        '!=',
        '<',
        '>=',
        '=',
        '!',
        '&&',
        '||',
        ' and ',
        ' or ',
        ' not ',
        ' contains ',
        ' matches ',
        'null',
        '5',
      ],
    );
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece, { maxLength: 60 }).map((all) => all.join('')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        try {
          const expression = parseExpression(text);
          evaluate(expression, { variable: () => 'a', lookUp: () => null });
        } catch (error) {
          if (error instanceof ExpressionError) {
            expect(error.offset).toBeGreaterThanOrEqual(0);
            expect(error.offset).toBeLessThanOrEqual(text.length);
          } else if (!(error instanceof EvaluationError)) throw error;
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('never holds up the service with its pattern', () => {
    const hostile = ['(a+)+$', '^(a|a)*$', '^(([a-z])+.)+[A-Z]([a-z])+$', '(.*)*x'];
    const text = `${'a'.repeat(9_999)}!`;
    for (const pattern of hostile) {
      expect(evaluate(parseExpression(`$A matches ${pattern}`), { ...scope, variable: () => text })).toBe(false);
    }
  });
});

describe('conditions written elsewhere', () => {
  it('stand in the documentation as they are accepted', () => {
    const blocks = [...readFileSync('docs/expressions.md', 'utf8').matchAll(/```text\n(.*?)```/gs)];
    const lines = blocks.flatMap((block) => block[1]!.trim().split('\n'));
    expect(lines.length).toBeGreaterThan(10);
    for (const line of lines) expect(() => parseExpression(line)).not.toThrow();
  });

  const files = '../shared/score/goldenpaths';
  const where = existsSync(files) ? it : it.skip;
  where(`are accepted as users write them (${files})`, () => {
    const steps = readdirSync(files)
      .flatMap((file) => parseAllDocuments(readFileSync(`${files}/${file}`, 'utf8')))
      .flatMap((document) => (document.toJS() as { spec?: { steps?: Record<string, unknown>[] } }).spec?.steps ?? []);
    const conditions = steps.flatMap((step) => [step.if, step.unless]).filter((text) => typeof text === 'string');
    expect(conditions.length).toBeGreaterThan(40);
    for (const text of conditions) expect(() => parseExpression(text)).not.toThrow();
  });
});
