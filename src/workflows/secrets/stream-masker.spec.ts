import fc from 'fast-check';
import { tryAll } from '../../../test/support/fuzz.js';
import { SecretMasks } from './secret-masks.js';

function masksOf(...secrets: string[]): SecretMasks {
  const masks = new SecretMasks();
  for (const secret of secrets) masks.add(secret);
  return masks;
}

/** The text in pieces, cut at these places. */
function throughPieces(masks: SecretMasks, text: Buffer, cuts: readonly number[]): string {
  const masker = masks.stream();
  const passed: Buffer[] = [];
  const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
  for (let i = 1; i < places.length; i++) passed.push(masker.push(text.subarray(places[i - 1], places[i])));
  return Buffer.concat([...passed, masker.end()]).toString();
}

const base64 = (before: string, secret: string, after: string) =>
  Buffer.from(before + secret + after).toString('base64');

/** A text with the secret in it, in one of the forms that programs write it in. */
const FORMS: Record<string, (secret: string, before: string, after: string) => string> = {
  plain: (secret, before, after) => before + secret + after,
  base64: (secret, before, after) => base64(before, secret, after),
  'base64 for URLs': (secret, before, after) => Buffer.from(before + secret + after).toString('base64url'),
  'base64 in lines': (secret, before, after) => base64(before, secret, after).replace(/.{13}/g, '$&\n'),
  'base64 in lines of Windows': (secret, before, after) => base64(before, secret, after).replace(/.{16}/g, '$&\r\n'),
  URL: (secret, before, after) => encodeURIComponent(before + secret + after),
  'URL, in small letters': (secret, before, after) =>
    encodeURIComponent(before + secret + after).replace(/%../g, (escape) => escape.toLowerCase()),
  form: (secret, before, after) => new URLSearchParams({ [before]: secret, after }).toString(),
  'every byte of a URL': (secret) => Buffer.from(secret).toString('hex').replace(/../g, '%$&'),
  JSON: (secret, before, after) => JSON.stringify([before, secret, after]),
  'JSON in ASCII': (secret, before) =>
    JSON.stringify({ [before]: secret }).replace(
      /[^ -~]/g,
      (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
  shell: (secret) => secret.replace(/[^A-Za-z0-9\n\r\t\b\f]/gu, '\\$&'),
};

/** Whatever somebody takes for a secret: with what URLs, JSON and shells escape, of several lines, beyond ASCII. */
const secretText = fc
  .oneof(
    fc.string({ minLength: 8, maxLength: 60 }),
    fc.string({ unit: fc.constantFrom(...'ab%\\"\'+/ =&2u\n😀é'), minLength: 8, maxLength: 30 }),
    fc.base64String({ minLength: 8, maxLength: 200 }),
  )
  .filter((text) => text.trim() === text && Buffer.from(text).toString() === text && !text.includes('***'));
const around = fc.string({ unit: fc.constantFrom(...'xyz:;, .\n'), maxLength: 30 });
const cuts = fc.array(fc.nat(2_000), { maxLength: 12 });

describe.each(Object.entries(FORMS))('a secret as %s', (_name, form) => {
  it('does not come through, however it is cut', async () => {
    const values = fc.record({ secret: secretText, before: around, after: around, cuts });
    await tryAll(values, 60, ({ secret, before, after, cuts }) => {
      const masks = masksOf(secret);
      const text = form(secret, before, after);
      const passed = throughPieces(masks, Buffer.from(text), cuts);
      expect(passed).toContain('***');
      // Nothing of it is left that anybody could decode, and what stood around it is.
      for (const reread of [passed, unescaped(passed), unquoted(passed)]) expect(reread).not.toContain(secret);
      expect(Buffer.from(passed.replaceAll(/[\r\n]/g, ''), 'base64').toString()).not.toContain(secret);
      expect(passed).toBe(masks.text(text));
    });
  });
});

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return '';
  }
}

function unquoted(text: string): string {
  return text.replaceAll(/\\(u[0-9a-f]{4}|.)/gs, (_escape, kind: string) =>
    kind.length > 1 ? String.fromCharCode(parseInt(kind.slice(1), 16)) : ({ n: '\n', t: '\t' }[kind] ?? kind),
  );
}

it('masks exactly what the secrets cover, where they overlap too', async () => {
  const letters = (minLength: number, maxLength: number) =>
    fc.string({ unit: fc.constantFrom('a', 'b'), minLength, maxLength });
  const values = fc.record({
    secrets: fc.array(letters(8, 12), { minLength: 1, maxLength: 4 }),
    text: letters(0, 200),
    cuts,
  });
  await tryAll(values, 300, ({ secrets, text, cuts }) => {
    expect(throughPieces(masksOf(...secrets), Buffer.from(text), cuts)).toBe(maskedOneByOne(text, secrets));
  });
});

