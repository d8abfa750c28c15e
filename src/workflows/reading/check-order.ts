import type { DocumentIssue } from '../../common/yaml/document-issue.js';
import { isDag, namedOrder } from '../order-problems.js';
import type { StepDefinition } from '../workflow.js';
import type { WorkflowPlaces } from './places.js';

/** Notes what keeps the steps from being brought into an order, each at its place. */
export function checkOrder(steps: readonly StepDefinition[], places: WorkflowPlaces, issues: DocumentIssue[]): void {
  if (!isDag(steps)) return;
  for (const { step, path, message, hint } of namedOrder(steps).problems) {
    issues.push({ path: places.step(step, path), message, hint });
  }
}
