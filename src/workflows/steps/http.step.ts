import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { SafeFetch, SafeFetchError, type SafeResponse } from '../../common/safe-fetch.js';
import { durationMs } from '../step-formats.js';
import type { Masks } from '../secrets/secret-masks.js';
import type { ResolvedStep, StepConfig, StepContext, StepProblem, StepResult, StepRunner } from '../step-runner.js';
import { StepType } from '../step-type.decorator.js';
import { HTTP_SCHEMA, type HttpConfig } from './http-schema.js';
import { limited, namedOutputs, outputText, valueAt, WHOLE_LIMIT } from './outputs.js';
import { StepLimit } from './step-limit.js';

const MAX_BYTES = 1024 * 1024;
const MAX_REDIRECTS = 5;
/** What is shown of the answer to a request that failed. */
const SHOWN_BYTES = 2048;
/** Headers that belong to the connection, not to the request. */
const OF_CONNECTION = ['host', 'connection', 'content-length', 'transfer-encoding', 'keep-alive', 'upgrade', 'expect'];

/** An HTTP request, or several until the answer is the one that is waited for. */
@StepType('http')
@Injectable()
export class HttpStep implements StepRunner {
  readonly description = 'Sends an HTTP request and checks the answer; with `until`, again until it is the right one.';
  readonly schema = HTTP_SCHEMA;
  readonly secrets = {
    fields: () => ['url', 'headers', 'body'],
    hint: 'An http step takes secrets in its url, headers and body.',
  };

  constructor(private readonly http: SafeFetch) {}

  check(config: StepConfig): StepProblem[] {
    const { method = 'GET', headers = {}, outputs = {} } = config as unknown as HttpConfig;
    const problems: StepProblem[] = [];
    if (Object.hasOwn(config, 'body') && ['GET', 'HEAD'].includes(method)) {
      const hint = 'Write "method: POST", or remove the body.';
      problems.push({ path: ['body'], message: `A request with ${method} has no body`, hint });
    }
    for (const name of Object.keys(headers)) {
      if (!OF_CONNECTION.includes(name.toLowerCase())) continue;
      const message = `The header '${name}' is the connection's own`;
      problems.push({ path: ['headers', name], part: 'key', message, hint: 'Remove it.' });
    }
    for (const name of ['status', 'body'].filter((own) => Object.hasOwn(outputs, own))) {
      const message = `The output '${name}' is always there`;
      problems.push({ path: ['outputs', name], part: 'key', message, hint: 'Choose another name.' });
    }
    return problems;
  }

  async run(step: ResolvedStep, context: StepContext): Promise<StepResult> {
    const config = step.config as unknown as HttpConfig;
    const { until } = config;
    const limit = new StepLimit(step, context);
    const say = (line: string) => context.write('stdout', Buffer.from(`${line}\n`));
    const failed = (message: string, more: { cause?: 'timeout'; retryable?: false } = {}): StepResult => {
      const errorMessage = `step '${step.name}' failed: ${message}`;
      return { status: 'failed', cause: 'step_failed', errorMessage, outputs: {}, ...more };
    };
    const deadline = performance.now() + durationMs(until?.timeout ?? '5m');
    for (;;) {
      const answer = await this.send(config, limit.signal);
      if (limit.signal.aborted) return limit.result();
      const why = answer instanceof SafeFetchError ? answer.message : unmet(config, answer);
      if (!(answer instanceof SafeFetchError)) await say(`${titleOf(config)}: ${answer.status}`);
      if (why === undefined) return concluded(config, answer as SafeResponse, context.masks, failed);
      if (answer instanceof SafeFetchError && answer.reason === 'refused') return failed(why, { retryable: false });
      const interval = durationMs(until?.interval ?? '5s');
      if (!until || performance.now() + interval >= deadline) {
        if (!(answer instanceof SafeFetchError)) await say(shown(answer.body, SHOWN_BYTES, context.masks));
        if (!until) return failed(why);
        const time = String(until.timeout ?? '5m');
        return failed(`what it waited for did not come within ${time}; in the end, ${why}`, { cause: 'timeout' });
      }
      await say(`not yet: ${why}`);
      await delay(interval, undefined, { signal: limit.signal }).catch(() => {});
      if (limit.signal.aborted) return limit.result();
    }
  }

