import { Problem } from '../problem/problem.js';
import { readVerbBody } from './verb-body.js';

const read = (body: string | undefined) =>
  readVerbBody(body === undefined ? undefined : Buffer.from(body), { reason: 10, spec: undefined });

describe('the body of a verb', () => {
  it.each([
    [undefined, {}],
    ['', {}],
    ['{}', {}],
    ['{"reason": "why not"}', { reason: 'why not' }],
    ['{"spec": {"a": [1]}}', { spec: { a: [1] } }],
  ])('%p is read as %p', (body, expected) => {
    expect(read(body)).toEqual(expected);
  });

  it.each([
    ['[]', 'invalid_parameter', undefined],
    ['"text"', 'invalid_parameter', undefined],
    ['{"reason": 5}', 'invalid_parameter', undefined],
    ['{"raeson": "x"}', 'invalid_parameter', "Did you mean 'reason'?"],
    ['{"other": 1}', 'invalid_parameter', 'Known here: reason, spec.'],
    ['{"reason": "longer than it may be"}', 'invalid_parameter', undefined],
    ['{"reason": "a\\u0000b"}', 'malformed_json', expect.anything()],
    ['{"reason": "\\ud800"}', 'malformed_json', expect.anything()],
    ['{"reason": ', 'malformed_json', expect.anything()],
  ])('%p is refused', (body, code, hint) => {
    let thrown: unknown;
    try {
      read(body);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(Problem);
    expect((thrown as Problem).code).toBe(code);
    if (hint !== undefined) expect((thrown as Problem).errors[0]!.hint).toEqual(hint);
  });
});
