import { SettingsError } from './config/load-settings.js';
import { explainStartError } from './explain-start-error.js';

const failure = (message: string, facts: object) => Object.assign(new Error(message), facts);

describe('what keeps the service from starting', () => {
  it.each([
    [failure('x', { code: 'EADDRINUSE', address: '127.0.0.1', port: 8081 }), /127\.0\.0\.1:8081 is in use.* PORT/],
    [failure('x', { code: 'EACCES', address: '0.0.0.0', port: 80 }), /cannot listen on 0\.0\.0\.0:80 \(EACCES\)/],
    [failure('connect ECONNREFUSED', { code: 'ECONNREFUSED' }), /cannot be reached \(connect.*DATABASE_URL/],
    [new AggregateError([failure('connect', { code: 'ECONNREFUSED' })], 'all'), /cannot be reached/],
    [failure('password authentication failed', { code: '28P01' }), /refuses the connection \(password/],
    [failure('unsupported startup parameter: options', { code: '08P01' }), /options\).*ignore_startup_parameters/],
    [failure('prepared statement "q" already exists', { code: '42P05' }), /DATABASE_POOLER=transaction/],
    [failure('database "x" does not exist', { code: '3D000' }), /refuses the connection/],
    [new SettingsError("PORT is 'a': it must be a number\nROLE is 'b': it must be c"), /PORT is.*\n {2}and ROLE/],
    [new Error('something else'), /^Turnpike cannot start: something else$/],
    ['a string', /a string$/],
  ])('is told in one line: %s', (error, expected) => {
    expect(explainStartError(error)).toMatch(expected);
    expect(explainStartError(error)).toMatch(/^Turnpike cannot start: /);
  });
});
