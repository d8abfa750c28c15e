import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';
import { ERROR_CODES, type ErrorCode } from '../problem/error-codes.js';
import { Problem, type ProblemItem } from '../problem/problem.js';

/** One error in its place, for the codes that have them. */
const EXAMPLES: Partial<Record<ErrorCode, { detail: string; errors?: ProblemItem[] }>> = {
  malformed_yaml: {
    detail: 'Line 3, column 1: This line is indented with a tab.',
    errors: [
      {
        line: 3,
        column: 1,
        message: 'This line is indented with a tab',
        hint: 'YAML does not allow tabs for indentation: use spaces.',
      },
    ],
  },
  invalid_document: {
    detail: "One error in the document; line 10: unknown step type 'bsh': did you mean 'bash'?",
    errors: [
      {
        path: 'workflow.steps[0].type',
        line: 10,
        column: 13,
        message: "unknown step type 'bsh': did you mean 'bash'?",
        hint: "Did you mean 'bash'?",
      },
    ],
  },
  invalid_parameter: {
    detail: "unknown parameter 'prioritty'",
    errors: [{ path: 'prioritty', message: "unknown parameter 'prioritty'", hint: "Did you mean 'priority'?" }],
  },
  unauthorized: { detail: 'the key is not known' },
  task_not_found: { detail: "there is no task 'task-0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b'" },
  golden_path_not_found: {
    detail: "there is no golden path 'deploy-ap'",
    errors: [
      { path: 'golden_path', message: "there is no golden path 'deploy-ap'", hint: "Did you mean 'deploy-app'?" },
    ],
  },
  schedule_not_found: { detail: "there is no schedule 'nightly-deploi'" },
  illegal_transition: { detail: 'the task is completed: there is nothing to cancel' },
};

/** Documents the errors a call can be answered with, each with a body as it is really sent. */
export function ApiProblems(...codes: ErrorCode[]): ClassDecorator & MethodDecorator {
  const statuses = [...new Set(codes.map((code) => ERROR_CODES[code].status))];
  return applyDecorators(
    ...statuses.map((status) => {
      const group = codes.filter((code) => ERROR_CODES[code].status === status);
      return ApiResponse({
        status,
        description: group.map((code) => ERROR_CODES[code].title).join('; '),
        content: {
          'application/problem+json': {
            schema: { type: 'object' },
            examples: Object.fromEntries(group.map((code) => [code, { value: exampleOf(code) }])),
          },
        },
      });
    }),
  );
}

function exampleOf(code: ErrorCode) {
  const { detail, errors } = EXAMPLES[code] ?? { detail: ERROR_CODES[code].title };
  return new Problem(code, detail, { errors }).toBody('0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b');
}
