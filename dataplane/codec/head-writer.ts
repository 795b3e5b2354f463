/** Heads as text, one character a byte (latin1). Field values come from the parser or from validated configuration. */
import { REASONS } from './reasons.ts';

const lines: string[] = [];
for (let status = 100; status < 600; status++) {
  lines[status] = `HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\n`;
}

/** The status line with its CRLF; 100 to 599. */
export function statusLine(status: number): string {
  return lines[status] ?? `HTTP/1.1 ${status} \r\n`;
}

let dateSecond = -1;
let dateLine = '';

/** `date: …` with its CRLF for a time in ms since the epoch (RFC 9110 section 6.6.1). */
export function dateField(epochMs: number): string {
  const second = Math.floor(epochMs / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateLine = `date: ${new Date(second * 1000).toUTCString()}\r\n`;
  }
  return dateLine;
}
