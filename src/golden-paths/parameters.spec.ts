import { checkParameters, type ParameterDefinition } from './parameters.js';

const define = (definition: Partial<ParameterDefinition>): ParameterDefinition => ({
  type: 'string',
  required: false,
  ...definition,
});
const check = (definition: Partial<ParameterDefinition>, value: unknown) =>
  checkParameters({ p: define(definition) }, { p: value }, 'param.');

describe('parameters of a golden path', () => {
  it.each<[Partial<ParameterDefinition>, unknown, string]>([
    [{ type: 'string' }, 'text', 'text'],
    [{ type: 'string', pattern: '^[a-z]+$' }, 'abc', 'abc'],
    [{ type: 'string', allowedValues: ['a', 'b'] }, 'b', 'b'],
    [{ type: 'int', min: '1', max: '10' }, '10', '10'],
    [{ type: 'int' }, 5, '5'],
    [{ type: 'int' }, '-3', '-3'],
    [{ type: 'bool' }, true, 'true'],
    [{ type: 'bool' }, 'false', 'false'],
    [{ type: 'duration', min: '10m', max: '2d' }, '1h30m', '1h30m'],
    [{ type: 'duration', pattern: '^\\d+[hmd]$' }, '2h', '2h'],
    [{ type: 'enum', allowedValues: ['auto', 'manual'] }, 'auto', 'auto'],
  ])('%j takes %j', (definition, value, text) => {
    expect(check(definition, value)).toEqual({ values: { p: text }, problems: [] });
  });

  it.each<[Partial<ParameterDefinition>, unknown, string]>([
    [{ type: 'string', pattern: '^[a-z]+$' }, 'ABC', 'must match ^[a-z]+$'],
    // A backtracking engine would not come back from this one.
    [{ type: 'string', pattern: '^(a+)+$' }, `${'a'.repeat(1_000)}!`, 'must match ^(a+)+$'],
    [{ type: 'string' }, { a: 1 }, 'must be a single value'],
    [{ type: 'string' }, null, 'must be a single value'],
    [{ type: 'string' }, 'a\0b', 'must be plain text'],
    [{ type: 'string' }, 'x'.repeat(1025), 'must have at most 1024 characters'],
    [{ type: 'string', allowedValues: ['a'] }, 'b', 'must be one of a'],
    [{ type: 'int' }, '1.5', 'must be a whole number'],
    [{ type: 'int' }, '1e3', 'must be a whole number'],
    [{ type: 'int', min: '1', max: '10' }, '11', 'must be from 1 to 10'],
    [{ type: 'int', min: '1', max: '10' }, '0', 'must be from 1 to 10'],
    [{ type: 'int', min: '1' }, '0', 'must be at least 1'],
    [{ type: 'int', max: '1' }, '2', 'must be at most 1'],
    [{ type: 'bool' }, 'yes', 'must be true or false'],
    [{ type: 'duration' }, 'soon', 'must be a duration such as'],
    [{ type: 'duration', min: '10m' }, '9m', 'must be at least 10m'],
    [{ type: 'enum', allowedValues: ['auto', 'manual'] }, 'Auto', 'must be one of auto, manual'],
  ])('%j refuses %j', (definition, value, fault) => {
    const { values, problems } = check(definition, value);
    expect(values).toEqual({});
    expect(problems).toEqual([{ path: 'param.p', message: expect.stringContaining(`parameter 'p' ${fault}`) }]);
  });

  it('fill in defaults, leave out what has none, and ask for what is required', () => {
    const definitions = {
      size: define({ default: 'small' }),
      note: define({}),
      name: define({ required: true, description: 'Who it is for' }),
    };
    expect(checkParameters(definitions, {}, 'parameters.')).toEqual({
      values: { size: 'small' },
      problems: [{ path: 'parameters.name', message: "parameter 'name' is required", hint: 'Who it is for' }],
    });
  });

  it('are told when there is no such parameter, all at once', () => {
    const definitions = { replicas: define({ type: 'int' }) };
    const { problems } = checkParameters(definitions, { replicsa: '1', zzz: '1', replicas: 'x' }, 'param.');
    expect(problems.map(({ path, hint }) => [path, hint])).toEqual([
      ['param.replicsa', "Did you mean 'replicas'?"],
      ['param.zzz', 'Parameters of this golden path: replicas.'],
      ['param.replicas', undefined],
    ]);
    expect(checkParameters({}, { a: '1' }, '').problems[0]?.hint).toBe('It takes none.');
  });

  it('do not take names of the prototype for parameters', () => {
    expect(checkParameters({}, { constructor: 'x' }, '').problems).toHaveLength(1);
    expect(checkParameters({ toString: define({ required: true }) }, {}, '').problems).toHaveLength(1);
  });
});
