import { describeValue } from '../../common/yaml/plain-words.js';
import type { StepDefinition } from '../workflow.js';
import type { Fields } from './fields.js';

/** What of a step says when its turn is: `dependsOn`, or `parallel` and `parallelGroup`. */
export function readOrder(fields: Fields): Pick<StepDefinition, 'dependsOn' | 'parallelGroup'> {
  const dependsOn = readDependsOn(fields);
  const parallel = fields.boolean('parallel');
  const group = readGroup(fields);
  if (group !== undefined && parallel !== true && !(fields.has('parallel') && parallel === undefined)) {
    const message = "'parallelGroup' says nothing of a step that is not parallel";
    fields.wrong(['parallelGroup'], message, 'Add "parallel: true", or remove it.', 'key');
  }
  return {
    ...(dependsOn === undefined ? {} : { dependsOn }),
    ...(parallel === true ? { parallelGroup: group ?? '' } : {}),
  };
}

/** A list of names, or one name. */
function readDependsOn(fields: Fields): string[] | undefined {
  if (!fields.has('dependsOn')) return undefined;
  const value = fields.raw.dependsOn;
  const names: unknown[] = Array.isArray(value) ? value : [value];
  const wrong = names.findIndex((name) => typeof name !== 'string' || name === '');
  if (wrong === -1) return names as string[];
  const message = `'dependsOn' must be a list of names of steps, but ${Array.isArray(value) ? 'has' : 'is'} `;
  const place = Array.isArray(value) ? ['dependsOn', wrong] : ['dependsOn'];
  return fields.wrong(place, message + describeValue(names[wrong]), 'Write for example "dependsOn: [build, test]".');
}

/** A name or a number. */
function readGroup(fields: Fields): string | undefined {
  if (!fields.has('parallelGroup')) return undefined;
  const value = fields.raw.parallelGroup;
  if ((typeof value === 'string' && value !== '') || typeof value === 'number') return String(value);
  return fields.wrongType(['parallelGroup'], 'a name or a number', 'string', value);
}
