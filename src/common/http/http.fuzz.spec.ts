import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { largeBodies, nastyObject, nastyText, nastyValue, readsOrRefuses, tryAll } from '../../../test/support/fuzz.js';
import { decodeCursor, decodePlace, encodeCursor, encodePlace } from './cursor.js';
import { readLabels } from './labels.js';
import { PAGE_PARAMETERS, PageQuery } from './page-query.js';
import { QueryPipe } from './query.pipe.js';
import { requestId } from './request-id.js';
import { readVerbBody } from './verb-body.js';

const FIELDS = { reason: 1_000, app_name: 255, spec: undefined } as const;
const verb = (body: string) => readsOrRefuses(() => readVerbBody(Buffer.from(body), FIELDS));

describe('hostile requests', () => {
  it('hold cursors that are read or refused', () =>
    tryAll(fc.oneof(nastyText, fc.base64String().map(encodeCursor), nastyText.map(encodeCursor)), 60, (cursor) => {
      const id = readsOrRefuses(() => decodeCursor(cursor));
      if (id !== undefined) expect(id).toMatch(/^\d{1,18}$/);
      readsOrRefuses(() => decodePlace(cursor));
      readsOrRefuses(() => decodePlace(encodePlace({ at: cursor, id: cursor })));
    }));

  it('hold labels that can be stored or are refused', () =>
    tryAll(fc.array(fc.tuple(nastyText, nastyValue), { maxLength: 40 }), 60, (given) => {
      const labels = readLabels(
        given.map(([name, value]) => [`label.${name}`, value]),
        [],
      );
      expect(Object.getPrototypeOf(labels)).toBe(Object.prototype);
      for (const value of Object.values(labels)) expect(value).not.toMatch(/\0|\p{Surrogate}/u);
    }));

  it('hold pages that are read or refused', () => {
    const pipe = new QueryPipe(PageQuery, PAGE_PARAMETERS);
    const queries = nastyObject({ limit: ['1', '500', '0x10', '1e2', ' 1', ''], cursor: ['x'] });
    return tryAll(queries, 60, (query) => {
      const page = readsOrRefuses(() => pipe.transform(query));
      if (page) expect(page.limit).toBeLessThanOrEqual(500);
    });
  });

  it('hold bodies of verbs that are read or refused', () =>
    tryAll(nastyObject({ reason: ['why'], app_name: ['shop'], spec: [{}] }), 60, (body) => {
      const read = verb(JSON.stringify(body));
      if (read?.reason !== undefined) expect(typeof read.reason).toBe('string');
    }));

  it.each(largeBodies(['reason', 'spec']))('have a body of %s that is read or refused', (_, body) => void verb(body));

  it('have ids that are fit for a log', () =>
    tryAll(fc.oneof(nastyText, fc.array(nastyText)), 60, (given) => {
      const id = requestId({ headers: { 'x-request-id': given } } as unknown as IncomingMessage);
      expect(id).toMatch(/^[\x21-\x7e]{1,128}$/);
    }));
});
