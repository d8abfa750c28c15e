import { codeForStatus, ERROR_CODES, type ErrorCode } from './error-codes.js';
import { Problem } from './problem.js';

const all = Object.entries(ERROR_CODES);

test.each(all)('%s says what happened and what to do', (code, info) => {
  expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
  expect(info.status).toBeGreaterThanOrEqual(400);
  expect(info.status).toBeLessThan(600);
  expect(info.title).toMatch(/^[A-Z].*[^.]$/);
  expect(info.action).toMatch(/^[A-Z].*\.$/);
});

test('no two codes say the same', () => {
  expect(new Set(all.map(([, info]) => info.title)).size).toBe(all.length);
});

test.each([
  [401, 'unauthorized'],
  [404, 'not_found'],
  [413, 'body_too_large'],
  [418, 'bad_request'],
  [500, 'internal_error'],
  [502, 'internal_error'],
  [503, 'service_unavailable'],
] as [number, ErrorCode][])('status %i is %s', (status, code) => expect(codeForStatus(status)).toBe(code));

test('a Problem has the form of RFC 9457, without empty lists', () => {
  expect(new Problem('draining', 'Bye.').toBody('r1')).toEqual({
    type: 'urn:turnpike:error:draining',
    title: 'This instance is shutting down',
    status: 503,
    code: 'draining',
    detail: 'Bye.',
    request_id: 'r1',
  });
  const errors = [{ path: 'a.b', line: 2, column: 3, message: 'wrong', hint: 'mend it' }];
  expect(new Problem('invalid_document', 'Bad.', { errors }).toBody('r2').errors).toEqual(errors);
});

test('the cause of a Problem is kept for the log and not shown', () => {
  const problem = new Problem('internal_error', 'Sorry.', { cause: new Error('secret') });
  expect(problem.cause).toEqual(new Error('secret'));
  expect(JSON.stringify(problem.toBody('r'))).not.toContain('secret');
});
