import type { DocumentIssue } from '../../common/yaml/document-issue.js';
import { type DocumentPath, shorten } from '../../common/yaml/document-path.js';

const TEMPLATE = /\{\{-?([^{}]*?)-?\}\}/g;
const PARAMETER = /^\s*\.parameters\.([A-Za-z_]\w*)\s*$/;
const HINT =
  "Only {{ .parameters.name }} is known here. Write one parameter for each value, and an 'if:' for a step that is not always run.";

/** More of them in one text would be the same mistake again. */
const MAX_NOTED = 20;

/** A value with `{{ .parameters.x }}` in its texts written as `${parameters.x}`; what else stands in braces is noted. */
export function withoutTemplates(value: unknown, path: DocumentPath, issues: DocumentIssue[]): unknown {
  if (typeof value === 'string') return fromText(value, path, issues);
  if (Array.isArray(value)) return value.map((item, index) => withoutTemplates(item, [...path, index], issues));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, withoutTemplates(item, [...path, key], issues)]),
  );
}

function fromText(text: string, path: DocumentPath, issues: DocumentIssue[]): string {
  let noted = 0;
  return text.replace(TEMPLATE, (whole: string, inner: string, within: number) => {
    const name = PARAMETER.exec(inner)?.[1];
    if (name !== undefined) return `\${parameters.${name}}`;
    if (noted++ < MAX_NOTED) {
      issues.push({
        path,
        within,
        message: `Go templates such as ${shorten(whole, 60)} are not supported`,
        hint: HINT,
      });
    }
    return whole;
  });
}
