import { Injectable } from '@nestjs/common';
import { didYouMean } from '../../common/did-you-mean.js';
import { isRole, ROLES } from '../../auth/roles.js';
import { ROLE_MARK } from '../approval.js';
import type { StepConfig, StepProblem, StepResult, StepRunner, StepSchema } from '../step-runner.js';
import { StepType } from '../step-type.decorator.js';

/** What may stand in the config of an approval; who waits for the answer is the executor, not a runner. */
@StepType('approval')
@Injectable()
export class ApprovalStep implements StepRunner {
  readonly description = 'Waits until people approve or reject, without a worker meanwhile.';
  readonly schema: StepSchema = {
    type: 'object',
    additionalProperties: false,
    properties: {
      approvers: {
        type: 'array',
        minItems: 1,
        maxItems: 100,
        items: { type: 'string', minLength: 1, maxLength: 200 },
        description:
          'Who may answer: names of API keys, `oidc:<name>`, or `role:<role>` for all who have that role; everybody unless given.',
        examples: [['ada', 'role:approver']],
      },
      count: {
        type: 'integer',
        minimum: 1,
        maximum: 100,
        description: 'How many different people must approve; 1 unless given. One rejection is enough.',
        examples: [2],
      },
      timeout: {
        type: ['number', 'string'],
        exclusiveMinimum: 0,
        format: 'duration',
        description: 'How long to wait before `default` is the answer; without it there is no limit.',
        examples: ['4h'],
      },
      default: {
        type: 'string',
        enum: ['approve', 'reject'],
        description: 'The answer when `timeout` is over; `reject` unless given.',
        examples: ['reject'],
      },
      not_submitter: {
        type: 'boolean',
        description: 'Whoever submitted the task, or a correction of it, may not approve it.',
        examples: [true],
      },
      message: {
        type: 'string',
        maxLength: 2000,
        description: 'What is to be decided, for those who are asked.',
        examples: ['Deploy to production?'],
      },
    },
  };

  check({ approvers, count }: StepConfig): StepProblem[] {
    if (!Array.isArray(approvers)) return [];
    const names = new Set(approvers as string[]);
    const wrong = (approvers as string[]).flatMap(unknownRole);
    // Nobody knows how many have a role.
    const open = [...names].some((name) => name.startsWith(ROLE_MARK));
    if (wrong.length > 0 || open || typeof count !== 'number' || count <= names.size) return wrong;
    const message = `'count' is ${count}, but 'approvers' names ${names.size}`;
    return [{ path: ['count'], message, hint: `Write ${names.size} or less, or name more approvers.` }];
  }

  async run(): Promise<StepResult> {
    throw new Error("an approval is answered by people, not run: the executor takes steps of type 'approval' itself");
  }
}

function unknownRole(name: string, n: number): StepProblem[] {
  if (!name.startsWith(ROLE_MARK)) return [];
  const role = name.slice(ROLE_MARK.length);
  if (isRole(role) || role.includes('${')) return [];
  const meant = didYouMean(role, ROLES);
  const hint = meant === undefined ? `Roles: ${ROLES.join(', ')}.` : `Did you mean '${ROLE_MARK}${meant}'?`;
  return [{ path: ['approvers', n], message: `there is no role '${role.slice(0, 80)}'`, hint }];
}
