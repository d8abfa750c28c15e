import { readInstanceChange } from './instance-change.js';

const read = (body: string) => readInstanceChange(Buffer.from(body));

it.each(['{"workers": 0}', '{"workers": 1000, "draining": true}', '{"draining": false}'])('takes %s', (body) => {
  expect(read(body)).toEqual(JSON.parse(body));
});

it.each([
  ['{"workers": -1}', 'workers', `'workers' must be a whole number from 0 to 1000, but is -1`],
  ['{"workers": 1001}', 'workers', 'but is 1001'],
  ['{"workers": 2.5}', 'workers', 'but is 2.5'],
  ['{"workers": "3"}', 'workers', 'but is "3"'],
  ['{"workers": null}', 'workers', 'but is null'],
  ['{"draining": 1}', 'draining', `'draining' must be true or false`],
  ['{"worker": 1}', 'worker', `unknown field 'worker'`],
  ['{"toString": 1}', 'toString', `unknown field 'toString'`],
  ['{}', undefined, 'workers or draining'],
  ['[]', undefined, 'workers or draining'],
  ['', undefined, 'workers or draining'],
])('refuses %s', (body, path, message) => {
  expect(() => read(body)).toThrow(
    expect.objectContaining({
      code: 'invalid_parameter',
      errors: [expect.objectContaining({ ...(path && { path }), message: expect.stringContaining(message) })],
    }),
  );
});

it('says all that is wrong at once', () => {
  expect(() => read('{"workers": -1, "draining": "no", "x": 1}')).toThrow(
    expect.objectContaining({ errors: [expect.anything(), expect.anything(), expect.anything()] }),
  );
});
