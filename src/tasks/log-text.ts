import { stripVTControlCharacters } from 'node:util';
import type { LogRow } from '../queue/store/log-reader.js';
import type { LogLook } from './log-query.js';

/** Of lines whose end has not come yet, so much is held back in all. */
const HELD_BYTES = 64 * 1024;
/** Whatever a terminal could act on, but tab, line feed and carriage return. */
const CONTROLS = /[^\P{Cc}\t\n\r]/gu;

interface HeldLine {
  readonly prefix: string;
  text: string;
}

/**
 * Writes output line by line, each line whole and with its prefix, though chunks end anywhere and those of several steps
 * and streams come mixed. A line that is too long to be held is written as far as it goes, and goes on without a prefix
 * unless another has come between.
 *
 * Texts here are `latin1`: a character for each byte, so that no byte is changed on its way.
 */
export class LogText {
  private readonly held = new Map<string, HeldLine>();
  private heldBytes = 0;
  /** Whose line is written in part. */
  private open: string | undefined;
  private out = '';

  constructor(private readonly look: LogLook) {}

  /** What can be written of these rows and of those before. */
  add(rows: readonly LogRow[]): Buffer {
    for (const row of rows) this.addRow(row);
    return this.take();
  }

  /** The lines that have no end. */
  end(): Buffer {
    for (const source of [...this.held.keys()]) this.release(source);
    return this.take();
  }

  private addRow(row: LogRow): void {
    const source = `${row.attempt} ${row.stream} ${row.step}`;
    // The service's own remarks begin a line of their own where there may be none before them.
    const text = row.chunk.toString('latin1', row.stream === 'system' && row.chunk[0] === 0x0a ? 1 : 0);
    const prefix = this.prefixOf(row);
    const end = text.lastIndexOf('\n') + 1;
    if (end > 0) this.writeLines(source, prefix, text.slice(0, end));
    if (end < text.length) this.hold(source, prefix, text.slice(end));
  }

  /** Whole lines; what was held of this source belongs before them. */
  private writeLines(source: string, prefix: string, text: string): void {
    const held = this.unhold(source);
    const first = text.indexOf('\n') + 1;
    this.write(source, held?.prefix ?? prefix, (held?.text ?? '') + text.slice(0, first));
    this.open = undefined;
    if (first === text.length) return;
    const others = this.clean(text.slice(first, -1));
    this.out += `${prefix}${others.split('\n').join(`\n${prefix}`)}\n`;
  }

  private hold(source: string, prefix: string, text: string): void {
    const line = this.held.get(source);
    if (line) line.text += text;
    else this.held.set(source, { prefix, text });
    this.heldBytes += text.length;
    while (this.heldBytes > HELD_BYTES) this.release(this.held.keys().next().value!);
  }

  private release(source: string): void {
    const { prefix, text } = this.unhold(source)!;
    this.write(source, prefix, text);
    this.open = source;
  }

  private unhold(source: string): HeldLine | undefined {
    const line = this.held.get(source);
    this.held.delete(source);
    this.heldBytes -= line?.text.length ?? 0;
    return line;
  }

  private write(source: string, prefix: string, text: string): void {
    if (this.open !== source) this.out += this.open === undefined ? prefix : `\n${prefix}`;
    this.out += this.clean(text);
  }

  private prefixOf({ at, step }: LogRow): string {
    const time = this.look.time ? `${at.toISOString()} ` : '';
    return this.look.step ? `${time}[${Buffer.from(step).toString('latin1')}] ` : time;
  }

  private clean(text: string): string {
    if (!this.look.plain) return text;
    const characters = Buffer.from(text, 'latin1').toString('utf8');
    return Buffer.from(stripVTControlCharacters(characters).replace(CONTROLS, '')).toString('latin1');
  }

  private take(): Buffer {
    const written = Buffer.from(this.out, 'latin1');
    this.out = '';
    return written;
  }
}
