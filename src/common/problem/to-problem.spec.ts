import { BadRequestException, ConflictException, HttpException, InternalServerErrorException } from '@nestjs/common';
import { Problem } from './problem.js';
import { toProblem } from './to-problem.js';

function coded(code: string, message = 'internal words', extra: object = {}): Error {
  return Object.assign(new Error(message), { code }, extra);
}

const unavailable: [string, Error][] = [
  ['connection refused', coded('ECONNREFUSED', 'connect ECONNREFUSED 10.0.0.1:5432', { syscall: 'connect' })],
  ['name not found', coded('ENOTFOUND', 'getaddrinfo ENOTFOUND db', { syscall: 'getaddrinfo' })],
  ['class 08', coded('08006')],
  ['admin shutdown', coded('57P01')],
  ['starting up', coded('57P03')],
  ['too many connections', coded('53300')],
  ['disk full', coded('53100')],
  ['a standby', coded('25006')],
  ['a session ended by its time limit', coded('25P03')],
  ['a statement ended by its time limit', coded('57014')],
  ['a disk that fails', coded('58030')],
  ['pool timeout', new Error('timeout exceeded when trying to connect')],
  ['lost connection', new Error('Connection terminated unexpectedly')],
  ['lost connection with a timeout', new Error('Connection terminated due to connection timeout')],
  ['wrapped by TypeORM', Object.assign(new Error('query failed'), { driverError: coded('57P01') })],
  ['as a cause', new Error('could not enqueue', { cause: coded('ECONNRESET') })],
  ['both address families', new AggregateError([coded('ECONNREFUSED'), coded('ECONNREFUSED')], '')],
];

test.each(unavailable)('%s: 503 with Retry-After', (_, error) => {
  const problem = toProblem(error);
  expect(problem.code).toBe('database_unavailable');
  expect(problem.headers['Retry-After']).toMatch(/^\d+$/);
  expect(JSON.stringify(problem.toBody('r'))).not.toContain('10.0.0.1');
});

const internal: [string, unknown][] = [
  ['a bug', new TypeError("Cannot read properties of undefined (reading 'secret')")],
  ['a constraint', coded('23505', 'duplicate key value violates "secret"')],
  ['a missing table', coded('42P01', 'relation "secret" does not exist')],
  ['a missing file', coded('ENOENT', '/etc/secret')],
  ['a broken disk', coded('EPIPE', 'secret', { syscall: 'rename' })],
  ['another service', new TypeError('fetch failed', { cause: coded('ECONNREFUSED', 'secret') })],
  ['a text', 'secret'],
  ['nothing', undefined],
  ['a server error of Nest', new InternalServerErrorException('secret')],
  ['a transaction in the wrong state', coded('25P02', 'current transaction is aborted: secret')],
];

test.each(internal)('%s: 500 that gives nothing away', (_, error) => {
  const problem = toProblem(error);
  expect(problem.status).toBe(500);
  expect(JSON.stringify(problem.toBody('r'))).not.toContain('secret');
});

test('a cycle of causes ends', () => {
  const error = new Error('a');
  error.cause = error;
  expect(toProblem(error).code).toBe('internal_error');
});

test('a Problem stays as it is', () => {
  const problem = new Problem('draining', 'Full.');
  expect(toProblem(problem)).toBe(problem);
});

test('the words of a deliberate HttpException are kept', () => {
  const problem = toProblem(new ConflictException('The name is taken.'));
  expect([problem.code, problem.detail]).toEqual(['conflict', 'The name is taken.']);
  expect(toProblem(new HttpException('Busy.', 429)).code).toBe('too_many_requests');
});

test("a ValidationPipe's messages become errors, all of them", () => {
  const problem = toProblem(new BadRequestException(['limit must be positive', 'status is unknown']));
  expect(problem.status).toBe(422);
  expect(problem.errors).toEqual([{ message: 'limit must be positive' }, { message: 'status is unknown' }]);
});
