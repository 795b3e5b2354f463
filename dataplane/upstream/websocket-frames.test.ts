import { expect, test } from 'vitest';
import { ServerFrames } from './websocket-frames.ts';

/** RFC 6455 section 5.2, unmasked. */
function frame(opcode: number, length: number, last = true): Buffer {
  const first = opcode | (last ? 0x80 : 0);
  if (length < 126) return Buffer.concat([Buffer.from([first, length]), Buffer.alloc(length, 0x81)]);
  const head = Buffer.alloc(length < 65_536 ? 4 : 10);
  head[0] = first;
  head[1] = length < 65_536 ? 126 : 127;
  if (length < 65_536) head.writeUInt16BE(length, 2);
  else head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, Buffer.alloc(length, 0x81)]);
}

const MESSAGES = [
  [frame(1, 0)],
  [frame(2, 1)],
  [frame(1, 125)],
  [frame(2, 126)],
  [frame(2, 65_535)],
  [frame(2, 65_536)],
  [frame(9, 3)],
  [frame(1, 10, false), frame(0, 0, false), frame(10, 2), frame(0, 300)],
  [frame(0x41, 7)],
].map((frames) => Buffer.concat(frames));
const ALL = Buffer.concat(MESSAGES);
const ENDS = MESSAGES.map((_, i) => MESSAGES.slice(0, i + 1).reduce((sum, { length }) => sum + length, 0));

test('the end of each message is found, whatever its length and however it is cut', () => {
  for (const size of [1, 2, 3, 7, 1000, 65_536, ALL.length]) {
    const frames = new ServerFrames();
    const ends: number[] = [];
    for (let at = 0; at < ALL.length; ) {
      at += frames.pass(ALL.subarray(at, at + size), true);
      if (frames.between) ends.push(at);
    }
    expect([size, ends, frames.lost]).toEqual([size, ENDS, false]);
  }
  const whole = new ServerFrames();
  expect([whole.pass(ALL), whole.between]).toEqual([ALL.length, true]);
  expect([whole.pass(ALL.subarray(0, ALL.length - 1)), whole.between]).toEqual([ALL.length - 1, false]);
});

test('between the frames of one message is not between messages', () => {
  const frames = new ServerFrames();
  frames.pass(frame(1, 4, false));
  expect(frames.between).toBe(false);
  frames.pass(frame(9, 0));
  expect(frames.between).toBe(false);
  frames.pass(frame(0, 4));
  expect([frames.between, frames.closing]).toEqual([true, false]);
  frames.pass(frame(8, 2));
  expect(frames.closing).toBe(true);
});

test('what no server sends is lost for good', () => {
  const masked = Buffer.from([0x81, 0x81, 1, 2, 3, 4, 5]);
  const endless = Buffer.from([0x82, 127, 0x40, 0, 0, 0, 0, 0, 0, 0]);
  const [begun, control, reserved, stray] = [
    Buffer.concat([frame(1, 1, false), frame(1, 1)]),
    Buffer.from([0x09, 0]),
    Buffer.from([0x83, 0]),
    Buffer.from([0x80, 0]),
  ];
  for (const bytes of [masked, endless, begun, control, reserved, stray, Buffer.from('hello')]) {
    const frames = new ServerFrames();
    expect([frames.pass(bytes, true), frames.lost, frames.between]).toEqual([bytes.length, true, false]);
    frames.pass(frame(1, 0));
    expect(frames.lost).toBe(true);
  }
});
