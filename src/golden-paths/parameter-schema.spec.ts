import { Ajv2020 } from 'ajv/dist/2020.js';
import { checkParameters, type ParameterDefinition, type ParameterDefinitions } from './parameters.js';
import { parameterSchema } from './parameter-schema.js';

function schemaOf(parameters: ParameterDefinitions): Record<string, unknown> {
  const workflow = { steps: [] };
  return parameterSchema({ name: 'deploy-app', description: 'Deploys', tags: [], parameters, workflow, needs: [] });
}

const define = (definition: Partial<ParameterDefinition>): ParameterDefinition => ({
  type: 'string',
  required: false,
  ...definition,
});

test('says all that a form needs', () => {
  const schema = schemaOf({
    replicas: define({ type: 'int', min: '1', max: '10', default: '2', description: 'Pods' }),
    keep_data: define({ type: 'bool', default: 'true' }),
    ttl: define({ type: 'duration', min: '10m', max: '2d', pattern: '^\\d+h$', default: '2h' }),
    kind: define({ type: 'enum', allowedValues: ['a', 'b'], required: true }),
    name: define({ pattern: '^[a-z]+$', required: true, default: 'x' }),
    note: define({ allowedValues: ['x', 'y'], default: '' }),
  });
  expect(schema).toEqual({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'deploy-app',
    description: 'Deploys',
    type: 'object',
    properties: {
      replicas: { title: 'Replicas', description: 'Pods', type: 'integer', minimum: 1, maximum: 10, default: 2 },
      keep_data: { title: 'Keep data', type: 'boolean', default: true },
      ttl: {
        title: 'Ttl',
        type: 'string',
        format: 'turnpike-duration',
        pattern: expect.any(String),
        allOf: [{ pattern: '^\\d+h$' }],
        'x-minimum': '10m',
        'x-maximum': '2d',
        default: '2h',
      },
      kind: { title: 'Kind', type: 'string', enum: ['a', 'b'] },
      name: { title: 'Name', type: 'string', maxLength: 1024, pattern: '^[a-z]+$', default: 'x' },
      note: { title: 'Note', type: 'string', maxLength: 1024, enum: ['x', 'y'] },
    },
    required: ['kind'],
    additionalProperties: false,
  });
});

const VALUES = [
  '',
  'x',
  'y',
  'abc',
  'A',
  '5',
  '2h',
  '90s',
  '1h30m',
  'soon',
  5,
  0,
  -1,
  99,
  1.5,
  true,
  false,
  null,
  [],
  {},
];

test.each<[string, Partial<ParameterDefinition>]>([
  ['a text', {}],
  ['a text with a pattern', { pattern: '^[a-z]+$' }],
  ['a text of some', { allowedValues: ['x', 'y'] }],
  ['a number', { type: 'int' }],
  ['a number with bounds', { type: 'int', min: '0', max: '10' }],
  ['true or false', { type: 'bool' }],
  ['a duration', { type: 'duration' }],
  ['a duration with a pattern', { type: 'duration', pattern: '^\\d+[hm]$' }],
  ['one of several', { type: 'enum', allowedValues: ['x', 'y'] }],
])('%s: what satisfies the schema is accepted', (_, definition) => {
  const definitions = { p: define(definition) };
  const ajv = new Ajv2020({ strict: true, formats: { 'turnpike-duration': true } });
  const satisfies = ajv.compile(schemaOf(definitions));
  const accepted = VALUES.filter((p) => satisfies({ p }));
  expect(accepted.length).toBeGreaterThan(0);
  for (const p of accepted) expect(checkParameters(definitions, { p }, '').problems).toEqual([]);
  // And of the values of the schema's own type, nothing else is.
  const { type } = (schemaOf(definitions).properties as { p: { type: string } }).p;
  for (const p of VALUES.filter((value) => typeof value === (type === 'integer' ? 'number' : type))) {
    if (!satisfies({ p })) expect(checkParameters(definitions, { p }, '').problems).not.toEqual([]);
  }
});
