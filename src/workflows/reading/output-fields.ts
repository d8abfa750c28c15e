import { describeValue } from '../../common/yaml/plain-words.js';
import type { StepDefinition } from '../workflow.js';
import { type Fields, VARIABLE_NAMES } from './fields.js';

const MAX_LENGTH = 1_024;

/** What of a step says what it leaves behind for others: `outputFile` and `setVariables`. */
export function readOutputs(fields: Fields): Pick<StepDefinition, 'outputFile' | 'setVariables'> {
  const outputFile = readOutputFile(fields);
  const setVariables = fields.texts('setVariables', VARIABLE_NAMES);
  return {
    ...(outputFile === undefined ? {} : { outputFile }),
    ...(setVariables === undefined ? {} : { setVariables }),
  };
}

/** A path inside the workspace. With references in it, the step checks what they make of it once more. */
function readOutputFile(fields: Fields): string | undefined {
  const file = fields.text('outputFile');
  if (file === undefined || (file.length <= MAX_LENGTH && isInside(file))) return file;
  const name = file.split('/').findLast((segment) => segment !== '' && segment !== '.' && segment !== '..');
  const message = `'outputFile' must be a path inside the task's workspace, but is ${describeValue(file)}`;
  const hint = `Write it to the step's working directory, and here "outputFile: ${(name ?? 'outputs.json').slice(0, 80)}".`;
  return fields.wrong(['outputFile'], message, hint);
}

function isInside(file: string): boolean {
  return !file.startsWith('/') && !file.includes('\0') && !file.endsWith('/') && !file.split('/').includes('..');
}
