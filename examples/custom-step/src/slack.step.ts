import { Injectable } from '@nestjs/common';
import {
  type ResolvedStep,
  SafeFetch,
  type StepContext,
  type StepResult,
  type StepRunner,
  type StepSchema,
  StepType,
} from 'turnpike/service';

/** Posts a message to a channel through an incoming webhook of Slack. */
@StepType('slack')
@Injectable()
export class SlackStep implements StepRunner {
  readonly description = 'Posts a message to a Slack channel.';

  readonly schema: StepSchema = {
    type: 'object',
    additionalProperties: false,
    required: ['text'],
    properties: {
      text: { type: 'string', minLength: 1, maxLength: 4000, description: 'The message.', examples: ['Hello'] },
      emoji: { type: 'string', enum: ['rocket', 'fire', 'tada'], description: 'What it begins with.' },
    },
  };

  constructor(private readonly http: SafeFetch) {}

  /** The webhook's address is a secret: it comes with the step's environment, not with its fields. */
  async run(step: ResolvedStep, context: StepContext): Promise<StepResult> {
    const { text, emoji } = step.config as { text: string; emoji?: string };
    const { SLACK_WEBHOOK_URL } = step.env;
    if (SLACK_WEBHOOK_URL === undefined) throw new Error('the variable SLACK_WEBHOOK_URL is missing in its env');
    const { status } = await this.http.fetch(SLACK_WEBHOOK_URL, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ text: emoji === undefined ? text : `:${emoji}: ${text}` }),
      timeoutMs: 10_000,
      maxBytes: 1000,
      signal: context.signal,
    });
    await context.write('stdout', Buffer.from(`Slack answered with ${status}\n`));
    if (status === 200) return { status: 'completed', outputs: {} };
    const errorMessage = `Slack refused the message of step '${step.name}' with status ${status}`;
    return { status: 'failed', cause: 'step_failed', errorMessage, outputs: {} };
  }
}
