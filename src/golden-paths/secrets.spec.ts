import type { DocumentIssue } from '../common/yaml/document-issue.js';
import { faultOfInlineSecret, faultOfOwnSecret, readSecretRules, refusedSecrets, secretsOf } from './secrets.js';

const step = (name: string, value: string) => ({ name, type: 'bash', env: { X: value }, config: {} });

it.each([
  ['DB_PASSWORD', 'DB_PASSWORD', true],
  ['DB_PASSWORD', 'DB_PASSWORD_2', false],
  ['DB_*', 'DB_PASSWORD', true],
  ['DB_*', 'DB_', true],
  ['DB_*', 'MY_DB_X', false],
  ['A*B*C', 'AxBxC', true],
  ['A*B*C', 'ABC', true],
  ['A*B*B', 'AB', false],
  ['A*B*B', 'AxB', false],
  ['A*BB*B', 'ABB', false],
  ['A*BB*B', 'ABBB', true],
  ['A**Z', 'AZ', true],
  [`A${'*A'.repeat(40)}B`, 'A'.repeat(120), false],
])('%s and %s: %j', (pattern, name, allowed) => {
  const rules = { allowed: [pattern], forInline: true };
  expect(faultOfOwnSecret('p', rules)(name) === undefined).toBe(allowed);
  expect(faultOfInlineSecret('p', rules)(name) === undefined).toBe(allowed);
});

it('are none for the steps of a document unless the catalogue says so', () => {
  const rules = { allowed: ['TOKEN'], forInline: false };
  expect(faultOfOwnSecret('p', rules)('TOKEN')).toBeUndefined();
  expect(faultOfInlineSecret('p', rules)('TOKEN')?.why).toMatch(
    /to its own steps, and none to the steps of a document/,
  );
  expect(faultOfInlineSecret('p')('TOKEN')?.why).toBe("golden path 'p' allows no secrets");
  expect(faultOfOwnSecret('p', rules)('X')).toMatchObject({
    why: "golden path 'p' does not allow it; it allows TOKEN",
    hint: "Add 'X' to 'secrets' of 'p' in the catalogue.",
  });
});

it.each<[Record<string, unknown>, string[]]>([
  [{}, []],
  [{ secrets: ['A', '_b', 'C_*', 'D*E'], secrets_for_inline: true }, []],
  [{ secrets: 'A' }, ["p.secrets: 'secrets' must be a list of names, but is the text 'A'"]],
  [{ secrets: ['*'] }, ["p.secrets.0: the text '*' is neither the name of a secret nor a pattern for names"]],
  [{ secrets: ['A', 'b-c', 3] }, [expect.stringMatching(/^p.secrets.1: /), expect.stringMatching(/^p.secrets.2: /)]],
  [{ secrets: Array.from({ length: 101 }, (_, n) => `S${n}`) }, ["p.secrets: 'secrets' has more than 100 entries"]],
  [{ secrets_for_inline: 'yes' }, [expect.stringContaining("'secrets_for_inline' must be true or false")]],
])('reads %j', (entry, faults) => {
  const issues: DocumentIssue[] = [];
  readSecretRules(entry, ['p'], issues);
  expect(issues.map(({ path, message }) => `${path.join('.')}: ${message}`)).toEqual(faults);
});

it('says which are used, and which a document may not use', () => {
  const workflow = { steps: [step('a', '${secrets.B} ${secrets.B.file}'), step('b', '${secrets.A} ${parameters.x}')] };
  expect(secretsOf(workflow, () => [])).toEqual(['A', 'B']);
  const path = { name: 'p', secrets: { allowed: ['A'], forInline: true } };
  expect(refusedSecrets(workflow, path, () => [])).toEqual([
    "step 'a' may not use ${secrets.B}: golden path 'p' does not allow it; it allows A",
  ]);
});
