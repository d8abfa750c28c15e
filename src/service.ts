/**
 * Turnpike as a whole, with step types of one's own: `turnpike/service`. `examples/custom-step` uses it. Apart from
 * index.ts, so that an application that wants the queue alone does not load the HTTP service.
 */
export { loadSettings, SettingsError } from './config/load-settings.js';
export { Settings } from './config/settings.js';
export { startService, type Service, type ServiceOptions } from './start-service.js';
export { SafeFetch, SafeFetchError, type SafeRequest, type SafeResponse } from './common/safe-fetch.js';
export { StepType } from './workflows/step-type.decorator.js';
export type {
  ResolvedStep,
  StepConfig,
  StepContext,
  StepProblem,
  StepResult,
  StepRunner,
  StepSchema,
} from './workflows/step-runner.js';
export { ScriptRunner } from './workflows/steps/script-runner.js';
export { WorkflowsModule } from './workflows/workflows.module.js';