/** The same, said as simply as it can be: each run of overlapping secrets is one mask. */
function maskedOneByOne(text: string, secrets: readonly string[]): string {
  let result = '';
  let end = 0;
  for (let at = 0; at < text.length; at++) {
    const length = Math.max(
      0,
      ...secrets.filter((secret) => text.startsWith(secret, at)).map((secret) => secret.length),
    );
    if (length > 0 && at >= end) result += '***';
    end = Math.max(end, at + length);
    if (at >= end) result += text[at];
  }
  return result;
}

it('leaves all other bytes as they are', async () => {
  const values = fc.record({ bytes: fc.uint8Array({ maxLength: 500 }), cuts });
  await tryAll(values, 300, ({ bytes, cuts }) => {
    const masker = masksOf('Sesame-open-5!\nand the second line').stream();
    const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
    const passed = places.slice(1).map((end, at) => masker.push(Buffer.from(bytes.slice(places[at], end))));
    expect(Buffer.concat([...passed, masker.end()])).toEqual(Buffer.from(bytes));
  });
});

it('holds nothing but what may become a secret', () => {
  const masker = masksOf('Sesame-open-5').stream();
  const passed = (text: string) => masker.push(Buffer.from(text)).toString();
  expect(passed('a line\n')).toBe('a line\n');
  expect(passed('a prompt> Sesame')).toBe('a prompt> ');
  expect(passed('d')).toBe('Sesamed');
  expect(passed('Sesame-')).toBe('');
  expect(passed('open-5')).toBe('***');
  expect(passed('Sesame')).toBe('');
  expect(masker.end().toString()).toBe('Sesame');
});

it('holds no more than the longest form of a secret', () => {
  const secret = 'K'.repeat(100);
  const inBase64 = Buffer.from('KKK').toString('base64');
  for (const piece of ['K', 'KS', '%4B', '%4', '\\u004b', '\\u00', `${inBase64}\n`, '\n', '%', '\\', 'S\n']) {
    const masker = masksOf(secret).stream();
    for (let i = 0; i < 500; i++) {
      masker.push(Buffer.from(piece));
      expect(masker.heldBytes).toBeLessThanOrEqual(6 * secret.length);
    }
  }
});

describe('several lines', () => {
  const key = '-----BEGIN PRIVATE KEY-----\n  MIIEvQIBADANBgkq\r\nhkiG9w0BAQEFAASC\nAg==\n-----END PRIVATE KEY-----\n';

  it('are masked one by one where they are long enough, whatever their indentation', () => {
    const text = 'key: |\n    -----BEGIN PRIVATE KEY-----\n    MIIEvQIBADANBgkq\n    hkiG9w0BAQEFAASC\n    Ag==\n';
    expect(masksOf(key).text(text)).toBe('key: |\n    -----BEGIN PRIVATE KEY-----\n    ***\n    ***\n    Ag==\n');
  });

  it('are one secret where they stand together', () => {
    expect(masksOf(key).text(`<${key}>`)).toBe('<***>');
  });
});

it('takes the padding of base64 with it', () => {
  const masks = masksOf('correct horse');
  for (const text of ['correct horse', 'correct horse\n']) {
    expect(masks.text(`[${Buffer.from(text).toString('base64')}]`)).toBe('[***]');
  }
});

describe('a secret that is added later', () => {
  it('is masked from then on, also where its beginning is held', () => {
    const masks = masksOf('Sesame-open-5');
    const masker = masks.stream();
    expect(masker.push(Buffer.from('Sesame-open-5 Sesame-')).toString()).toBe('*** ');
    masks.add('Sesame-shut-6');
    expect(masker.push(Buffer.from('shut-6 Sesame-open-5')).toString()).toBe('*** ***');
  });

  it('leaves a mask that is under way as it is', () => {
    const masks = masksOf('Sesame-open-5', 'n-5-and-more');
    const masker = masks.stream();
    expect(masker.push(Buffer.from('Sesame-open-5')).toString()).toBe('***');
    masks.add('another one');
    expect(masker.push(Buffer.from('-and-more!')).toString() + masker.end().toString()).toBe('!');
  });

  it('is looked for in a stream that had nothing to look for', () => {
    const masks = masksOf();
    const masker = masks.stream();
    expect(masker.push(Buffer.from('Sesame-open-5')).toString()).toBe('Sesame-open-5');
    masks.add('Sesame-open-5');
    expect(masker.push(Buffer.from('Sesame-open-5')).toString()).toBe('***');
  });
});
