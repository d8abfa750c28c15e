import { readFileSync, writeFileSync } from 'node:fs';
import { SafeFetch } from '../../common/safe-fetch.js';
import { describeType } from '../../common/yaml/plain-words.js';
import type { StepRunner } from '../step-runner.js';
import { StepType } from '../step-type.decorator.js';
import type { ScriptRunner } from './script-runner.js';
import { STEP_TYPES } from './step-types.js';

const DOCS = new URL('../../../docs/step-types.md', import.meta.url);

interface Field {
  readonly type?: string | string[];
  readonly enum?: string[];
  readonly format?: string;
  readonly description?: string;
  readonly properties?: Record<string, Field>;
  readonly required?: string[];
}

interface Schema extends Field {
  readonly allOf?: { if: { properties: { operation: { const: string } } }; then: Field }[];
  readonly oneOf?: { required: string[] }[];
}

const runners = new Map<string, StepRunner>(
  STEP_TYPES.map((type) => [
    Reflect.getMetadata(StepType.KEY, type) as string,
    // All of them take the one thing that does their work.
    new type(
      Reflect.getMetadata('design:paramtypes', type)?.[0] === SafeFetch ? new SafeFetch() : ({} as ScriptRunner),
    ),
  ]),
);

function kindOf({ enum: choices, format, type }: Field): string {
  if (choices) return choices.map((choice) => `\`${choice}\``).join(', ');
  if (format === 'duration') return 'a duration';
  if (format === 'script') return 'a bash script';
  const kind = type === undefined ? 'anything' : describeType(type);
  return format === 'path' ? kind.replace('a text', 'a path') : kind;
}

/** The operations that use a field, and of these the ones that need it, where a type has several. */
function operationsOf(name: string, { allOf = [], oneOf, required = [] }: Schema): string {
  if (required.includes(name)) return 'required';
  if (oneOf?.some((branch) => branch.required.includes(name))) return 'one of these';
  const using = allOf.filter(({ then }) => (then.properties?.[name] as unknown) !== false);
  if (name === 'operation' || allOf.length === 0) return '';
  return using
    .map(({ if: when, then }) => {
      const operation = when.properties.operation.const;
      return then.required?.includes(name) ? `**${operation}**` : operation;
    })
    .join(', ');
}

function tableOf(schema: Schema): string {
  const rows = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => [
    [name, field, operationsOf(name, schema)] as const,
    ...Object.entries(field.properties ?? {}).map(([inner, value]) => [`${name}.${inner}`, value, ''] as const),
  ]);
  if (rows.length === 0) return 'It has no fields.\n';
  const title = schema.allOf ? 'for' : '';
  const lines = rows.map(
    ([name, field, use]) =>
      `| \`${name}\` | ${kindOf(field)} | ${use} | ${(field.description ?? '').replaceAll('|', '\\|')} |`,
  );
  return [`| field | takes | ${title} | meaning |`, '|---|---|---|---|', ...lines, ''].join('\n');
}

describe('docs/step-types.md', () => {
  it('has a section for each type, with its sentence and its fields; UPDATE_DOCS=1 writes the tables anew', () => {
    const text = readFileSync(DOCS, 'utf8');
    let expected = text;
    for (const [type, { description, schema }] of runners) {
      const section = new RegExp(`(\n## ${type}\n\n)[^\n]*(\n.*?<!-- fields of ${type} -->\n).*?(\n<!-- end -->)`, 's');
      expect([type, section.test(expected)]).toEqual([type, true]);
      expected = expected.replace(
        section,
        (_, head, middle, end) => `${head}${description}${middle}\n${tableOf(schema)}${end}`,
      );
    }
    if (process.env.UPDATE_DOCS) writeFileSync(DOCS, expected);
    expect(process.env.UPDATE_DOCS ? expected : text).toBe(expected);
    expect([...text.matchAll(/^## (\S+)$/gm)].map(([, type]) => type)).toEqual([...runners.keys()].sort());
  });
});

describe.each([...runners])('%s', (_type, runner) => {
  const fieldsOf = (schema: Field): [string, Field][] =>
    Object.entries(schema.properties ?? {}).flatMap(([name, field]) => [[name, field], ...fieldsOf(field)]);

  it('says of itself and of each field what it is for', () => {
    expect(runner.description).toMatch(/^[A-Z].*\.$/);
    for (const [name, { description }] of fieldsOf(runner.schema))
      expect([name, description]).toEqual([name, expect.stringMatching(/\.$/)]);
  });

  it('takes no field that it does not know', () => {
    expect(runner.schema).toMatchObject({ type: 'object', additionalProperties: false });
  });

  it('lists as scripts only fields that it has', () => {
    const names = Object.keys((runner.schema as Schema).properties ?? {});
    expect(names).toEqual(expect.arrayContaining([...(runner.scripts ?? [])]));
  });
});

it('are ten', () => {
  expect([...runners.keys()]).toEqual([
    ...['ansible', 'approval', 'bash', 'git', 'http', 'kubernetes', 'noop', 'policy', 'terraform', 'wait'],
  ]);
});
