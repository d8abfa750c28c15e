import type { IncomingMessage } from 'node:http';
import { decodeCursor, decodePlace, encodeCursor, encodePlace } from './cursor.js';
import { requestId } from './request-id.js';

describe('a request id', () => {
  const idFor = (given?: string | string[]) =>
    requestId({ headers: { 'x-request-id': given } } as unknown as IncomingMessage);

  it('is the caller´s where it is fit for logs', () => {
    expect(idFor('build-42/deploy:7')).toBe('build-42/deploy:7');
  });

  it.each([undefined, '', 'a b', 'x'.repeat(129), 'line\nbreak', 'ünï', ['a', 'b']])('is a new one for %p', (given) => {
    expect(idFor(given)).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('a cursor that is a place', () => {
  it('comes back as the time and the id it was made of', () => {
    const place = { at: '1764000000123456', id: '42' };
    expect(decodePlace(encodePlace(place))).toEqual(place);
  });

  it.each(['', encodeCursor('42'), encodePlace({ at: 'x', id: '1' }), encodePlace({ at: '9'.repeat(19), id: '1' })])(
    'that this service did not make is refused: %p',
    (cursor) => {
      expect(() => decodePlace(cursor)).toThrow(expect.objectContaining({ code: 'invalid_parameter' }));
    },
  );
});

describe('a cursor', () => {
  it('comes back as the id it was made of', () => {
    expect(decodeCursor(encodeCursor('42'))).toBe('42');
  });

  it.each(['', 'x', encodeCursor("1' OR true"), encodeCursor('9'.repeat(19)), Buffer.from('42').toString('base64url')])(
    'is refused when it is %p',
    (cursor) => {
      expect(() => decodeCursor(cursor)).toThrow(expect.objectContaining({ code: 'invalid_parameter' }));
    },
  );
});