  private async send(config: HttpConfig, signal: AbortSignal): Promise<SafeResponse | SafeFetchError> {
    const headers = Object.fromEntries(
      Object.entries(config.headers ?? {}).map(([name, text]) => [name, String(text)]),
    );
    const hasType = Object.keys(headers).some((name) => name.toLowerCase() === 'content-type');
    const { body } = config;
    const json = body !== undefined && typeof body !== 'string';
    try {
      return await this.http.fetch(config.url, {
        method: config.method ?? 'GET',
        headers: {
          'user-agent': 'turnpike',
          ...(json && !hasType ? { 'content-type': 'application/json' } : {}),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        timeoutMs: durationMs(config.timeout ?? '30s'),
        maxBytes: MAX_BYTES,
        maxRedirects: MAX_REDIRECTS,
        signal,
      });
    } catch (error) {
      if (error instanceof SafeFetchError) return error;
      throw error;
    }
  }
}

/** What was asked for is done: where its answer lacks an output, another try would do it again. */
function concluded(
  config: HttpConfig,
  answer: SafeResponse,
  masks: Masks,
  failed: (why: string, more?: { retryable: false }) => StepResult,
): StepResult {
  try {
    return { status: 'completed', outputs: outputsOf(config, answer, masks) };
  } catch (error) {
    return failed(`was answered, but ${(error as Error).message}`, { retryable: false });
  }
}

/** The beginning of a body: masked before it is cut, since half of a secret is none; half a character is left out. */
function shown(body: Buffer, bytes: number, masks: Masks): string {
  const masker = masks.stream();
  const masked = Buffer.concat([masker.push(body), masker.end()]);
  return new TextDecoder().decode(masked.subarray(0, bytes), { stream: true });
}

/** Without the query, which may hold a key. */
function titleOf({ method = 'GET', url }: HttpConfig): string {
  const { origin, pathname } = new URL(url);
  return `${method} ${origin}${pathname}`;
}

/** What of the answer is not as it should be. */
function unmet(config: HttpConfig, { status, body }: SafeResponse): string | undefined {
  const { until } = config;
  const wanted = until?.status ?? config.expected_status;
  const statuses = wanted === undefined ? undefined : [wanted].flat();
  if (statuses ? !statuses.includes(status) : status < 200 || status > 299) {
    return `the answer to ${titleOf(config)} has status ${status}, not ${statuses?.join(' or ') ?? '2xx'}`;
  }
  if (until?.body_contains !== undefined && !body.includes(until.body_contains)) {
    return `the body does not contain '${until.body_contains}'`;
  }
  if (until?.json === undefined) return undefined;
  const json = jsonOf(body);
  if (json === undefined) return 'the body is no JSON';
  for (const [path, value] of Object.entries(until.json)) {
    const found = valueAt(json, path);
    if (found === undefined) return `the body has no '${path}'`;
    if (outputText(found) !== outputText(value)) return `'${path}' is not '${String(value)}'`;
  }
  return undefined;
}

function outputsOf(
  config: HttpConfig,
  { status, body, truncated }: SafeResponse,
  masks: Masks,
): Record<string, string> {
  // Nobody has asked for the body: an answer that repeats a secret is kept without it.
  const outputs = { status: String(status), body: outputText(shown(body, WHOLE_LIMIT, masks)) };
  if (Object.keys(config.outputs ?? {}).length === 0) return outputs;
  const json = jsonOf(body);
  if (json === undefined) {
    throw new Error(
      truncated ? 'the answer is longer than 1 MiB, so that no outputs are read from it' : 'the answer is no JSON',
    );
  }
  return limited({ ...outputs, ...namedOutputs(json, config.outputs, 'the answer') });
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString()) as unknown;
  } catch {
    return undefined;
  }
}
