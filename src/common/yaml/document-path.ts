/** Where a value stands in a document: the keys and indexes from its root. */
export type DocumentPath = readonly (string | number)[];

const PLAIN_KEY = /^[A-Za-z_][A-Za-z0-9_-]*$/;

/** Keys longer than this are cut: they are shown to people. */
const MAX_KEY = 80;

/** `containers.web.image`, `workflow.steps[0].type`, `containers.web.files["/etc/app.conf"]`. */
export function formatPath(path: DocumentPath): string {
  let text = '';
  for (const segment of path) {
    if (typeof segment === 'number') text += `[${segment}]`;
    else if (PLAIN_KEY.test(segment) && segment.length <= MAX_KEY) text += text === '' ? segment : `.${segment}`;
    else text += `[${JSON.stringify(shorten(segment, MAX_KEY))}]`;
  }
  return text;
}

/** Cuts text of the input to a length fit for a message. Never leaves half a surrogate pair. */
export function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length).replace(/[\uD800-\uDBFF]$/, '')}…`;
}
