import type { QueueTaskEvent } from '../../queue/queue-task-records.entity.js';
import type { QueueTask } from '../../queue/queue-task.entity.js';
import type { ChainLink } from './why.dto.js';

/** What of the ledger says why: not each step that completed, nor each claim. */
export function chainOf(latestFirst: readonly QueueTaskEvent[]): ChainLink[] {
  return latestFirst.flatMap((event) => {
    const found = event.kind === 'transition' ? transition(event) : event.kind === 'step' ? step(event) : verb(event);
    if (!found) return [];
    const [what, message] = found;
    return [{ at: event.at, what, by: event.actor, attempt: event.attempt, message }];
  });
}

type Told = readonly [what: string, message: string];

const text = (event: QueueTaskEvent, field: string): string | undefined => {
  const value = event.detail?.[field];
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
};
const after = (detail: string | undefined | null) => (detail ? `: ${detail}` : '');

function transition(event: QueueTaskEvent): Told | undefined {
  const error = after(text(event, 'error_message'));
  const { fromStatus: from, toStatus: to, cause, attempt, actor } = event;
  if (from === null) return ['submitted', `submitted by ${actor}`];
  if (to === 'completed') return ['completed', `attempt ${attempt} completed`];
  if (to === 'failed') return ['failed', `failed with cause ${cause}${error}`];
  if (to === 'retrying') return ['attempt_failed', `attempt ${attempt} failed with cause ${cause}${error}`];
  if (to === 'cancelled') {
    const what = cause === 'superseded' ? cause : to;
    return [what, text(event, 'error_message') ?? `${what} by ${actor}`];
  }
  if (to !== 'pending') return undefined;
  if (cause === 'redriven') return ['redriven', `sent through the queue again by ${actor}`];
  if (from !== 'running') return undefined;
  if (cause === 'lease_lost') return ['lost', `attempt ${attempt} was lost: the instance that ran it died`];
  return ['handed_back', `attempt ${attempt} was given back to the queue${after(cause)}`];
}

function step(event: QueueTaskEvent): Told | undefined {
  const name = text(event, 'step');
  if (event.toStatus === 'cancelled') return ['step_cancelled', `step '${name}' was ended${after(event.cause)}`];
  if (event.toStatus !== 'failed') return undefined;
  const code = text(event, 'exit_code');
  const how = code === undefined ? `failed with cause ${event.cause ?? 'unknown'}` : `ended with exit code ${code}`;
  return ['step_failed', `step '${name}' ${how}${after(text(event, 'error_message'))}`];
}

function verb(event: QueueTaskEvent): Told {
  const what = event.cause ?? 'changed';
  const of = text(event, 'step');
  const said = text(event, 'comment') ?? text(event, 'reason');
  return [
    what,
    `${what.replaceAll('_', ' ')} by ${event.actor}${of === undefined ? '' : `, step '${of}'`}${after(said)}`,
  ];
}

type Ended = Pick<QueueTask, 'status' | 'cause' | 'errorMessage' | 'attempt' | 'crashes'>;

/** How a task ended, in one sentence. */
export function summaryOf(task: Ended, chain: readonly ChainLink[]): string {
  if (task.status === 'completed') {
    const failed = chain.filter(({ what }) => what === 'attempt_failed').length;
    const lost = chain.filter(({ what }) => what === 'lost').length;
    const before = [...(failed > 0 ? [`${failed} failed`] : []), ...(lost > 0 ? [`${lost} lost`] : [])].join(' and ');
    return `Completed at attempt ${task.attempt}${before === '' ? '' : `, after ${before}`}.`;
  }
  const error = task.errorMessage;
  if (task.status === 'failed') {
    return sentence(`Failed at attempt ${task.attempt} with cause ${task.cause ?? 'unknown'}${after(error)}`);
  }
  const by = chain.find(({ what }) => what === 'cancelled' || what === 'superseded')?.by;
  if (error && /^(cancelled|superseded) by /.test(error)) return sentence(error);
  return sentence(`Cancelled${by === undefined ? '' : ` by ${by}`}${after(error)}`);
}

export function sentence(words: string): string {
  const [line] = words.trim().split('\n');
  const capital = line!.charAt(0).toUpperCase() + line!.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
