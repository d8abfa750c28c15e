import type { ProblemItem } from '../problem/problem.js';

/** Query parameters that begin so name a label. */
export const LABEL = 'label.';
const LABEL_NAME = /^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
/** NUL, and halves of surrogate pairs: jsonb has no room for them. */
const UNSTORABLE = /\0|\p{Surrogate}/u;
const MAX_LABELS = 32;
const MAX_LABEL_VALUE = 255;

/** Labels out of parameters such as `label.team=payments`; what is wrong with them joins the errors. */
export function readLabels(given: [string, unknown][], errors: ProblemItem[]): Record<string, string> {
  if (given.length > MAX_LABELS) errors.push({ path: 'label', message: `more than ${MAX_LABELS} labels are given` });
  const labels: Record<string, string> = {};
  for (const [parameter, value] of given) {
    const name = parameter.slice(LABEL.length);
    if (!LABEL_NAME.test(name)) {
      const hint =
        'A label has 1 to 63 characters: letters, digits, ".", "_", "-" and "/", a letter or digit at both ends.';
      errors.push({ path: parameter, message: `'${name.slice(0, 80)}' is no name for a label`, hint });
    } else if (typeof value !== 'string' || value.length > MAX_LABEL_VALUE) {
      errors.push({
        path: parameter,
        message: `'${parameter}' must be given once, with at most ${MAX_LABEL_VALUE} characters`,
      });
    } else if (UNSTORABLE.test(value)) {
      errors.push({ path: parameter, message: `'${parameter}' holds a character that cannot be stored` });
    } else {
      labels[name] = value;
    }
  }
  return labels;
}
