import { Injectable } from '@nestjs/common';
import { may, mustBeInScope } from '../auth/access.js';
import type { Principal } from '../auth/principal.js';
import { rolesWith } from '../auth/roles.js';
import { Problem, type ProblemItem } from '../common/problem/problem.js';
import { Settings } from '../config/settings.js';
import { concurrencyFor } from '../golden-paths/concurrency.js';
import type { GoldenPath } from '../golden-paths/golden-path.js';
import { GoldenPathsService } from '../golden-paths/golden-paths.service.js';
import type { StepRules } from '../workflows/reading/read-workflow.js';
import { SpecReader, type SpecOwner } from '../workflows/spec-reader.js';
import { StepRegistry } from '../workflows/step-registry.js';
import type { PlannedTask } from '../workflows/task-planner.js';
import type { WorkflowSpec } from '../workflows/workflow.js';
import type { Execution } from './execute-body.js';
import { documentScope, parseSubmission } from './score/parse-submission.js';
import { PARAMETER } from './submission-query.js';

/** The task for a document that `plan` has made. */
export function plannedTask(
  path: GoldenPath,
  { appName, labels, workflow }: Pick<Execution, 'appName' | 'labels' | 'workflow'>,
  workflowSpec: WorkflowSpec,
): PlannedTask {
  const { name } = path;
  const { retry, timeoutSeconds } = workflowSpec.workflow;
  // Steps in the document replace the path's own, and with them its rule on which of them may run at once.
  const concurrency = path.concurrency && !workflow ? concurrencyFor(path.concurrency, workflowSpec) : undefined;
  if (typeof concurrency === 'string') throw new Problem('invalid_document', `golden path '${name}': ${concurrency}`);
  return {
    appName,
    workflowName: `golden-path-${name}`,
    workflowSpec,
    goldenPath: name,
    labels,
    maxAttempts: retry?.maxAttempts,
    timeoutSeconds,
    concurrency,
  };
}

/** Makes the document that a task runs by, of what was submitted and the golden path; of a correction, too. */
@Injectable()
export class SubmissionPlanner extends SpecReader {
  constructor(
    private readonly goldenPaths: GoldenPathsService,
    private readonly registry: StepRegistry,
    private readonly settings: Settings,
  ) {
    super();
  }

  rules(): StepRules {
    return this.registry.rules(this.settings.MAX_STEPS);
  }

  /** A workflow in the document replaces the golden path's own; parameters are the path's, and checked either way. */
  plan(
    path: GoldenPath,
    execution: Execution,
    fromQuery: Readonly<Record<string, unknown>>,
    caller?: Principal,
  ): WorkflowSpec {
    const { workflow, environment } = execution;
    if (caller) mustBeInScope(caller, execution.appName);
    if (workflow) checkOwnSteps(this.settings.INLINE_WORKFLOWS, `send it ${without(path.name)}`, caller);
    // `app_name` of a request goes before the document's own.
    const metadata = { ...execution.score.metadata, name: execution.appName };
    const score = { ...execution.score, metadata };
    const twice = Object.keys(fromQuery).filter((name) => Object.hasOwn(execution.parameters, name));
    const given = { ...fromQuery, ...execution.parameters };
    const prefix = Object.keys(execution.parameters).length > 0 ? 'parameters.' : PARAMETER;
    const scope = workflow ? undefined : documentScope(score, environment);
    const prepared = this.goldenPaths.prepare(path, given, prefix, scope);
    const problems: ProblemItem[] = [
      ...twice.map((name) => ({
        path: PARAMETER + name,
        message: `parameter '${name}' is given in the address and in the body`,
      })),
      ...prepared.problems,
    ];
    if (problems.length > 0) {
      const detail = problems.length === 1 ? problems[0]!.message : `${problems.length} errors: see errors[]`;
      throw new Problem('invalid_parameter', detail, { errors: problems });
    }
    const { parameters } = prepared;
    return {
      workflow: workflow ?? path.workflow,
      score,
      environment,
      parameters,
      ...(workflow ? { inline: true } : {}),
    };
  }

  override admitOwnSteps({ goldenPath, caller }: Pick<SpecOwner, 'goldenPath' | 'caller'>): void {
    const instead = `retry it with a 'spec' ${without(goldenPath ?? this.settings.DEFAULT_GOLDEN_PATH)}`;
    checkOwnSteps(this.settings.INLINE_WORKFLOWS, instead, caller);
  }

  /** The correction of a task's document: for the same application, golden path and parameters. */
  override read(text: string, { appName, goldenPath, parameters, caller }: SpecOwner): WorkflowSpec {
    const path = this.goldenPaths.get(goldenPath ?? this.settings.DEFAULT_GOLDEN_PATH);
    const submission = parseSubmission(text, 'application/yaml', this.rules(), path);
    if (submission.appName !== appName) {
      const message = `the document is of '${submission.appName}', but the task of '${appName}'`;
      const hint = 'Submit it as a task of its own.';
      throw new Problem('invalid_document', message, { errors: [{ path: 'metadata.name', message, hint }] });
    }
    // A parameter that had no value is stored as an empty text, which need not be one that could be given.
    const given = Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== ''));
    return this.plan(path, { ...submission, parameters: given, labels: {} }, {}, caller);
  }
}

function without(path: string): string {
  return `without 'workflow' and 'workflows', and the golden path '${path}' is what runs`;
}

/** Throws where a document may not bring its own steps: nobody's, or not this caller's. Without a caller it is the system's. */
function checkOwnSteps(inline: Settings['INLINE_WORKFLOWS'], instead: string, caller?: Principal): void {
  if (inline === 'off') {
    throw new Problem('inline_steps_forbidden', `documents with their own steps are switched off here: ${instead}`);
  }
  if (!caller || may(caller, 'tasks:inline')) return;
  const who = `'${caller.name}' may run golden paths only, and the document has its own steps`;
  const roles = rolesWith('tasks:inline').join(' or ');
  throw new Problem('inline_steps_forbidden', `${who}: ${instead}; or use a key with the role ${roles}`);
}
