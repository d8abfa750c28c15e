import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { mutated, nastyText, nastyValue, readsOrRefuses, tryAll } from '../../test/support/fuzz.js';
import { parseDuration } from '../common/duration.js';
import { Pattern, PatternError } from '../common/pattern.js';
import { evaluate } from './expressions/evaluate.js';
import { EvaluationError, ExpressionError } from './expressions/expression.js';
import { parseExpression } from './expressions/parse-expression.js';
import { referencesInValue, ResolvedTooLong, resolveValue, UnresolvedReferences } from './references/references.js';
import { prepareScript } from './references/script-references.js';
import { readOutputFile } from './steps/output-file.js';
import { outputText, valueAt } from './steps/outputs.js';
import { OUTPUT_LIMIT_BYTES, parseStepOutput } from './steps/step-output.js';

const LIMIT = 256 * 1024;
const fill = (piece: string) => piece.repeat(Math.floor(LIMIT / piece.length));

/** Halves and wholes of what means something to a reader of scripts, references or conditions. */
const PIECES = [
  ...[
    '${a.b}',
    '$${a.b}',
    '${',
    '}',
    '$',
    '$(',
    ')',
    '$((',
    '))',
    '`',
    '"',
    "'",
    "$'",
    '\\',
    '<<E\n',
    "<<-'E'\n",
    'E\n',
  ],
  ...['case a in ', ' esac', ' a) ', ';;', 'if ', 'fi;', '{ ', '[[ ', ' ]]', '(', '#', '\n', ' ', ';', '&&', '||', '|'],
  ...['$A', '${A}', 'build.success', '==', '!=', '!', ' matches ', ' contains ', ' and ', ' or ', ' not ', '^(a+)+$'],
  ...['${x:-', '${x[@]}', 'a=(', 'function f() {', '\0', '😀', '\ud800', 'a', '1', '%'],
];
const texts = fc.oneof(
  nastyText,
  fc.array(fc.oneof(fc.constantFrom(...PIECES), nastyText), { maxLength: 40 }).map((all) => all.join('')),
);
const repeated = fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 3 }).map((all) => fill(all.join('')));

const scope = {
  lookUp: ([first]: readonly string[]) => (first === 'a' ? 'x'.repeat(10_000) : undefined),
};
const condition = (text: string) =>
  evaluate(parseExpression(text, ['build']), { variable: () => 'a'.repeat(9_999), lookUp: () => null });
const readText = (text: string) => {
  readsOrRefuses(() => condition(text), ExpressionError, EvaluationError);
  const prepared = readsOrRefuses(() => prepareScript(text));
  expect(prepared!.script.length).toBeLessThan(10 * text.length + 100);
  readsOrRefuses(() => resolveValue([text], scope), UnresolvedReferences, ResolvedTooLong);
};

describe('hostile texts of steps', () => {
  it('are conditions, scripts and references that are read or refused', () => tryAll(texts, 120, readText));

  it('are read or refused in time at their limits', () => tryAll(repeated, 8, readText));

  it('are values whose references are found', () =>
    tryAll(nastyValue, 80, (value) => {
      const { length } = referencesInValue(value);
      expect(length).toBeLessThan(10_000);
    }));

  it('are durations or none', () =>
    tryAll(fc.oneof(nastyText, mutated('1w2d3h4m5s6ms').map(String)), 80, (text) => {
      const duration = readsOrRefuses(() => parseDuration(text));
      if (duration !== undefined) expect(Number.isSafeInteger(duration)).toBe(true);
    }));

  it('are patterns that match in time, or none', () =>
    tryAll(
      fc.oneof(texts, mutated('^(a|b)*[0-9]{1,20}(?i)x$', '(a+)+$', '\\p{L}+|(x{2,5}){3}').map(String)),
      60,
      (text) => {
        const pattern = readsOrRefuses(() => new Pattern(text), PatternError);
        if (pattern) readsOrRefuses(() => pattern.test('ab'.repeat(5_000)), PatternError);
      },
    ));
});

describe('hostile outputs of steps', () => {
  const outputs = fc.oneof(
    mutated('a=1\nb<<EOF\nx\nEOF\n__proto__=2\n', '{"a": 1, "b": [1, {"c": null}], "__proto__": 3}'),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );
  const read = (content: Buffer) => {
    const { outputs: found } = readsOrRefuses(() => parseStepOutput(content))!;
    expect(Object.getPrototypeOf(found)).toBe(Object.prototype);
    for (const text of Object.values(found)) expect(text).not.toMatch(/\0|\p{Surrogate}/u);
  };
  let folder: string;
  beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'outputs-fuzz-'))));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('are read as far as they are right', () => tryAll(outputs, 100, read));

  it.each(['a=\n', 'a<<E\n', 'a<<E\nE\n', '\n', '\xff', '\0', 'a', 'a<<b\nb<<a\n'])(
    'are read in time at their limit: %j',
    (piece) => read(Buffer.from(fill(piece).slice(0, OUTPUT_LIMIT_BYTES), 'latin1')),
  );

  it('are files that are read as far as they are right', () =>
    tryAll(outputs, 20, async (content) => {
      writeFileSync(join(folder, 'out'), content);
      const { outputs: found } = await readOutputFile(folder, 'out');
      for (const text of Object.values(found)) expect(text).not.toMatch(/\0|\p{Surrogate}/u);
    }));

  it('are under names that lead to no other file', () =>
    tryAll(nastyText, 60, async (name) => {
      const { outputs: found } = await readOutputFile(join(folder, 'none'), name);
      expect(found).toEqual({});
    }));

  it('are looked up by paths that lead somewhere or not', () =>
    tryAll(fc.tuple(nastyValue, nastyText), 80, ([answer, path]) => {
      const value = readsOrRefuses(() => valueAt(answer, path));
      if (value !== undefined) expect(typeof outputText(value)).toBe('string');
      readsOrRefuses(() => valueAt(answer, `a.${path}[0]`));
    }));
});
