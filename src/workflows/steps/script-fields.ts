import type { StepConfig, StepSchema } from '../step-runner.js';
import { NETWORK_FIELD } from './network-field.js';

/** A config that is a script, under either of its names. */
export const SCRIPT_SCHEMA: StepSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    command: {
      type: 'string',
      format: 'script',
      description: 'The bash script; exit code 0 means that the step has completed.',
      examples: ['echo hello'],
    },
    script: { type: 'string', format: 'script', description: 'Another name for `command`.', examples: ['echo hello'] },
    network: NETWORK_FIELD,
  },
  oneOf: [{ required: ['command'] }, { required: ['script'] }],
};

export function scriptOf(config: StepConfig): string {
  return String(config.command ?? config.script);
}
