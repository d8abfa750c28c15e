/** Words that name a place and let nobody in: letters, and one digit at most. */
const NAME = /^[A-Za-z][A-Za-z_-]{0,14}\d?$/;
/** So much of the last part must stay hidden for its end to be shown. */
const HIDDEN = 12;
const TAIL = 4;
/** Shorter pieces of an address are in every text. */
const PIECE = 6;

/**
 * For readers and logs: so much of an address that whoever made it knows it again, and nobody can call it. Many services have
 * their secret in the path: of that the first part is shown where it is a name, and the end of a long last one; of the query nothing.
 */
export function shownUrl(address: string): string {
  if (!URL.canParse(address)) return '…';
  const { origin, protocol, host, pathname, search, hash } = new URL(address);
  const base = origin === 'null' ? `${protocol}//${host}` : origin;
  return `${base}${shownPath(pathname)}${search + hash === '' ? '' : '?…'}`;
}

function shownPath(path: string): string {
  const [name = '', ...rest] = path.slice(1).split('/');
  const known = NAME.test(name);
  if (known && rest.length === 0) return path;
  const hidden = known ? rest.join('/') : path.slice(1);
  if (hidden === '') return path;
  const last = hidden.slice(hidden.lastIndexOf('/') + 1);
  return `${known ? `/${name}/` : '/'}…${last.length >= HIDDEN + TAIL ? last.slice(-TAIL) : ''}`;
}

/** A text of the receiver's, without what is hidden of its address: many say of what they do not know that it is not there. */
export function withoutAddress(text: string, address: string): string {
  const { pathname, search, searchParams } = new URL(address);
  if (shownPath(pathname) === pathname && search === '') return text;
  const values = [...searchParams].flat().concat(search.slice(1).split(/[&=]/));
  const parts = pathname.split('/').filter((part, n) => n > 1 || !NAME.test(part));
  const pieces = [...values, ...parts].flatMap((piece) => [piece, decoded(piece)]);
  const long = [...new Set(pieces)].filter(({ length }) => length >= PIECE).sort((a, b) => b.length - a.length);
  return long.reduce((rest, piece) => rest.replaceAll(piece, '…'), text);
}

function decoded(piece: string): string {
  try {
    return decodeURIComponent(piece);
  } catch {
    return piece;
  }
}
