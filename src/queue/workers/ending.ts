import { retryDelaySeconds } from '../retry-policy.js';
import { storableText } from '../store/storable-text.js';
import type { FinishRow } from '../store/task-changes.js';
import type { AbortReason, ClaimedTask, TaskOutcome } from '../task-handler.js';

type Ending = Omit<FinishRow, 'id' | 'token' | 'begun_seconds_ago'>;

const PLAIN = {
  cause: null,
  error_message: null,
  result: null,
  failed: false,
  retry_seconds: null,
  wait_seconds: null,
  seen_decisions: null,
};

/** What is recorded of a run that came to this outcome, having been told to stop for that reason. */
export function endingOf(task: ClaimedTask, outcome: TaskOutcome, reason: AbortReason | undefined): Ending {
  // It ran for no more than cleaning up, however that ended.
  if (task.cancelling) {
    const { cause, reason: errorMessage } = task.cancelling;
    return { ...PLAIN, status: 'cancelled', cause, error_message: errorMessage };
  }
  if (outcome.status === 'completed') return { ...PLAIN, status: 'completed', result: outcome.result ?? null };
  // A step that the cancel ended may report itself as failed; the reason it was ended for is the truth.
  if (reason === 'cancelled') return { ...PLAIN, status: 'cancelled', cause: 'cancelled', error_message: 'cancelled' };
  if (reason === 'timeout') {
    return failure(task, {
      cause: 'timeout',
      errorMessage: `the task took longer than its timeout of ${task.timeoutSeconds} s and was ended`,
      retryable: outcome.status !== 'aborted' || outcome.retryable !== false,
      ...(outcome.status === 'waiting' ? {} : { retryInSeconds: outcome.retryInSeconds }),
    });
  }
  if (outcome.status === 'waiting')
    return { ...PLAIN, status: 'waiting', wait_seconds: outcome.seconds, seen_decisions: outcome.seenDecisions };
  if (outcome.status === 'aborted') {
    return failure(task, {
      cause: 'step_failed',
      errorMessage: 'the handler gave the run up without being asked to',
      retryable: true,
    });
  }
  return failure(task, outcome);
}

function failure(
  task: ClaimedTask,
  {
    cause,
    errorMessage,
    retryable,
    retryInSeconds,
    result,
  }: Omit<Extract<TaskOutcome, { status: 'failed' }>, 'status'>,
): Ending {
  const again = retryable && task.failures + 1 < task.maxAttempts;
  return {
    ...PLAIN,
    status: again ? 'retrying' : 'failed',
    cause,
    error_message: storableText(errorMessage),
    result: result ?? null,
    failed: true,
    retry_seconds: again ? (retryInSeconds ?? retryDelaySeconds(task.failures + 1)) : null,
  };
}
