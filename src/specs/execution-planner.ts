import { Injectable } from '@nestjs/common';
import { Problem, type ProblemItem } from '../common/problem/problem.js';
import { GoldenPathsService } from '../golden-paths/golden-paths.service.js';
import { type ExecutionRequest, type PlannedTask, TaskPlanner } from '../workflows/task-planner.js';
import { readExecution } from './execute-body.js';
import { plannedTask, SubmissionPlanner } from './submission-planner.js';

/** Plans what others than a caller of the API ask for, the way a body of an execution is planned. */
@Injectable()
export class ExecutionPlanner extends TaskPlanner {
  constructor(
    private readonly goldenPaths: GoldenPathsService,
    private readonly planner: SubmissionPlanner,
  ) {
    super();
  }

  override plan({ goldenPath, appName, parameters, labels, spec, caller }: ExecutionRequest): PlannedTask {
    const path = this.goldenPaths.get(goldenPath);
    const body = Buffer.from(JSON.stringify({ app_name: appName, parameters, labels, spec }));
    try {
      const execution = readExecution(body, 'application/json', this.planner.rules(), path);
      return plannedTask(path, execution, this.planner.plan(path, execution, {}, caller));
    } catch (error) {
      throw error instanceof Problem ? withoutText(error) : error;
    }
  }
}

/** Nobody has written the text that was read here: its lines say nothing, and names have their long form. */
function withoutText(problem: Problem): Problem {
  const errors = problem.errors.map(({ path, message, hint }): ProblemItem => {
    const named = path?.replace(/^param\./, 'parameters.').replace(/^label\./, 'labels.');
    return { ...(named === undefined ? {} : { path: named }), message, ...(hint === undefined ? {} : { hint }) };
  });
  return new Problem(problem.code, problem.detail, { errors, cause: problem });
}
