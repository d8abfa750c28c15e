import { Problem } from '../problem/problem.js';
import { shorten } from './document-path.js';
import type { DocumentKind } from './parse-document.js';

/** The content types under which a document may be sent. */
export const DOCUMENT_TYPES: Readonly<Record<string, DocumentKind>> = {
  'application/yaml': 'yaml',
  'text/yaml': 'yaml',
  'application/x-yaml': 'yaml',
  'text/x-yaml': 'yaml',
  'application/json': 'json',
};

/** The kind of document that a `Content-Type` announces; a 415 for any other, and for any charset but UTF-8. */
export function documentKindOf(contentType: string | undefined): DocumentKind {
  const [type = '', ...parameters] = (contentType ?? '').split(';').map((part) => part.trim().toLowerCase());
  const kind = Object.hasOwn(DOCUMENT_TYPES, type) ? DOCUMENT_TYPES[type] : undefined;
  if (kind === undefined) {
    const what = type === '' ? 'no content type' : `the content type '${shorten(type, 80)}'`;
    throw unsupported(`The document was sent with ${what}. Send it as application/yaml or application/json.`);
  }
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))?.slice('charset='.length);
  if (charset !== undefined && !/^"?(utf-?8|us-ascii)"?$/.test(charset)) {
    throw unsupported(`The charset ${shorten(charset, 40)} is not supported. Send the document as UTF-8.`);
  }
  return kind;
}

function unsupported(detail: string): Problem {
  return new Problem('unsupported_media_type', detail);
}
