/** A service of one unary method; messages are bytes as they are. */
const same = (bytes: Buffer): Buffer => bytes;

export const WHO = {
  who: {
    path: '/test.v1.Who/Who',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
} as const;
