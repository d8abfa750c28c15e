import fc from 'fast-check';
import { mutated, nastyObject, nastyText } from './fuzz.js';

/** A request as the fuzz tests send it. */
export interface FuzzRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

interface Media {
  readonly example?: unknown;
  readonly schema?: { readonly example?: unknown; readonly properties?: Readonly<Record<string, object>> };
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
}

interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
}

export interface ApiDescription {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** What is there: ids for addresses, documents for bodies. */
export interface Seeds {
  readonly ids: readonly string[];
  readonly documents: readonly string[];
}

/** Escaped so that any HTTP client can send it; whatever it says when read is the text. */
const escaped = (text: string) => encodeURIComponent(text.toWellFormed());
const ODD = ['%00', '%', '%2e%2e%2f', '..', '%ff', '%ED%A0%80', '%2F', '%20', ';', '@', '*', '%0d%0a', '__proto__'];
const wildText = fc.oneof(nastyText.map(escaped), fc.constantFrom(...ODD));

const VALUES = [
  ...['1', '500', '0', '-1', '1e2', '2147483648', '9007199254740993', '1h', '0s', '1ms', 'true', 'failed', 'timeout'],
  ...['2026-01-31T13:00:00Z', '9999-12-31T23:59:59-14:00', '1000-01-01T00:00:00%2B14:00', 'deploy-app', 'urgent'],
  ...[
    'aWQ6OTk5OTk5OTk5OTk5OTk5OTk5',
    'YXQ6MTox',
    'YXQ6OTk5OTk5OTk5OTk5OTk5OTk5OjE',
    'transition',
    'error',
    'time,step',
  ],
  ...['YXQ6OTk5OS0xMi0zMVQyMzo1OTo1OS45OTk5OTlaOjE', `1:${'0'.repeat(64)}`, 'task.completed', '%25', '_', '%5C'],
];
const headerText = nastyText.map((text) => text.replace(/[^\t\x20-\x7e\x80-\xff]/g, '').slice(0, 2_000));

/** Requests for every operation of the description, each of them as likely as any other. */
export function requestsFor({ paths }: ApiDescription, seeds: Seeds): fc.Arbitrary<FuzzRequest> {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => requestOf(path, method.toUpperCase(), operation, seeds)),
  );
  return fc.oneof(...operations);
}

function requestOf(template: string, given: string, operation: Operation, seeds: Seeds): fc.Arbitrary<FuzzRequest> {
  const { parameters = [], requestBody } = operation;
  const methods = fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS');
  return fc
    .record({
      method: fc.oneof({ weight: 12, arbitrary: fc.constant(given) }, { weight: 1, arbitrary: methods }),
      path: pathOf(template, seeds),
      query: queryOf(parameters),
      headers: headersOf(Object.keys(requestBody?.content ?? {})),
      body: fc.oneof(
        { weight: requestBody ? 6 : 1, arbitrary: bodyOf(requestBody?.content ?? {}, seeds) },
        { weight: 1, arbitrary: fc.constant(undefined) },
      ),
    })
    .map(({ method, path, query, headers, body }) => ({ method, path: path + query, headers, body }));
}

function pathOf(template: string, { ids }: Seeds): fc.Arbitrary<string> {
  const id = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...ids) },
    { weight: 2, arbitrary: wildText },
    { weight: 1, arbitrary: fc.constantFrom('1', '-1', '9'.repeat(19), '9'.repeat(400), 'task-', 'constructor') },
  );
  return fc
    .array(id, { minLength: 2, maxLength: 2 })
    .map((chosen) => template.replace(/\{\w+\}/g, () => chosen.at(-1)!));
}

function queryOf(parameters: readonly Parameter[]): fc.Arbitrary<string> {
  const known = parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name);
  const name = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...known, 'label.team') },
    { weight: 1, arbitrary: fc.constantFrom('param.x', 'label.', 'a[b]', '__proto__', 'param.__proto__', '') },
    { weight: 1, arbitrary: wildText },
  );
  const value = fc.oneof(fc.constantFrom(...VALUES), wildText);
  const pairs = fc.array(fc.tuple(name, value), { maxLength: 3 }).map((all) => all.map((pair) => pair.join('=')));
  return fc
    .tuple(pairs, fc.constantFrom(1, 1, 1, 2))
    .map(([given, times]) => (given.length === 0 ? '' : `?${Array(times).fill(given.join('&')).join('&')}`))
    .map((query) => query.slice(0, 6_000));
}

function headersOf(types: readonly string[]): fc.Arbitrary<Record<string, string>> {
  const type = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...types, 'application/json') },
    {
      weight: 1,
      arbitrary: fc.constantFrom('text/yaml', 'application/json; charset=utf-16', 'multipart/form-data', ';'),
    },
    { weight: 1, arbitrary: headerText },
  );
  const now = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 3 });
  return fc
    .record({
      'content-type': now(type).map((given) => given ?? types[0]),
      accept: fc.constantFrom(undefined, undefined, 'text/event-stream', '*/*', ';;,'),
      'idempotency-key': now(headerText),
      'last-event-id': now(fc.oneof(headerText, fc.constantFrom('0', '1-1', '1-1_1-1_9999', '9'.repeat(18), '1.end'))),
      'x-request-id': now(headerText),
    })
    .map((all) => Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => !!entry[1])));
}

function bodyOf(content: Readonly<Record<string, Media>>, { documents, ids }: Seeds): fc.Arbitrary<Buffer> {
  const media = Object.values(content);
  const examples = media.map(({ example, schema }) => example ?? schema?.example).filter((one) => one !== undefined);
  const texts = [...examples.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))), ...documents];
  const fields = Object.assign({}, ...media.map(({ schema }) => schema?.properties ?? objectOf(schema?.example)));
  const good = [...ids, true, 'failed', 'timeout', '2026-01-31T13:00:00Z', 1, 'deploy-app', 'shop', [ids[0]]];
  const values = Object.fromEntries(Object.keys(fields as object).map((name) => [name, good]));
  const json = (object: unknown) => Buffer.from(JSON.stringify(object));
  return fc.oneof(
    mutated(...texts),
    fc.constantFrom(...texts).map((text) => Buffer.from(text)),
    ...(Object.keys(values).length > 0 ? [nastyObject(values).map(json), nastyObject(values).map(json)] : []),
  );
}

const objectOf = (example: unknown) => (typeof example === 'object' && example !== null ? example : {});
