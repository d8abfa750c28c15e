import type { LoggerService } from '@nestjs/common';
import { pino, type DestinationStream, type Level, type Logger } from 'pino';
import { build as pretty } from 'pino-pretty';

/** What Nest says while it wires modules and routes: for those who debug that. */
const WIRING = new Set(['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestApplication']);

/** What Nest logs of an error that keeps the service from starting, and then throws: main.ts tells it in one line. */
const TOLD_LATER = new Set(['ExceptionHandler', 'TypeOrmModule', 'NestApplication']);

/** What JSON leaves as it is, and terminals act on or break lines at. In a line of JSON these stand in texts only. */
const BARE_CONTROLS = /[\x7f-\x9f\u2028\u2029]/g;
/** One escape of JSON, whole: a backslash before it would be another one's. */
const JSON_ESCAPE = /\\(?:u[0-9a-f]{4}|.)/gi;

const escapeOf = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Values are other people's: names, errors, addresses. They must not steer the terminal of whoever reads the log. */
function escapeControls(line: string): string {
  return line.replace(BARE_CONTROLS, escapeOf);
}

/** The same for lines whose texts are shown unescaped: of the controls only line breaks and tabs stay what they are. */
function showControls(line: string): string {
  return line
    .replace(JSON_ESCAPE, (escape) => (/^\\(?:u00[01]|u007f|[bfr])/i.test(escape) ? `\\${escape}` : escape))
    .replace(BARE_CONTROLS, (character) => `\\${escapeOf(character)}`);
}

/** A message of several lines, none of which can be taken for an entry of the log. */
function indented(log: Record<string, unknown>, key: string): string {
  const message = log[key];
  return (typeof message === 'string' ? message : '').replaceAll('\n', '\n    ');
}

/**
 * Nest's logger on pino: one object a line as JSON, or readable lines. `logger.log({msg, task_id, …})` gives structured
 * fields, `logger.log('text')` a plain message; the context Nest appends becomes `context`.
 */
export class StructuredLogger implements LoggerService {
  private readonly pino: Logger;

  constructor(level: string, format: 'pretty' | 'json', destination?: DestinationStream) {
    const target =
      format === 'pretty'
        ? pretty({
            ...{ sync: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l', singleLine: true, destination },
            messageFormat: indented,
          })
        : destination;
    const hooks = { streamWrite: format === 'pretty' ? showControls : escapeControls };
    this.pino = pino({ level, timestamp: pino.stdTimeFunctions.isoTime, base: { pid: process.pid }, hooks }, target);
  }

  log(message: unknown, ...rest: unknown[]): void {
    this.write(WIRING.has(String(rest.at(-1))) ? 'debug' : 'info', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.write(TOLD_LATER.has(String(rest.at(-1))) ? 'debug' : 'error', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.write('warn', message, rest);
  }

  debug(message: unknown, ...rest: unknown[]): void {
    this.write('debug', message, rest);
  }

  verbose(message: unknown, ...rest: unknown[]): void {
    this.write('trace', message, rest);
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.write('fatal', message, rest);
  }

  private write(level: Level, message: unknown, rest: unknown[]): void {
    if (!this.pino.isLevelEnabled(level)) return;
    // Nest's Logger appends its context, and for errors a stack before it.
    const context = typeof rest.at(-1) === 'string' ? (rest.at(-1) as string) : undefined;
    const stack = rest.length > 1 && typeof rest[0] === 'string' ? rest[0] : undefined;
    const facts: Record<string, unknown> = { context, ...(stack === undefined ? {} : { stack }) };
    if (message instanceof Error) this.pino[level]({ ...facts, err: message });
    else if (typeof message === 'object' && message !== null) this.pino[level]({ ...facts, ...message });
    else this.pino[level](facts, String(message));
  }
}
